"""What pictures of nets have in common: stages as closed boxes, captions, the legend, and the SVG around it all."""

from collections.abc import Iterable, Sequence
from html import escape

from daiving.nodes import ROLES, Node
from daiving.show import palette
from daiving.show.canvas import BOLD, FONT, GAP, PAD, ROW, SMALL, Piece, group, number, rect, text, wide
from daiving.show.numbers import amount, shape
from daiving.show.palette import BLOCK, PAPER, QUIET, fill
from daiving.show.stages import Stage, about, cost, title, what

MARGIN = 16


def texts(stage: Stage) -> tuple[str, str, str]:
    """What a closed box says: name, shape, and below what it is and costs."""
    node = stage.node
    words = [what(node)] if what(node) != node.label else []
    if node.parameters or node.macs:
        words.append(f"{'each ' if len(stage.nodes) > 1 else ''}{cost(node)}")
    return stage.title, shape(stage.nodes[-1].given), " · ".join(words)


def measure(stage: Stage) -> float:
    name, given, below = texts(stage)
    return max(wide(name) + 24 + wide(given, SMALL), wide(below, SMALL)) + 2 * PAD + 8


def closed(stage: Stage, w: float, tint: str = "", mark: str = "", kind: str = "stage", dashed: bool = False) -> Piece:
    """A stage as one box with a stripe of its role's colour; folded ones show a second box behind."""
    node, (name, given, below) = stage.node, texts(stage)
    h = ROW + (16 if below else 0)
    stripe = fill(node.role) if node.role != "block" else BLOCK
    w = max(w, measure(stage) + (16 if mark else 0))
    behind = 3 if len(stage.nodes) > 1 else 0

    def paint(x: float, y: float) -> str:
        out = rect(x + behind, y + behind, w, h, tint or stripe) if behind else ""
        out += rect(x, y, w, h, tint or stripe, more=' stroke-dasharray="5 4"' if dashed else "")
        if tint and node.role != "block":
            out += rect(x, y, 7, h, stripe, round=2)
        left = x + PAD + 4
        out += text(
            left,
            y + ROW / 2,
            f"{mark} {name}" if mark else name,
            anchor="start",
            more=BOLD if node.role == "block" else "",
        )
        out += text(x + w - PAD, y + ROW / 2, given, size=SMALL, anchor="end")
        if below:
            out += text(left, y + ROW / 2 + 17, below, size=SMALL, anchor="start")
        return group(node.name, about(node), out, kind)

    return Piece(w + behind, h + behind, w / 2, paint)


def hung(aux: Node) -> Piece:
    rows = (title(aux), f"while it trains · {amount(aux.parameters)} parameters")
    w = max(wide(rows[0]), wide(rows[1], SMALL)) + 2 * PAD
    h = ROW + 16

    def paint(x: float, y: float) -> str:
        out = rect(x, y, w, h, PAPER, more=' stroke-dasharray="5 4"')
        out += text(x + PAD, y + ROW / 2, rows[0], anchor="start")
        return group(
            aux.name,
            about(aux),
            out + text(x + PAD, y + ROW / 2 + 17, rows[1], size=SMALL, anchor="start", fill=QUIET),
            "aux",
        )

    return Piece(w, h, w / 2, paint)


def caption(words: str) -> Piece:
    w = wide(words, SMALL) + 4
    return Piece(w, 14, w / 2, lambda x, y: text(x + w / 2, y + 7, words, size=SMALL, fill=QUIET))


def legend(roles: Iterable[str], width: float, more: Sequence[tuple[str, str]] = ()) -> Piece:
    """A swatch for each role in the picture, in the deck's order, in as many rows as the width asks for."""
    used = set(roles)
    entries = [(fill(role), words) for role, words in ROLES.items() if role in used]
    entries += ([(BLOCK, "Block")] if "block" in used else []) + list(more)
    at, x, y = [], 0.0, 0.0
    for _, words in entries:
        w = 20 + wide(words, SMALL) + 14
        if x and x + w > width:
            x, y = 0.0, y + 20
        at.append((x, y))
        x += w

    def paint(left: float, top: float) -> str:
        out = ""
        for (colour, words), (dx, dy) in zip(entries, at, strict=True):
            out += rect(left + dx, top + dy + 2, 14, 12, colour, round=2)
            out += text(left + dx + 20, top + dy + 8, words, size=SMALL, anchor="start", fill=QUIET)
        return group("legend", "", out, "legend")

    return Piece(width, y + 16, 0, paint)


def finished(piece: Piece, words: str, roles: Iterable[str], alone: bool, more: Sequence[tuple[str, str]] = ()) -> str:
    """The SVG around a piece, with its legend below and a sentence for those who cannot see it."""
    used = set(roles)
    below = legend(used, max(piece.width, 300), more) if used - {"block"} or more else Piece(0, 0, 0, lambda *_: "")
    width = max(piece.width, below.width) + 2 * MARGIN
    height = piece.height + (GAP + below.height if below.height else 0) + 2 * MARGIN
    inside = piece.paint((width - piece.width) / 2, MARGIN) + below.paint(MARGIN, MARGIN + piece.height + GAP)
    size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
    first = ' xmlns="http://www.w3.org/2000/svg" font-family="system-ui, sans-serif"' if alone else ""
    under = (
        f"<style>{palette.style()}</style>" + rect(0, 0, width, height, PAPER, stroke="none", round=0) if alone else ""
    )
    told = f'role="img" aria-label="{escape(words)}"'
    return f'<svg{first} class="diagram" {told} {size} font-size="{FONT}">{under}{inside}</svg>'
