"""Claims 49 to 51: the slides' equations, computed line by line in numpy, against torch.nn and against our cells.

The deck writes W for what multiplies the old state and U for what multiplies x; torch's weight_ih and weight_hh, and
our W and U, are the other way round. Its GRU and LSTM have one matrix for both, W · [h, x]: the state's columns come
first. All is float64, over several sizes and seeds; what is reported is the largest difference found.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daiving.deck.evidence import NOT_SO, REPRODUCED, Evidence
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.conversion import put
from daiving.nets.recurrent import Recurrent

EXACT = 1e-12
SIZES, SEEDS, STEPS, BATCH = ((3, 1), (4, 2), (5, 5), (8, 16)), (0, 1, 2), 12, 3  # sizes: of x, of the state
Array = np.ndarray
FADING = "What such a cell forgets over many steps: `daiving look rnn --form memory`, and the same for gru and lstm."


class Case(NamedTuple):
    """Random numbers of one size and seed."""

    n_in: int
    n_hid: int
    x: Array  # n t in
    h: Array  # n hid, the first state
    c: Array
    draw: Callable[..., Array]  # uniform in ±1/√hid, as torch draws weights


def cases(sizes: tuple[tuple[int, int], ...] = SIZES) -> Iterator[Case]:
    for (n_in, n_hid), seed in product(sizes, SEEDS):
        numbers = np.random.default_rng((seed, n_in, n_hid))
        h, c = numbers.standard_normal((2, BATCH, n_hid))
        x = numbers.standard_normal((BATCH, STEPS, n_in))
        yield Case(n_in, n_hid, x, h, c, lambda *s, r=numbers, d=n_hid: r.uniform(-(d**-0.5), d**-0.5, s))


def σ(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


# ---- the slides' equations; each takes x, n x t x in, and answers with h of every step, n x t x hid


def slide_rnn(x: Array, h: Array, U: Array, W: Array, b: Array) -> Array:
    hs = []
    for t in range(x.shape[1]):
        a = b + h @ W.T + x[:, t] @ U.T
        h = np.tanh(a)
        hs.append(h)
    return np.stack(hs, 1)


def slide_gru(x: Array, h: Array, W_z: Array, W_r: Array, W: Array) -> Array:
    hs = []
    for t in range(x.shape[1]):
        hx = np.concatenate([h, x[:, t]], 1)
        z = σ(hx @ W_z.T)
        r = σ(hx @ W_r.T)
        new = np.tanh(np.concatenate([r * h, x[:, t]], 1) @ W.T)
        h = (1 - z) * h + z * new
        hs.append(h)
    return np.stack(hs, 1)


def slide_lstm(x: Array, h: Array, C: Array, W: dict[str, Array], b: dict[str, Array]) -> Array:
    hs = []
    for t in range(x.shape[1]):
        hx = np.concatenate([h, x[:, t]], 1)
        f = σ(hx @ W["f"].T + b["f"])
        i = σ(hx @ W["i"].T + b["i"])
        new = np.tanh(hx @ W["C"].T + b["C"])
        C = f * C + i * new
        o = σ(hx @ W["o"].T + b["o"])
        h = o * np.tanh(C)
        hs.append(h)
    return np.stack(hs, 1)


# ---- the same weights in torch.nn and in our cells


def torch_run(
    kind: type[nn.RNN | nn.GRU | nn.LSTM], one: Case, W_x: Array, W_h: Array, biases: tuple[Array, ...]
) -> Array:
    """h of every step from torch.nn, given its weight_ih, weight_hh, and bias_ih and bias_hh or none."""
    net = kind(one.n_in, one.n_hid, bias=bool(biases), batch_first=True).double()
    with torch.no_grad():
        for weight, value in zip(net.all_weights[0], (W_x, W_h, *biases), strict=True):
            weight.copy_(torch.from_numpy(value))
        return net(torch.from_numpy(one.x), states(one, kind is nn.LSTM))[0].numpy()


def our_run(cell: nn.Module, one: Case, W_x: Array, W_h: Array, b: Array | None = None) -> Array:
    net = Recurrent(lambda _in, _hid: cell.double(), one.n_in, one.n_hid)
    put(cell, torch.from_numpy(W_x), torch.from_numpy(W_h), None if b is None else torch.from_numpy(b))
    first = states(one, isinstance(cell, LSTM))
    with torch.no_grad():
        return net(torch.from_numpy(one.x), first).outputs.numpy()


def states(one: Case, two: bool) -> Tensor | tuple[Tensor, Tensor]:
    h, c = (torch.from_numpy(state)[None] for state in (one.h, one.c))
    return (h, c) if two else h


def off(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max())


def rnn_equations() -> Evidence:
    """Claim 49: a = b + W h + U x, h = tanh a; and o = c + V h, ŷ = softmax o, which nn.RNN leaves to you."""
    found: dict[str, float] = {}
    for one in cases():
        d, draw = one.n_hid, one.draw
        U, W, b_x, b_h = draw(d, one.n_in), draw(d, d), draw(d), draw(d)
        ours = slide_rnn(one.x, one.h, U, W, b_x + b_h)
        keep(found, "nn.RNN, b = bias_ih + bias_hh", ours, torch_run(nn.RNN, one, U, W, (b_x, b_h)))
        keep(found, "daiving RNN, one bias", ours, our_run(RNN(one.n_in, d), one, U, W, b_x + b_h))
        V, c = draw(3, d), draw(3)
        o = c + ours @ V.T
        y = np.exp(o) / np.exp(o).sum(2, keepdims=True)
        head = nn.Linear(d, 3).double()
        head.weight.data, head.bias.data = torch.from_numpy(V), torch.from_numpy(c)
        theirs = head(torch.from_numpy(torch_run(nn.RNN, one, U, W, (b_x, b_h)))).softmax(2)
        keep(found, "ŷ: nn.RNN, then nn.Linear and softmax", y, theirs.detach().numpy())
    return judged(
        found,
        "The equations are nn.RNN's, with three differences of form. The slide's W multiplies h and its U multiplies "
        "x; torch and daiving name them the other way round. torch has two biases where the slide has one, and only "
        "their sum counts. And o and ŷ are not in nn.RNN: c and V are a Linear behind it, and the softmax is in "
        "CrossEntropyLoss.",
    )


def gru_equations() -> Evidence:
    """Claim 50: the slide's GRU has its z the other way round, its reset in front of the product, and no biases."""
    found: dict[str, float] = {}
    same: dict[str, float] = {}
    for one in cases():
        d, draw = one.n_hid, one.draw
        W_z, W_r, W = (draw(d, d + one.n_in) for _ in range(3))
        deck = slide_gru(one.x, one.h, W_z, W_r, W)
        W_h, W_x = (np.concatenate(part) for part in zip(*((m[:, :d], m[:, d:]) for m in (W_r, W_z, W)), strict=True))
        W_h_neg, W_x_neg = W_h.copy(), W_x.copy()
        for m in (W_h_neg, W_x_neg):
            m[d : 2 * d] *= -1  # σ(-a) = 1 - σ(a)
        theirs, mapped = (torch_run(nn.GRU, one, *m, ()) for m in ((W_x, W_h), (W_x_neg, W_h_neg)))
        keep(found, "nn.GRU with the slide's weights", deck, theirs)
        if d == 1:
            keep(same, "the same, where the state is one number", deck, mapped)
        else:
            keep(found, "nn.GRU, z's weights negated: the reset alone", deck, mapped)
        after = our_run(GRU(one.n_in, d, reset="after", biases=0), one, W_x, W_h)
        keep(same, 'daiving GRU(reset="after") to that nn.GRU', after, mapped)
        keep(same, "daiving GRU, its default: the slide's", deck, our_run(GRU(one.n_in, d, biases=0), one, W_x, W_h))
    same_hold, differ = max(same.values()) < EXACT, min(found.values()) > 1e-3
    swapped, reset = found.values()
    return Evidence(
        f"not what nn.GRU computes: off by {swapped:.2f}, by {reset:.2g} after z is mapped",
        NOT_SO if same_hold and differ else REPRODUCED,
        "A GRU it is, with the reset of Cho et al. and the z of Chung et al.; but the cell of the deck's code, nn.GRU, "
        "is another function. z weighs the old state there, which negated weights absorb exactly. The reset is the "
        "real difference: the slide multiplies h by r and then by the matrix, torch by the matrix and then by r, and "
        "no weights make these equal (but for a state of one number, where it is the same product). torch adds two "
        "biases, the slide has none."
        if same_hold and differ
        else "No difference was found.",
        ("the slide's equations against", "largest difference"),
        (
            *((name, f"{value:.3f}") for name, value in found.items()),
            *((name, f"{value:.1e}") for name, value in same.items()),
        ),
        (how(), "So daiving.nets.conversion refuses to make an nn.GRU of a GRU with reset=\"before\".", FADING),
    )  # fmt: skip


def lstm_equations() -> Evidence:
    """Claim 51."""
    found: dict[str, float] = {}
    for one in cases():
        d, draw = one.n_hid, one.draw
        W = {gate: draw(d, d + one.n_in) for gate in "fiCo"}
        b_x, b_h = ({gate: draw(d) for gate in "fiCo"} for _ in range(2))
        b = {gate: b_x[gate] + b_h[gate] for gate in W}
        deck = slide_lstm(one.x, one.h, one.c, W, b)
        order = "ifCo"  # of torch's rows, and ours
        W_h, W_x = (np.concatenate([W[gate][:, part] for gate in order]) for part in (slice(d), slice(d, None)))
        biases = tuple(np.concatenate([one_b[gate] for gate in order]) for one_b in (b_x, b_h))
        keep(found, "nn.LSTM, gates in the order i, f, g, o", deck, torch_run(nn.LSTM, one, W_x, W_h, biases))
        cell = LSTM(one.n_in, d, forget_bias=None)
        keep(found, "daiving LSTM, one bias a gate", deck, our_run(cell, one, W_x, W_h, biases[0] + biases[1]))
    return judged(
        found,
        "The equations are nn.LSTM's; the slide's C̃ is torch's g, its order f, i, C, o torch's i, f, g, o, and torch "
        "has two biases a gate, of which only the sum counts. The slide's own loop cannot run it, though (claim 31): "
        "there are two states, C and h.",
    )


def keep(found: dict[str, float], name: str, a: Array, b: Array) -> None:
    found[name] = max(found.get(name, 0.0), off(a, b))


def how() -> str:
    sizes = ", ".join(f"{n_in}→{n_hid}" for n_in, n_hid in SIZES)
    return (
        f"numpy against torch, float64: sizes {sizes}, seeds {', '.join(map(str, SEEDS))}, {BATCH} sequences of "
        f"{STEPS} steps from a random state; absolute, over h of all steps."
    )


def judged(found: dict[str, float], reason: str) -> Evidence:
    equal = max(found.values()) < EXACT
    return Evidence(
        f"{'equal' if equal else 'not equal'}: largest difference {max(found.values()):.1e}",
        REPRODUCED if equal else NOT_SO,
        reason if equal else "The equations give other numbers than the module.",
        ("the slide's equations against", "largest difference"),
        tuple((name, f"{value:.1e}") for name, value in found.items()),
        (how(), FADING),
    )
