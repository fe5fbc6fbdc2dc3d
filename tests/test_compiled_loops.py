"""The compiled loops answer as torch's operations do, on every kind of processor, at every size, with every number."""

import ctypes
from functools import partial

import pytest
import torch

from daiving.nets import loops_compiled
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.recurrent import Recurrent

pytestmark = pytest.mark.skipif(loops_compiled.library() is None, reason="there was no C++ compiler at installation")
CELLS = {"rnn": RNN, "gru": GRU, "gru_after": partial(GRU, reset="after", update="old", biases=2), "lstm": LSTM}


@pytest.fixture(params=[0, 1, 2], ids=["plain", "avx2", "avx512"])
def vectors(request):
    """The loops with vectors of one width, as a processor has them that knows no wider ones."""
    choose = loops_compiled.library().daiving_vectors
    choose.argtypes = [ctypes.c_int]
    if choose(request.param) != request.param:
        choose(2)
        pytest.skip("this processor has no such vectors")
    yield
    choose(2)


def answers(net, x, fast):
    """Outputs, last state and all gradients; without the fast path in float64."""
    net.fast = fast
    x = x.clone().requires_grad_()
    through = net(x)
    weight = torch.arange(through.outputs.numel(), dtype=x.dtype).view_as(through.outputs).sin()
    loss = (through.outputs * weight).sum() + sum(one.square().sum() for one in through.state)
    return [through.outputs, *through.state, *torch.autograd.grad(loss, [x, *net.parameters()])]


@pytest.mark.parametrize("kind", CELLS)
def test_every_width_of_vectors_gives_what_float64_gives_to_float32s_precision(vectors, kind):
    for n, hid in ((1, 1), (9, 33)):  # below and above a vector, and a row too many
        torch.manual_seed(hid)
        net, x = Recurrent(CELLS[kind], 4, hid), torch.randn(n, 7, 4)
        ours = answers(net, x, fast=True)
        exact = answers(net.double(), x.double(), fast=False)
        for one, other in zip(ours, exact, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kind", CELLS)
def test_without_gradients_the_same_comes_out_as_with_them(kind):
    net, x = Recurrent(CELLS[kind], 4, 20), torch.randn(3, 6, 4)
    with torch.no_grad():
        bare = net(x)
    remembering = net(x)
    assert torch.equal(bare.outputs, remembering.outputs)
    assert all(torch.equal(a, b) for a, b in zip(bare.state, remembering.state, strict=True))


def test_gates_that_are_driven_to_their_ends_stay_numbers(vectors):
    net = Recurrent(LSTM, 2, 18)
    x = torch.tensor([[[1e30, -1e30], [300.0, -300.0], [0.0, 0.0], [-1e-30, 1e-30]]])
    assert net(x).outputs.isfinite().all()
    assert all(one.isfinite().all() for one in answers(net, x[:, 1:], fast=True))


@pytest.mark.parametrize("kind", CELLS)
def test_a_number_that_is_none_comes_out_as_none_and_only_in_its_own_sequence(vectors, kind):
    net, x = Recurrent(CELLS[kind], 2, 18), torch.randn(3, 4, 2)
    x[1, 2, 0] = torch.nan
    outputs = net(x).outputs
    assert outputs[1, 2:].isnan().all()
    assert outputs[[0, 2]].isfinite().all()
    assert outputs[1, :2].isfinite().all()


def test_float64_and_bfloat16_are_left_to_torchs_operations():
    for kind in (torch.float64, torch.bfloat16):
        assert not loops_compiled.can(torch.zeros(1, dtype=kind))
