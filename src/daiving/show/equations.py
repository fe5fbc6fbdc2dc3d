"""The equations of the cells as text, with the options that change them; a test evaluates them against `nets/cells.py`.

`x` is the step's input, `h` and `c` are what comes from the step before, `h'` and `c'` what goes on to the next one.
"""

import math
from typing import NamedTuple

from daiving.rolled import FAMILIES, CellNode, Rolled, where
from daiving.show.numbers import shape

WIDTH = 80
SIGNS = "σ: logistic function, 0 to 1; tanh: -1 to 1; ⊙: product number by number."


class Equation(NamedTuple):
    left: str  # what is computed
    right: str  # from what
    words: str  # what it is called, and what it does


def equations(net: Rolled) -> tuple[Equation, ...]:
    """Of one step, in an order in which they can be computed; none for a user's own cell."""
    return {"RNN": rnn, "GRU": gru, "LSTM": lstm}[net.family](net) if net.family in FAMILIES else ()


def rnn(net: Rolled) -> tuple[Equation, ...]:
    return (Equation("h'", f"tanh({sums(net, '')})", "new state"),)


def gru(net: Rolled) -> tuple[Equation, ...]:
    if net.reset == "before":
        inside = f"W_n x + U_n (r ⊙ h){bias(net, 'n')}"
    else:  # the second bias is inside the reset, which is why torch needs two
        inside = f"W_n x + r ⊙ (U_n h{' + b_Un' if net.biases == 2 else ''}){' + b_n' if net.biases else ''}"
    new = net.update == "new"
    mixed = "(1 - z) ⊙ h + z ⊙ n" if new else "z ⊙ h + (1 - z) ⊙ n"
    return (
        Equation("r", f"σ({sums(net, 'r')})", "reset gate: 1 shows h to n"),
        Equation("z", f"σ({sums(net, 'z')})", f"update gate: share of {'the new' if new else 'the old'}"),
        Equation("n", f"tanh({inside})", "candidate"),
        Equation("h'", mixed, "new state"),
    )


def lstm(net: Rolled) -> tuple[Equation, ...]:
    first: tuple[Equation, ...] = ()
    inside = {gate: sums(net, gate) for gate in "ifgo"}
    if net.layer_norm:
        both = {0: "", 1: " + b", 2: " + b + b_U"}[net.biases]
        first = (Equation("a", f"LN_W(W x) + LN_U(U h){both}", "a_i, a_f, a_g, a_o at once"),)
        inside = {gate: f"a_{gate}" for gate in "ifgo"}
    if net.peepholes:
        inside |= {gate: f"{inside[gate]} + p_{gate} ⊙ {cell}" for gate, cell in (("i", "c"), ("f", "c"), ("o", "c'"))}
    shown = "LN_c(c')" if net.layer_norm else "c'"
    return (
        *first,
        Equation("i", f"σ({inside['i']})", "input gate: 1 writes g"),
        Equation("f", f"σ({inside['f']})", "forget gate: 1 keeps c"),
        Equation("g", f"tanh({inside['g']})", "candidate"),
        Equation("c'", "f ⊙ c + i ⊙ g", "cell: carried on"),
        Equation("o", f"σ({inside['o']})", "output gate: 1 shows c'"),
        Equation("h'", f"o ⊙ tanh({shown})", "new state"),
    )


def sums(net: Rolled, gate: str) -> str:
    place = f"_{gate}" if gate else ""
    return f"W{place} x + U{place} h{bias(net, gate)}"


def bias(net: Rolled, gate: str) -> str:
    one, two = (f" + b_{gate}", f" + b_U{gate}") if gate else (" + b", " + b_U")
    return "" if not net.biases else one if net.biases == 1 else one + two


NAMES = {
    "i": "input gate",
    "f": "forget gate",
    "g": "candidate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
    "h": "state",
    "c": "cell",
}


def equations_text(net: Rolled) -> str:
    """The equations of a step, for the terminal."""
    found = equations(net)
    if not found:
        return f"{net.family} is a cell of your own: its equations are in its code."
    carried = ("h and c", "h' and c'") if net.family == "LSTM" else ("h", "h'")
    lines = [f"One step: x is its input, {carried[0]} from the step before, {carried[1]} for the next."]
    left, right = (max(len(one[i]) for one in found) for i in (0, 1))
    for one in found:
        line = f"  {one.left:<{left}} = {one.right:<{right}}  {one.words}"
        if len(line) > WIDTH:
            line = f"  {one.left:<{left}} = {one.right}  {one.words}"
        lines.append(line if len(line) <= WIDTH else f"  {one.left:<{left}} = {one.right}")
    return "\n".join([*lines, signs(net)])


def signs(net: Rolled) -> str:
    return SIGNS if net.family != "RNN" else "tanh: -1 to 1."


class Weight(NamedTuple):
    name: str
    shape: str
    parameters: int
    words: str  # which gate each part of its rows belongs to


class Weights(NamedTuple):
    """Of one cell, and of those beside it that have weights of the same shapes."""

    place: str
    cells: int
    first: CellNode
    rows: tuple[Weight, ...]


def weights(net: Rolled) -> list[Weights]:
    """Every weight of every cell; neighbours of one shape once."""
    groups: list[list[CellNode]] = []
    for cell in net.cells:
        if groups and groups[-1][0].weights == cell.weights:
            groups[-1].append(cell)
        else:
            groups.append([cell])
    return [
        Weights(
            places(cells, net),
            len(cells),
            cells[0],
            tuple(Weight(name, shape(size), math.prod(size), about(net, size)) for name, size in cells[0].weights),
        )
        for cells in groups
    ]


def places(cells: list[CellNode], net: Rolled) -> str:
    first, last = cells[0], cells[-1]
    if len(cells) == 1:
        return where(first.layer, first.direction, net.directions)
    if first.layer == last.layer:
        return f"layer {first.layer}, each direction"
    return f"layers {first.layer} to {last.layer}, each" + (" direction" if net.directions == 2 else "")


def about(net: Rolled, size: tuple[int, ...]) -> str:
    hidden, gates = net.cells[0].n_hid, net.row_names
    if gates and size[0] == len(gates) * hidden:
        return f"rows {', '.join(gates)}: {hidden} each"
    return "rows i, f, o" if net.family == "LSTM" and size == (3, hidden) else ""


def weights_text(net: Rolled) -> str:
    """The weights of its cells, for the terminal."""
    lines = []
    for group in weights(net):
        cell, rows = group.first, group.rows
        lines.append(f"{group.place}: {net.family} from {cell.n_in} to {cell.n_hid} numbers")
        wide = [max(len(text(row)) for row in rows) for text in (lambda row: row.name, lambda row: row.shape)]
        for row in rows:
            line = f"  {row.name:<{wide[0]}}  {row.shape:>{wide[1]}}  {row.parameters:>10,}  {row.words}"
            lines.append(line.rstrip())
        each = f" in each of {group.cells}" if group.cells > 1 else ""
        lines.append(f"  together {cell.parameters:,} parameters{each}; one step costs {cell.macs:,} MACs")
    return "\n".join(lines)
