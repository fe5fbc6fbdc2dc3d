"""The verdict: a repeated t interval over paired differences, read after every pair from the third on.

Differences D_i = m(A, i) - m(B, i), higher is better. At look n of at most N,

    level_n = a(N, alpha) n / N        h_n = t(n-1; 1 - level_n / 2) s_n / sqrt(n)
    L_n = max over k <= n of (mean_k - h_k)        H_n = min over k <= n of (mean_k + h_k)

a(N, alpha) is such that, with no difference at all, some look from 3 to N excludes zero with probability alpha. For
normal differences the true mean is then inside every [L_n, H_n] at once with probability 1 - alpha, whatever rule stops
the study: all that is read off the interval is right together. Looking after every pair with a plain t test instead
would give one false winner in four.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# a(N, alpha), simulated over 800,000 paths with a look after every pair from the third (standard error about 1 %).
# The rows .10, .05 and .01 are the method's own; the others serve an alpha shared by several comparisons: the smaller
# of two simulations, which is the safe side. benchmarks/repeated_t_constants.py computes all of them again.
CAPS = (4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
# fmt: off
TABLE = {
    0.10: (.07164, .05968, .05320, .04607, .04191, .03949, .03703, .03441, .03288, .03174, .03044, .02956),
    0.05: (.03419, .02789, .02443, .02079, .01877, .01743, .01631, .01513, .01444, .01392, .01323, .01285),
    0.05 / 2: (.01658, .01326, .01154, .00964, .00867, .00803, .00749, .00693, .00655, .00630, .00597, .00576),
    0.05 / 3: (.01075, .00857, .00735, .00616, .00551, .00513, .00476, .00439, .00414, .00398, .00373, .00363),
    0.05 / 4: (.00794, .00626, .00541, .00449, .00403, .00373, .00347, .00318, .00300, .00287, .00270, .00260),
    0.01: (.00618, .00489, .00418, .00347, .00312, .00289, .00267, .00245, .00230, .00223, .00211, .00202),
    0.05 / 6: (.00509, .00407, .00351, .00290, .00259, .00240, .00221, .00203, .00189, .00182, .00170, .00165),
    0.05 / 8: (.00375, .00300, .00256, .00212, .00190, .00174, .00160, .00145, .00138, .00131, .00123, .00119),
    0.01 / 2: (.00298, .00237, .00205, .00168, .00149, .00135, .00124, .00114, .00107, .00103, .00096, .00092),
    0.01 / 4: (.00142, .00115, .00100, .00080, .00069, .00063, .00058, .00053, .00050, .00046, .00043, .00041),
}
# fmt: on
ALPHAS = tuple(TABLE)

FIRST, OTHER, ALIKE, UNDECIDED, TOO_FEW = "A", "B", "alike", "undecided", "too few"


@dataclass(frozen=True)
class Look:
    """One reading of the interval."""

    pairs: int  # n, both arms converged
    mean: float  # of the differences so far, in the metric's own number
    sd: float  # of the differences so far; divisor n - 1
    level: float  # two-sided level of this look
    low: float  # L_n
    high: float  # H_n
    verdict: str  # FIRST, OTHER or ALIKE if this look decides, else ""


def constant(cap: int, alpha: float) -> tuple[int, float]:
    """N and a(N, alpha) for a cap: the next larger N and the next smaller alpha of the table, both on the safe side.

    Raises ValueError outside the table; `plan.check` has told the user before.
    """
    n = bisect_left(CAPS, cap)
    row = next((row for a, row in TABLE.items() if a <= alpha * (1 + 1e-9)), None)
    if n == len(CAPS) or row is None:
        raise ValueError(f"no constant for a cap of {cap} and alpha {alpha}")
    return CAPS[n], row[n]


def looks(
    differences: Sequence[float], cap: int, alpha: float, smallest: float | None = None, *, stop: bool = True
) -> list[Look]:
    """Every look at the differences, in seed order, up to and with the first that decides.

    With `stop=False` all of them, for a metric that is only looked at while another decides.
    """
    N, a = constant(cap, alpha)
    low, high = -math.inf, math.inf
    found: list[Look] = []
    for n in range(3, min(len(differences), cap) + 1):
        mean, sd = spread(differences[:n])
        level = a * n / N
        half = half_width(sd / math.sqrt(n), n - 1, level)
        low, high = max(low, mean - half), min(high, mean + half)
        verdict = ""
        if sd > 0:  # without spread there is nothing to judge by: never a winner
            verdict = read(low, high, smallest)
        found.append(Look(n, mean, sd, level, low, high, verdict))
        if verdict and stop:
            break
    return found


def read(low: float, high: float, smallest: float | None) -> str:
    """What an interval decides."""
    if low > 0:
        return FIRST
    if high < 0:
        return OTHER
    return ALIKE if smallest is not None and -smallest < low and high < smallest else ""


def half_width(error: float, freedom: float, level: float) -> float:
    """Half of a two-sided t interval of that level; infinite without spread."""
    return t_quantile(freedom, 1 - level / 2) * error if error > 0 else math.inf


@lru_cache(maxsize=4096)
def t_quantile(freedom: float, p: float) -> float:
    from scipy.special import stdtrit  # a fifth of a second, which workers and short commands need not pay

    return float(stdtrit(freedom, p))


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (divisor n - 1). Equal values have a deviation of exactly zero."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2 or min(values) == max(values):
        return (values[0] if n else math.nan), 0.0
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))


def pairs_for(delta: float, sd: float, alpha: float) -> int | None:
    """About how many pairs decide a true difference `delta` with probability .8; None where it is over 10,000.

    The measured sizes of the method (80 % power, alpha .05) between d = delta/sd of .5 and 2.5, and 10.5 / d^2 below.
    """
    if not abs(delta) > 0 or not sd > 0:
        return None
    d = abs(delta) / sd
    # Another alpha moves the size like the square of the two normal quantiles that a test of that power adds up.
    ratio = ((normal_quantile(1 - alpha / 2) + 0.8416) / (1.9600 + 0.8416)) ** 2
    for at_least, pairs in ((2.5, 4), (2, 5), (1.5, 7), (1.25, 9), (1, 13), (0.8, 18), (0.7, 23), (0.6, 30), (0.5, 42)):
        if d >= at_least:
            return math.ceil(pairs * ratio)
    size = math.ceil(10.5 / d**2 * ratio)
    return size if size <= 10_000 else None


# Pairs for "no difference that matters" with probability .8 when there is none, by smallest / sd (alpha .05, 20,000
# simulated studies each); below .6 as 14.4 / ratio^2.
ALIKE_SIZES = (
    (3, 4),
    (2.5, 5),
    (2, 6),
    (1.75, 8),
    (1.5, 9),
    (1.25, 12),
    (1, 17),
    (0.9, 20),
    (0.8, 24),
    (0.7, 30),
    (0.6, 40),
)


def pairs_for_alike(margin: float, sd: float, alpha: float) -> int | None:
    """About how many pairs show with probability .8 that the arms differ by less than `margin`, if they do not differ.

    None where it is over 10,000.
    """
    if not margin > 0 or not sd > 0:
        return None
    ratio = margin / sd
    size = next((pairs for at_least, pairs in ALIKE_SIZES if ratio >= at_least), math.ceil(14.4 / ratio**2))
    size = math.ceil(size * (normal_quantile(1 - alpha / 2) / 1.9600) ** 2)
    return size if size <= 10_000 else None


def normal_quantile(p: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)
