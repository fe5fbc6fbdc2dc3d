"""One step of a recurrent net, written from its equations: RNN, GRU and LSTM. Every step hands out its gates.

    RNN    Elman, "Finding structure in time", Cognitive Science 14, 1990
    GRU    Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014. https://arxiv.org/abs/1406.1078
    LSTM   Hochreiter & Schmidhuber, 1997, with the forget gate of Gers, Schmidhuber & Cummins, 2000
           peepholes: Gers, Schraudolph & Schmidhuber, 2002
           layer norm: Ba, Kiros & Hinton, 2016. https://arxiv.org/abs/1607.06450

A cell is called as `cell(x, *state)`. It answers with a named tuple: first the next state, in the order in which it
takes it, then whatever else there is to see; the first field is what the next layer reads. `cell.start(n)` is the state
before the first step; a cell without it starts from zeros, one n x hid for each argument behind x that has no default
(or None). Whatever keeps to this, a user's own module too, runs through time in `recurrent.py`.

Where this leaves the papers: weights and biases are drawn from U(-1/√hid, 1/√hid), as torch draws them. Elman's output
layer (the lecture's V, c and softmax) is no part of the cell: `sequence.py` has it. The LSTM forgets nothing at first:
b_f = 1 (Jozefowicz, Zaremba & Sutskever, 2015). Where torch.nn leaves them: two biases for each gate where one does
the same, and for the GRU the reset behind the product and the other sense of z; both are options here, to have its very
numbers.

Legend: `n` batch, `in` features of x, `hid` features of the state; σ is the logistic function, ⊙ goes number by number.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from daiving.errors import FixableError


class RNNStep(NamedTuple):
    h: Float[Tensor, "n hid"]


class GRUStep(NamedTuple):
    h: Float[Tensor, "n hid"]
    r: Float[Tensor, "n hid"]  # 0 hides the old state from the candidate, 1 shows it
    z: Float[Tensor, "n hid"]  # share of the new state ("new"), or of the old one ("old")
    n: Float[Tensor, "n hid"]  # the candidate, -1 to 1


class LSTMStep(NamedTuple):
    h: Float[Tensor, "n hid"]  # what the next layer sees
    c: Float[Tensor, "n hid"]  # what is carried, with no squashing on the way
    i: Float[Tensor, "n hid"]  # 0 writes nothing, 1 writes all of the candidate
    f: Float[Tensor, "n hid"]  # 0 forgets, 1 keeps
    g: Float[Tensor, "n hid"]  # the candidate, -1 to 1
    o: Float[Tensor, "n hid"]  # 0 hides the cell, 1 shows it


class RNN(nn.Module):
    """Elman's simple recurrent net.

    h' = tanh(W x + U h + b)

    With two biases b_U is added as well: it is torch's bias_hh, and does nothing that b cannot.
    """

    gates, states = 1, 1

    def __init__(self, n_in: int, n_hid: int, *, biases: int = 1, learn_start: bool = False) -> None:
        super().__init__()
        self.n_in, self.n_hid = n_in, n_hid
        self.W, self.U, self.b, self.b_U, self.first = weights("RNN", 1, 1, n_in, n_hid, biases, learn_start)

    def forward(self, x: Float[Tensor, "n in"], h: Float[Tensor, "n hid"]) -> RNNStep:
        a = F.linear(x, self.W, self.b) + F.linear(h, self.U, self.b_U)
        return RNNStep(a.tanh())

    def start(self, n: int) -> tuple[Tensor, ...]:
        """The state of `n` sequences before their first step."""
        return first_state(self, n)


class GRU(nn.Module):
    """Gated recurrent unit.

    r = σ(W_r x + U_r h + b_r)
    z = σ(W_z x + U_z h + b_z)
    n = tanh(W_n x + U_n (r ⊙ h) + b_n)       reset="before": the lecture, and Cho et al.
    n = tanh(W_n x + r ⊙ (U_n h + b_Un) + b_n)   reset="after": cuDNN, torch.nn.GRU
    h' = (1 - z) ⊙ h + z ⊙ n                   update="new": the lecture, and Chung et al., 2014
    h' = z ⊙ h + (1 - z) ⊙ n                   update="old": Cho et al. (eq. 7), torch.nn.GRU

    The rows of W, U, b and b_U are in the order r, z, n: torch's. The two updates are one net with z's weights negated;
    the two resets are different functions, which no weights make equal.
    """

    gates, states = 3, 1

    def __init__(
        self,
        n_in: int,
        n_hid: int,
        *,
        reset: Literal["before", "after"] = "before",
        update: Literal["new", "old"] = "new",
        biases: int = 1,
        learn_start: bool = False,
    ) -> None:
        super().__init__()
        check_choice("GRU", "reset", reset, ("before", "after"))
        check_choice("GRU", "update", update, ("new", "old"))
        self.reset, self.update, self.n_in, self.n_hid = reset, update, n_in, n_hid
        self.W, self.U, self.b, self.b_U, self.first = weights("GRU", 3, 1, n_in, n_hid, biases, learn_start)

    def forward(self, x: Float[Tensor, "n in"], h: Float[Tensor, "n hid"]) -> GRUStep:
        x_rz, x_n = F.linear(x, self.W, self.b).split([2 * self.n_hid, self.n_hid], dim=1)
        U_rz, U_n = self.U.split([2 * self.n_hid, self.n_hid])
        b_rz, b_n = (None, None) if self.b_U is None else self.b_U.split([2 * self.n_hid, self.n_hid])
        r, z = (x_rz + F.linear(h, U_rz, b_rz)).sigmoid().chunk(2, dim=1)
        if self.reset == "before":
            n = (x_n + F.linear(r * h, U_n, b_n)).tanh()
        else:
            n = (x_n + r * F.linear(h, U_n, b_n)).tanh()
        h = (1 - z) * h + z * n if self.update == "new" else z * h + (1 - z) * n
        return GRUStep(h, r, z, n)

    def start(self, n: int) -> tuple[Tensor, ...]:
        """The state of `n` sequences before their first step."""
        return first_state(self, n)

    def extra_repr(self) -> str:
        return f"reset={self.reset!r}, update={self.update!r}"


class LSTM(nn.Module):
    """Long short-term memory.

    i = σ(W_i x + U_i h + b_i)           f = σ(W_f x + U_f h + b_f)
    g = tanh(W_g x + U_g h + b_g)        o = σ(W_o x + U_o h + b_o)
    c' = f ⊙ c + i ⊙ g                   h' = o ⊙ tanh(c')

    With peepholes the gates see the cell too: + p_i ⊙ c, + p_f ⊙ c, + p_o ⊙ c'. With layer norm W x and U h are normed
    each by itself before they are added, and c' before its tanh; c' itself is carried as it is. The rows of W, U, b and
    b_U are in the order i, f, g, o: torch's; those of p are i, f, o. `forget_bias` is what b_f starts from (with two
    biases their sum); None leaves it as it was drawn, as torch does.
    """

    gates, states = 4, 2

    def __init__(
        self,
        n_in: int,
        n_hid: int,
        *,
        forget_bias: float | None = 1.0,
        peepholes: bool = False,
        layer_norm: bool = False,
        biases: int = 1,
        learn_start: bool = False,
    ) -> None:
        super().__init__()
        self.n_in, self.n_hid = n_in, n_hid
        self.W, self.U, self.b, self.b_U, self.first = weights("LSTM", 4, 2, n_in, n_hid, biases, learn_start)
        self.p = uniform((3, n_hid), n_hid) if peepholes else None
        sizes = {"W": 4 * n_hid, "U": 4 * n_hid, "c": n_hid}
        self.norms = nn.ModuleDict({name: nn.LayerNorm(size) for name, size in sizes.items()}) if layer_norm else None
        if forget_bias is not None and self.b is not None:
            with torch.no_grad():
                self.b[n_hid : 2 * n_hid] = forget_bias
                if self.b_U is not None:
                    self.b_U[n_hid : 2 * n_hid] = 0

    def forward(self, x: Float[Tensor, "n in"], h: Float[Tensor, "n hid"], c: Float[Tensor, "n hid"]) -> LSTMStep:
        if self.norms is None:
            a = F.linear(x, self.W, self.b) + F.linear(h, self.U, self.b_U)
        else:
            a = self.norms["W"](F.linear(x, self.W)) + self.norms["U"](F.linear(h, self.U))
            a = a + sum(b for b in (self.b, self.b_U) if b is not None)
        i, f, g, o = a.chunk(4, dim=1)
        if self.p is not None:
            i, f = i + self.p[0] * c, f + self.p[1] * c
        i, f, g = i.sigmoid(), f.sigmoid(), g.tanh()
        c = f * c + i * g
        o = (o if self.p is None else o + self.p[2] * c).sigmoid()
        h = o * (c if self.norms is None else self.norms["c"](c)).tanh()
        return LSTMStep(h, c, i, f, g, o)

    def start(self, n: int) -> tuple[Tensor, ...]:
        """The state of `n` sequences before their first step: h and c."""
        return first_state(self, n)


Weight = nn.Parameter


def weights(
    cell: str, gates: int, states: int, n_in: int, n_hid: int, biases: int, learn_start: bool
) -> tuple[Weight, Weight, Weight | None, Weight | None, Weight | None]:
    """W, U, b, b_U, drawn in torch's order, so that a seed gives the numbers of torch.nn; and the learnt first
    state."""
    for name, value in (("n_in", n_in), ("n_hid", n_hid)):
        if type(value) is not int or value < 1:
            raise FixableError(
                f"The cell {cell} cannot have {name}={value!r}.",
                expected="whole numbers from 1: features of the input, and of the state.",
                fix="count the features of one step of the input; the size of the state is yours to choose.",
            )
    check_choice(cell, "biases", biases, (0, 1, 2))
    rows = gates * n_hid
    return (
        uniform((rows, n_in), n_hid),
        uniform((rows, n_hid), n_hid),
        uniform((rows,), n_hid) if biases else None,
        uniform((rows,), n_hid) if biases == 2 else None,
        Weight(torch.zeros(states, n_hid)) if learn_start else None,
    )


def uniform(shape: tuple[int, ...], n_hid: int) -> Weight:
    return Weight(torch.empty(shape).uniform_(-(n_hid**-0.5), n_hid**-0.5))


def first_state(cell: RNN | GRU | LSTM, n: int) -> tuple[Tensor, ...]:
    if cell.first is None:
        return (cell.U.new_zeros(n, cell.n_hid),) * cell.states
    return tuple(row.expand(n, -1) for row in cell.first)


def check_choice(cell: str, name: str, value: object, among: tuple) -> None:
    if value not in among:
        raise FixableError(
            f"The cell {cell} cannot have {name}={value!r}.",
            expected=f"one of {', '.join(map(repr, among))}.",
            fix=f"leave {name} out, or choose one of these.",
        )
