"""The second interval: what holds for new seeds and new test images, and not for new seeds alone."""

import math
from dataclasses import dataclass

import numpy as np

from daiving.study.verdict import half_width


@dataclass(frozen=True)
class SeedsAndImages:
    """An interval for the mean difference over new seeds and new images, as a share of images."""

    mean: float
    low: float
    high: float
    freedom: float  # Satterthwaite's degrees of freedom
    seed_sd: float  # s.d. of the difference from seed to seed
    image_error: float  # what the choice of test images alone adds to the standard error; no seed removes it


def seeds_and_images(right_a: np.ndarray, right_b: np.ndarray, level: float) -> SeedsAndImages | None:
    """Two-way analysis of d = right_a - right_b, both n seeds x m images, bool.

    Var(mean) = max(MS_seeds + MS_images - MS_rest, MS_seeds) / (n m), the variance of multi-reader, multi-case studies
    with seeds as readers. None below two seeds or two images, and where the difference is the same for every seed and
    the images add nothing.
    """
    d = right_a.astype(np.float64) - right_b.astype(np.float64)
    n, m = d.shape
    if n < 2 or m < 2:
        return None
    mean, by_seed, by_image = d.mean(), d.mean(axis=1), d.mean(axis=0)
    # Variances of whole numbers: of equal ones it is exactly zero, which of equal fractions it need not be.
    seeds, images = float(d.sum(axis=1).var(ddof=1)) / m, float(d.sum(axis=0).var(ddof=1)) / n
    rest = float(((d - by_seed[:, None] - by_image[None, :] + mean) ** 2).sum()) / ((n - 1) * (m - 1))
    both = seeds + images - rest
    squares = seeds**2 / (n - 1)
    if both > seeds:
        squares += images**2 / (m - 1) + rest**2 / ((n - 1) * (m - 1))
    total = max(both, seeds)
    if not total > 0 or not squares > 0:
        return None
    freedom = float(total**2 / squares)
    mean, half = float(mean), half_width(math.sqrt(total / (n * m)), freedom, level)
    image_error = math.sqrt(max(images - rest, 0) / (n * m))
    return SeedsAndImages(mean, mean - half, mean + half, freedom, math.sqrt(seeds / m), image_error)


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """Exact two-sided p of McNemar's test for one run of each arm: which images only one of them gets right."""
    from scipy.stats import binomtest  # 0.7 s to import, and seldom wanted

    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def fisher(diverged_a: int, runs_a: int, diverged_b: int, runs_b: int) -> float:
    """Exact two-sided p of Fisher's test that both arms diverge equally often."""
    from scipy.stats import fisher_exact

    table = [[diverged_a, runs_a - diverged_a], [diverged_b, runs_b - diverged_b]]
    return float(fisher_exact(table).pvalue)
