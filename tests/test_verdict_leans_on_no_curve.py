"""The evidence that needs symmetry alone, and the warning where the differences are skewed."""

import math

import numpy as np
import pytest

from daiving.study.robust import BETS, skewness, symmetry_evidence

FAMILIES = {
    "normal": lambda r, n: r.standard_normal(n),
    "t3": lambda r, n: r.standard_t(3, n),
    "uniform": lambda r, n: r.uniform(-1, 1, n),
    "two points": lambda r, n: r.choice([-1.0, 1.0], n),
    "outliers": lambda r, n: r.standard_normal(n) + 15 * r.choice([-1, 0, 0, 0, 0, 0, 0, 0, 0, 1], n),
}


def test_evidence_is_what_its_definition_says():
    d, total = [0.3, -0.1, 0.7], 0.0
    for bet in BETS:
        product = 1.0
        for n in (1, 2, 3):
            u = d[n - 1] / math.sqrt(sum(x * x for x in d[:n]) / n)
            product *= math.exp(bet * u) / math.cosh(bet * u)
        total += product
    assert symmetry_evidence(d, 1) == pytest.approx(total / len(BETS), rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_symmetric_differences_seldom_pass_whenever_one_stops(family):
    random, passed, paths = np.random.default_rng(3), 0, 1500
    for _ in range(paths):
        d = FAMILIES[family](random, 20).tolist()
        passed += any(max(symmetry_evidence(d[:n], side) for side in (1, -1)) >= 40 for n in range(7, 21))
    assert passed / paths <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / paths)


def test_a_clear_difference_passes():
    random = np.random.default_rng(4)
    passed = [symmetry_evidence((2 + random.standard_normal(12)).tolist(), 1) >= 40 for _ in range(200)]
    assert np.mean(passed) > 0.8


def test_evidence_knows_its_side_and_no_scale():
    d = [0.2, 0.5, -0.1, 0.4, 0.3]
    assert symmetry_evidence(d, 1) > 1 > symmetry_evidence(d, -1)
    assert symmetry_evidence([-x for x in d], -1) == symmetry_evidence(d, 1)
    assert symmetry_evidence([1000 * x for x in d], 1) == pytest.approx(symmetry_evidence(d, 1))
    assert symmetry_evidence([0.0] * 9, 1) == 1.0
    assert math.isfinite(symmetry_evidence([1.0] * 5000, 1))


def test_skewness_is_the_third_standardised_moment():
    from scipy.stats import skew

    values = np.random.default_rng(5).exponential(size=30).tolist()
    assert skewness(values) == pytest.approx(skew(values))
    assert skewness([2.0] * 8) == 0.0
