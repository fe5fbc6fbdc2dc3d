"""Pictures of nets as SVG: a whole net as its stages, one block opened, two nets side by side.

Everything is drawn from the plain tree of `daiving.nodes`, top to bottom.
"""

from collections.abc import Collection

from daiving.nodes import Node
from daiving.show import palette
from daiving.show.blocks import TEMPLATES, leaf, opened
from daiving.show.canvas import BOLD, GAP, ROW, Piece, column, framed, line, text
from daiving.show.closed import caption, closed, finished, hung, measure
from daiving.show.numbers import shape
from daiving.show.stages import (
    Lane,
    Stage,
    about,
    aligned,
    arms_and_join,
    cost,
    difference,
    holds_blocks,
    in_lanes,
    is_open,
    is_path,
    named,
    stages,
    title,
    what,
)


def net_svg(node: Node, open: Collection[str] = (), *, alone: bool = True) -> str:
    """A net as a column of its stages. Those named in `open` show their inside.

    `alone` gives a file that stands for itself; on a page, which has `palette.style()` once, it is False.
    """
    parts = [whole_column(node, open)]
    words = f"{node.label}: {shape(node.taken)} to {shape(node.given)}, {cost(node)}. From top to bottom: "
    words += ", ".join(stage.title for stage in stages(node, open)) + "."
    return finished(column(parts), words, shown_roles(node, open), alone)


def block_svg(node: Node, *, alone: bool = True) -> str:
    """One block with everything in it; a stage that holds several blocks as a column of these."""
    inside = stage_column(node, ()) if holds_blocks(node) else opened(node)
    piece = framed(
        inside,
        title(node) + (f" · {what(node)}" if what(node) != node.label else ""),
        name=node.name,
        tip=about(node),
        below=cost(node),
    )
    piece = column([caption(shape(node.taken)), piece, caption(shape(node.given))])
    roles = (
        {leaf.role for leaf in node.walk() if leaf.kind == "leaf"} if not holds_blocks(node) else shown_roles(node, ())
    )
    return finished(piece, f"{about(node)}.", roles, alone)


def whole_column(node: Node, open: Collection[str]) -> Piece:
    ends = [caption(shape(node.taken)), stage_column(node, open), caption(f"logits, {shape(node.given)}")]
    return column(ends[node.children[:1] != () and node.children[0].role == "input" :])


def stage_column(node: Node, open: Collection[str], width: float = 0) -> Piece:
    width = max(width, widest(node, open))
    return column([with_aux(stage, stage_piece(stage, open, width), open) for stage in stages(node, open)])


def widest(node: Node, open: Collection[str]) -> float:
    """What the boxes of a column, and of the first arm of a fork in it, are wide."""
    return max(
        widest(stage.node.children[0], open) if is_path(stage.node) else measure(stage) for stage in stages(node, open)
    )


def stage_piece(stage: Stage, open: Collection[str], width: float = 0) -> Piece:
    node = stage.node
    if is_path(node):
        return TEMPLATES[node.kind](node, lambda arm: arm_column(arm, open, width if arm is node.children[0] else 0))
    if is_open(node, open):
        whole = any(named(node, name) for name in open)
        inside = (
            opened(node)
            if whole and not holds_blocks(node)
            else stage_column(node, open)
            if node.kind == "chain"
            else opened(node)
        )
        return framed(inside, title(node), name=node.name, tip=about(node), below=f"{shape(node.given)} · {cost(node)}")
    return closed(stage, max(width, measure(stage)))


def arm_column(arm: Node, open: Collection[str], width: float) -> Piece:
    """An arm of a fork that holds stages: a path shows them, a module is one of them."""
    if arm.role == "identity":
        return leaf(arm)
    return stage_piece(Stage((arm,)), open, width) if arm.type else stage_column(arm, open, width)


def with_aux(stage: Stage, piece: Piece, open: Collection[str]) -> Piece:
    """A stage with the auxiliary heads that read it at its right, dashed."""
    if not stage.aux:
        return piece
    sides = []
    for aux in stage.aux:
        if is_open(aux, open):
            sides.append(
                framed(opened(aux), f"{title(aux)}, while it trains", name=aux.name, tip=about(aux), dashed=True)
            )
        else:
            sides.append(hung(aux))
    side = column(sides, 10, left=[0] * len(sides)) if len(sides) > 1 else sides[0]
    height = max(piece.height, side.height)

    def paint(x: float, y: float) -> str:
        edge, middle = x + piece.width, y + min(piece.height, side.height) / 2
        out = piece.paint(x, y) + line((edge, middle), (edge + 32, middle), head=True, dashed=True)
        if height > piece.height:
            out += line((x + piece.axis, y + piece.height), (x + piece.axis, y + height))
        return out + side.paint(edge + 32, y)

    return Piece(piece.width + 32 + side.width, height, piece.axis, paint)


def shown_roles(node: Node, open: Collection[str]) -> set[str]:
    """Roles of the boxes that a picture of stages has."""
    roles: set[str] = set()
    for stage in stages(node, open):
        one = stage.node
        if is_path(one):
            arms, join = arms_and_join(one)
            roles |= {join.role} if join else set()
            for arm in arms:
                roles |= shown_roles(arm, open) if not arm.type else {arm.role}
        elif is_open(one, open):
            closed_inside = holds_blocks(one)
            roles |= (
                shown_roles(one, open) if closed_inside else {part.role for part in one.walk() if part.kind == "leaf"}
            )
        else:
            roles.add(one.role)
        for aux in stage.aux:
            roles |= {part.role for part in aux.walk() if part.kind == "leaf"} if is_open(aux, open) else set()
    return roles


def pair_svg(a: Node, b: Node, names: tuple[str, str] | None = None, *, alone: bool = True) -> str:
    """Two nets side by side, equal things at one height; what differs, or is in one only, is tinted and marked."""
    titles = names or (a.label, b.label)
    lanes = in_lanes(a), in_lanes(b)
    rows = aligned(*lanes)
    kinds = [difference(*row) for row in rows]
    # The boxes of each lane are equally wide in both nets, with room for the marks; further lanes are all as one.
    widths = [
        max(
            (measure(at.stage) + 16 for side in lanes for at in side if bool(at.lane) == far and not at.hangs),
            default=0,
        )
        for far in (False, True)
    ]
    tops, y = [], 32.0
    for row in rows:
        tops.append(y)
        y += max(closed(at.stage, 0).height for at in row if at) + GAP
    sides = []
    for which in (0, 1):
        entries = [(row[which], top, kind) for row, top, kind in zip(rows, tops, kinds, strict=True)]
        sides.append(one_of_two(titles[which], [(at, top, kind) for at, top, kind in entries if at], widths))
    apart = 40

    def paint(x: float, top: float) -> str:
        return sides[0].paint(x, top) + sides[1].paint(x + sides[0].width + apart, top)

    counts = [kinds.count(kind) for kind in LOOKS]
    words = f"{titles[0]} beside {titles[1]}: {counts[0]} rows the same, {counts[1]} differ, {counts[2]} in one only."
    more = [(palette.DIFFERS, "≠ differs"), (palette.ONLY, "+ only in this one")]
    roles = {at.stage.node.role for side in lanes for at in side} - {"block"}
    return finished(Piece(sides[0].width + apart + sides[1].width, y - GAP, 0, paint), words, roles, alone, more)


HUNG = 40  # px from a net's line to an auxiliary head beside it
LOOKS = {"alike": (palette.FRAME, ""), "unlike": (palette.DIFFERS, "≠"), "alone": (palette.ONLY, "+")}


def one_of_two(title: str, entries: list[tuple[Lane, float, str]], widths: list[float]) -> Piece:
    """One net of two: its stages at the heights that are given, the arms of a fork on lanes side by side."""
    apart = 40
    many = 1 + max(at.lane for at, _, _ in entries)
    widths = [widths[0], *widths[1:] * (many - 1)]
    left = [sum(widths[:lane]) + apart * lane for lane in range(many)]

    def paint(x: float, y: float) -> str:
        axes = [x + left[lane] + widths[lane] / 2 for lane in range(many)]
        out = text(x, y + 8, title, anchor="start", more=BOLD)
        ends: dict[int, float] = {}  # lane -> how far down its line has come
        fork = y
        for at, top, kind in entries:
            tint, mark = LOOKS[kind]
            top, axis = y + top, axes[at.lane]
            if at.hangs:
                box = closed(at.stage, 0, tint, mark, f"stage {kind}", dashed=True)
                level = top + box.height / 2
                out += line((axis, level), (axis + HUNG, level), head=True, dashed=True) + box.paint(axis + HUNG, top)
                continue
            box = closed(at.stage, widths[at.lane], tint, mark, f"stage {kind}")
            if at.splits:
                fork = ends.get(0, top - GAP) + 7
            if at.meets:
                level = top + ROW / 2
                for lane in [lane for lane in ends if lane]:
                    corners = ((axes[lane], ends.pop(lane)), (axes[lane], level), (axes[0] + widths[0] / 2, level))
                    out += line(*corners, head=True, kind="shortcut")
            if at.lane in ends:
                out += line((axis, ends[at.lane]), (axis, top), head=True)
            elif at.lane:
                out += line((axes[0], fork), (axis, fork), (axis, top), head=True, kind="shortcut")
            out += box.paint(x + left[at.lane], top)
            ends[at.lane] = top + box.height
        return out

    height = entries[-1][1] + ROW
    hung = max((measure(at.stage) + 16 for at, _, _ in entries if at.hangs), default=0)
    width = max(sum(widths) + apart * (many - 1), widths[0] / 2 + HUNG + hung if hung else 0)
    return Piece(width, height, widths[0] / 2, paint)
