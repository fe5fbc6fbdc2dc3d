"""One cell as SVG: its gates, what is multiplied and added, from left to right; its equations below.

The input x comes in from below, the state from the left, as in the unrolled net. Every gate reads both; a dot is where
a line branches, lines that only cross have none.
"""

from collections.abc import Sequence

from daiving.rolled import FAMILIES, Rolled
from daiving.show.canvas import BOLD, SMALL, Piece, group, line, number, rect, text, wide
from daiving.show.equations import NAMES, equations, signs
from daiving.show.palette import BLOCK, INK, LINE, QUIET, fill

GATE, HIGH = (104, 40), 20  # px: a gate's box, and half its height
FROM = 122  # px from the left: where the gates' boxes begin
H_BUS, X_BUS, C_BUS = 62, 80, 101  # lines from which all gates read: the state, the input, and a peephole's cell


def cell_piece(net: Rolled) -> Piece:
    """The cell of a net, one step of it; a user's own cell is a closed box."""
    width, height, drawn = {"RNN": rnn, "GRU": gru, "LSTM": lstm}.get(net.family, own)(net)
    lines = equations(net)
    left, right = (max((wide(one[i]) for one in lines), default=0) for i in (0, 1))
    at = 14 + left + wide(" = ") + right
    below = "".join(
        text(14 + left, height + 26 + 20 * i, one.left, anchor="end")
        + text(14 + left + 6, height + 26 + 20 * i, f"= {one.right}", anchor="start")
        + text(at, height + 26 + 20 * i, one.words, size=SMALL, anchor="start", fill=QUIET)
        for i, one in enumerate(lines)
    )
    down = height + 26 + 20 * len(lines)
    below += text(14, down, signs(net), size=SMALL, anchor="start", fill=QUIET) if lines else ""
    width = max(width, at + max((wide(one.words, SMALL) for one in lines), default=0), wide(signs(net), SMALL))
    inside = f'<g data-name="cell">{drawn}{below}</g>'
    return Piece(width, down + 8, 0, lambda x, y: f'<g transform="translate({number(x)} {number(y)})">{inside}</g>')


def cell_key(net: Rolled) -> tuple[tuple[str, str], ...]:
    """The colours of the picture, for its legend."""
    ends = (fill("input"), "comes in"), (BLOCK, "goes on")
    boxes = ((fill("relu"), "gate, candidate, function"),) if net.family in FAMILIES else ()
    signs = ((fill("add"), "⊙, +: number by number"),) if net.family in ("GRU", "LSTM") else ()
    return *boxes, *signs, *ends


def rnn(_: Rolled) -> tuple[float, float, str]:
    y = 30
    out = state("h", y) + line((44, y), (FROM, y), head=True) + gate(FROM, y, "h'", "tanh", "new state")
    out += entry(FROM + GATE[0] / 2, 96) + line((FROM + GATE[0] / 2, 84), (FROM + GATE[0] / 2, y + HIGH), head=True)
    out += line((FROM + GATE[0], y), (290, y), head=True)
    width, ends = leaves(290, ((y, "h'"),))
    return width, 112, out + ends


def gru(net: Rolled) -> tuple[float, float, str]:
    top, z, low, r, under, bottom = 20, 84, 146, 218, 268, 322
    edge = FROM + GATE[0]
    new, before = net.update == "new", net.reset == "before"
    out = state("h", top) + entry(X_BUS, bottom)
    # The two buses, and what each gate reads from them.
    out += line((H_BUS, top), (H_BUS, under), (276, under), (276, r + 11), head=True) + dot(H_BUS, top)
    out += line((X_BUS, bottom - 12), (X_BUS, z + 8)) + line((X_BUS, z + 8), (FROM, z + 8), head=True)
    out += line((X_BUS, r + 8), (FROM, r + 8), head=True) + dot(X_BUS, r + 8)
    for y in (z, r):
        out += line((H_BUS, y - 8), (FROM, y - 8), head=True) + dot(H_BUS, y - 8)
    out += line((X_BUS, 296), (392, 296), (392, r + HIGH), head=True) + dot(X_BUS, 296)
    # h as far as r lets it through, the candidate, and the mixture of old and new.
    out += line((edge, r), (265, r), head=True) + op(276, r, "⊙") + line((287, r), (340, r), head=True)
    if not before:
        words = "U_n h + b_Un" if net.biases == 2 else "U_n h"
        out += small(150, under, words)
    out += line((444, r), (470, r), (470, low + 11), head=True)
    out += line((edge, z), (430, z), (430, top + 11), head=True) + dot(300, z)
    out += line((300, z), (300, low), (459, low), head=True)
    out += line((481, low), (530, low), (530, top + 11), head=True)
    out += line((44, top), (419, top), head=True) + line((441, top), (519, top), head=True)
    out += small(340, z if new else low, "1 - z")
    out += op(430, top, "⊙") + op(470, low, "⊙") + op(530, top, "+")
    out += line((541, top), (590, top), head=True)
    out += gate(FROM, z, "z", "σ", NAMES["z"]) + gate(FROM, r, "r", "σ", NAMES["r"])
    out += gate(340, r, "n", "tanh", NAMES["n"])
    width, ends = leaves(590, ((top, "h'"),))
    return width, bottom + 14, out + ends


def lstm(net: Rolled) -> tuple[float, float, str]:
    top, rows, bottom = 20, {"f": 84, "i": 146, "g": 208, "o": 270}, 332
    edge, tap = FROM + GATE[0], 404
    out = state("c", top) + state("h", rows["g"] - 31) + entry(X_BUS, bottom)
    out += line((44, rows["g"] - 31), (H_BUS, rows["g"] - 31)) + dot(H_BUS, rows["g"] - 31)
    out += line((H_BUS, rows["f"] - 8), (H_BUS, rows["o"] - 8)) + line((X_BUS, bottom - 12), (X_BUS, rows["f"] + 8))
    for name, y in rows.items():
        out += line((H_BUS, y - 8), (FROM, y - 8), head=True) + line((X_BUS, y + 8), (FROM, y + 8), head=True)
        out += dot(X_BUS, y + 8) if name != "f" else ""
        out += dot(H_BUS, y - 8) if name in "ig" else ""
    # What is kept of the cell, what is written to it, and what of it is shown.
    out += line((44, top), (265, top), head=True) + line((287, top), (329, top), head=True)
    out += line((351, top), (470, top), head=True) + dot(tap, top)
    out += line((edge, rows["f"]), (276, rows["f"]), (276, top + 11), head=True)
    out += line((edge, rows["i"]), (265, rows["i"]), head=True)
    out += line((edge, rows["g"]), (276, rows["g"]), (276, rows["i"] + 11), head=True)
    out += line((287, rows["i"]), (340, rows["i"]), (340, top + 11), head=True)
    out += line((edge, rows["o"]), (tap - 11, rows["o"]), head=True) + line(
        (tap + 11, rows["o"]), (470, rows["o"]), head=True
    )
    out += line((tap, top), (tap, rows["o"] - 11), head=True)
    out += small(tap - 32, rows["i"], "LN, tanh" if net.layer_norm else "tanh", 64)
    if net.peepholes:
        out += dot(C_BUS, top) + line((C_BUS, top), (C_BUS, rows["i"]), (FROM, rows["i"]), head=True, dashed=True)
        out += dot(C_BUS, rows["f"]) + line((C_BUS, rows["f"]), (FROM, rows["f"]), head=True, dashed=True)
        path = ((tap, 60), (362, 60), (362, 240), (FROM + 52, 240), (FROM + 52, rows["o"] - HIGH))
        out += dot(tap, 60) + line(*path, head=True, dashed=True)
        out += text(230, 232, "peephole", size=SMALL, anchor="start", fill=QUIET)
    out += op(276, top, "⊙") + op(340, top, "+") + op(276, rows["i"], "⊙") + op(tap, rows["o"], "⊙")
    out += "".join(gate(FROM, y, name, "tanh" if name == "g" else "σ", NAMES[name]) for name, y in rows.items())
    width, ends = leaves(470, ((top, "c'"), (rows["o"], "h'")))
    return width, bottom + 14, out + ends


def own(net: Rolled) -> tuple[float, float, str]:
    y, w = 30, max(GATE[0], wide(net.family) + 24)
    middle = FROM + w / 2
    out = state("h", y) + line((44, y), (FROM, y), head=True)
    out += group(
        net.family, "a cell of your own", rect(FROM, y - HIGH, w, 2 * HIGH, BLOCK) + text(middle, y, net.family)
    )
    out += entry(middle, 96) + line((middle, 84), (middle, y + HIGH), head=True)
    out += line((FROM + w, y), (FROM + w + 40, y), head=True)
    width, ends = leaves(FROM + w + 40, ((y, "h'"),))
    return width, 112, out + ends


def gate(x: float, y: float, name: str, function: str, words: str) -> str:
    """A box with its name at the left, its function at the right, and what it is called below."""
    w = GATE[0]
    inside = rect(x, y - HIGH, w, 2 * HIGH, fill("relu"))
    inside += text(x + 9, y - 8, name, anchor="start", more=BOLD) + text(x + w - 9, y - 8, function, anchor="end")
    inside += text(x + w / 2, y + 10, words, size=SMALL, fill=QUIET)
    return group(name, f"{name}: {words}", inside)


def op(x: float, y: float, sign: str) -> str:
    place = f'cx="{number(x)}" cy="{number(y)}" r="11"'
    drawn = f'<circle {place} fill="{fill("add")}" stroke="{LINE}"/>' + text(x, y, sign)
    return group(sign, "number by number", drawn, "op")


def small(x: float, y: float, words: str, w: float = 0) -> str:
    """A function with no weights of a gate's own, from x on."""
    w = w or wide(words, SMALL) + 12
    return group(words, "", rect(x, y - 11, w, 22, fill("relu")) + text(x + w / 2, y, words, size=SMALL), "op")


def dot(x: float, y: float) -> str:
    return f'<circle cx="{number(x)}" cy="{number(y)}" r="2.5" fill="{LINE}"/>'


def chip(x: float, y: float, name: str, colour: str) -> str:
    return group(name, "", rect(x, y - 12, 30, 24, colour, round=12) + text(x + 15, y, name, fill=INK), "chip")


def state(name: str, y: float) -> str:
    """What comes from the step before, at the left."""
    return chip(14, y, name, fill("input"))


def entry(x: float, y: float) -> str:
    """The input, from below."""
    words = text(x + 22, y, "this step's input", size=SMALL, anchor="start", fill=QUIET)
    return chip(x - 15, y, "x", fill("input")) + words


def leaves(x: float, ends: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """What goes on to the next step, and h' to the layer above too."""
    out, width = "", x
    for y, name in ends:
        words = "next step, layer above" if name == "h'" else "next step"
        out += chip(x, y, name, BLOCK) + text(x + 36, y, words, size=SMALL, anchor="start", fill=QUIET)
        width = max(width, x + 36 + wide(words, SMALL))
    return width, out
