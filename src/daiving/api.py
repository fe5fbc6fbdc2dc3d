"""A study as a person asks for it in Python: checked at once, run when told, read as text, page or dict."""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daiving import tasks
from daiving.errors import FixableError
from daiving.files import read_json, write_json
from daiving.options import split
from daiving.recipe import Recipe, named
from daiving.show import report, terminal
from daiving.study.execute import Progress, execute
from daiving.study.index import index
from daiving.study.plan import Arm, Plan, check, check_seed, from_dict, make_arm, parse_difference, parse_level
from daiving.study.reading import Reading, reading
from daiving.study.record import DEFAULT_LAB, Lab, unwritable
from daiving.tasks.data import Data


@dataclass(frozen=True)
class Outcome:
    """What a study says: `print` it, show it in a notebook, or take its numbers with `to_dict`."""

    reading: Reading
    report: Path | None  # the HTML page; None where the lab cannot be written

    def __str__(self) -> str:
        return terminal.verdict_text(self.reading)

    def _repr_html_(self) -> str:
        return report.fragment(self.reading)

    def to_dict(self) -> dict[str, Any]:
        """Everything that is shown, as plain values for JSON; differences in the metric's own number."""
        return report.to_dict(self.reading)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Two arms or more on one task, with paired seeds, until a verdict or the cap.

    `arms` maps a name to a net: text as on the command line ("mnist_inception:jump=true,lr=0.02"), or a dict with the
    key "net" and options of the net and fields of the recipe beside it. All arms are compared with the first.
    `smallest` is the smallest difference that matters, with its unit ("0.3pp"); a run below `floor` ("50%") counts as
    diverged. Everything is checked when the study is made; what does not fit raises `FixableError`.
    """

    task: str
    arms: Mapping[str, str | Mapping[str, Any]]
    recipe: Recipe | str = "default"
    metric: str = "accuracy"
    max_pairs: int = 20
    smallest: str | None = None
    alpha: float = 0.05
    first_seed: int = 0
    floor: str | None = None
    lab: Path | str = DEFAULT_LAB
    data: Path | str | None = None
    plan: Plan = field(init=False)
    loaded: Data = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, (kinds, words) in KINDS.items():
            check_kind(name, getattr(self, name), kinds, words)
        recipe = named(self.recipe) if isinstance(self.recipe, str) else self.recipe
        plan, loaded = planned(
            self.task,
            self.arms,
            recipe,
            self.lab,
            self.data,
            metric=self.metric,
            smallest=parse_difference(self.smallest, self.metric),
            max_pairs=self.max_pairs,
            alpha=self.alpha,
            first_seed=check_seed(self.first_seed),
            floor=parse_level(self.floor, self.metric),
        )
        object.__setattr__(self, "plan", check(plan))
        object.__setattr__(self, "loaded", loaded)

    def steps(self, jobs: int | None = None, pack: int = 1) -> Generator[Progress, None, None]:
        """Run the study, or the rest of it, handing on what happens; see `study.execute`.

        `pack` is how many runs of one arm share a process at most, which is faster for small nets. It may train a few
        pairs more than the verdict needs; those are kept. Raises `FixableError` for less than one.
        """
        check_pack(pack)
        lab = Lab(Path(self.lab).expanduser().resolve())
        lab.prepare()
        with lab.driving():
            try:
                folder = lab.study(self.plan.id)
                folder.mkdir(exist_ok=True)
                if read_json(folder / "study.json") is None:
                    row = {"plan": self.plan.to_dict(), "notes": self.loaded.notes, "made": time.time()}
                    write_json(folder / "study.json", row)
                yield from execute(self.plan, lab, task_row(self.plan, lab, self.data), jobs, pack)
                index(lab, write=True).close()
            except OSError as error:  # a disk that fills up meets the driver as well as the workers
                raise unwritable(lab.root, error) from None

    def run(self, jobs: int | None = None, pack: int = 1) -> Outcome:
        """Run the study until its verdict; what is finished already is not done again. See `steps`."""
        for _ in self.steps(jobs, pack):
            pass
        return self.outcome()

    def outcome(self) -> Outcome:
        """What the finished runs say now, with an up-to-date report; before `run`, that there are none."""
        lab = Lab(Path(self.lab).expanduser().resolve())
        return shown(reading(self.plan, lab, self.loaded.notes), lab)


def outcome(lab: Lab, study: str) -> Outcome:
    """The outcome of a study of this lab, as far as it has come."""
    row = read_json(lab.study(study) / "study.json") or {}
    try:
        found = reading(from_dict(row["plan"]), lab, tuple(row["notes"]))
    except (KeyError, TypeError, AttributeError):
        raise FixableError(
            f"The study {study} has no study.json that can be read.",
            expected="the plan of the study, written before its first run.",
            fix="start the same `daiving compare` again: finished runs are found by what they are.",
        ) from None
    return shown(found, lab)


def shown(found: Reading, lab: Lab) -> Outcome:
    folder = lab.study(found.plan.id)
    try:
        page = report.write(found, folder) if folder.is_dir() else None
    except FixableError:  # a lab that can only be read still has its verdict
        page = None
    return Outcome(found, page)


# What each field of a study may be; flags come typed, Python and TOML do not.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "task": ((str,), "a text"),
    "arms": ((Mapping,), "a table of names and nets"),
    "recipe": ((str, Recipe), "a Recipe or the name of one"),
    "metric": ((str,), "a text"),
    "max_pairs": ((int,), "a whole number"),
    "smallest": ((str, type(None)), "a text with a unit, like '0.3pp'"),
    "alpha": ((float,), "a number"),
    "floor": ((str, type(None)), "a text with a unit, like '50%'"),
    "lab": ((str, Path), "a path"),
    "data": ((str, Path, type(None)), "a path"),
}


def check_kind(name: str, value: Any, kinds: tuple[type, ...], words: str) -> None:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise FixableError(
            f"The study's {name} is {value!r}.", expected=f"{words}.", fix=f"write {name} as {words}, or leave it out."
        )


def check_pack(pack: Any) -> None:
    if type(pack) is not int or pack < 1:
        raise FixableError(
            f"The number of runs to pack is {pack!r}.",
            expected="a whole number: 1 gives each run a process of its own, 10 packs up to ten runs of an arm.",
            fix="leave it out to get 1, or write for example --pack 10.",
        )


def planned(
    task: str,
    arms: Mapping[str, str | Mapping[str, Any]],
    recipe: Recipe,
    lab: Path | str,
    data: Path | str | None,
    **rest: Any,
) -> tuple[Plan, Data]:
    """A plan from what a person wrote, and the task's data, which it depends on. Not checked as a comparison yet."""
    name, options = tasks.parse(task)
    parts = {arm: arm_parts(text) for arm, text in arms.items()}
    loaded = tasks.load(name, options, data_dir=Path(data) if data else None, cache_dir=Path(lab).expanduser() / "data")
    made = tuple(make_arm(arm, net, given, recipe, loaded.facts) for arm, (net, given) in parts.items())
    for arm in made:
        if tasks.TASKS[name].next_symbol and arm.options.get("bidirectional") is True:
            raise reads_ahead(arm, name)
    return Plan(task=name, task_options=options, fingerprint=loaded.fingerprint, arms=made, **rest), loaded


def reads_ahead(arm: Arm, task: str) -> FixableError:
    return FixableError(
        f"The net of the arm '{arm.name}' is bidirectional, and the task '{task}' asks for the symbol that comes next.",
        expected="a net that has not read the answer: the pass from the end to the beginning has.",
        fix="leave bidirectional out, or choose a task that labels whole sequences, like names.",
    )


def task_row(plan: Plan, lab: Lab, data: Path | str | None) -> dict[str, Any]:
    """The task as a worker needs it, wherever it starts."""
    return {
        "name": plan.task,
        "options": absolute(plan.task_options),
        "data_dir": str(Path(data).expanduser().resolve()) if data else None,
        "cache_dir": str(lab.data),
        "fingerprint": plan.fingerprint,
    }


def arm_parts(arm: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(arm, str):
        return split(arm)
    check_kind("arm", arm, (Mapping,), "a net as text, or a table with the key net")
    given = dict(arm)
    return str(given.pop("net", "")), given


def absolute(options: Mapping[str, Any]) -> dict[str, Any]:
    """Task options with full paths: a worker need not start where the user stands."""
    return {k: str(Path(v).expanduser().resolve()) if k in tasks.PATHS and v else v for k, v in options.items()}
