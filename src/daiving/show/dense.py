"""The template of dense blocks: a spine of layers, and at its side a line from each place to every later layer."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from daiving.nodes import Node
from daiving.show import stages
from daiving.show.canvas import SMALL, Piece, box, group, halo, line, rect, text, wide
from daiving.show.palette import GRID, INK, PAPER, QUIET, fill
from daiving.show.stages import arm_name

MOST = 8  # layers that are all drawn


def dense(node: Node, inside: Callable[[Node], Piece]) -> Piece:
    """Layers along a spine; at its left a line from each place to each later layer; how many channels are there."""
    layers, join = stages.arms_and_join(node)
    places = channels(node, layers)
    count = len(layers)
    drawn = range(count) if count <= MOST else [0, 1, 2, count - 2, count - 1]
    pieces = {i: panel(inside(layers[i]), arm_name(layers[i])) for i in drawn}
    more = f"{count - len(pieces)} more layers, 4 to {count - 2}"
    notes = [f"{places[0]} channels", *(f"+{now - then} = {now}" for then, now in pairwise(places))]
    sources = [i for i in range(count) if i in pieces or i - 1 in pieces]  # places that lines start from
    lane = 9
    half = max(*(piece.axis for piece in pieces.values()), wide(more, SMALL) / 2 + 9)
    axis = half + 20 + lane * len(sources)
    end = box([join.label], fill(join.role), name=join.name, tip=stages.about(join)) if join else None
    right = max(
        [piece.width - piece.axis for piece in pieces.values()] + [half, *(12 + wide(note, SMALL) for note in notes)]
    )
    room, skip = 36, 44  # height of a place with its arrows, and of the layers that are left out
    height = sum(piece.height + room for piece in pieces.values()) + (room + skip if count > len(pieces) else 0)
    height += room + (end.height if end else 0)

    def paint(x: float, y: float) -> str:
        middle, out = x + axis, ""
        lanes = {source: x + lane * k for k, source in enumerate(sources)}
        spots: dict[int, float] = {}  # the height of each place

        def spot(i: int, y: float) -> str:
            spots[i] = y + 12
            dot = f'<circle cx="{middle:g}" cy="{y + 12:g}" r="4" fill="{INK}"/>'
            note = text(middle + 10, y + 11, notes[i], size=SMALL, anchor="start", more=halo())
            return group(f"place {i}", "", line((middle, y), (middle, y + 12)) + dot + note, "place")

        def reach(target: int, edge: float, top: float, tall: float, kind: str) -> str:
            """Lines to a layer from all places before it: from the last one straight, from the others around."""
            told = line((middle, spots[target]), (middle, top), head=True, kind=kind) if target in spots else ""
            far = [source for source in sources if source < target and source in spots]
            step = min(lane, (tall - 8) / max(1, len(far)))
            for k, source in enumerate(far):
                into = top + 6 + step * (len(far) - 1 - k)
                corners = ((lanes[source], spots[source]), (lanes[source], into))
                told += line((middle, spots[source]), *corners, (edge, into), head=True, kind=kind, curve=10)
            return told

        for i in drawn:
            if i - 1 not in pieces and i:
                out += spot(3, y) + line((middle, y + 12), (middle, y + room)) + left_out(middle, y + room, more)
                y += room + skip
            out += spot(i, y)
            y += room
            piece, edge = pieces[i], middle - pieces[i].axis
            out += reach(i, edge, y, min(piece.height, 80), "connection")
            out += group(layers[i].name, "", piece.paint(edge, y), "layer")
            y += piece.height
        out += spot(count, y)
        if end:
            out += reach(count, middle - end.axis, y + room, end.height, "join")
            return out + end.paint(middle - end.axis, y + room)
        return out + line((middle, y + 12), (middle, y + room))

    return Piece(axis + right, height, axis, paint, pointed=False)


def panel(piece: Piece, name: str) -> Piece:
    """A layer on a sheet of its own, at whose edge lines can end, with its name at the right."""
    side = 9
    reach = piece.axis + side  # as far to the left of the line as to the right
    half = max(reach, piece.width - piece.axis + side)

    def paint(x: float, y: float) -> str:
        sheet = rect(x, y, 2 * half, piece.height + 2 * side, PAPER, stroke=GRID, round=6)
        told = text(x + 2 * half + 6, y + side + piece.height / 2, name, size=SMALL, anchor="start", fill=QUIET)
        return sheet + told + piece.paint(x + half - piece.axis, y + side)

    return Piece(2 * half + 6 + wide(name, SMALL), piece.height + 2 * side, half, paint)


def left_out(x: float, y: float, words: str) -> str:
    dots = "".join(f'<circle cx="{x:g}" cy="{y + 8 * k - 4:g}" r="1.5" fill="{INK}"/>' for k in (1, 5))
    return group("", words, dots + text(x, y + 20, words, size=SMALL, fill=QUIET, more=halo()), "left-out")


def channels(node: Node, layers: Sequence[Node]) -> list[int]:
    """How many channels lie on the spine at each place, from before the first layer to behind the last."""
    first, whole = (node.taken or (0,))[0], (node.given or (0,))[0]
    gains = [layer.given[0] if layer.given else 0 for layer in layers]
    if first + sum(gains) != whole and gains and gains[-1] == whole:  # each layer passes on what it read
        return [first, *gains]
    return [first + sum(gains[:i]) for i in range(len(gains) + 1)]
