"""Boxes, lines and text as SVG, and how pieces of a picture stand above or beside one another.

A `Piece` knows its size and where the line through it enters and leaves; it is painted once its place is known. All
diagrams run from top to bottom.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from daiving.show.palette import FRAME, INK, LINE, PAPER, QUIET

FONT, SMALL = 13, 11  # px
CHARACTER = 0.6  # em, on the wide side: which font a reader has is not known
GAP = 20  # px between two boxes, with room for an arrow
ROW, THIN = 28, 20  # px, height of a box, and of one that only follows another
PAD = 9  # px between a text and the side of its box


@dataclass(frozen=True)
class Piece:
    width: float
    height: float
    axis: float  # where the line enters and leaves, from the left
    paint: Callable[[float, float], str]  # given its left upper corner
    pointed: bool = True  # whether an arrow points at its top: not where a line only forks


def wide(text: str, size: float = FONT) -> float:
    return len(text) * CHARACTER * size


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def text(
    x: float, y: float, words: str, *, size: int = FONT, anchor: str = "middle", fill: str = INK, more: str = ""
) -> str:
    place = f'x="{number(x)}" y="{number(y + 0.35 * size)}"'
    about = ("" if anchor == "start" else f' text-anchor="{anchor}"') + ("" if size == FONT else f' font-size="{size}"')
    return f'<text {place}{about} fill="{fill}"{more}>{escape(words)}</text>'


def rect(
    x: float, y: float, w: float, h: float, fill: str, *, stroke: str = LINE, round: int = 4, more: str = ""
) -> str:
    place = f'x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(h)}"'
    return f'<rect {place} rx="{round}" fill="{fill}" stroke="{stroke}"{more}/>'


def line(
    *points: tuple[float, float], head: bool = False, dashed: bool = False, kind: str = "", curve: float = 8
) -> str:
    """A line through these points, its corners rounded, with an arrow's head at its end."""
    path = f"M{number(points[0][0])} {number(points[0][1])}"
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        near, far = toward(at, before, curve), toward(at, after, curve)
        path += (
            f"L{number(near[0])} {number(near[1])}Q{number(at[0])} {number(at[1])} {number(far[0])} {number(far[1])}"
        )
    end = points[-1]
    path += f"L{number(end[0])} {number(end[1])}"
    about = (f' class="{kind}"' if kind else "") + (' stroke-dasharray="5 4"' if dashed else "")
    drawn = f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"{about}/>'
    return drawn + (arrow(points[-2], end) if head else "")


def toward(start: tuple[float, float], goal: tuple[float, float], far: float) -> tuple[float, float]:
    """The point `far` from the start on the way to the goal, at most half way."""
    dx, dy = goal[0] - start[0], goal[1] - start[1]
    length = abs(dx) + abs(dy)  # lines run along the axes
    share = min(far / length, 0.5) if length else 0
    return start[0] + share * dx, start[1] + share * dy


def arrow(before: tuple[float, float], tip: tuple[float, float]) -> str:
    x, y = number(tip[0]), number(tip[1])
    if before[1] == tip[1]:
        way = 6 if before[0] > tip[0] else -6
        return f'<path d="M{x} {y}l{way} -4v8z" fill="{LINE}"/>'
    way = 6 if before[1] > tip[1] else -6
    return f'<path d="M{x} {y}l-4 {way}h8z" fill="{LINE}"/>'


def box(
    rows: Sequence[str], fill: str, *, name: str = "", tip: str = "", thin: bool = False, width: float = 0
) -> Piece:
    """A box with a row of text or two, as wide as the longest needs, or as `width`."""
    sizes = [SMALL if thin or i else FONT for i in range(len(rows))]
    w = max(width, *(wide(row, size) + 2 * PAD for row, size in zip(rows, sizes, strict=True)))
    h = THIN if thin else ROW + 16 * (len(rows) - 1)

    def paint(x: float, y: float) -> str:
        middle = y + h / 2 - 8 * (len(rows) - 1)
        words = "".join(
            text(x + w / 2, middle + 16 * i, row, size=size, fill=QUIET if i else INK)
            for i, (row, size) in enumerate(zip(rows, sizes, strict=True))
        )
        return group(name, tip, rect(x, y, w, h, fill) + words)

    return Piece(w, h, w / 2, paint)


def group(name: str, tip: str, inside: str, kind: str = "box") -> str:
    told = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<g class="{kind}" data-name="{escape(name)}">{told}{inside}</g>'


def stacked(pieces: Sequence[Piece]) -> Piece:
    """Boxes on top of one another without a gap: they belong together."""
    w = max(piece.width for piece in pieces)
    return column(pieces, 0, left=[w / 2 - piece.axis for piece in pieces])


def column(pieces: Sequence[Piece], gap: float = GAP, left: Sequence[float] | None = None) -> Piece:
    """Pieces below one another on one line, with arrows in between."""
    axis = max(piece.axis for piece in pieces)
    width = axis + max(piece.width - piece.axis for piece in pieces)
    if left is None:
        left = [axis - piece.axis for piece in pieces]

    def paint(x: float, y: float) -> str:
        out = []
        for i, (piece, shift) in enumerate(zip(pieces, left, strict=True)):
            if i and gap:
                out.append(line((x + axis, y), (x + axis, y + gap), head=piece.pointed))
                y += gap
            out.append(piece.paint(x + shift, y))
            y += piece.height
        return "".join(out)

    height = sum(piece.height for piece in pieces) + gap * (len(pieces) - 1)
    return Piece(width, height, axis, paint, pieces[0].pointed)


def framed(piece: Piece, title: str, *, name: str = "", tip: str = "", dashed: bool = False, below: str = "") -> Piece:
    """A piece in a frame with its title at the left upper corner and a line of text at the left lower one."""
    side, top, bottom = 14, 34, 14 + (14 if below else 0)
    w = max(piece.width + 2 * side, wide(title) + 2 * PAD, wide(below, SMALL) + 2 * PAD)
    axis = max(piece.axis + side, min(w - (piece.width - piece.axis) - side, w / 2))
    h = top + piece.height + bottom

    def paint(x: float, y: float) -> str:
        more = ' stroke-dasharray="5 4"' if dashed else ""
        out = rect(x, y, w, h, FRAME, round=8, more=more) + text(x + PAD, y + 13, title, anchor="start", more=BOLD)
        if below:
            out += text(x + PAD, y + h - 12, below, size=SMALL, anchor="start", fill=QUIET)
        middle, last = x + axis, y + top + piece.height
        enter = y if PAD + wide(title) < axis - 6 else y + 22  # the line into it does not run through the title
        out += line((middle, enter), (middle, y + top), head=piece.pointed)
        out += piece.paint(middle - piece.axis, y + top)
        if below and PAD + wide(below, SMALL) > axis - 6:  # nor the line out of it through the text below
            return group(name, tip, out + line((middle, last), (middle, y + h - 20)), "frame")
        return group(name, tip, out + line((middle, last), (middle, y + h)), "frame")

    return Piece(w, h, axis, paint)


BOLD = ' font-weight="600"'


def beside(pieces: Sequence[Piece], gap: float) -> tuple[list[float], float]:
    """Left sides of pieces that stand in a row, and the width of all."""
    at, x = [], 0.0
    for piece in pieces:
        at.append(x)
        x += piece.width + gap
    return at, x - gap


def halo() -> str:
    return f' paint-order="stroke" stroke="{PAPER}" stroke-width="3"'
