"""What a study is, before its first run: arms, task, metric, cap, and the smallest difference that matters."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from daiving.errors import FixableError, unknown
from daiving.nets import NETS
from daiving.nets.settled import check_takes, settled
from daiving.nets.user import is_user_net, source_hash, user_file
from daiving.options import joined, literal
from daiving.recipe import FIELDS, Recipe
from daiving.study.verdict import ALPHAS, CAPS
from daiving.tasks import PATHS

# Raised when the same recipe and seed no longer give the same run, so that old runs are not taken for new ones.
TRAINING = 1


@dataclass(frozen=True)
class Metric:
    """A number read on the test split when a run is over."""

    help: str
    unit: str  # of a difference
    scale: float  # from the stored number to that unit
    units: Mapping[str, float]  # accepted with --smallest: unit -> stored number
    sign: int  # +1 where higher is better


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("share of test examples right", "pp", 100, {"pp": 0.01, "%": 0.01}, +1),
    "loss": Metric("mean cross-entropy on test examples", "nats", 1, {"nats": 1.0}, -1),
}


@dataclass(frozen=True)
class Arm:
    """One side of a comparison."""

    name: str
    net: str  # from NETS, or file.py:Class
    options: dict[str, Any]  # of the net; all of them for a net of the table
    recipe: Recipe
    source: str | None = None  # hash of the user's file

    @property
    def label(self) -> str:
        """The net with the options that are not its defaults."""
        table = NETS[self.net].options if self.net in NETS else {}
        shown = {key: value for key, value in self.options.items() if key not in table or table[key].default != value}
        file, dot_py, name = self.net.rpartition(".py:")
        return joined(f"{Path(file).name}{dot_py}{name}" if dot_py else self.net, shown)


@dataclass(frozen=True)
class Plan:
    """All that decides a study's runs and its verdict. Stored before the first run."""

    task: str
    task_options: dict[str, Any]
    fingerprint: str  # of the task's data
    arms: tuple[Arm, ...]  # the first is the one that all others are compared with
    metric: str = "accuracy"
    smallest: float | None = None  # as the metric is stored: accuracy 0.003 is 0.3 pp
    max_pairs: int = 20
    alpha: float = 0.05
    first_seed: int = 0
    floor: float | None = None  # a run whose metric is worse counts as diverged

    @property
    def id(self) -> str:
        """A hash of all of it."""
        return digest({**asdict(self), "training": TRAINING, "arms": [identity_of(arm) for arm in self.arms]})

    @property
    def seeds(self) -> range:
        return range(self.first_seed, self.first_seed + self.max_pairs)

    def identity(self, arm: Arm, seed: int) -> dict[str, Any]:
        """What determines a run, and nothing else: neither the arm's name nor where files lie."""
        task = {key: value for key, value in self.task_options.items() if key not in PATHS}
        about = identity_of(arm)
        del about["name"]
        return about | {
            "task": self.task,
            "task_options": task,
            "fingerprint": self.fingerprint,
            "seed": seed,
            "training": TRAINING,
        }

    def run_id(self, arm: Arm, seed: int) -> str:
        return digest(self.identity(arm, seed))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def identity_of(arm: Arm) -> dict[str, Any]:
    about = asdict(arm)
    if arm.source is not None:  # the same code at another place is the same net
        about["net"] = arm.net.rpartition(":")[2]
    return about


def from_dict(row: Mapping[str, Any]) -> Plan:
    """The inverse of `Plan.to_dict`, after a round trip through JSON."""
    fields: dict[str, Any] = {**row, "arms": tuple(map(arm_from, row["arms"]))}
    return Plan(**fields)


def arm_from(row: Mapping[str, Any]) -> Arm:
    """An arm from its row in a JSON file."""
    fields: dict[str, Any] = {**row, "recipe": Recipe(**row["recipe"])}
    return Arm(**fields)


def digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def make_arm(name: str, net: str, given: Mapping[str, Any], recipe: Recipe, facts: Mapping[str, int]) -> Arm:
    """An arm from a net's name and its options, of which those named like a recipe field change the recipe.

    `facts` are what the task decides: `num_classes`, and `in_channels`, `image_size` of images or `num_symbols`,
    `each_step` of sequences. Given again, they must agree. Raises `FixableError` for an unknown net, option or recipe
    field, for a value that does not fit, and for a net of images on a task of sequences or the reverse.
    """
    for key in facts.keys() & given.keys():
        if literal(given[key]) != facts[key]:
            raise FixableError(
                f"The arm '{name}' has {key}={given[key]}, and the task has {facts[key]}.",
                expected=f"{key}={facts[key]}, as the data of the task are.",
                fix=f"leave {key} out: it is filled in from the task.",
            )
    given = {key: value for key, value in given.items() if key not in facts}
    changes = {key: value for key, value in given.items() if key in FIELDS}
    options = {key: value for key, value in given.items() if key not in FIELDS}
    recipe = recipe.but(**changes).here()
    if is_user_net(net):
        file, attribute = user_file(net)
        read = {key: literal(value) for key, value in options.items()}
        return Arm(name, f"{file}:{attribute}", read, recipe, source_hash(net))
    chosen = settled(net, options, also=FIELDS)
    check_takes(net, facts)
    return Arm(name, net, chosen, recipe)


def check(plan: Plan) -> Plan:
    """The plan itself, or the `FixableError` that says why it cannot be run."""
    if plan.metric not in METRICS:
        raise unknown("metric", plan.metric, METRICS)
    if not 3 <= plan.max_pairs <= CAPS[-1]:
        raise FixableError(
            f"A cap of {plan.max_pairs} pairs is {'too small' if plan.max_pairs < 3 else 'too large'}.",
            expected=f"from 3 to {CAPS[-1]} pairs: below three there is no spread to judge by.",
            fix="leave --max-pairs out to get 20.",
        )
    if len(plan.arms) < 2:
        raise FixableError(
            f"A comparison needs two arms, and there {'is one' if plan.arms else 'is none'}.",
            expected="two arms or more, each NAME=NET; all are compared with the first.",
            fix="write for example: daiving compare plain=mnist_inception jump=mnist_inception:jump=true.",
        )
    if not ALPHAS[-1] <= plan.alpha / (len(plan.arms) - 1) or plan.alpha > ALPHAS[0]:
        raise FixableError(
            f"An alpha of {plan.alpha:g} for {len(plan.arms) - 1} comparison(s) is outside the table.",
            expected=f"at most {ALPHAS[0]:g} in all and at least {ALPHAS[-1]:g} for each comparison.",
            fix="leave --alpha out to get 0.05, or compare fewer arms at once.",
        )
    seen: dict[str, str] = {}
    for arm in plan.arms:
        what = plan.run_id(arm, 0)
        if what in seen:
            raise FixableError(
                f"The arms '{seen[what]}' and '{arm.name}' are the same: same net, options and recipe.",
                expected="arms that differ in something.",
                fix="change an option or a recipe field of one, or leave it out.",
            )
        seen[what] = arm.name
    return plan


def check_seed(seed: Any) -> int:
    """A seed, or the `FixableError` that says which there are."""
    if type(seed) is not int or not 0 <= seed <= 10**12:
        raise FixableError(
            f"The seed is {seed!r}.", expected="a whole number from 0 to 10^12.", fix="leave it out to begin with 0."
        )
    return seed


def parse_difference(text: str | None, metric: str) -> float | None:
    """`"0.3pp"` as 0.003: a difference with its unit, as the metric is stored; None stays None.

    Raises `FixableError` for a difference without a unit, or one that is not above zero.
    """
    about = known_metric(metric)
    return measure(text, "smallest difference that matters", "smallest", f"0.3{next(iter(about.units))}", about.units)


def parse_level(text: str | None, metric: str) -> float | None:
    """`"50%"` as 0.5: a value of the metric itself, with its unit; None stays None."""
    about = known_metric(metric)
    units = {unit: size for unit, size in about.units.items() if unit != "pp"}
    level = measure(text, f"floor of the {metric}", "floor", f"50{next(iter(units))}", units)
    if level is not None and about.scale == 100 and level >= 1:
        raise FixableError(
            f"The floor of the accuracy is {text}.", expected="less than 100%.", fix="write for example --floor 50%."
        )
    return level


def known_metric(metric: str) -> Metric:
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    return METRICS[metric]


def measure(text: str | None, what: str, flag: str, example: str, units: Mapping[str, float]) -> float | None:
    """A number above zero with one of the units, as the metric is stored."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(\S*)\s*", str(text))
    try:
        size = float(found[1]) if found else math.nan
    except ValueError:
        size = math.nan
    if not found or found[2] not in units or not 0 < size < math.inf:
        wrong = "has no unit" if found and not found[2] and size > 0 else "is none"
        raise FixableError(
            f"The {what}, '{text}', {wrong}.",
            expected=f"a number above zero with its unit, {' or '.join(units)}.",
            fix=f"write for example --{flag} {example}.",
        )
    return size * units[found[2]]
