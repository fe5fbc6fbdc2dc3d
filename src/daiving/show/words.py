"""A reading in words: what the terminal, the report and the notebook say, said once."""

import math

from daiving.options import show
from daiving.study.plan import METRICS, Arm, Plan
from daiving.study.reading import Comparison, Interval, Reading, pairs_needed
from daiving.study.robust import ENOUGH, SKEWED, skewness, symmetry_evidence
from daiving.study.verdict import ALIKE, FIRST, OTHER, TOO_FEW, UNDECIDED


def difference(value: float, metric: str, *, sign: bool = True) -> str:
    """A difference in the metric's unit: `+0.30 pp`."""
    about = METRICS[metric]
    return f"{number(value, metric, sign=sign)} {about.unit}"


def number(value: float, metric: str, *, sign: bool = True) -> str:
    """A difference without its unit, with a true minus sign; infinite where there is no spread to judge by."""
    about = METRICS[metric]
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    digits = 2 if about.scale == 100 else 4
    return f"{value * about.scale:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def level(value: float, metric: str) -> str:
    """A metric itself, not a difference: `97.60 %` or `0.0712 nats`."""
    return f"{value * 100:.2f} %" if METRICS[metric].scale == 100 else f"{value:.4f} {METRICS[metric].unit}"


def interval(low: float, high: float, metric: str) -> str:
    return f"{number(low, metric)} to {difference(high, metric)}"


def ends(comparison: Comparison, plan: Plan) -> tuple[float, float]:
    """The last look's interval for other - first, in the metric's own direction (for a loss, lower is better)."""
    look = comparison.looks[-1]
    return (look.low, look.high) if METRICS[plan.metric].sign > 0 else (-look.high, -look.low)


def mean(comparison: Comparison, plan: Plan) -> float:
    return METRICS[plan.metric].sign * comparison.looks[-1].mean


def arm_line(plan: Plan, arm: Arm) -> str:
    """An arm with its net, and the recipe fields in which the arms of this study differ."""
    recipes = [other.recipe.to_dict() for other in plan.arms]
    differ = [key for key in recipes[0] if len({row[key] for row in recipes}) > 1]
    mine = arm.recipe.to_dict()
    return f"{arm.name}: {arm.label}" + "".join(f", {key} {show(mine[key])}" for key in differ)


def verdict_word(comparison: Comparison) -> str:
    """The verdict in a few words; a comparison without one has no winner here either."""
    if comparison.identical and comparison.verdict == ALIKE:
        return "identical results"
    return {
        FIRST: f"{comparison.other} better",
        OTHER: f"{comparison.first} better",
        ALIKE: "no difference that matters",
        UNDECIDED: "undecided",
        TOO_FEW: "too few pairs",
        "": "not finished",
    }[comparison.verdict]


def confidence(comparison: Comparison) -> str:
    return f"{100 * (1 - comparison.alpha):.4g} %"


def verdict_sentence(plan: Plan, comparison: Comparison) -> str:
    """The verdict in one sentence, with its difference, interval and n."""
    first, other, n = comparison.first, comparison.other, comparison.converged
    if not comparison.looks:
        return (
            f"Cannot tell {other} from {first}: {n} pair{'s' * (n != 1)} finished in which both converged, "
            f"and it takes three to see a spread."
        )
    low, high = ends(comparison, plan)
    drifted = "" if low <= mean(comparison, plan) <= high else "; the differences drift from seed to seed"
    seen = f"{other} − {first} is {difference(mean(comparison, plan), plan.metric)}"
    range_ = f"{confidence(comparison)} interval {interval(low, high, plan.metric)}, {n} pairs{drifted}"
    size = how_large(plan, comparison)
    match comparison.verdict:
        case v if v == FIRST:
            return f"{other} is better than {first}{size}: {seen} ({range_})."
        case v if v == OTHER:
            return f"{first} is better than {other}{size}: {seen} ({range_})."
        case v if v == ALIKE and comparison.identical:
            return f"{other} and {first} gave exactly the same {plan.metric} in each of {n} pairs."
        case v if v == ALIKE:
            small = difference(plan.smallest or 0, plan.metric, sign=False)
            return f"No difference that matters between {other} and {first}: less than {small} ({seen}; {range_})."
        case v if v == UNDECIDED and comparison.looks[-1].sd == 0:
            return (
                f"Cannot tell {other} from {first}: each of {n} pairs gave "
                f"{difference(mean(comparison, plan), plan.metric)}, and without a spread between "
                f"pairs no interval can be had (more test examples give one)."
            )
        case v if v == UNDECIDED:
            return f"Cannot tell {other} from {first} after {n} pairs: {seen} ({range_})."
    return f"Not decided yet: {seen} so far ({range_})."


def how_large(plan: Plan, comparison: Comparison) -> str:
    """`, by more than 0.30 pp` where the interval says so."""
    if plan.smallest is None:
        return ""
    look = comparison.looks[-1]
    low, high = (look.low, look.high) if comparison.verdict == FIRST else (-look.high, -look.low)
    if low > high:  # the looks contradict one another: the differences drifted
        return ""
    side = " by more than" if low > plan.smallest else " by less than" if high < plan.smallest else ""
    return f",{side} {difference(plan.smallest, plan.metric, sign=False)}" if side else ""


def given_converged(plan: Plan, comparison: Comparison) -> str:
    """What is said of diverged runs; empty where there are none."""
    a, b = comparison.diverged
    if comparison.divergence_p is None:
        return ""
    n, bad = len(comparison.pairs), diverged_word(plan)
    return (
        f"{bad}: {a} of {n} runs of {comparison.first}, {b} of {n} of {comparison.other} "
        f"(Fisher's exact test p = {comparison.divergence_p:.2g}). The verdict is for pairs in which both converged."
    )


def diverged_word(plan: Plan) -> str:
    if plan.floor is None:
        return "Diverged"
    side = "below" if METRICS[plan.metric].sign > 0 else "above"
    return f"Diverged, or {side} the floor of {level(plan.floor, plan.metric)}"


def settle(plan: Plan, comparison: Comparison) -> str:
    """What would settle an undecided comparison; empty where nothing is open."""
    if comparison.verdict not in (UNDECIDED, TOO_FEW) and comparison.verdict:
        return ""
    if not comparison.verdict:
        return "Start the same command again: it goes on where it stopped."
    for name, diverged in zip((comparison.first, comparison.other), comparison.diverged, strict=True):
        if comparison.verdict == TOO_FEW and diverged == len(comparison.pairs):
            if plan.floor is not None:
                return f"Another recipe or floor: no run of {name} converged and kept to the floor."
            return f"Nothing: that {name} diverges with every seed is the finding. A smaller lr may help it."
    if comparison.verdict == TOO_FEW:
        return "A recipe under which both arms converge (a smaller lr, or more clipping), or a larger cap on pairs."
    pairs = pairs_needed(plan, comparison)
    fresh = f"first seed {plan.first_seed + plan.max_pairs}"
    if pairs is None:
        hint = "" if plan.smallest is not None else " Saying which difference would matter (smallest) may help more."
        return f"No number of pairs within reach, if the true difference is what was seen.{hint}"
    if pairs > 50:
        return (
            f"About {pairs} fresh pairs, which is more than a study takes (50): less noise helps more than seeds do "
            f"(more epochs, a longer average of the weights, more test examples), or a larger smallest difference."
        )
    return f"About {pairs} fresh pairs in a new study, with seeds that nobody has looked at ({fresh}, cap {pairs})."


def seconds_sentence(comparison: Comparison) -> str:
    """Time beside accuracy; empty below three pairs."""
    ratio: Interval | None = comparison.seconds
    if ratio is None:
        return ""
    return (
        f"An epoch of {comparison.other} takes {ratio.mean:.2f} times as long as one of {comparison.first} "
        f"({confidence(comparison)} interval {ratio.low:.2f} to {ratio.high:.2f}, {ratio.pairs} pairs)."
    )


def images_sentence(comparison: Comparison) -> str:
    """The interval over new seeds and new test examples; empty where it cannot be had."""
    both = comparison.images
    if both is None:
        return ""
    return (
        f"Over new seeds and new test examples the difference in accuracy is "
        f"{interval(both.low, both.high, 'accuracy')}; the choice of test examples alone adds a standard error "
        f"of {both.image_error * 100:.2f} pp."
    )


def robust_sentence(plan: Plan, comparison: Comparison) -> str:
    """Whether a winner needs the normal curve, or a warning that the differences are skewed; else empty."""
    d = comparison.differences
    if len(d) < ENOUGH:
        return ""
    side = {FIRST: 1, OTHER: -1}.get(comparison.verdict, 0) * METRICS[plan.metric].sign
    skew = skewness(d)
    if side and symmetry_evidence(d, side) >= 2 / comparison.alpha:  # 2: it might have been the other side
        return "The winner stands without assuming normal differences too: symmetric ones are enough."
    if abs(skew) > SKEWED:
        return (
            f"The differences are skewed (skewness {number_of(skew)}, {len(d)} pairs): with such, a winner is false "
            f"more often than {100 * comparison.alpha:.3g} % of the time, at a skewness of 2 in one study of six."
        )
    return ""


def number_of(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def headline(reading: Reading) -> str:
    """The study in one sentence."""
    return " ".join(verdict_sentence(reading.plan, comparison) for comparison in reading.comparisons)
