"""A recurrent layer's weights as Keras and ONNX lay them out, both ways. `conversion.py` has the table of what differs.

    Keras   layer.get_weights(): kernel in x gates·hid, recurrent kernel hid x gates·hid, and a bias gates·hid (of a GRU
            with reset_after=True 2 x gates·hid) or none; a Bidirectional has those that run backwards behind the others
    ONNX    the inputs of the operators RNN, GRU and LSTM: W dirs x gates·hid x in, R dirs x gates·hid x hid,
            B dirs x 2·gates·hid (W's, then R's) or none, P dirs x 3·hid (peepholes i, o, f) or none

Both have one layer at a time; of ours with several, `layer` says which. The arrays do not say everything: the
activations are taken to be tanh and σ (old versions of Keras had a hard σ), the one direction to run forwards, and in
ONNX no clip and input_forget=0. Neither library is needed here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daiving.errors import FixableError, unknown
from daiving.nets.axes import shape
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.conversion import OURS, alike, cells_of, maker, put, refuse_extras, rows
from daiving.nets.recurrent import Recurrent

Whole = int | np.integer
Flag = Whole | np.bool_
KINDS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
KERAS = {RNN: "h", GRU: "zrn", LSTM: "ifgo"}
ONNX = {RNN: "h", GRU: "zrn", LSTM: "iofg"}


class Onnx(NamedTuple):
    W: np.ndarray  # dirs x gates·hid x in
    R: np.ndarray  # dirs x gates·hid x hid
    B: np.ndarray | None  # dirs x 2·gates·hid
    P: np.ndarray | None  # dirs x 3·hid
    attributes: Mapping[str, int | str]  # hidden_size, direction; of a GRU linear_before_reset


def from_keras(weights: Sequence[Any], kind: str, *, reset_after: Flag | None = None) -> Recurrent:
    """A net from `layer.get_weights()` of a Keras SimpleRNN ("rnn"), GRU or LSTM, or of a Bidirectional around one.

    A GRU's bias says whether it has reset_after; without biases you must. Two layers that are stacked, with hid inputs
    each, look like a Bidirectional: give one at a time. Raises `FixableError` for arrays of other numbers or shapes.
    """
    family = family_of(kind)
    arrays = [tensor(array, f"array {place}") for place, array in enumerate(weights)]
    if len(arrays) not in (2, 3, 4, 6):
        raise FixableError(
            f"There are {len(arrays)} arrays.",
            expected="kernel, recurrent kernel and bias, or the first two, of a layer; of a Bidirectional twice that.",
            fix="give layer.get_weights() of one recurrent layer at a time.",
        )
    both = len(arrays) > 3
    size = len(arrays) // (2 if both else 1)
    given = [arrays[:size], arrays[size:]][: 1 + both]
    if both and any(one.shape != other.shape for one, other in zip(*given, strict=True)):
        halves = ", and ".join(", ".join(map(shape, half)) for half in given)
        raise FixableError(
            f"The two halves of the arrays differ in their shapes: {halves}.",
            expected="those of a Bidirectional, whose two directions have the same.",
            fix="give layer.get_weights() of one layer at a time; of two that are stacked each by itself.",
        )
    has_bias = size == 3
    if family is GRU:
        reset_after = keras_reset(given[0][2] if has_bias else None, reset_after)
    two = family is GRU and bool(reset_after)
    read = []
    for kernel, recurrent, *bias in given:
        check_sizes(family, "Keras", kernel, recurrent, transposed=True)
        gates = recurrent.shape[1]
        wanted = (2, gates) if two else (gates,)
        if bias and tuple(bias[0].shape) != wanted:
            raise FixableError(
                f"The bias has shape {shape(bias[0])}.",
                expected=f"{' x '.join(map(str, wanted))}, with a recurrent kernel {shape(recurrent)}.",
                fix="give the arrays as layer.get_weights() does, in its order.",
            )
        parts = (kernel.t(), recurrent.t(), *(bias[0] if bias and two else bias))
        read.append([ordered(part, KERAS[family], OURS[family]) for part in parts])
    return build(family, read, biases=(2 if two else 1) if has_bias else 0, batch_first=True, after=bool(reset_after))


def to_keras(net: nn.Module, layer: Whole = 0) -> Sequence[np.ndarray]:
    """What `layer.set_weights` of a Keras SimpleRNN, GRU or LSTM takes, or of a Bidirectional around one; use_bias is
    whether there is a bias, and reset_after of a GRU whether its reset is "after".

    Raises `FixableError` for peepholes, layer norm, a learnt start and cells of your own.
    """
    cells, family = of_layer(net, layer, "Keras")
    arrays = []
    biased = any(cell.b is not None for cell in cells)
    for cell in cells:
        refuse_extras(cell, "Keras")
        W, U, *bs = rows(cell)
        b, b_U = (torch.zeros_like(W[:, 0]) if one is None else one for one in bs)
        parts = [ordered(part, OURS[family], KERAS[family]) for part in (W, U, b, b_U)]
        two = isinstance(cell, GRU) and cell.reset == "after"
        bias = torch.stack(parts[2:]) if two else parts[2] + parts[3]
        arrays += [array(parts[0].t()), array(parts[1].t())] + ([array(bias)] if biased else [])
    return arrays


def from_onnx(W: Any, R: Any, B: Any = None, P: Any = None, *, kind: str, linear_before_reset: Flag = 0) -> Recurrent:
    """A net from the inputs of ONNX' operator RNN, GRU or LSTM; x is t x n x in, as ONNX' layout=0 has it.

    Raises `FixableError` for arrays of other numbers or shapes.
    """
    family = family_of(kind)
    W, R = tensor(W, "W"), tensor(R, "R")
    if W.dim() != 3 or R.dim() != 3 or len(W) != len(R) or len(W) not in (1, 2):
        raise FixableError(
            f"W has shape {shape(W)} and R {shape(R)}.",
            expected="directions x gates·hid x in, and directions x gates·hid x hid, with 1 direction or 2.",
            fix="give the operator's inputs as they are; one without that axis needs W[None] and R[None].",
        )
    check_sizes(family, "ONNX", W[0], R[0], transposed=False)
    after = truth("linear_before_reset", linear_before_reset)
    directions, gates, hid = R.shape
    more = {"B": (B, 2 * gates), "P": (P, 3 * hid)}
    extra = {name: None if one is None else tensor(one, name) for name, (one, _) in more.items()}
    for name, (_, size) in more.items():
        one = extra[name]
        if one is not None and (tuple(one.shape) != (directions, size) or (name == "P" and family is not LSTM)):
            raise FixableError(
                f"{name} has shape {shape(one)}, for an operator of kind {kind!r} with R {shape(R)}.",
                expected=f"{directions} x {size}."
                if name == "B" or family is LSTM
                else "no P: only an LSTM has peepholes.",
                fix=f"leave {name} out where the operator has none, or give it as it is.",
            )
    read = []
    for place in range(directions):
        parts = [W[place], R[place], *(() if extra["B"] is None else extra["B"][place].chunk(2))]
        read.append([ordered(part, ONNX[family], OURS[family]) for part in parts])
    biases = 0 if B is None else 2
    net = build(family, read, biases=biases, batch_first=False, after=after, peepholes=P is not None)
    if extra["P"] is not None:
        with torch.no_grad():
            for cell, p in zip(alike(list(net.cells), "ONNX"), extra["P"], strict=True):
                cell.p.copy_(ordered(p, "iof", "ifo").view_as(cell.p))
    return net


def to_onnx(net: nn.Module, layer: Whole = 0) -> Onnx:
    """The inputs and attributes of ONNX' operator RNN, GRU or LSTM; B and P are None where no cell has any.

    Raises `FixableError` for layer norm, a learnt start and cells of your own.
    """
    cells, family = of_layer(net, layer, "ONNX")
    read = []
    for cell in cells:
        refuse_extras(cell, "ONNX", peepholes=True)
        W, U, *bs = rows(cell)
        parts = (W, U, *(torch.zeros_like(W[:, 0]) if b is None else b for b in bs))
        read.append([ordered(part, OURS[family], ONNX[family]) for part in parts])
    W, R, b, b_U = (torch.stack(part) for part in zip(*read, strict=True))
    P = None
    if any(isinstance(cell, LSTM) and cell.p is not None for cell in cells):
        ps = [torch.zeros(3 * cell.n_hid).to(W) if cell.p is None else cell.p.detach().flatten() for cell in cells]
        P = array(torch.stack([ordered(p, "ifo", "iof") for p in ps]))
    attributes = {"hidden_size": R.shape[2], "direction": "bidirectional" if len(cells) == 2 else "forward"}
    if family is GRU:
        attributes["linear_before_reset"] = int(cells[0].reset == "after")
    biased = any(cell.b is not None for cell in cells)
    return Onnx(array(W), array(R), array(torch.cat([b, b_U], dim=1)) if biased else None, P, attributes)


def ordered(part: Tensor, given: str, wanted: str) -> Tensor:
    """Blocks of rows, one a gate, in another order; what has rows for these gates only."""
    blocks = dict(zip(given, part.chunk(len(given)), strict=True))
    return torch.cat([blocks[gate] for gate in wanted])


def build(
    family: Any, read: Sequence[Any], *, biases: int, batch_first: bool, after: bool, peepholes: bool = False
) -> Recurrent:
    """One layer of a cell for each entry of `read`: W, U and biases, in our order."""
    make = maker(family, biases, after=after, peepholes=peepholes)
    W, U = read[0][:2]
    with torch.random.fork_rng(devices=[]):  # what is drawn here is written over
        net = Recurrent(make, W.shape[1], U.shape[1], bidirectional=len(read) == 2, batch_first=batch_first).to(W)
    for cell, parts in zip(net.cells, read, strict=True):
        put(cell, *parts)
    return net


def of_layer(net: nn.Module, layer: Whole, library: str) -> tuple[Sequence[Any], Any]:
    """The cells of one layer and their family."""
    cells = alike(cells_of(net), library)
    directions = net.directions if isinstance(net, Recurrent) else 1
    layers = len(cells) // directions
    if isinstance(layer, bool) or not isinstance(layer, Whole) or not 0 <= layer < layers:
        raise FixableError(
            f"There is no layer {layer!r} in a net of {layers}.",
            expected=f"a whole number from 0 to {layers - 1}; {library} has one layer at a time.",
            fix="leave layer out to get the first.",
        )
    cells = cells[layer * directions : (layer + 1) * directions]
    if len({cell.reset for cell in cells if isinstance(cell, GRU)}) > 1:
        raise FixableError(
            f"The two directions of this GRU have different resets, and a layer of {library} has one.",
            expected="one reset for both directions.",
            fix="convert the two cells each by itself.",
        )
    return cells, type(cells[0])


def family_of(kind: str) -> Any:
    if kind not in KINDS:
        raise unknown("kind of recurrent layer", kind, KINDS)
    return KINDS[kind]


def keras_reset(bias: Tensor | None, said: Flag | None) -> bool:
    """Where a GRU of Keras resets, from the axes of its bias and from what the caller says."""
    said = None if said is None else truth("reset_after", said)
    if bias is None:
        if said is None:
            raise FixableError(
                "A GRU without biases does not show whether it was made with reset_after.",
                expected="reset_after=True (Keras' default) or reset_after=False beside the arrays.",
                fix="look it up in layer.get_config().",
            )
        return said
    shown = bias.dim() == 2
    if said is not None and said is not shown:
        raise FixableError(
            f"reset_after={said}, and the GRU's bias has shape {shape(bias)}: that of reset_after={shown}.",
            expected="2 x 3·hid with reset_after=True, 3·hid with reset_after=False.",
            fix="leave reset_after out where there is a bias.",
        )
    return shown


def truth(name: str, value: Any) -> bool:
    if not isinstance(value, Flag) or value not in (0, 1):
        raise FixableError(
            f"{name} is {value!r}.", expected="True or False, or 1 or 0.", fix="look it up in the layer's attributes."
        )
    return bool(value)


def check_sizes(family: Any, library: str, W: Tensor, U: Tensor, *, transposed: bool) -> None:
    """Raises `FixableError` unless these are the two matrices of a cell of the family."""

    def fits(kind: Any, W: Tensor, U: Tensor) -> bool:
        if W.dim() != 2 or U.dim() != 2 or not W.numel():
            return False
        W, U = (W.t(), U.t()) if transposed else (W, U)
        return W.shape[0] == U.shape[0] == kind.gates * U.shape[1]

    if fits(family, W, U):
        return
    name = next(name for name, kind in KINDS.items() if kind is family)
    others = [name for name, kind in KINDS.items() if fits(kind, W, U)]
    if others:
        fix = f"these are shapes of kind={others[0]!r}."
    elif W.dim() == U.dim() == 2 and fits(family, W.t(), U.t()):
        fix = "transpose both."
    else:
        fix = "give both matrices of one layer, as the library has them."
    gates = f"{family.gates}·hid"
    raise FixableError(
        f"The two matrices have shapes {shape(W)} and {shape(U)}: no {name} of {library} has these.",
        expected=f"in x {gates} and hid x {gates}." if transposed else f"{gates} x in and {gates} x hid, a direction.",
        fix=fix,
    )


def tensor(given: Any, name: str) -> Tensor:
    """A copy of an array as a tensor; of a tensor, outside of autograd, which numpy would not take."""
    if isinstance(given, Tensor) and given.is_floating_point():
        return given.detach().clone()
    try:
        found = np.asarray(given)
    except (ValueError, TypeError, RuntimeError):  # such as lists of different lengths
        found = np.array(None)
    if found.dtype.kind != "f" or found.itemsize > 8:
        raise FixableError(
            f"What was given as {name} holds {found.dtype}.",
            expected="an array of floating-point numbers, of 64 bits at most.",
            fix="give the weights themselves, as arrays of numpy or tensors.",
        )
    return torch.from_numpy(np.array(found, dtype=found.dtype.newbyteorder("="), order="C"))


def array(tensor: Tensor) -> np.ndarray:
    """A copy as numpy has it, which knows no bfloat16."""
    tensor = tensor.detach().cpu()
    return np.ascontiguousarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())
