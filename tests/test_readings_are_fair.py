"""What a study says of its runs: prefixes only, diverged runs counted, alpha shared, and no winner by accident."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from daiving import Recipe
from daiving.show import words
from daiving.study.plan import Arm, Plan
from daiving.study.reading import compare, pairs_needed, wanted
from daiving.study.record import Result
from daiving.study.verdict import ALIKE, FIRST, OTHER, TOO_FEW, UNDECIDED, looks


def arm(name, **options):
    return Arm(name, "logistic", options, Recipe())


PLAN = Plan("digits", {}, "print", (arm("a"), arm("b", x=1)), max_pairs=10)
THREE = replace(PLAN, arms=(arm("a"), arm("b", x=1), arm("c", x=2)))


def result(accuracy, loss=0.1, status="finished"):
    metrics = {} if status == "diverged" else {"accuracy": accuracy, "loss": loss}
    return Result("id", status, "", metrics, 100, [], 1.0, 100.0, Path("nowhere"))


def results(**arms):
    """`results(a=[.9, None], b=[...])`: accuracies by seed; None is a run that diverged."""
    return {
        (name, seed): result(value or 0, status="diverged" if value is None else "finished")
        for name, values in arms.items()
        for seed, value in enumerate(values)
    }


def noisy(mean, n, seed=0, sd=0.01):
    draw = random.Random(seed)
    return [mean + draw.gauss(0, sd) for _ in range(n)]


def test_the_looks_are_those_of_the_differences_of_other_and_first():
    a, b = noisy(0.90, 10, 1), noisy(0.905, 10, 2)
    (comparison,) = compare(PLAN, results(a=a, b=b))
    plain = looks([round(y - x, 12) for x, y in zip(a, b, strict=True)], 10, 0.05)
    assert list(comparison.looks) == plain


@pytest.mark.parametrize(("better", "verdict", "word"), [("b", FIRST, "b better"), ("a", OTHER, "a better")])
def test_the_arm_with_the_higher_accuracy_wins_by_name(better, verdict, word):
    values = {"a": noisy(0.9, 10, 1), "b": noisy(0.9, 10, 2)} | {better: noisy(0.97, 10, 3)}
    (comparison,) = compare(PLAN, results(**values))
    assert comparison.verdict == verdict
    assert words.verdict_word(comparison) == word
    assert words.verdict_sentence(PLAN, comparison).startswith(f"{better} is better than")


def test_a_lower_loss_wins():
    plan = replace(PLAN, metric="loss")
    runs = {}
    for seed, (a, b) in enumerate(zip(noisy(0.5, 10, 1), noisy(0.3, 10, 2), strict=True)):
        runs["a", seed], runs["b", seed] = result(0.9, a), result(0.9, b)
    (comparison,) = compare(plan, runs)
    assert words.verdict_word(comparison) == "b better"
    assert "b − a is −0." in words.verdict_sentence(plan, comparison)
    low, high = words.ends(comparison, plan)
    assert low < words.mean(comparison, plan) < high < 0


def test_looks_are_taken_at_the_contiguous_prefix_only():
    all_ = results(a=noisy(0.9, 10, 1), b=noisy(0.91, 10, 2))
    gap = {key: value for key, value in all_.items() if key != ("b", 4)}
    (comparison,) = compare(PLAN, gap)
    assert [pair.seed for pair in comparison.pairs] == [0, 1, 2, 3]
    assert [look.pairs for look in comparison.looks] == [3, 4]
    assert comparison.verdict == ""


def test_the_order_in_which_runs_finish_changes_nothing():
    all_ = results(a=noisy(0.9, 10, 1, 0.005), b=noisy(0.91, 10, 2, 0.005))
    (whole,) = compare(PLAN, all_)
    assert whole.verdict
    for order in range(20):
        keys = list(all_)
        random.Random(order).shuffle(keys)
        done, last = {}, None
        for key in keys:
            done[key] = all_[key]
            (comparison,) = compare(PLAN, done)
            assert comparison.looks == whole.looks[: len(comparison.looks)]
            last = comparison
            if comparison.verdict:
                break
        assert (last.verdict, last.looks, last.pairs) == (whole.verdict, whole.looks, whole.pairs)


def test_a_diverged_run_takes_its_pair_out_and_is_counted():
    a, b = noisy(0.9, 10, 1), [None, *noisy(0.9, 9, 2)]
    (comparison,) = compare(PLAN, results(a=a, b=b))
    assert (comparison.diverged, comparison.converged) == ((0, 1), 9)
    assert comparison.divergence_p == 1.0  # 0 of 10 and 1 of 10 tell nothing
    assert comparison.looks[-1].pairs == 9
    assert "0 of 10 runs of a, 1 of 10 of b" in words.given_converged(PLAN, comparison)


def test_arms_that_diverge_unequally_are_told_by_fishers_test():
    (comparison,) = compare(PLAN, results(a=noisy(0.9, 10), b=[None] * 8 + noisy(0.9, 2)))
    assert comparison.verdict == TOO_FEW
    # 0 of 10 against 8 of 10: hypergeometric, 2 C(10,8) C(10,0) / C(20,8)
    assert comparison.divergence_p == pytest.approx(2 * 45 / 125_970, rel=1e-9)


def test_a_run_below_the_floor_counts_as_diverged():
    plan = replace(PLAN, floor=0.5)
    values = noisy(0.9, 10, 2)
    values[3] = 0.1
    (comparison,) = compare(plan, results(a=noisy(0.9, 10, 1), b=values))
    assert comparison.diverged == (0, 1)
    assert comparison.pairs[3].difference is None
    (without,) = compare(PLAN, results(a=noisy(0.9, 10, 1), b=values))
    assert without.diverged == (0, 0)


def test_alpha_is_shared_by_the_comparisons():
    values = {"a": noisy(0.9, 10, 1), "b": noisy(0.9, 10, 2), "c": noisy(0.9, 10, 3)}
    one, two = compare(THREE, results(**values))
    assert (one.first, one.other, two.first, two.other) == ("a", "b", "a", "c")
    assert one.alpha == two.alpha == 0.025
    assert [look.level for look in one.looks] == [look.level for look in looks([0, 1] * 5, 10, 0.025)]
    assert "97.5 % interval" in words.verdict_sentence(THREE, one)


def test_an_arm_that_is_decided_is_not_run_any_more():
    values = {"a": noisy(0.9, 5, 1, 0.003), "b": noisy(0.99, 5, 2, 0.003), "c": noisy(0.9, 5, 3, 0.003)}
    todo = wanted(THREE, results(**values))
    assert {made.name for made, _ in todo} == {"a", "c"}
    assert [(made.name, seed) for made, seed in todo[:4]] == [("a", 5), ("c", 5), ("a", 6), ("c", 6)]


def test_nothing_is_wanted_when_all_is_decided():
    assert wanted(PLAN, results(a=noisy(0.9, 10, 1), b=noisy(0.99, 10, 2))) == []
    assert len(wanted(PLAN, {})) == 20


def test_arms_that_agree_in_every_pair_have_no_winner():
    values = noisy(0.9, 10, 1)
    (comparison,) = compare(PLAN, results(a=values, b=values))
    assert comparison.identical
    assert words.verdict_word(comparison) == "identical results"
    assert comparison.verdict == ALIKE
    assert "gave exactly the same accuracy in each of 10 pairs" in words.verdict_sentence(PLAN, comparison)


def test_equal_counts_of_examples_are_equal_differences_whatever_the_fractions_round_to():
    a, b = [9700 / 10_000, 9760 / 10_000, 9731 / 10_000], [9711 / 10_000, 9771 / 10_000, 9742 / 10_000]
    (comparison,) = compare(replace(PLAN, max_pairs=3), results(a=a, b=b))
    assert comparison.looks[-1].sd == 0
    assert comparison.verdict == UNDECIDED


def test_time_is_compared_by_the_ratio_of_each_pair():
    runs = results(a=noisy(0.9, 10, 1), b=noisy(0.9, 10, 2))
    for (name, seed), one in runs.items():
        runs[name, seed] = replace(one, seconds_per_epoch=(1 + seed) * (2.0 + 0.01 * seed if name == "b" else 1.0))
    (comparison,) = compare(PLAN, runs)
    assert comparison.seconds.mean == pytest.approx(2.045, abs=0.001)
    assert 2.0 < comparison.seconds.low < comparison.seconds.high < 2.1


def test_what_would_settle_it_is_said_of_open_questions_only():
    near = compare(PLAN, results(a=noisy(0.9, 10, 1), b=noisy(0.903, 10, 4)))[0]
    assert near.verdict == UNDECIDED
    assert str(pairs_needed(PLAN, near)) in words.settle(PLAN, near)
    far = compare(PLAN, results(a=noisy(0.9, 10, 1), b=noisy(0.97, 10, 2)))[0]
    assert words.settle(PLAN, far) == ""
    early = compare(PLAN, results(a=[0.9], b=[0.91]))[0]
    assert "goes on where it stopped" in words.settle(PLAN, early)
    assert "it takes three to see a spread" in words.verdict_sentence(PLAN, early)


@pytest.mark.parametrize("smallest", [0.02, 0.0005])
def test_a_winner_is_said_to_win_by_more_or_less_than_what_matters_where_that_is_known(smallest):
    plan = replace(PLAN, smallest=smallest)
    a, b = noisy(0.9, 10, 1, 0.001), noisy(0.91, 10, 2, 0.001)
    (comparison,) = compare(plan, results(a=a, b=b))
    size = "less than 2.00 pp" if smallest == 0.02 else "more than 0.05 pp"
    assert comparison.verdict in (FIRST, ALIKE)
    if comparison.verdict == FIRST:
        assert f"by {size}" in words.verdict_sentence(plan, comparison)
