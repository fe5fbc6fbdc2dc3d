"""The least loss that each net allows, and which letters pay for what lies above it: facts/deck.md, 2.3 and 2.4."""

import pytest
import torch
import torch.nn.functional as F

from daiving.deck import bounds
from daiving.deck.evidence import NOT_SO, Figure
from daiving.deck.floor import bound, conflicts, floor
from daiving.deck.hello import build, train
from daiving.deck.picture import picture

OUTPUTS = ("none", "softmax", "fc", "fc_softmax")


def test_the_floors_of_five_letters_and_of_the_four_of_the_decks_formula():
    assert [f"{floor(output, 5):.4f}" for output in OUTPUTS] == ["0.4327", "1.1886", "0.0000", "0.9048"]
    assert [f"{floor(output, 4):.4f}" for output in OUTPUTS] == ["0.3408", "0.9639", "0.0000", "0.7437"]
    assert (f"{bound(5):.4f}", f"{bound(4):.4f}") == ("0.6488", "0.7112")
    with pytest.raises(KeyError):
        floor("tanh", 5)


@pytest.mark.parametrize("output", ["none", "softmax", "fc_softmax"])
@pytest.mark.parametrize(("k", "scale"), [(2, 1.0), (3, 5.0), (5, 1.0), (10, 0.5)])
def test_nothing_gets_below_the_floor_and_descent_gets_as_near_as_it_likes(output, k, scale):
    if output == "fc_softmax":
        scale = 1.0  # a linear layer has every scale

    def loss(free):
        z = free if output == "fc_softmax" else scale * free.tanh()
        z = z if output == "none" else z.softmax(dim=-1)
        return F.cross_entropy(z, torch.zeros(len(z), dtype=torch.int64), reduction="none")

    least = floor(output, k, scale)
    torch.manual_seed(k)
    tried = 3 * torch.randn(5000, k, dtype=torch.float64)
    assert loss(tried).min() > least
    best = tried[:20].clone().requires_grad_()
    optimizer = torch.optim.Adam([best], 0.3)
    for _ in range(150):
        optimizer.zero_grad()
        loss(best).sum().backward()
        optimizer.step()
    assert least < loss(best).min() < least + 1e-3


def test_the_letter_that_has_to_say_l_twice_is_found_and_the_control_has_none():
    assert conflicts("hihell", "ihello") == [(4, 5)]
    assert conflicts(*bounds.CONTROL) == []
    assert conflicts("abab", "baba") == []  # equal letters read, equal letters said
    assert conflicts("xaya", "bbcd") == []  # two answers to a, after states that say different letters
    assert conflicts("xaya", "cbcd") == [(1, 3)]


def test_more_epochs_come_near_the_floor_quickly_only_without_such_a_letter():
    control = train(build("none"), 1000, read="hihel", say="ihell")
    at = [control.losses[epoch - 1] for epoch in (100, 200, 1000)]
    assert at == pytest.approx([0.43445, 0.43351, 0.43274], abs=2e-5)
    word = train(build("none"), 1000)
    assert (word.letters(1000)[4], word.losses[-1]) == pytest.approx((0.475, 0.4407), abs=6e-4)


def test_the_two_letters_behind_the_conflict_pay_nine_tenths_of_what_lies_above_the_floor():
    found = bounds.explanation(long=100)
    assert found.verdict == NOT_SO
    rows = {row[0]: [float(cell) for cell in row[1:]] for row in found.rows}
    at_100 = [rows[pair][1] for pair in ("h → i", "i → h", "h → e", "e → l", "l → l", "l → o")]
    assert at_100 == pytest.approx([0.440, 0.435, 0.434, 0.434, 0.548, 0.457], abs=6e-4)  # (.4335: 0.434 when rounded)
    assert rows["mean"] == pytest.approx([0.0252, 0.4579], abs=1e-4)
    assert rows["mean of hihel → ihell"] == pytest.approx([0.0018, 0.43445], abs=1e-4)
    assert "92 % of what lies above it is paid by steps 5 and 6" in found.reason


def test_071_is_for_four_classes_and_the_slides_own_matrix_stays_below_the_bound_for_five(monkeypatch):
    real = bounds.seeds.count
    monkeypatch.setattr(bounds.seeds, "count", lambda name: real(name, seeds=10))
    found = bounds.limit()
    assert found.verdict == NOT_SO
    assert found.ours == "0.6488 for the five letters; 0.71 is what 4 classes would allow"
    assert "0.6487, just below 0.6488" in found.reason
    assert found.rows[3] == ("5", "0.6488", "0.4327", "1.1886", "0.9048")


def test_a_floor_is_drawn_across_the_picture_and_named_in_its_legend():
    rows = [[epoch, 1 / epoch, 1 / epoch, 1 / epoch] for epoch in range(1, 101)]
    figure = Figure("epoch", "loss", {"a": rows}, log=True, floors={"a": 0.005, "least": 0.002, "none": 0.0})
    drawn = picture(figure, "t")
    assert "a (dotted: its floor, 0.0050)" in drawn
    assert "least: 0.0020" in drawn
    assert "none" not in drawn.replace('fill="none"', "")  # 0 has no place on a log axis
    assert all(f">{tick}</text>" in drawn for tick in (1, 20, 40, 60, 80, 100))
    assert drawn.count('stroke-dasharray="2,3"') == 2


@pytest.mark.slow
def test_five_thousand_epochs_of_the_letter_that_says_l_twice():
    run = train(build("none"), 5000)
    assert run.letters(5000)[4] == pytest.approx(0.450, abs=2e-3)
    assert run.losses[-1] == pytest.approx(0.4359, abs=2e-4)


@pytest.mark.slow
def test_the_claim_in_full_length_says_what_more_epochs_do():
    found = bounds.explanation()
    assert "the least loss of 20,000 epochs is 0.434" in found.notes[-1]
