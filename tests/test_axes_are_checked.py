"""What torch lets pass without a word: axes in the wrong order, a state of another layout, lengths that cannot be.

facts: deck.md 2.7. Every message of axes.py and recurrent.py is raised here, and what is right is let through.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from daiving.errors import FixableError
from daiving.nets.axes import check_axes
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.recurrent import Recurrent

X = torch.zeros(3, 7, 4)  # n t in


def net(cell=GRU, **options):
    return Recurrent(cell, 4, 5, **options)


def zeros(*shapes):
    return tuple(torch.zeros(*shape) for shape in shapes)


# call: (what is wrong, what was expected, what to do), a part of each
MISTAKES = {
    "x without its features": (
        lambda: net()(torch.zeros(3, 7, 6)),
        ("4 input features was given x of shape 3 x 7 x 6", "n x t x in (batch_first=True) with in = 4", "transpose"),
    ),
    "x with its features elsewhere": (
        lambda: net()(torch.zeros(3, 4, 7)),
        ("shape 3 x 4 x 7", "axis 1 has that size: transpose it to the end", "never with view"),
    ),
    "x with time in front where it is not": (
        lambda: net(batch_first=False)(torch.zeros(3, 7, 6)),
        ("3 x 7 x 6", "t x n x in (batch_first=False)", "x[None]"),
    ),
    "x of one sequence without its axis": (
        lambda: net()(torch.zeros(7, 4)),
        ("shape 7 x 4", "n x t x in", "x[None]"),
    ),
    "no sequence": (lambda: net()(torch.zeros(0, 7, 4)), ("0 x 7 x 4: nothing", "one sequence", "leave out")),
    "no step": (lambda: net()(torch.zeros(3, 0, 4)), ("3 x 0 x 4: nothing", "one step or more", "empty")),
    "h alone for an LSTM": (
        lambda: net(LSTM)(X, torch.zeros(1, 3, 5)),
        ("The state has 1 tensor, and the cell carries 2", "(h, c)", "hand on the state that the net gave"),
    ),
    "h and c for a GRU": (
        lambda: net()(X, zeros((1, 3, 5), (1, 3, 5))),
        ("The state has 2 tensors, and the cell carries 1", "1 of shape (1, 3, 5)", "leave the state out"),
    ),
    "a state batch first": (
        lambda: net(layers=2)(X, torch.zeros(3, 2, 5)),
        ("the wrong way round: batch_first is about x alone", "2 x 3 x 5", "transpose"),
    ),
    "a state of one layer for two": (
        lambda: net(layers=2)(X, torch.zeros(1, 3, 5)),
        ("shape 1 x 3 x 5, and x has shape 3 x 7 x 4: that is another size", "2 x 3 x 5", "leave the state out"),
    ),
    "a state of one direction for two": (
        lambda: net(bidirectional=True)(X, torch.zeros(1, 3, 5)),
        ("that is another size", "layers·directions x n x hid = 2 x 3 x 5", "leave the state out"),
    ),
    "a state without the layers": (
        lambda: net(RNN)(X, torch.zeros(3, 5)),
        ("it lacks the axis of the layers", "1 x 3 x 5", "leave the state out"),
    ),
    "c of the wrong shape beside an h that fits": (
        lambda: net(LSTM)(X, zeros((1, 3, 5), (3, 1, 5))),
        ("shape 3 x 1 x 5", "1 x 3 x 5", "transpose"),
    ),
    "x time first for a net batch first, told by the state": (
        lambda: net()(X.transpose(0, 1), torch.zeros(1, 3, 5)),
        (
            "on its other axis: x's first two axes may be the wrong way round",
            "with x n x t x in (batch_first=True)",
            "transpose",
        ),
    ),
    "x batch first for a net time first, told by the state": (
        lambda: net(batch_first=False)(X, torch.zeros(1, 3, 5)),
        (
            "on its other axis: x's first two axes may be the wrong way round",
            "with x t x n x in (batch_first=False)",
            "transpose",
        ),
    ),
    "a state in double": (
        lambda: net()(X, torch.zeros(1, 3, 5).double()),
        ("float64", "the weights' type", "leave the state out"),
    ),
    "a state in bfloat16": (
        lambda: net(LSTM)(X, tuple(s.bfloat16() for s in zeros((1, 3, 5), (1, 3, 5)))),
        ("bfloat16", "the weights' type", "leave the state out"),
    ),
    "a state that lies elsewhere": (
        lambda: net()(X, torch.zeros(1, 3, 5, device="meta")),
        ("meta", "device", "leave the state out"),
    ),
    "too few lengths": (
        lambda: net()(X, None, torch.tensor([7, 7])),
        ("2 lengths for 3 sequences", "one whole number a sequence", "count"),
    ),
    "a length a step": (
        lambda: net()(X, None, torch.full((7,), 3)),
        ("7 lengths for 3 sequences. That is x's number of steps", "(batch_first=True)", "transpose x"),
    ),
    "a length of zero": (
        lambda: net()(X, None, torch.tensor([7, 0, 3])),
        ("A length is 0, and x has 7 steps", "from 1 to 7", "leave out sequences that are empty"),
    ),
    "a length too long": (
        lambda: net()(X, None, torch.tensor([7, 8, 3])),
        ("A length is 8, and x has 7 steps", "from 1 to 7", "pad x to the longest"),
    ),
    "no layer": (lambda: net(layers=0), ("layers=0", "one layer or more", "leave both out")),
    "all dropped": (lambda: net(dropout=1.0), ("dropout=1.0", "from 0 to below 1", "leave both out")),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.usefixtures("types_unchecked")
def test_a_mistake_with_axes_is_told_in_three_sentences(name):
    call, parts = MISTAKES[name]
    with pytest.raises(FixableError) as error:
        call()
    for found, part in zip((error.value.wrong, error.value.expected, error.value.fix), parts, strict=True):
        assert part in found
        assert found.endswith(".")


def test_what_is_right_is_let_through():
    for options in ({}, {"layers": 2, "bidirectional": True}):
        for cell in (RNN, GRU, LSTM):
            one = net(cell, **options)
            got = one(X, None, torch.tensor([7, 1, 3]))
            again = one(X, got.state)
            assert again.outputs.shape == (3, 7, 5 * one.directions)
    assert net()(X, torch.zeros(1, 3, 5)).state[0].shape == (1, 3, 5)  # one tensor stands for a tuple of one


# --- what shapes cannot tell


class Labels(nn.Module):
    """A GRU and an answer for each step, with one line that may be wrong."""

    def __init__(self, mistake=None, **options):
        super().__init__()
        torch.manual_seed(0)
        self.mistake = mistake
        self.body = nn.GRU(4, 5, batch_first=mistake not in ("view", "view back", "time first"), **options)
        self.head = nn.Linear(5 * (2 if options else 1), 6)

    def forward(self, x):
        n, t, _ = x.shape
        if self.mistake == "view":  # where transpose was meant
            return self.head(self.body(x.view(t, n, -1))[0]).view(n, t, -1)
        if self.mistake == "view back":
            return self.head(self.body(x.transpose(0, 1))[0]).view(n, t, -1)
        scores = self.head(self.body(x)[0])
        if self.mistake == "softmax":  # dim=1 of n x t x classes is time
            return F.softmax(scores, dim=1)
        if self.mistake == "batch norm":
            return F.batch_norm(scores.flatten(0, 1), None, None, training=True).view(n, t, -1)
        if self.mistake == "last":
            return scores[:, -1]
        if self.mistake == "flat":
            return scores.view(-1, 6)
        return scores


SILENT = {
    "view": "The answer for sequence",
    "view back": "The answer for sequence",
    "time first": "The answer for sequence",
    "softmax": "comes later",
    "batch norm": "The answer for sequence",
}


@pytest.mark.parametrize("mistake", SILENT)
def test_axes_mixed_up_are_found_where_torch_is_silent(mistake):
    wrong, right = Labels(mistake), Labels()
    x = torch.rand(3, 5, 4)
    assert wrong(x).shape == right(x).shape == (3, 5, 6)  # nothing to see
    check_axes(right, 4)
    with pytest.raises(FixableError, match=SILENT[mistake]) as error:
        check_axes(wrong, 4)
    assert "do not hear" in error.value.expected
    assert "a view or reshape where transpose was meant" in error.value.fix


def test_answers_of_another_shape_are_named():
    with pytest.raises(FixableError) as error:
        check_axes(Labels("flat"), 4)
    assert "3 sequences of 5 steps, the net answers with shape 15 x 6" in error.value.wrong
    assert "3 x 5 x …" in error.value.expected
    assert "belongs into the loss" in error.value.fix


def test_a_net_that_reads_in_both_directions_hears_later_steps_and_may_be_let():
    both = Labels(bidirectional=True)
    check_axes(both, 4, causal=False)
    with pytest.raises(FixableError, match="comes later"):
        check_axes(both, 4)
    for cell in (RNN, GRU, LSTM):
        for options in ({}, {"layers": 2, "bidirectional": True}):
            ours = net(cell, **options)
            check_axes(lambda x, ours=ours: ours(x).outputs, 4, causal=not options)


def test_answers_for_whole_sequences_are_checked_too_and_chance_is_left_alone():
    last = Labels("last")
    check_axes(last, 4)
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    check_axes(last, 4)
    assert torch.equal(torch.rand(2), expected)
