"""A recurrent net that crosses to torch.nn, Keras or ONNX, or comes from there, answers as before.

ONNX by its own runtime, where it is installed; Keras by its documented equations, written down here in numpy.
"""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import remove_parametrizations
from unchecked import unchecked

from daiving.errors import FixableError
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.conversion import from_torch, to_torch
from daiving.nets.keras_onnx import from_keras, from_onnx, to_keras, to_onnx
from daiving.nets.recurrent import Recurrent

AFTER = partial(GRU, reset="after")
TO_TORCH = {
    **{f"rnn {k}": partial(RNN, biases=k) for k in (0, 1, 2)},
    **{f"gru {update} {k}": partial(AFTER, update=update, biases=k) for update in ("new", "old") for k in (0, 1, 2)},
    **{f"lstm {k}": partial(LSTM, biases=k) for k in (0, 1, 2)},
}
LAYERS = ({}, {"bidirectional": True}, {"layers": 2, "bidirectional": True, "batch_first": False, "dropout": 0.3})


def apart(a, b):
    return (torch.as_tensor(a) - torch.as_tensor(b)).abs().max().item()


def drawn(cell, **options):
    torch.manual_seed(0)
    net = Recurrent(cell, 3, 4, **options)
    for p in net.parameters():
        nn.init.normal_(p)
    return net.double()


# --- torch


@pytest.mark.parametrize("name", TO_TORCH)
def test_what_becomes_torchs_answers_as_before_and_comes_back(name):
    torch.manual_seed(3)
    x, before = torch.randn(2, 6, 3).double(), torch.get_rng_state()
    for options in LAYERS:
        net = drawn(TO_TORCH[name], **options).eval()
        torch.set_rng_state(before)
        theirs = to_torch(net)
        back = from_torch(theirs)
        assert torch.equal(torch.get_rng_state(), before)  # nothing was drawn
        outputs, last = theirs(x)
        for got in (net(x), back(x)):
            assert apart(got.outputs, outputs) < 1e-12
            assert apart(got.state[-1], last[-1] if isinstance(last, tuple) else last) < 1e-12
        assert not back.training
        assert (back.layers, back.directions, back.batch_first) == (net.layers, net.directions, net.batch_first)
        assert back.dropout == (net.dropout if net.layers > 1 else 0)


@pytest.mark.parametrize("name", TO_TORCH)
def test_a_cell_becomes_torchs_cell_and_comes_back_with_its_format(name):
    for dtype, near in ((torch.float64, 1e-14), (torch.float32, 1e-6)):
        torch.manual_seed(0)
        cell = TO_TORCH[name](3, 4).to(dtype)
        x, *state = torch.randn(2, 3, dtype=dtype), *(torch.randn(2, 4, dtype=dtype) for _ in range(cell.states))
        theirs = to_torch(cell)
        expected = theirs(x, tuple(state)) if cell.states == 2 else (theirs(x, *state),)
        assert isinstance(theirs, nn.RNNCellBase)
        for one in (cell, from_torch(theirs)):
            assert all(apart(a, b) < near for a, b in zip(one(x, *state), expected, strict=False))
        theirs.weight_ih.data.zero_()  # a copy: ours is as it was
        assert cell.W.any()


def test_what_is_frozen_stays_frozen_both_ways():
    for theirs in (nn.GRU(3, 4, 2, bidirectional=True), nn.LSTMCell(3, 4)):
        for p in list(theirs.parameters())[::3]:
            p.requires_grad_(False)
        expected = {name: p.requires_grad for name, p in theirs.named_parameters()}
        back = to_torch(from_torch(theirs))
        assert {name: p.requires_grad for name, p in back.named_parameters()} == expected
    single = to_torch(RNN(3, 4, biases=1).requires_grad_(False))
    assert not any(p.requires_grad for p in single.parameters())  # the second bias, which ours lacks, is frozen too


def test_a_parametrized_cell_crosses_once_its_parametrization_is_removed():
    theirs, x, h = weight_norm(nn.GRUCell(3, 4), "weight_hh"), torch.randn(2, 3), torch.randn(2, 4)
    with torch.no_grad():
        ours = from_torch(theirs)
    assert apart(ours(x, h).h, theirs(x, h)) < 1e-6
    assert ours.U.requires_grad
    cell = weight_norm(AFTER(3, 4), "U")
    told(lambda: to_torch(cell), "The weight U of a cell is computed", "its own", "remove_parametrizations(cell, 'U')")
    told(lambda: to_keras(Recurrent(lambda *_: cell, 3, 4)), "and Keras takes it", "its own", "remove_parametrizations")
    remove_parametrizations(cell, "U")
    assert apart(to_torch(cell)(x, h), cell(x, h).h) < 1e-6


def told(call, *parts):
    """The three sentences of the error that a call raises hold these parts."""
    with unchecked(), pytest.raises(FixableError) as error:
        call()
    for found, part in zip((error.value.wrong, error.value.expected, error.value.fix), parts, strict=True):
        assert part in found
        assert found.endswith((".", "?"))


class Own(nn.Module):
    def __init__(self, n_in, n_hid):
        super().__init__()

    def forward(self, x, h):
        return h + x.sum(1, keepdim=True)


class Louder(nn.LSTM):
    def forward(self, x, state=None):
        return super().forward(2 * x, state)


def own_forward():
    module = nn.GRUCell(3, 4)
    module.forward = lambda x, h: x
    return from_torch(module)


def sizes_that_differ():
    module = nn.RNN(3, 4)
    module.bias_ih_l0 = nn.Parameter(torch.zeros(1))
    return from_torch(module)


def keras_arrays(*shapes):
    return [np.ones(shape) for shape in shapes]


STACKED = keras_arrays((3, 16), (4, 16), 16, (4, 16), (4, 16), 16)  # of two LSTM layers

MISTAKES = {
    "a forward of its own": (lambda: from_torch(Louder(3, 4)), "This Louder is a torch.nn.LSTM", "equations", "itself"),
    "a forward of its own, an instance": (own_forward, "This GRUCell is a torch.nn.GRUCell", "torch's", "Recurrent"),
    "a bias of one number": (sizes_that_differ, "shape 1 stands where one of 4", "one layer", "which layer"),
    "keras: two layers": (
        lambda: from_keras(STACKED, "lstm"),
        "differ in their shapes: 3 x 16, 4 x 16, 16, and 4 x 16, 4 x 16, 16",
        "of a Bidirectional",
        "one layer at a time",
    ),
    "keras: a second bias of one number": (
        lambda: from_keras([*STACKED[:3], *STACKED[:2], np.ones(1)], "lstm"),
        "differ in their shapes",
        "have the same",
        "one layer at a time",
    ),
    "keras: a reset that is no answer": (
        lambda: from_keras(keras_arrays((3, 12), (4, 12)), "gru", reset_after="no"),
        "reset_after is 'no'",
        "True or False",
        "look it up",
    ),
    "keras: lists of different lengths": (
        lambda: from_keras([[[1.0], [1.0, 2.0]], [[1.0]]], "rnn"),
        "array 0 holds object",
        "floating-point",
        "weights",
    ),
    "keras: 128 bits": (
        lambda: from_keras([np.ones((3, 4), np.longdouble), np.ones((4, 4))], "rnn"),
        "array 0 holds",
        "64 bits at most",
        "weights",
    ),
    "onnx: a reset that is no answer": (
        lambda: from_onnx(np.ones((1, 12, 3)), np.ones((1, 12, 4)), kind="gru", linear_before_reset=2),
        "linear_before_reset is 2",
        "1 or 0",
        "look it up",
    ),
    "onnx: half a layer": (lambda: to_onnx(Recurrent(RNN, 3, 4), 0.0), "no layer 0.0", "a whole number", "leave layer"),
    "keras: True is no layer": (
        lambda: to_keras(Recurrent(RNN, 3, 4, layers=2), True),
        "no layer True",
        "a whole number",
        "leave layer",
    ),
    "reset before": (
        lambda: to_torch(Recurrent(GRU, 3, 4)),
        "no weights make the two equal",
        "GRU(reset='after')",
        "train a GRU(reset='after')",
    ),
    "reset before, a cell": (lambda: to_torch(GRU(3, 4)), "it computes U_n (r ⊙ h)", "takes over", "ONNX or Keras"),
    "peepholes": (lambda: to_torch(LSTM(3, 4, peepholes=True)), "torch.nn's has no weights from", "without", "ONNX"),
    "layer norm": (lambda: to_torch(LSTM(3, 4, layer_norm=True)), "no norms inside", "without layer norm", "train"),
    "learnt start": (
        lambda: to_torch(Recurrent(partial(RNN, learn_start=True), 3, 4)),
        "a learnt start cannot be converted",
        "without a learnt start",
        "cell.start(n)",
    ),
    "own cell": (lambda: to_torch(Recurrent(Own, 3, 4)), "cells of type Own", "RNN, GRU or LSTM", "keep the net"),
    "no recurrent module": (lambda: from_torch(nn.Linear(3, 4)), "type Linear", "torch.nn.RNN", "recurrent module"),
    "a module around one": (
        lambda: from_torch(nn.Sequential(nn.Linear(2, 3), nn.GRU(3, 4))),
        "type Sequential",
        "GRU or LSTM",
        "the part '1'",
    ),
    "no module": (lambda: from_torch("lstm"), "type str", "GRU or LSTM", "itself"),
    "relu": (lambda: from_torch(nn.RNN(3, 4, nonlinearity="relu")), "'relu'", "'tanh'", "a cell of your own"),
    "relu, a cell": (lambda: from_torch(nn.RNNCell(3, 4, nonlinearity="relu")), "'relu'", "'tanh'", "Recurrent"),
    "projection": (lambda: from_torch(nn.LSTM(3, 4, proj_size=2)), "proj_size=2", "proj_size=0", "a cell of your own"),
    "keras: three letters": (lambda: from_keras([], "grue"), "called 'grue'", "gru, lstm, rnn", "'gru'"),
    "keras: five arrays": (lambda: from_keras([np.ones(3)] * 5, "gru"), "There are 5", "twice that", "get_weights()"),
    "keras: another kind": (
        lambda: from_keras([np.ones((3, 12)), np.ones((4, 12))], "lstm"),
        "no lstm of Keras has these",
        "in x 4·hid",
        "kind='gru'",
    ),
    "keras: torch's way round": (
        lambda: from_keras([np.ones((16, 3)), np.ones((16, 4)), np.ones(16)], "lstm"),
        "16 x 3 and 16 x 4",
        "hid x 4·hid",
        "transpose both",
    ),
    "keras: odd sizes": (
        lambda: from_keras([np.ones((3, 7)), np.ones((4, 9))], "rnn"),
        "3 x 7 and 4 x 9",
        "in x 1·hid",
        "both matrices",
    ),
    "keras: a bias that fits nothing": (
        lambda: from_keras([np.ones((3, 16)), np.ones((4, 16)), np.ones(12)], "lstm"),
        "The bias has shape 12",
        "16, with",
        "in its order",
    ),
    "keras: reset unknown": (
        lambda: from_keras([np.ones((3, 12)), np.ones((4, 12))], "gru"),
        "does not show",
        "reset_after=True",
        "get_config",
    ),
    "keras: reset and bias at odds": (
        lambda: from_keras([np.ones((3, 12)), np.ones((4, 12)), np.ones(12)], "gru", reset_after=True),
        "that of reset_after=False",
        "2 x 3·hid",
        "leave reset_after out",
    ),
    "keras: no numbers": (lambda: from_keras([["a"], ["b"]], "rnn"), "array 0", "floating-point", "weights"),
    "keras: peepholes": (lambda: to_keras(LSTM(3, 4, peepholes=True)), "Keras's has no", "without", "ONNX"),
    "keras: no such layer": (lambda: to_keras(Recurrent(RNN, 3, 4), 1), "no layer 1", "0 to 0", "leave layer out"),
    "onnx: no directions": (
        lambda: from_onnx(np.ones((16, 3)), np.ones((16, 4)), kind="lstm"),
        "W has shape 16 x 3",
        "with 1 direction or 2",
        "W[None]",
    ),
    "onnx: another kind": (
        lambda: from_onnx(np.ones((1, 16, 3)), np.ones((1, 16, 4)), kind="gru"),
        "no gru of ONNX",
        "3·hid x in",
        "kind='lstm'",
    ),
    "onnx: half a bias": (
        lambda: from_onnx(np.ones((1, 12, 3)), np.ones((1, 12, 4)), np.ones((1, 12)), kind="gru"),
        "B has shape 1 x 12",
        "1 x 24",
        "leave B out",
    ),
    "onnx: peepholes of a GRU": (
        lambda: from_onnx(np.ones((1, 12, 3)), np.ones((1, 12, 4)), P=np.ones((1, 12)), kind="gru"),
        "P has shape",
        "only an LSTM",
        "leave P out",
    ),
    "onnx: whole numbers": (
        lambda: from_onnx(np.ones((1, 4, 3), int), np.ones((1, 4, 4)), kind="rnn"),
        "as W holds int64",
        "floating-point",
        "weights",
    ),
    "onnx: layer norm": (lambda: to_onnx(LSTM(3, 4, layer_norm=True)), "ONNX's has no", "without", "train"),
    "onnx: learnt start": (lambda: to_onnx(GRU(3, 4, learn_start=True)), "a learnt start", "without", "first"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_cross_says_why(name):
    told(*MISTAKES[name])


def test_directions_that_differ_are_refused():
    net = Recurrent(GRU, 3, 4, bidirectional=True)
    net.cells[1] = AFTER(3, 4)
    told(lambda: to_onnx(net), "different resets", "one reset", "each by itself")
    net.cells[1] = LSTM(3, 4)
    told(lambda: to_keras(net), "GRU and LSTM", "cells of one type", "keep the net")


# --- Keras: the documented layers in numpy, on what get_weights() would give


def sigma(a):
    return 1 / (1 + np.exp(-a))


def keras_layer(kind, weights, x, *, reset_after=False, backwards=False):
    """All h, n x t x hid, of a SimpleRNN, GRU or LSTM with its defaults, from x, n x t x in."""
    kernel, recurrent, *bias = weights
    hid, gates = recurrent.shape
    bias = bias[0] if bias else np.zeros((2, gates) if reset_after else gates)
    h = c = np.zeros((len(x), hid))
    every = []
    for step in range(x.shape[1])[:: -1 if backwards else 1]:
        if kind == "rnn":
            h = np.tanh(x[:, step] @ kernel + bias + h @ recurrent)
        elif kind == "lstm":
            z_i, z_f, z_c, z_o = np.split(x[:, step] @ kernel + h @ recurrent + bias, 4, axis=1)
            c = sigma(z_f) * c + sigma(z_i) * np.tanh(z_c)
            h = sigma(z_o) * np.tanh(c)
        else:
            input_bias, recurrent_bias = bias if reset_after else (bias, np.zeros(gates))
            x_z, x_r, x_h = np.split(x[:, step] @ kernel + input_bias, 3, axis=1)
            U_z, U_r, U_h = np.split(recurrent, 3, axis=1)
            b_z, b_r, b_h = np.split(recurrent_bias, 3)
            z, r = sigma(x_z + h @ U_z + b_z), sigma(x_r + h @ U_r + b_r)
            candidate = np.tanh(x_h + (r * (h @ U_h + b_h) if reset_after else (r * h) @ U_h))
            h = z * h + (1 - z) * candidate
        every.append(h)
    return np.stack(every[:: -1 if backwards else 1], axis=1)


def keras_weights(kind, rng, bias=True, reset_after=False):
    gates = 4 * {"rnn": 1, "gru": 3, "lstm": 4}[kind]
    shapes = [(3, gates), (4, gates)] + [(2, gates) if reset_after else (gates,)] * bias
    return [rng.normal(size=size) for size in shapes]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "reset_after"), [("rnn", False), ("gru", False), ("gru", True), ("lstm", False)])
def test_keras_layers_come_and_go(kind, reset_after, bias):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 3))
    said = {} if bias or kind != "gru" else {"reset_after": reset_after}
    there = keras_weights(kind, rng, bias, reset_after)
    back = keras_weights(kind, rng, bias, reset_after)
    one, both = from_keras(there, kind, **said), from_keras(there + back, kind, **said)
    forwards = keras_layer(kind, there, x, reset_after=reset_after)
    backwards = keras_layer(kind, back, x, reset_after=reset_after, backwards=True)
    assert apart(one(torch.tensor(x)).outputs.detach(), forwards) < 1e-12
    assert apart(both(torch.tensor(x)).outputs.detach(), np.concatenate([forwards, backwards], axis=2)) < 1e-12
    for net, weights in ((one, there), (both, there + back), (one.cells[0], there)):
        given = to_keras(net)
        assert len(given) == len(weights)
        assert all(np.array_equal(a, b) for a, b in zip(given, weights, strict=True))


@pytest.mark.parametrize("biases", [0, 1, 2])
@pytest.mark.parametrize("options", [{"reset": r, "update": u} for r in ("before", "after") for u in ("new", "old")])
def test_our_gru_of_any_form_is_kerass_with_its_weights(options, biases):
    net = drawn(partial(GRU, biases=biases, **options), layers=2, bidirectional=True)
    x = torch.randn(2, 5, 3).double()
    h = x.numpy()
    for layer in (0, 1):
        weights = to_keras(net, layer)
        half, after = len(weights) // 2, options["reset"] == "after"
        sides = [
            keras_layer("gru", weights[i * half : (i + 1) * half], h, reset_after=after, backwards=i == 1)
            for i in (0, 1)
        ]
        h = np.concatenate(sides, axis=2)
    assert apart(net(x).outputs.detach(), h) < 1e-12


def test_tensors_with_a_gradient_or_in_bfloat16_and_flags_of_numpy_are_taken():
    cell = AFTER(3, 4, biases=0)
    for dtype in (torch.float32, torch.bfloat16):
        given = [part.to(dtype).requires_grad_() for part in map(torch.tensor, to_keras(cell))]
        for after in (True, 1, np.True_, np.int64(1)):
            net = from_keras(given, "gru", reset_after=after)
            assert net.cells[0].reset == "after"
            assert net.cells[0].W.dtype == dtype
            assert apart(to_keras(net, np.int64(0))[0], given[0].detach().float()) == 0
    W, R, *_ = to_onnx(cell)
    net = from_onnx(torch.tensor(W).requires_grad_(), torch.tensor(R), kind="gru", linear_before_reset=np.True_)
    assert net.cells[0].reset == "after"
    assert net.cells[0].W.is_leaf


def test_bfloat16_goes_out_as_float32_and_float32_stays():
    cell = LSTM(3, 4)
    assert {w.dtype for w in to_keras(cell)} == {np.dtype("float32")}
    assert {w.dtype for w in to_keras(cell.bfloat16())} == {np.dtype("float32")}
    assert from_keras(to_keras(cell), "lstm").cells[0].W.dtype == torch.float32


# --- ONNX by its runtime


def onnx_answer(kind, weights, x):
    """Y of the operator, t x dirs x n x hid, and the last states."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    make, kinds = onnx.helper, onnx.TensorProto.FLOAT
    given = {"W": weights.W, "R": weights.R, "B": weights.B}
    names = ["x", *(name if value is not None else "" for name, value in given.items())]
    if weights.P is not None:
        names, given = [*names, "", "", "", "P"], {**given, "P": weights.P}
    ends = ["Y", "Y_h", "Y_c"][: 3 if kind == "lstm" else 2]
    graph = make.make_graph(
        [make.make_node(kind.upper(), names, ends, **weights.attributes)],
        "one",
        [make.make_tensor_value_info("x", kinds, x.shape)],
        [make.make_tensor_value_info(end, kinds, None) for end in ends],
        [onnx.numpy_helper.from_array(value, name) for name, value in given.items() if value is not None],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 21)], ir_version=10)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


ONNX = {
    **{f"rnn {k}": ("rnn", partial(RNN, biases=k)) for k in (0, 1, 2)},
    **{
        f"gru {reset} {update} {k}": ("gru", partial(GRU, reset=reset, update=update, biases=k))
        for reset in ("before", "after")
        for update, k in (("new", 2), ("old", 1), ("new", 0))
    },
    **{f"lstm {k}": ("lstm", partial(LSTM, biases=k)) for k in (0, 2)},
    "lstm peepholes": ("lstm", partial(LSTM, peepholes=True)),
}


@pytest.mark.parametrize("name", ONNX)
def test_onnx_operators_come_and_go(name):
    kind, make = ONNX[name]
    for both in (False, True):
        net = drawn(make, bidirectional=both, batch_first=False).float()
        weights = to_onnx(net)
        x = torch.randn(5, 2, 3)
        Y, *last = onnx_answer(kind, weights, x.numpy())
        expected = torch.from_numpy(Y).transpose(1, 2).flatten(2)  # t n dirs·hid
        reset = weights.attributes.get("linear_before_reset", 0)
        back = from_onnx(weights.W, weights.R, weights.B, weights.P, kind=kind, linear_before_reset=reset)
        for one in (net, back):
            got = one(x)
            assert apart(got.outputs.detach(), expected) < 2e-6
            assert all(apart(a.detach(), b) < 2e-6 for a, b in zip(got.state, last, strict=True))
        again = to_onnx(back)
        for ours, theirs in zip(again[:4], weights[:4], strict=True):
            assert (ours is None and theirs is None) or np.array_equal(ours, theirs)
        assert again.attributes == weights.attributes
