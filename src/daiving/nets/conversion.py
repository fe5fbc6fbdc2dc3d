"""A recurrent net's weights from `torch.nn` and back.

    torch.nn.RNN, GRU, LSTM              ⇄  Recurrent     layers, directions, dropout and batch_first too
    torch.nn.RNNCell, GRUCell, LSTMCell  ⇄  RNN, GRU, LSTM

What is converted answers as before, up to rounding. Libraries differ in the order of the gates' rows, in the state that
a GRU's z weighs, in the place of its reset, and in the number of biases:

              W                  GRU      z weighs   reset                           LSTM       biases
    ours      gates·hid x in     r z n    either     before or after                 i f g o    0, 1 or 2
    torch.nn  gates·hid x in     r z n    old        after                           i f g o    0 or 2
    Keras     in x gates·hid     z r h    old        after if reset_after            i f c o    0 or 1; 2 if reset_after
    ONNX      gates·hid x in     z r h    old        after if linear_before_reset    i o f c    0 or 2

Our n is their h, our g their c; peepholes are i, f, o here and i, o, f in ONNX. `keras_onnx.py` has the last two.
A z that weighs the new state becomes one that weighs the old by the sign of its weights and biases: σ(-a) = 1 - σ(a).
A single bias becomes the first of two, and the second is 0. The place of the reset is another function: no weights
make r ⊙ (U_n h) of U_n (r ⊙ h).

Sources: torch.nn.GRU and torch.nn.LSTM, "Variables"; keras.layers.GRU and LSTM; the operators GRU and LSTM of ONNX.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daiving.errors import FixableError
from daiving.nets import axes
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.recurrent import Recurrent

Cell = RNN | GRU | LSTM
FAMILIES = {RNN: (nn.RNN, nn.RNNCell), GRU: (nn.GRU, nn.GRUCell), LSTM: (nn.LSTM, nn.LSTMCell)}
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # torch's, for these of ours:
OUR_NAMES = ("W", "U", "b", "b_U")
OURS = {RNN: "h", GRU: "rzn", LSTM: "ifgo"}  # the order of the rows


class Rows(NamedTuple):
    """A cell's weights in our order, z weighing the old state; copies, outside of autograd."""

    W: Tensor  # gates·hid x in
    U: Tensor  # gates·hid x hid
    b: Tensor | None  # gates·hid
    b_U: Tensor | None  # gates·hid


def from_torch(module: Any) -> Recurrent | Cell:
    """The same net of our cells: a `Recurrent` for torch.nn.RNN, GRU or LSTM, a cell for RNNCell, GRUCell or LSTMCell.

    Weights are copied, with their number format, device and requires_grad. The GRU is `GRU(reset="after",
    update="old")`. Raises `FixableError` for any other module, for one with a forward of its own, for
    nonlinearity="relu" and for proj_size.
    """
    family = next((ours for ours, theirs in FAMILIES.items() if isinstance(module, theirs)), None)
    if family is None:
        parts = module.named_modules() if isinstance(module, nn.Module) else ()
        inside = [name for name, part in parts if isinstance(part, nn.RNNBase | nn.RNNCellBase)]
        raise FixableError(
            f"A module of type {type(module).__name__} is none of torch's recurrent ones.",
            expected="a torch.nn.RNN, GRU or LSTM, or one of their cells.",
            fix=f"convert the part '{inside[0]}' of it." if inside else "give the recurrent module itself.",
        )
    base = next(kind for kind in FAMILIES[family] if isinstance(module, kind))
    if getattr(module.forward, "__func__", None) is not base.forward:
        raise FixableError(
            f"This {type(module).__name__} is a torch.nn.{base.__name__} with a forward of its own.",
            expected="torch's forward, whose equations our cells have.",
            fix=f"give a torch.nn.{base.__name__} itself, or write the step as a cell of your own for Recurrent.",
        )
    if getattr(module, "nonlinearity", "tanh") != "tanh":
        raise FixableError(
            f"This torch.nn.{type(module).__name__} has nonlinearity={module.nonlinearity!r}.",
            expected="nonlinearity='tanh', which Elman's net and our RNN have.",
            fix="write the step as a cell of your own, five lines, and run it with Recurrent.",
        )
    if getattr(module, "proj_size", 0):
        raise FixableError(
            f"This torch.nn.LSTM has proj_size={module.proj_size}: its h is projected before it is carried on.",
            expected="proj_size=0, an LSTM whose h and c have one size.",
            fix="write the step with its projection as a cell of your own, and run it with Recurrent.",
        )
    biases = 2 if module.bias else 0
    make = maker(family, biases)
    with torch.random.fork_rng(devices=[]):  # what is drawn here is written over
        if isinstance(module, nn.RNNCellBase):
            net = make(module.input_size, module.hidden_size)
        else:
            net = Recurrent(
                make,
                module.input_size,
                module.hidden_size,
                layers=module.num_layers,
                bidirectional=module.bidirectional,
                dropout=module.dropout,
                batch_first=module.batch_first,
            )
    first = "weight_ih" if isinstance(module, nn.RNNCellBase) else "weight_ih_l0"
    net.to(getattr(module, first)).train(module.training)
    for cell, end in zip(alike(cells_of(net), "torch.nn"), endings(net), strict=True):
        with torch.enable_grad():  # a parametrized weight is computed here, and would else seem frozen
            theirs = [getattr(module, name + end) for name in NAMES[: 2 + biases]]
        put(cell, *theirs)
        for mine, one in zip((cell.W, cell.U, cell.b, cell.b_U), theirs, strict=False):
            mine.requires_grad_(one.requires_grad)
    return net


def to_torch(net: nn.Module) -> nn.Module:
    """The same net of torch.nn's: an RNN, GRU or LSTM for a `Recurrent`, an RNNCell, GRUCell or LSTMCell for a cell.

    Weights are copied, with their number format, device and requires_grad. Raises `FixableError` for what torch.nn has
    not: a GRU with reset="before", peepholes, layer norm, a learnt start, and cells of your own.
    """
    cells = alike(cells_of(net), "torch.nn")
    for cell in cells:
        if isinstance(cell, GRU) and cell.reset == "before":
            raise FixableError(
                "A GRU with reset='before' cannot become a torch.nn.GRU: it computes U_n (r ⊙ h), torch r ⊙ (U_n h), "
                "and no weights make the two equal.",
                expected="GRU(reset='after'), the form of torch and cuDNN, which takes over all its weights.",
                fix="train a GRU(reset='after') from the start, or go on training one from these weights; or keep this "
                "net as it is, or give it to ONNX or Keras, which have both forms.",
            )
        refuse_extras(cell, "torch.nn")
    through, alone = FAMILIES[type(cells[0])]
    like = {"bias": any(cell.b is not None for cell in cells), "device": cells[0].W.device, "dtype": cells[0].W.dtype}
    with torch.random.fork_rng(devices=[]):
        if isinstance(net, Recurrent):
            module = through(
                net.n_in,
                net.n_hid,
                net.layers,
                batch_first=net.batch_first,
                dropout=net.dropout if net.layers > 1 else 0.0,  # between layers; torch warns where there is one
                bidirectional=net.directions == 2,
                **like,
            )
        else:
            module = alone(cells[0].n_in, cells[0].n_hid, **like)
    with torch.no_grad():
        for cell, end in zip(cells, endings(net), strict=True):
            for name, ours, value in zip(NAMES, OUR_NAMES, rows(cell), strict=True):
                if like["bias"] or not name.startswith("bias"):
                    theirs = getattr(module, name + end)
                    theirs.copy_(0 if value is None else value)
                    twin = next(one for one in (getattr(cell, ours), cell.b, cell.W) if one is not None)
                    theirs.requires_grad_(twin.requires_grad)
    return module.train(net.training)


def maker(family: Any, biases: int, *, after: bool = True, peepholes: bool = False) -> Any:
    """What makes a cell with room for a library's weights, which are written over what it draws."""
    return {
        RNN: partial(RNN, biases=biases),
        GRU: partial(GRU, reset="after" if after else "before", update="old", biases=biases),
        LSTM: partial(LSTM, forget_bias=None, peepholes=peepholes, biases=biases),
    }[family]


def endings(net: nn.Module) -> Sequence[str]:
    """What torch appends to its names, a cell: layers first, then directions."""
    if not isinstance(net, Recurrent):
        return ("",)
    return [f"_l{layer}{way}" for layer in range(net.layers) for way in ("", "_reverse")[: net.directions]]


def cells_of(net: nn.Module) -> Sequence[nn.Module]:
    return list(net.cells) if isinstance(net, Recurrent) else [net]


def put(cell: Any, W: Tensor, U: Tensor, b: Tensor | None = None, b_U: Tensor | None = None) -> None:
    """Write weights, in our order, into a cell that has room for them. Raises `FixableError` for another shape."""
    with torch.no_grad():
        for mine, value in ((cell.W, W), (cell.U, U), (cell.b, b), (cell.b_U, b_U)):
            if mine is not None and value is not None:
                if mine.shape != value.shape:  # copy_ would repeat a single row
                    raise FixableError(
                        f"A weight of shape {axes.shape(value)} stands where one of {axes.shape(mine)} belongs.",
                        expected="weights of one layer, all for the same sizes.",
                        fix="look up which layer this weight is from, and give those of one layer.",
                    )
                mine.copy_(value)


def rows(cell: Any) -> Rows:
    copies: Any = [None if one is None else one.detach().clone() for one in (cell.W, cell.U, cell.b, cell.b_U)]
    if isinstance(cell, GRU) and cell.update == "new":
        for one in copies:
            if one is not None:
                one[cell.n_hid : 2 * cell.n_hid].neg_()
    return Rows(*copies)


def alike(cells: Sequence[Any], library: str) -> Sequence[Any]:
    """The cells, if they are of one family of ours; raises `FixableError` otherwise."""
    found = list(dict.fromkeys(type(cell) for cell in cells))
    computed = next((cell for cell in cells if parametrize.is_parametrized(cell)), None)
    if computed is not None:
        name = next(iter(computed.parametrizations))
        raise FixableError(
            f"The weight {name} of a cell is computed (torch.nn.utils.parametrize), and {library} takes it as it is.",
            expected="a cell whose weights are all its own.",
            fix=f"call torch.nn.utils.parametrize.remove_parametrizations(cell, '{name}') first, on a deepcopy if the "
            "net is to be trained on.",
        )
    if len(found) > 1 or found[0] not in FAMILIES:
        raise FixableError(
            f"A net with cells of type {' and '.join(kind.__name__ for kind in found)} has no twin in {library}.",
            expected=f"cells of one type, RNN, GRU or LSTM, which {library} has as well.",
            fix="keep the net as it is, or train one of these three.",
        )
    return cells


def refuse_extras(cell: Any, library: str, *, peepholes: bool = False) -> None:
    """Raises `FixableError` for what the library's cells have no weights for (`peepholes`: it has those)."""
    lacking = []
    if isinstance(cell, LSTM) and cell.p is not None and not peepholes:
        fix = "train an LSTM without, or give it to ONNX, which has them"
        lacking.append(("peepholes", "weights from the cell to the gates", fix))
    if isinstance(cell, LSTM) and cell.norms is not None:
        lacking.append(("layer norm", "norms inside a step", "train an LSTM without"))
    if cell.first is not None:
        fix = "hand cell.start(n) over as the first state in each call, and convert the cell with its first set to None"
        lacking.append(("a learnt start", "weights for the first state, which is zeros or an argument", fix))
    for what, why, fix in lacking:
        raise FixableError(
            f"A cell of type {type(cell).__name__} with {what} cannot be converted: {library}'s has no {why}.",
            expected=f"a cell without {what}.",
            fix=f"{fix}.",
        )
