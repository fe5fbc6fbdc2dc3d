"""Through time: the fast path is the plain one, a batch of lengths is each sequence alone, and any cell runs.

float64 runs the loops of torch's operations; float32 the compiled ones, where they were compiled.
"""

import itertools
import warnings
from functools import partial
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.profiler import ProfilerActivity, profile
from unchecked import unchecked

from daiving.errors import FixableError
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.recurrent import Recurrent

FAMILIES = {
    "rnn": partial(RNN, biases=2),
    "rnn, no biases": partial(RNN, biases=0),
    "lstm": LSTM,
    "lstm, two biases": partial(LSTM, biases=2),
    "lstm, no biases": partial(LSTM, biases=0),
    **{
        f"gru {reset} {update}, {biases} biases": partial(GRU, reset=reset, update=update, biases=biases)
        for reset, update in itertools.product(("before", "after"), ("new", "old"))
        for biases in (0, 1, 2)
    },
}
ONE_EACH = {
    "rnn": RNN,
    "gru before": GRU,
    "gru after": partial(GRU, reset="after", update="old", biases=2),
    "lstm": LSTM,
}
each_family = pytest.mark.parametrize("cell", FAMILIES.values(), ids=FAMILIES)
one_each = pytest.mark.parametrize("cell", ONE_EACH.values(), ids=ONE_EACH)
LENGTHS = torch.tensor([4, 7, 1])


def apart(a, b):
    return (a - b).abs().max().item()


def slopes(like, seed=0):
    """A gradient of its own for every number."""
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(like)


def score(through, parts=("outputs", "state")):
    """One number that hears every output and every last state, or one kind alone."""
    outputs = (through.outputs * slopes(through.outputs)).sum() if "outputs" in parts else 0
    return outputs + sum((s * slopes(s, 1)).sum() for s in through.state if "state" in parts)


def everything(net, x, state, lengths=None, parts=("outputs", "state")):
    """Outputs, last state, and the gradients by x, by the first state and by all weights."""
    given = [x.clone().requires_grad_(), *(s.clone().requires_grad_() for s in state)]
    got = net(given[0], tuple(given[1:]), lengths)
    found = torch.autograd.grad(score(got, parts), [*given, *net.parameters()], allow_unused=True)
    return [got.outputs.detach(), *(s.detach() for s in got.state), *(0 * x if g is None else g for g in found)]


def case(cell, *, n=3, t=7, layers=2, both=False, dtype=torch.float64, **options):
    torch.manual_seed(0)
    net = Recurrent(cell, 3, 5, layers=layers, bidirectional=both, **options).to(dtype)
    x = torch.randn(n, t, 3, dtype=dtype)
    return net, x, tuple(torch.randn(layers * (1 + both), n, 5, dtype=dtype) for _ in range(net.cells[0].states))


# --- fast and plain


@each_family
def test_the_fast_path_is_the_plain_one_in_value_and_every_gradient(cell):
    double, single = torch.float64, torch.float32
    cases = (double, False, None), (double, True, LENGTHS), (single, False, LENGTHS), (single, True, None)
    for dtype, both, lengths in cases:
        net, x, state = case(cell, both=both, dtype=dtype)
        fast = everything(net, x, state, lengths)
        net.fast = False
        for a, b in zip(fast, everything(net, x, state, lengths), strict=True):
            assert apart(a, b) < (1e-12 if dtype == torch.float64 else 3e-5)


@one_each
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_fast_path_is_the_plain_one_whatever_is_read_of_it_and_however_small(cell, dtype):
    near = 1e-12 if dtype == torch.float64 else 3e-5
    for lengths, parts in itertools.product((None, LENGTHS), (("outputs",), ("state",))):
        net, x, state = case(cell, layers=1, dtype=dtype)
        fast = everything(net, x, state, lengths, parts)
        net.fast = False
        assert all(apart(a, b) < near for a, b in zip(fast, everything(net, x, state, lengths, parts), strict=True))
    for n, t in ((1, 1), (1, 6), (33, 2), (2, 40)):
        net, x, state = case(cell, n=n, t=t, layers=1, dtype=dtype)
        fast = everything(net, x, state)
        net.fast = False
        assert all(apart(a, b) < near * 10 for a, b in zip(fast, everything(net, x, state), strict=True))


@one_each
def test_the_fast_path_is_the_plain_one_at_widths_that_fill_no_register(cell):
    for n_in, n_hid in ((1, 1), (5, 3), (2, 17), (9, 40)):
        torch.manual_seed(0)
        net, x = Recurrent(cell, n_in, n_hid), torch.randn(4, 5, n_in)
        state = [torch.randn(1, 4, n_hid) for _ in range(net.cells[0].states)]
        fast = everything(net, x, state)
        net.fast = False
        assert all(apart(a, b) < 1e-4 for a, b in zip(fast, everything(net, x, state), strict=True))


@one_each
def test_the_fast_path_leaves_what_it_is_given_alone_and_takes_any_strides(cell):
    net, x, state = case(cell, layers=1, dtype=torch.float32)
    sliced = torch.stack([x, x + 1], dim=3)[..., 0]
    turned = [s.transpose(1, 2).contiguous().transpose(1, 2) for s in state]
    before = [one.clone() for one in (x, *state, *net.parameters())]
    expected = everything(net, x, state)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, *state, *net.parameters()), strict=True))
    assert all(apart(a, b) < 1e-6 for a, b in zip(expected, everything(net, sliced, turned), strict=True))
    again = everything(net, x, state)
    assert all(torch.equal(a, b) for a, b in zip(expected, again, strict=True))


@one_each
def test_the_fast_paths_gradient_is_the_slope_of_its_value(cell):
    net, x, state = case(cell, n=2, t=3, layers=1, both=True)
    lengths = torch.tensor([3, 2])
    names, weights = zip(*net.named_parameters(), strict=True)

    def run(x, *rest):
        state, weights = rest[: len(state_)], rest[len(state_) :]
        got = functional_call(net, dict(zip(names, weights, strict=True)), (x, state, lengths))
        return got.outputs, *got.state

    state_ = tuple(s.requires_grad_() for s in state)
    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *state_, *weights), fast_mode=True)


@one_each
def test_second_derivatives_are_the_plain_paths_and_the_fast_one_says_so(cell):
    net, x, _ = case(cell, n=1, t=2, layers=1, fast=False)
    assert torch.autograd.gradgradcheck(lambda x: net(x).outputs, (x.requires_grad_(),), fast_mode=True)
    net.fast = True
    with pytest.raises(FixableError, match="second derivative") as error:
        torch.autograd.grad(net(x).outputs.sum(), x, create_graph=True)
    assert "fast=False" in error.value.fix


# --- what runs where


def numbers_left(run):
    """How many float32 numbers a call leaves in memory beyond itself, its answer among them."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        answer = run()
    events = seen.profiler.kineto_results.events()
    return answer, sum(event.nbytes() for event in events if event.name() == "[memory]") / 4


@one_each
def test_without_autograd_nothing_is_left_but_the_answer(cell):
    net, x, _ = case(cell, t=100, layers=1, dtype=torch.float32)
    with torch.no_grad():
        bare, left = numbers_left(lambda: net(x))
    training, left_for_the_way_back = numbers_left(lambda: net(x))
    assert torch.equal(bare.outputs, training.outputs)
    answer = bare.outputs.numel() + sum(s.numel() for s in bare.state)
    assert left <= answer + 3 * 5  # the state before the first step lies with the others
    if net.cells[0].gates > 1:  # the simple net's way back needs its states alone, and they are its answer
        assert left_for_the_way_back > answer + 100 * 3 * 5 * (net.cells[0].gates - 1)


@one_each
def test_gates_on_request_are_the_plain_cells_and_cost_nothing_unasked(cell, monkeypatch):
    net, x, state = case(cell, both=True)
    calls, kind = [], type(net.cells[0])
    plain = kind.forward
    monkeypatch.setattr(kind, "forward", lambda *given: calls.append(1) or plain(*given))
    quick = net(x, state, LENGTHS)
    assert quick.steps == ()
    assert not calls  # not one step by itself
    shown = net(x, state, LENGTHS, gates=True)
    assert len(calls) == 4 * 7
    assert apart(quick.outputs, shown.outputs) < 1e-12
    assert all(apart(a, b) < 1e-12 for a, b in zip(quick.state, shown.state, strict=True))
    assert len(shown.steps) == 4  # layers, then directions
    top = torch.cat([step.h for step in shown.steps[2:]], dim=2)
    assert torch.equal(top, shown.outputs)
    h = state[0][0][:1]
    others = [s[0][:1] for s in state[1:]]
    for step in range(4):  # the first sequence, forwards, by hand
        by_hand = net.cells[0](x[:1, step], h, *others)
        for name, value in by_hand._asdict().items():
            assert apart(getattr(shown.steps[0], name)[0, step], value[0]) < 1e-12
        h, *others = by_hand[: len(state)]
    assert all((field[0, 4:] == 0).all() for step in shown.steps for field in step)


@one_each
def test_transforms_of_torch_func_equal_a_loop(cell):
    nets = [Recurrent(cell, 3, 5).double() for _ in range(3)]
    weights, buffers = stack_module_state(nets)
    x = torch.randn(3, 2, 5, 3, dtype=torch.float64)

    def loss(weights, buffers, x):
        got = functional_call(nets[0], (weights, buffers), (x, None, torch.tensor([5, 3])))
        return (got.outputs * slope).sum() + sum((s**2).sum() for s in got.state)

    slope = torch.randn(2, 5, 5, dtype=torch.float64)
    found = vmap(grad(loss))(weights, buffers, x)
    for k, net in enumerate(nets):
        loss(dict(net.named_parameters()), {}, x[k]).backward()
        for name, p in net.named_parameters():
            assert apart(found[name][k], p.grad) < 1e-11


@pytest.mark.usefixtures("types_unchecked")  # the tracer's stand-ins are no tensors to the check
def test_a_compiled_model_gives_equal_values_and_gradients():
    torch._dynamo.reset()
    try:
        net, x, _ = case(partial(LSTM, biases=2), layers=1, dtype=torch.float32)
        model = nn.Sequential(nn.Linear(3, 3), net)
        expected = model(x)
        score(expected).backward()
        slope = [p.grad.clone() for p in model.parameters()]
        model.zero_grad()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of dynamo's own looking about
            got = torch.compile(model, backend="eager")(x)
        score(got).backward()
        assert apart(got.outputs, expected.outputs) < 1e-6
        assert all(apart(a, p.grad) < 1e-5 for a, p in zip(slope, model.parameters(), strict=True))
    finally:
        torch._dynamo.reset()


class Outputs(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).outputs


@one_each
def test_tracers_take_the_plain_path(cell):
    """torch.export, through which ONNX goes, follows operations; it would find none in a compiled loop."""
    net, x, _ = case(cell, layers=1, dtype=torch.float32, t=3)
    with unchecked(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(net, (x,), strict=False).module()
        traced = torch.jit.trace(Outputs(net), x, check_trace=False)
    other = torch.randn_like(x)
    assert apart(program(other)[0], net(other).outputs) < 1e-6
    assert apart(traced(other), net(other).outputs) < 1e-6


@one_each
@pytest.mark.parametrize("fast", [True, False])
def test_bfloat16_and_autocast_are_close_and_train(cell, fast):
    net, x, _ = case(cell, dtype=torch.float32, both=True, fast=fast)
    expected = net(x, None, LENGTHS).outputs
    with torch.autocast("cpu", torch.bfloat16):
        mixed, state, _ = net(x, None, LENGTHS)
        net(x, state)  # what the net gave it takes again
    assert apart(mixed.float(), expected) < 0.02
    mixed.float().sum().backward()
    assert all(p.grad.isfinite().all() and p.dtype == torch.float32 for p in net.parameters())
    net.to(torch.bfloat16).zero_grad()
    half = net(x.bfloat16(), None, LENGTHS).outputs
    assert half.dtype == torch.bfloat16
    assert apart(half.float(), expected) < 0.05
    half.sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@one_each
def test_forward_mode_follows_every_step(cell):
    net, x, _ = case(cell)
    tangent = torch.randn_like(x)
    _, expected = torch.func.jvp(lambda x: net(x).outputs, (x,), (tangent,))
    with forward_ad.dual_level(), torch.no_grad():
        found = forward_ad.unpack_dual(net(forward_ad.make_dual(x, tangent)).outputs).tangent
    assert apart(found, expected) < 1e-12
    step = (net(x + 1e-6 * tangent).outputs - net(x - 1e-6 * tangent).outputs) / 2e-6
    assert apart(found, step) < 1e-7


# --- lengths, chunks, layers


@one_each
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("both", [False, True])
def test_a_batch_of_lengths_is_each_sequence_alone_whatever_lies_behind_its_end(cell, fast, both):
    net, x, state = case(partial(cell, learn_start=True), both=both, fast=fast)
    for i, length in enumerate(LENGTHS):
        x[i, length:] = float("nan")
    x.requires_grad_()
    for first in (state, None):
        got = net(x, first, LENGTHS)
        slope, slope_end = slopes(got.outputs), [slopes(s, 1) for s in got.state]
        total = (got.outputs * slope).sum() + sum((s * e).sum() for s, e in zip(got.state, slope_end, strict=True))
        found = torch.autograd.grad(total, [x, *net.parameters()], allow_unused=True)
        alone = []
        for i, length in enumerate(LENGTHS):
            one = net(x[i : i + 1, :length], first and tuple(s[:, i : i + 1] for s in first))
            assert apart(got.outputs[i, :length], one.outputs[0]) < 1e-12
            assert (got.outputs[i, length:] == 0).all()
            assert all(apart(a[:, i], b[:, 0]) < 1e-12 for a, b in zip(got.state, one.state, strict=True))
            parts = zip(one.state, slope_end, strict=True)
            total = (one.outputs * slope[i, :length]).sum() + sum((s[:, 0] * e[:, i]).sum() for s, e in parts)
            alone.append(torch.autograd.grad(total, [x, *net.parameters()], allow_unused=True))
        for ours, *theirs in zip(found, *alone, strict=True):
            if ours is not None:  # a learnt start that a given state stands for
                assert apart(ours, sum(theirs)) < 1e-11


@one_each
def test_chunks_with_the_state_carried_are_the_whole(cell):
    net, x, state = case(cell)
    whole = everything(net, x, state)
    x, state = x.requires_grad_(), tuple(s.requires_grad_() for s in state)
    carried, parts = state, []
    for chunk in x.split([1, 4, 2], dim=1):
        outputs, carried, _ = net(chunk, carried)
        parts.append(outputs)
    outputs = torch.cat(parts, dim=1)
    total = (outputs * slopes(outputs)).sum() + sum((s * slopes(s, 1)).sum() for s in carried)
    found = torch.autograd.grad(total, [x, *state, *net.parameters()])
    assert all(apart(a, b) < 1e-12 for a, b in zip(whole, [outputs, *carried, *found], strict=True))


@one_each
def test_steps_first_is_the_same_net_with_two_axes_exchanged(cell):
    net, x, state = case(cell, both=True)
    ours = net(x, state, LENGTHS, gates=True)
    net.batch_first = False
    theirs = net(x.transpose(0, 1), state, LENGTHS, gates=True)
    assert torch.equal(ours.outputs, theirs.outputs.transpose(0, 1))
    assert all(torch.equal(a, b) for a, b in zip(ours.state, theirs.state, strict=True))
    assert torch.equal(ours.steps[3].h, theirs.steps[3].h.transpose(0, 1))


def test_dropout_is_between_layers_only_and_in_training_only():
    x = torch.randn(2, 6, 3)
    torch.manual_seed(0)
    net = Recurrent(GRU, 3, 5, layers=2, dropout=0.5)
    first, second = Recurrent(GRU, 3, 5), Recurrent(GRU, 5, 5)
    first.cells[0], second.cells[0] = net.cells
    torch.manual_seed(1)
    got = net(x).outputs
    torch.manual_seed(1)
    between = F.dropout(first(x).outputs.transpose(0, 1), 0.5).transpose(0, 1)
    assert torch.allclose(got, second(between).outputs, atol=1e-6)
    assert (got != 0).all()
    assert torch.equal(net.eval()(x).outputs, second(first(x).outputs).outputs)
    alone = Recurrent(GRU, 3, 5, dropout=0.5)
    assert torch.equal(alone(x).outputs, alone.eval()(x).outputs)


# --- a cell of one's own


class Leaky(nn.Module):
    """h' = (1 - a) h + a tanh(W x + U h), with no start and no name for its step."""

    def __init__(self, n_in, n_hid):
        super().__init__()
        self.W, self.U = nn.Linear(n_in, n_hid), nn.Linear(n_hid, n_hid)
        self.a = nn.Parameter(torch.tensor(0.3))

    def forward(self, x, h):
        return (1 - self.a) * h + self.a * (self.W(x) + self.U(h)).tanh()


class Spring(NamedTuple):
    place: torch.Tensor
    speed: torch.Tensor
    force: torch.Tensor


class Oscillator(nn.Module):
    """Two states, and something more to see."""

    def __init__(self, n_in, n_hid):
        super().__init__()
        self.W = nn.Linear(n_in, n_hid)

    def forward(self, x, place, speed):
        force = self.W(x) - place
        speed = 0.9 * speed + 0.1 * force
        return Spring(place + 0.1 * speed, speed, force)


def test_a_cell_of_ones_own_runs_as_its_loop_does():
    torch.manual_seed(0)
    x = torch.randn(3, 7, 4)
    net = Recurrent(Leaky, 4, 5, layers=2)
    got = net(x)
    hs = [torch.zeros(3, 5), torch.zeros(3, 5)]
    for t in range(7):
        hs[0] = net.cells[0](x[:, t], hs[0])
        hs[1] = net.cells[1](hs[0], hs[1])
        assert torch.allclose(got.outputs[:, t], hs[1])
    assert torch.allclose(got.state[0], torch.stack(hs))
    got.outputs.sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    assert net(x, gates=True).steps[1][0].shape == (3, 7, 5)


def test_a_cell_of_ones_own_with_two_states_has_lengths_and_directions():
    torch.manual_seed(0)
    x = torch.randn(3, 7, 4)
    net = Recurrent(Oscillator, 4, 5, bidirectional=True)
    got = net(x, None, LENGTHS, gates=True)
    assert [s.shape for s in got.state] == [(2, 3, 5)] * 2
    assert type(got.steps[1]) is Spring
    for i, length in enumerate(LENGTHS):
        alone = net(x[i : i + 1, :length], gates=True)
        assert torch.allclose(got.outputs[i, :length], alone.outputs[0])
        assert all(torch.allclose(a[:, i], b[:, 0]) for a, b in zip(got.state, alone.state, strict=True))
        assert torch.allclose(got.steps[1].force[i, :length], alone.steps[1].force[0])
    place = speed = torch.zeros(3, 5)
    for t in reversed(range(7)):  # the second direction, over the one that fills the tensor
        place, speed, _ = net.cells[1](x[:, t], place, speed)
    assert torch.allclose(got.outputs[1, 0, 5:], place[1])


def test_peepholes_and_layer_norm_run_through_time_as_their_loop():
    x = torch.randn(2, 4, 3)
    for options in ({"peepholes": True}, {"layer_norm": True}):
        net = Recurrent(partial(LSTM, **options), 3, 5)
        h = c = torch.zeros(2, 5)
        for t in range(4):
            h, c, *_ = net.cells[0](x[:, t], h, c)
        got = net(x)
        assert torch.equal(got.outputs[:, -1], h)
        assert torch.equal(got.state[1][0], c)
