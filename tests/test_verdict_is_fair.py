"""The verdict is fair: neither arm, no unit and no later pair can bend it; and so are the tests over test images."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats

from daiving.study.images import fisher, mcnemar, seeds_and_images
from daiving.study.verdict import ALIKE, CAPS, FIRST, OTHER, TABLE, constant, looks, pairs_for, read

fair = settings(derandomize=True, deadline=None, max_examples=150)
MIRROR = {FIRST: OTHER, OTHER: FIRST, ALIKE: ALIKE, "": ""}

# Multiples of 1/1024, so that sums, differences and mirror images are exact. The shift makes winners likely.
differences = st.builds(
    lambda shift, values: [(shift + value) / 1024 for value in values],
    st.sampled_from([0, 0, 30, -50, 90, -150]),
    st.lists(st.integers(-64, 64), min_size=3, max_size=30),
)
alphas = st.sampled_from([0.10, 0.05, 0.03, 0.01])
smallest_differences = st.none() | st.integers(1, 128).map(lambda k: k / 1024)
study_plans = st.fixed_dictionaries({"cap": st.integers(3, 50), "alpha": alphas, "smallest": smallest_differences})


# What must not change the verdict


@fair
@given(differences, study_plans)
def test_swapping_the_arms_mirrors_every_look(d, plan):
    mirrored = [
        replace(look, mean=-look.mean, low=-look.high, high=-look.low, verdict=MIRROR[look.verdict])
        for look in looks(d, **plan)
    ]
    assert looks([-x for x in d], **plan) == mirrored


@fair
@given(differences, study_plans)
def test_percent_or_fraction_changes_nothing_but_the_unit(d, plan):
    fraction = looks(d, **plan)
    percent = looks([100 * x for x in d], **plan | {"smallest": plan["smallest"] and 100 * plan["smallest"]})
    assert [(x.pairs, x.level, x.verdict) for x in fraction] == [(x.pairs, x.level, x.verdict) for x in percent]
    for small, large in zip(fraction, percent, strict=True):
        for name in ("mean", "sd", "low", "high"):
            assert getattr(large, name) == pytest.approx(100 * getattr(small, name), rel=1e-12, abs=1e-12)


@fair
@given(differences, study_plans, st.integers(-10_000, 10_000).map(lambda k: k / 1000))
def test_adding_a_constant_to_both_arms_changes_nothing_but_rounding(d, plan, constant):
    assume(len(set(d[:3])) > 1)  # equal differences would differ after rounding
    arms = [(x + y, y) for x, y in zip(d, (37 * seed % 101 / 128 for seed in range(len(d))), strict=True)]
    before = looks([a - b for a, b in arms], **plan)
    after = looks([(a + constant) - (b + constant) for a, b in arms], **plan)
    assert [(x.pairs, x.verdict) for x in before] == [(x.pairs, x.verdict) for x in after]
    for x, y in zip(before, after, strict=True):
        assert (x.low, x.high) == pytest.approx((y.low, y.high), abs=1e-11)


@fair
@given(differences, study_plans, st.integers(-(2**20), 2**20))
def test_adding_a_constant_to_one_arm_moves_the_interval_by_just_that(d, plan, constant):
    """The spread survives a constant that is millions of times as large: it is not a difference of two sums."""
    before, after = looks(d, **plan, stop=False), looks([x + constant for x in d], **plan, stop=False)
    for x, y in zip(before, after, strict=True):
        assert (y.mean, y.sd) == pytest.approx((x.mean + constant, x.sd), abs=1e-8)
        assert (y.low, y.high) == pytest.approx((x.low + constant, x.high + constant), abs=1e-7)


# What no study may do


@fair
@given(st.floats(-1e6, 1e6), st.integers(3, 30), study_plans)
def test_equal_differences_never_decide(value, n, plan):
    found = looks([value] * n, **plan)
    assert len(found) == min(n, plan["cap"]) - 2
    assert {(look.mean, look.sd, look.low, look.high, look.verdict) for look in found} == {
        (value, 0.0, -math.inf, math.inf, "")
    }


@fair
@given(differences, study_plans)
def test_the_interval_never_widens(d, plan):
    found = looks(d, **plan, stop=False)
    for before, after in pairwise(found):
        assert after.low >= before.low
        assert after.high <= before.high


@fair
@given(differences, study_plans, st.data())
def test_more_pairs_never_reopen_a_decided_study(d, plan, data):
    early = looks(d[: data.draw(st.integers(0, len(d)))], **plan)
    later = looks(d, **plan)
    assert later[: len(early)] == early
    if early and early[-1].verdict:
        assert later == early


@fair
@given(differences, study_plans)
def test_looks_begin_at_the_third_pair_and_end_at_the_cap_or_the_first_decision(d, plan):
    every, found = looks(d, **plan, stop=False), looks(d, **plan)
    assert [look.pairs for look in every] == list(range(3, min(len(d), plan["cap"]) + 1))
    assert all(look.verdict == "" for look in found[:-1])
    assert found == every[: len(found)]
    assert len(found) == len(every) or found[-1].verdict


@pytest.mark.parametrize("d", [[], [5.0], [5.0, 6.0]])
def test_there_is_no_look_below_three_pairs(d):
    assert looks(d, 20, 0.05) == []


def test_the_first_look_is_the_interval_worked_out_by_hand():
    """Two degrees of freedom have a quantile in closed form: t / sqrt(2 + t^2) is the confidence."""
    [look] = looks([1.0, 2.0, 4.0], 10, 0.05)
    sure = 1 - 0.01877 * 3 / 10
    half = sure * math.sqrt(2 / (1 - sure**2)) * math.sqrt(7 / 3) / math.sqrt(3)
    assert (look.low, look.high) == pytest.approx((7 / 3 - half, 7 / 3 + half), rel=1e-9)


# Reading an interval, finding a constant, asking for pairs


@pytest.mark.parametrize(
    ("low", "high", "smallest", "word"),
    [
        (0.1, 0.9, None, FIRST),
        (0.1, 0.2, 0.5, FIRST),  # though by less than matters
        (-0.9, -0.1, None, OTHER),
        (-0.2, -0.1, 0.5, OTHER),
        (-0.4, 0.4, 0.5, ALIKE),
        (-0.4, 0.4, None, ""),
        (-0.6, 0.4, 0.5, ""),
        (-0.4, 0.6, 0.5, ""),
        (-0.5, 0.4, 0.5, ""),
        (-0.4, 0.5, 0.5, ""),
        (0.0, 0.9, None, ""),  # zero is still inside
        (-0.9, 0.0, None, ""),
    ],
)
def test_an_interval_is_read_as_the_word_it_proves(low, high, smallest, word):
    assert read(low, high, smallest) == word


@fair
@given(st.integers(1, CAPS[-1]), st.floats(min(TABLE), 0.5))
def test_a_constant_is_that_of_the_next_larger_cap_and_the_next_smaller_alpha(cap, alpha):
    column = min(k for k, tabulated in enumerate(CAPS) if tabulated >= cap)
    row = max(tabulated for tabulated in TABLE if tabulated <= alpha)
    assert constant(cap, alpha) == (CAPS[column], TABLE[row][column])


@pytest.mark.parametrize("arms", [1, 2, 3, 4])
def test_a_shared_alpha_finds_its_own_row_whatever_its_last_digit(arms):
    alpha = 0.05 / arms
    row = min(TABLE, key=lambda tabulated: abs(tabulated - alpha))
    for rounded in (alpha, math.nextafter(alpha, 0), math.nextafter(alpha, 1)):
        assert constant(20, rounded) == (20, TABLE[row][CAPS.index(20)])


@pytest.mark.parametrize(("cap", "alpha"), [(CAPS[-1] + 1, 0.05), (20, min(TABLE) * 0.99), (20, 0.0)])
def test_a_constant_outside_the_table_is_refused(cap, alpha):
    with pytest.raises(ValueError, match="no constant"):
        constant(cap, alpha)


sizes = st.floats(0.001, 10)


@fair
@given(sizes, sizes, sizes, st.sampled_from(sorted(TABLE)), st.sampled_from(sorted(TABLE)))
@example(0.499, 0.5, 1.0, 0.05, 0.05)  # where a formula takes over from the measured sizes
def test_pairs_asked_for_never_fall_when_the_task_gets_harder(delta, other, sd, alpha, other_alpha):
    def pairs(delta, sd, alpha):
        return pairs_for(delta, sd, alpha) or math.inf

    small, large = sorted([delta, other])
    strict, lax = sorted([alpha, other_alpha])
    assert pairs(small, sd, alpha) >= pairs(large, sd, alpha)
    assert pairs(delta, large, alpha) >= pairs(delta, small, alpha)
    assert pairs(delta, sd, strict) >= pairs(delta, sd, lax)
    assert pairs(delta, sd, alpha) == pairs(-delta, sd, alpha) == pairs(delta * 4, sd * 4, alpha) >= 3


@pytest.mark.parametrize(("delta", "sd"), [(0, 1), (1, 0), (math.nan, 1), (1, math.nan), (0.001, 1)])
def test_no_number_of_pairs_is_named_when_none_would_do(delta, sd):
    assert pairs_for(delta, sd, 0.05) is None


# Seeds and test images


@st.composite
def answers(draw):
    """Two arms of bool, seeds x images; images differ in difficulty, and arms in how they find them."""
    n, m = draw(st.integers(2, 6)), draw(st.integers(2, 15))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    arm_by_image = draw(st.sampled_from([0.0, 0.5, 2.0])) * random.standard_normal((2, 1, m))
    return tuple(random.standard_normal((2, n, m)) + arm_by_image + random.standard_normal(m) > 0)


@fair
@given(answers(), st.sampled_from([0.05, 0.01]))
def test_seeds_and_images_gives_the_two_way_analysis_done_cell_by_cell(arms, level):
    d = [[float(x) - float(y) for x, y in zip(a, b, strict=True)] for a, b in zip(*arms, strict=True)]
    n, m = len(d), len(d[0])
    mean = sum(map(sum, d)) / (n * m)
    of_seeds = m * sum((sum(row) / m - mean) ** 2 for row in d)
    of_images = n * sum((sum(column) / n - mean) ** 2 for column in zip(*d, strict=True))
    of_all = sum((x - mean) ** 2 for row in d for x in row)
    terms = [(of_seeds, n - 1), (of_images, m - 1), (of_seeds + of_images - of_all, (n - 1) * (m - 1))]
    of_images_alone = sum(squares / freedom for squares, freedom in terms[1:])
    terms = terms if of_images_alone > 0 else terms[:1]
    total = sum(squares / freedom for squares, freedom in terms)
    assume(total > 1e-9 and abs(of_images_alone) > 1e-9)  # else rounding decides
    freedom = total**2 / sum((squares / freedom) ** 2 / freedom for squares, freedom in terms)
    half = stats.t.isf(level / 2, freedom) * math.sqrt(total / (n * m))
    found = seeds_and_images(*arms, level)
    assert (found.mean, found.low, found.high) == pytest.approx((mean, mean - half, mean + half), rel=1e-9, abs=1e-9)
    assert found.freedom == pytest.approx(freedom)
    assert found.seed_sd == pytest.approx(np.std([sum(row) / m for row in d], ddof=1), abs=1e-9)
    assert found.image_error**2 == pytest.approx(max(of_images_alone, 0) / (n * m))


@fair
@given(answers())
def test_swapping_the_arms_mirrors_the_interval_over_seeds_and_images(arms):
    found, swapped = seeds_and_images(*arms, 0.05), seeds_and_images(*arms[::-1], 0.05)
    assert swapped == (found and replace(found, mean=-found.mean, low=-found.high, high=-found.low))


def test_seeds_and_images_gives_nothing_when_the_arms_never_differ_or_one_of_either_is_all_there_is():
    right = np.random.default_rng(1).random((4, 9)) < 0.7
    assert seeds_and_images(right, ~right, 0.05) is not None
    assert seeds_and_images(right, right.copy(), 0.05) is None
    assert seeds_and_images(right[:1], ~right[:1], 0.05) is None
    assert seeds_and_images(right[:, :1], ~right[:, :1], 0.05) is None


def test_seeds_and_images_is_the_paired_t_interval_when_every_image_is_as_telling_as_any_other():
    right = np.zeros((4, 8), bool)  # each image is right for arm A in just one of the four seeds, and never for B
    right[0, :1] = right[1, 1:3] = right[2, 3:4] = right[3, 4:] = True
    t = stats.ttest_1samp(right.mean(axis=1), 0).confidence_interval(0.97)
    found = seeds_and_images(right, np.zeros_like(right), 0.03)
    assert (found.low, found.high, found.freedom, found.image_error) == pytest.approx((t.low, t.high, 3, 0))


def test_seeds_and_images_is_the_t_interval_over_images_when_every_seed_gives_the_same_net():
    a, b = np.random.default_rng(2).random((2, 1, 40)) < [[[0.8]], [[0.6]]]
    t = stats.ttest_1samp((a.astype(int) - b)[0], 0).confidence_interval(0.95)
    found = seeds_and_images(a.repeat(8, axis=0), b.repeat(8, axis=0), 0.05)
    assert (found.low, found.high, found.freedom, found.seed_sd) == pytest.approx((t.low, t.high, 39, 0))


@pytest.mark.parametrize(("seed_sd", "image_sd"), [(0.3, 0.1), (0.15, 0.8), (0.05, 1.5)])
def test_the_truth_is_inside_the_interval_over_seeds_and_images_as_often_as_promised(seed_sd, image_sd):
    """Both arms are drawn alike, so the true difference over all seeds and all images is zero."""
    random = np.random.default_rng(3)
    inside, inside_of_seeds_alone, studies, n, m = 0, 0, 800, 8, 150
    for _ in range(studies):
        of_seeds, of_images = random.normal(0, seed_sd, (2, n, 1)), random.normal(0, image_sd, (2, 1, m))
        a, b = random.standard_normal((2, n, m)) + of_seeds + of_images + random.standard_normal(m) + 1 > 0
        found = seeds_and_images(a, b, 0.05)
        inside += found.low <= 0 <= found.high
        inside_of_seeds_alone += stats.t.isf(0.025, n - 1) * found.seed_sd / math.sqrt(n) >= abs(found.mean)
    assert 0.92 <= inside / studies <= 0.98
    assert inside_of_seeds_alone / studies < 0.88 or image_sd < seed_sd  # what this interval is for


# One run of each arm, and runs that diverge


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [(83, 102, 0.19), (1, 5, 2 * (1 + 6) / 2**6), (0, 5, 2 / 2**5), (4, 4, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_counts_the_images_that_only_one_arm_gets_right(only_a, only_b, p):
    a = np.array([True] * only_a + [False] * only_b + [True] * 30 + [False] * 20)
    b = np.array([False] * only_a + [True] * only_b + [True] * 30 + [False] * 20)
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(p, abs=0.005 if p == 0.19 else 1e-9)


@pytest.mark.parametrize(
    ("diverged_a", "runs_a", "diverged_b", "runs_b", "p"),
    [(3, 3, 0, 3, 2 / 20), (5, 10, 0, 10, 2 * 252 / 15504), (0, 10, 0, 10, 1.0), (1, 2, 0, 4, 2 / 6)],
)
def test_fisher_counts_the_tables_no_likelier_than_the_one_seen(diverged_a, runs_a, diverged_b, runs_b, p):
    assert fisher(diverged_a, runs_a, diverged_b, runs_b) == pytest.approx(p)
    assert fisher(diverged_b, runs_b, diverged_a, runs_a) == pytest.approx(p)
