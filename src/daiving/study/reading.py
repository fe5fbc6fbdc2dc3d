"""What the finished runs of a study say: a pure function of the plan and the results, whenever it is asked.

Looks are taken at the contiguous prefix in seed order, never at whichever pairs happened to be done first: slow and
diverging runs finish late, and to look at the quick ones first would be to choose.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from daiving.errors import FixableError
from daiving.files import read_json
from daiving.study.images import SeedsAndImages, fisher, mcnemar, seeds_and_images
from daiving.study.plan import METRICS, Arm, Plan, from_dict
from daiving.study.record import DIVERGED, Lab, Result, read_lines, result_of
from daiving.study.verdict import ALIKE, TOO_FEW, UNDECIDED, Look, looks, pairs_for, pairs_for_alike
from daiving.tasks import TASKS

Results = Mapping[tuple[str, int], Result]  # (arm's name, seed) -> a run that is over


@dataclass(frozen=True)
class Pair:
    """Two runs with one seed."""

    seed: int
    first: float | None  # the metric of the arm compared with; None where the run diverged
    other: float | None

    @property
    def difference(self) -> float | None:
        """other - first; None where one of them diverged.

        Rounded, so that equal numbers of test examples make equal differences: the rounding error of fractions must
        not pass for a spread that one could judge by.
        """
        return None if self.first is None or self.other is None else round(self.other - self.first, 12)


@dataclass(frozen=True)
class Interval:
    """A repeated interval without a verdict word."""

    mean: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Comparison:
    """One arm against the first: all that is known so far."""

    first: str
    other: str
    alpha: float  # of this comparison
    pairs: tuple[Pair, ...]  # the contiguous prefix, diverged ones too, up to the look that decided
    looks: tuple[Look, ...]
    verdict: str  # FIRST (the other arm is better), OTHER (the first is), ALIKE, UNDECIDED, TOO_FEW; "" while open
    diverged: tuple[int, int]  # runs of (first, other) in the prefix that diverged
    divergence_p: float | None  # Fisher's exact test; None where none diverged
    seconds: Interval | None  # ratio of seconds per epoch, other / first
    secondary: dict[str, Interval]  # the other metrics
    images: SeedsAndImages | None  # accuracy over new seeds and new test images
    mcnemar_p: float | None  # with one pair only

    @property
    def converged(self) -> int:
        return sum(pair.difference is not None for pair in self.pairs)

    @property
    def differences(self) -> list[float]:
        """other - first of every pair in which both converged, in seed order."""
        return [pair.difference for pair in self.pairs if pair.difference is not None]

    @property
    def identical(self) -> bool:
        """Every pair gave exactly the same number."""
        return self.converged > 0 and all(pair.difference in (None, 0) for pair in self.pairs)


@dataclass(frozen=True)
class Reading:
    """A study as it stands."""

    plan: Plan
    results: dict[tuple[str, int], Result]
    comparisons: tuple[Comparison, ...]
    costs: dict[str, dict[str, int]]  # arm -> parameters, macs
    environment: dict[str, object]
    notes: tuple[str, ...]  # what a reader must know: files skipped, damaged lines

    @property
    def over(self) -> bool:
        return all(comparison.verdict for comparison in self.comparisons)

    def runs(self, arm: str) -> list[Result]:
        """The runs of an arm that are over, in seed order, as far as any comparison has read them."""
        seeds = {pair.seed for c in self.comparisons if arm in (c.first, c.other) for pair in c.pairs}
        return [self.results[arm, seed] for seed in sorted(seeds) if (arm, seed) in self.results]


def collect(plan: Plan, lab: Lab) -> dict[tuple[str, int], Result]:
    """Every run of the plan that is over."""
    found = {}
    for arm in plan.arms:
        for seed in plan.seeds:
            if result := result_of(lab.run(plan.run_id(arm, seed))):
                found[arm.name, seed] = result
    return found


def compare(plan: Plan, results: Results) -> tuple[Comparison, ...]:
    """All arms against the first, alpha shared equally among them."""
    first, *others = plan.arms
    return tuple(compare_two(plan, first, other, results) for other in others)


def compare_two(plan: Plan, first: Arm, other: Arm, results: Results) -> Comparison:
    alpha = plan.alpha / (len(plan.arms) - 1)
    sign = METRICS[plan.metric].sign
    pairs: list[Pair] = []
    taken: list[Look] = []
    for seed in plan.seeds:
        a, b = results.get((first.name, seed)), results.get((other.name, seed))
        if a is None or b is None:
            break
        pairs.append(Pair(seed, value(plan, a), value(plan, b)))
        # The plan's sign makes higher better, so that FIRST always means the other arm wins.
        signed = [sign * pair.difference for pair in pairs if pair.difference is not None]
        taken = looks(signed, plan.max_pairs, alpha, plan.smallest)
        if taken and taken[-1].verdict:
            break
    ended = len(pairs) == plan.max_pairs
    verdict = taken[-1].verdict if taken else ""
    if not verdict and ended:
        verdict = UNDECIDED if taken else TOO_FEW
        if taken and taken[-1].sd == 0 and taken[-1].mean == 0:
            verdict = ALIKE
    diverged = (sum(pair.first is None for pair in pairs), sum(pair.other is None for pair in pairs))
    both = [pair.seed for pair in pairs if pair.difference is not None]
    runs = [(results[first.name, seed], results[other.name, seed]) for seed in both]
    # The labels of one sequence hang together: as if each were an example of its own, they would promise too much.
    single = [] if TASKS[plan.task].next_symbol else runs
    return Comparison(
        first=first.name,
        other=other.name,
        alpha=alpha,
        pairs=tuple(pairs),
        looks=tuple(taken),
        verdict=verdict,
        diverged=diverged,
        divergence_p=fisher(diverged[0], len(pairs), diverged[1], len(pairs)) if any(diverged) else None,
        seconds=ratio([(a.seconds_per_epoch, b.seconds_per_epoch) for a, b in runs], plan, alpha),
        secondary={
            name: found
            for name in METRICS
            if name != plan.metric
            and (found := interval([b.metrics[name] - a.metrics[name] for a, b in runs], plan, alpha))
        },
        images=over_images(single, taken),
        mcnemar_p=one_pair(single),
    )


def value(plan: Plan, result: Result) -> float | None:
    """The primary metric of a run, or None where it diverged or fell below the plan's floor."""
    if result.status == DIVERGED:
        return None
    metric, sign = result.metrics[plan.metric], METRICS[plan.metric].sign
    below = plan.floor is not None and sign * metric < sign * plan.floor
    return None if below or not math.isfinite(metric) else metric


def interval(differences: list[float], plan: Plan, alpha: float) -> Interval | None:
    taken = looks(differences, plan.max_pairs, alpha, stop=False)
    return Interval(taken[-1].mean, taken[-1].low, taken[-1].high, taken[-1].pairs) if taken else None


def ratio(seconds: list[tuple[float, float]], plan: Plan, alpha: float) -> Interval | None:
    """How many times as long an epoch of the other arm takes: the same interval on log ratios."""
    logs = [math.log(other / first) for first, other in seconds if first > 0 and other > 0]
    found = interval(logs, plan, alpha)
    if not found:
        return None
    return Interval(math.exp(found.mean), exp(found.low), exp(found.high), found.pairs)


def exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def over_images(runs: list[tuple[Result, Result]], taken: list[Look]) -> SeedsAndImages | None:
    right = answers(runs) if taken else None
    return seeds_and_images(right[1], right[0], taken[-1].level) if right else None


def one_pair(runs: list[tuple[Result, Result]]) -> float | None:
    right = answers(runs) if len(runs) == 1 else None
    return mcnemar(right[1][0], right[0][0]) if right else None


def answers(runs: list[tuple[Result, Result]]) -> tuple[np.ndarray, np.ndarray] | None:
    """Which test examples each run got right, (seeds x images) for the first arm and the other."""
    sides = [[result.right() for result in side] for side in zip(*runs, strict=True)]
    if not sides or any(right is None for side in sides for right in side):
        return None
    first, other = (np.stack(side) for side in sides)
    return first, other


def wanted(plan: Plan, results: Results) -> list[tuple[Arm, int]]:
    """The runs still to be done, in the order in which to start them: seed by seed, the members of a pair together."""
    compared = compare(plan, results)
    open_arms = [c.other for c in compared if not c.verdict]
    arms = [arm for arm in plan.arms if arm.name in open_arms or (arm is plan.arms[0] and open_arms)]
    return [(arm, seed) for seed in plan.seeds for arm in arms if (arm.name, seed) not in results]


def pairs_needed(plan: Plan, comparison: Comparison) -> int | None:
    """About how many fresh pairs would settle an undecided comparison: a winner if the true difference is as seen, or
    no difference that matters, whichever needs fewer. None where neither is in reach."""
    if not comparison.looks:
        return None
    look = comparison.looks[-1]
    sizes = [pairs_for(look.mean, look.sd, comparison.alpha)]
    if plan.smallest is not None:
        sizes.append(pairs_for_alike(plan.smallest - abs(look.mean), look.sd, comparison.alpha))
    sizes = [size for size in sizes if size is not None]
    return min(sizes, default=None)


def reading(plan: Plan, lab: Lab, notes: tuple[str, ...] = ()) -> Reading:
    """A study as its files have it."""
    results = collect(plan, lab)
    environment: dict[str, object] = {}
    places: set[str] = set()  # machines and versions that the runs were made on
    warnings = [*notes, *looked_at_before(plan, lab)]
    packed = 0
    for (arm, seed), result in results.items():
        about = read_json(result.folder / "run.json") or {}
        found = about.get("environment", {})
        environment = environment or found
        packed += "packed" in about
        places.add(", ".join(f"{key} {found.get(key, '?')}" for key in ("processor", "torch", "daiving")))
        if damaged := read_lines(result.folder / "events.jsonl")[1]:
            warnings.append(
                f"events.jsonl of the run of '{arm}' with seed {seed} ({result.id}) has {len(damaged)} damaged "
                f"line(s), the first is line {damaged[0]}: left out. The verdict does not use that file."
            )
    if len(places) > 1:
        warnings.append(
            f"The runs were made in {len(places)} places, so their times differ for that: {'; '.join(sorted(places))}."
        )
    if packed:
        warnings.append(
            f"{packed} of {len(results)} runs were packed, several in one process: they have no seconds and no memory "
            f"of their own, and equal runs alone to rounding."
        )
    costs = read_json(lab.study(plan.id) / "costs.json") or {}
    return Reading(plan, results, compare(plan, results), costs, environment, tuple(warnings))


def looked_at_before(plan: Plan, lab: Lab) -> list[str]:
    """A note for each study of the lab that was made before this one and looked at some of the same pairs of runs."""
    notes = []
    mine, made = pairs_of(plan), (read_json(lab.study(plan.id) / "study.json") or {}).get("made", math.inf)
    for path in sorted((lab.root / "studies").glob("*/study.json")):
        row = read_json(path) or {}
        if path.parent.name == plan.id or not row.get("made", math.inf) < made:
            continue
        try:
            earlier = from_dict(row["plan"])
        except (KeyError, TypeError, FixableError):  # of another version, or damaged: its runs cannot be told
            continue
        if mine & pairs_of(earlier):
            notes.append(
                f"The study {path.parent.name} (cap {earlier.max_pairs}) has looked at some of these pairs before. "
                f"Only one study of the same pairs keeps its error rate: after a look, take fresh seeds (first_seed)."
            )
    return notes


def pairs_of(plan: Plan) -> set[frozenset[str]]:
    """The ids of the two runs of every pair that the plan may look at."""
    first, *others = plan.arms
    return {frozenset((plan.run_id(first, seed), plan.run_id(arm, seed))) for arm in others for seed in plan.seeds}
