"""Cells of one's own, cells with hooks, cells that were changed: exact or refused, never wrong in silence."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from daiving.errors import FixableError
from daiving.nets import loops_compiled
from daiving.nets.axes import check_axes
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.recurrent import Recurrent


class Normed(nn.Module):
    """A cell that padding drives out of its mind: zeros have no length to be divided by."""

    def __init__(self, n_in, n_hid):
        super().__init__()
        self.W = nn.Parameter(torch.randn(n_hid, n_in))

    def forward(self, x, h, scale=0.5):
        a = x @ self.W.t()
        return scale * h + a / a.norm(dim=1, keepdim=True)


def test_an_option_of_a_cell_is_no_state():
    net, x = Recurrent(Normed, 2, 3), torch.randn(1, 2, 2)
    h = net.cells[0](x[:, 1], net.cells[0](x[:, 0], torch.zeros(1, 3)))
    torch.testing.assert_close(net(x).outputs[:, 1], h)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_reaches_no_gradient_even_of_a_cell_that_divides_by_it(bidirectional):
    net, x = Recurrent(Normed, 2, 3, bidirectional=bidirectional), torch.randn(3, 5, 2)
    lengths = [5, 1, 3]
    together = net(x, None, lengths, gates=True)
    ours = torch.autograd.grad(together.outputs.square().sum(), list(net.parameters()))
    alone = [net(x[i : i + 1, :end]) for i, end in enumerate(lengths)]
    wanted = torch.autograd.grad(sum(one.outputs.square().sum() for one in alone), list(net.parameters()))
    for one, other in zip(ours, wanted, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(together.state[0], torch.cat([one.state[0] for one in alone], dim=1))


@pytest.mark.parametrize("answer", [lambda h: [h], lambda h: h[:, :1], lambda h: {"h": h}])
def test_a_cell_that_answers_with_no_state_is_told_what_to_answer(answer):
    class Wrong(nn.Module):
        def forward(self, x, h):
            return answer(h)

    with pytest.raises(FixableError, match="answers a step with") as caught:
        Recurrent(lambda n_in, n_hid: Wrong(), 2, 3)(torch.randn(1, 2, 2))
    assert "forward(self, x, h)" in caught.value.fix


def test_a_cell_of_another_size_than_asked_for_is_refused():
    with pytest.raises(FixableError, match="carries 2 numbers, and was asked for 4"):
        Recurrent(lambda n_in, n_hid: GRU(n_in, n_hid // 2), 3, 4)


def test_weights_of_another_shape_never_reach_the_compiled_loops():
    net = Recurrent(RNN, 4, 30)
    net.cells[0].U = nn.Parameter(torch.randn(1, 1))
    with pytest.raises(RuntimeError):
        net(torch.randn(2, 3, 4))


def test_pruning_acts_at_every_call():
    net, x = Recurrent(GRU, 4, 5), torch.randn(2, 3, 4)
    prune.l1_unstructured(net.cells[0], "U", 0.5)
    before = net(x).outputs
    with torch.no_grad():
        net.cells[0].U_orig.mul_(3)
    assert not torch.equal(net(x).outputs, before)


@pytest.mark.parametrize("cell", [RNN, GRU, partial(GRU, reset="after"), LSTM])
def test_a_nan_of_any_bit_pattern_stays_one(cell):
    net, x = Recurrent(cell, 2, 18), torch.randn(1, 3, 2)
    x.view(torch.int32)[0, 1, 0] = 0x7FC00001
    assert net(x).outputs[0, 1:].isnan().all()


def test_batched_gradients_are_refused_on_the_fast_path_and_had_on_the_plain_one():
    net, x = Recurrent(RNN, 2, 3), torch.randn(1, 4, 2)
    with pytest.raises(FixableError, match="in batches"):
        torch.autograd.functional.jacobian(lambda x: net(x).outputs.sum(1), x, vectorize=True)
    net.fast = False
    assert torch.autograd.functional.jacobian(lambda x: net(x).outputs.sum(1), x, vectorize=True).isfinite().all()


def test_lengths_that_are_written_over_before_the_way_back_are_noticed():
    net, x, lengths = Recurrent(LSTM, 2, 3), torch.randn(2, 4, 2), torch.tensor([2, 4])
    state = net(x, None, lengths).state[1].sum()
    lengths.fill_(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        state.backward()


def test_without_a_compiler_the_same_numbers_come_out(monkeypatch):
    net, x = Recurrent(LSTM, 3, 7, layers=2, bidirectional=True), torch.randn(2, 5, 3)
    wanted = net(x, None, [5, 2])
    monkeypatch.setattr(loops_compiled, "library", lambda: None)
    found = net(x, None, [5, 2])
    torch.testing.assert_close(found.outputs, wanted.outputs)
    torch.testing.assert_close(found.state, wanted.state)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((torch.randn(2, 3, 4).double(),), "was given float64"),
        ((torch.randn(2, 3, 4), None, torch.tensor([1.0, 2.0])), "The lengths are float32"),
        ((torch.randn(2, 3, 4), None, [1, 2, 3]), "3 lengths for 2 sequences. That is x's number of steps"),
    ],
)
def test_what_cannot_be_meant_is_said_in_three_sentences(given, said):
    with pytest.raises(FixableError, match=said):
        Recurrent(GRU, 4, 5)(*given)


def test_check_axes_tells_mixed_axes_from_chance():
    check_axes(nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)), 2)  # tried in evaluation mode
    with pytest.raises(FixableError, match="Asked twice"):
        check_axes(lambda x: nn.functional.dropout(x, 0.5), 2)
    with pytest.raises(FixableError, match="Asked twice"):
        check_axes(lambda x: x * np.nan, 2)


def test_a_net_of_symbols_is_found_out_that_reads_its_axes_the_wrong_way_round():
    table, torchs = nn.Embedding(7, 4), nn.GRU(4, 5)  # seq-first, and fed n x t
    with pytest.raises(FixableError, match="depends on sequence"):
        check_axes(lambda x: torchs(table(x))[0], 7, symbols=True)
    ours = Recurrent(GRU, 4, 5)
    check_axes(lambda x: ours(table(x)).outputs, 7, symbols=True)
