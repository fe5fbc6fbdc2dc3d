"""The templates: one after the other, branches that meet, a body with a shortcut, a spine with arcs at its side.

Each takes a node, and what draws an arm of it: the opened arm, or its stages as closed boxes.
"""

from collections.abc import Callable, Sequence

from daiving.nodes import Node
from daiving.show import stages
from daiving.show.canvas import (
    GAP,
    ROW,
    SMALL,
    Piece,
    beside,
    box,
    column,
    group,
    line,
    stacked,
    text,
    wide,
)
from daiving.show.dense import dense
from daiving.show.palette import LINE, QUIET, fill
from daiving.show.stages import arm_name

Arm = Callable[[Node], Piece]
FOLLOWS = ("norm", "relu")  # drawn as a strip on the box that they belong to


def opened(node: Node) -> Piece:
    """A node with everything in it, down to its leaves."""
    if stages.is_path(node) or node.kind in TEMPLATES:
        return TEMPLATES[node.kind](node, opened)
    return column([together(parts) for parts in grouped(node)])


def together(parts: Sequence[Node]) -> Piece:
    pieces = [leaf(part) if part.kind == "leaf" else opened(part) for part in parts]
    return stacked(pieces) if len(pieces) > 1 else pieces[0]


def grouped(node: Node) -> list[list[Node]]:
    """Leaves that belong together (a convolution and its norm and activation, in either order), and forks alone."""
    if not node.children:
        return [[node]]
    groups: list[list[Node]] = []
    # Whether norm and activation come before their convolution.
    ahead = next((part.role in FOLLOWS for part in node.children if part.role in (*FOLLOWS, "conv", "linear")), False)
    fresh = True
    for part in node.children:
        if part.kind != "leaf":
            groups += grouped(part) if part.kind == "chain" else [[part]]
            fresh = True
            continue
        thin, before = part.role in FOLLOWS, None if fresh else groups[-1][-1]
        starts = before is None or (not thin and not ahead) or (before.role not in FOLLOWS and ahead)
        if starts or (not thin and before is not None and before.role not in FOLLOWS):
            groups.append([part])
        else:
            groups[-1].append(part)
        fresh = False
    return groups


def leaf(node: Node) -> Piece:
    if node.role == "identity":
        return bare(node)
    thin = node.role in FOLLOWS
    return box([node.label], fill(node.role), name=node.name, tip=stages.about(node), thin=thin)


def bare(node: Node) -> Piece:
    """A line that changes nothing, with its name beside it."""
    w = wide(node.label, SMALL)

    def paint(x: float, y: float) -> str:
        name = text(x + 8, y + ROW / 2, node.label, size=SMALL, anchor="start", fill=QUIET)
        return group(node.name, stages.about(node) if node.type else "", line((x, y), (x, y + ROW)) + name, "bare")

    return Piece(w + 8, ROW, 0, paint)


def branches(node: Node, inside: Arm) -> Piece:
    """The arms side by side in the paper's order, from one line to one box."""
    arms, join = stages.arms_and_join(node)
    pieces = [labelled(inside(arm), arm_name(arm)) for arm in arms]
    at, width = beside(pieces, 16)
    axes = [x + piece.axis for x, piece in zip(at, pieces, strict=True)]
    middle = (axes[0] + axes[-1]) / 2
    tallest = max(piece.height for piece in pieces)
    end = (
        box([join.label], fill(join.role), name=join.name, tip=stages.about(join), width=axes[-1] - axes[0] + 60)
        if join
        else None
    )
    left = max(0.0, end.width / 2 - middle) if end else 0.0
    width = max(width, middle + end.width / 2 if end else 0) + left
    fork, meet = 12, 12 + tallest + GAP
    height = meet + (end.height if end else 12)

    def paint(x: float, y: float) -> str:
        x += left
        out = line((x + middle, y), (x + middle, y + fork))
        for axis, shift, piece in zip(axes, at, pieces, strict=True):
            start, top, bottom = x + axis, y + fork, y + fork + piece.height
            out += line((x + middle, top), (start, top)) + piece.paint(x + shift, top)
            if end:
                out += line((start, bottom), (start, y + meet), head=True, kind="meets")
            else:
                out += line((start, bottom), (start, y + meet), (x + middle, y + meet))
        if end:
            return out + end.paint(x + middle - end.width / 2, y + meet)
        return out + line((x + middle, y + meet), (x + middle, y + height))

    return Piece(width, height, left + middle, paint, pointed=False)


def labelled(piece: Piece, name: str) -> Piece:
    """An arm below the line that it branches off, with its name beside that line."""
    top = 24
    width = max(piece.width, piece.axis + 8 + wide(name, SMALL))

    def paint(x: float, y: float) -> str:
        start = x + piece.axis
        name_there = text(start + 7, y + 10, name, size=SMALL, anchor="start", fill=QUIET)
        return group(
            name, "", line((start, y), (start, y + top), head=True) + name_there + piece.paint(x, y + top), "arm"
        )

    return Piece(width, piece.height + top, piece.axis, paint)


def residual(node: Node, inside: Arm) -> Piece:
    """The body as a column; every further arm as a line beside it, bare or with its boxes; a circle that adds."""
    arms, join = stages.arms_and_join(node)
    if len(arms) > 1 and arms[0].role == "identity":  # the body stands on the axis, whichever is written first
        arms = (*arms[1:], arms[0])
    pieces = [inside(arm) for arm in arms]
    at, width = beside(pieces, 28)
    axes = [x + piece.axis for x, piece in zip(at, pieces, strict=True)]
    tallest, radius = max(piece.height for piece in pieces), 10
    label = join.label if join else ""
    fork, start = 10, 10 + GAP
    meet = start + tallest + GAP + radius  # middle of the circle
    left = max(0.0, wide(label, SMALL) + radius + 6 - axes[0])  # the circle's label stands at its left

    def paint(x: float, y: float) -> str:
        x += left
        axis = x + axes[0]
        out = line((axis, y), (axis, y + start), head=True) + pieces[0].paint(x, y + start)
        out += line((axis, y + start + pieces[0].height), (axis, y + meet - radius), head=True)
        for own, shift, piece, arm in zip(axes[1:], at[1:], pieces[1:], arms[1:], strict=True):
            # A shortcut's boxes stand at half the height of the body.
            side, top = x + own, y + start + (tallest - piece.height) / 2
            drawn = line((axis, y + fork), (side, y + fork), (side, top), head=arm.role != "identity", kind="shortcut")
            drawn += piece.paint(x + shift, top)
            drawn += line(
                (side, top + piece.height), (side, y + meet), (axis + radius, y + meet), head=True, kind="shortcut"
            )
            out += group(arm_name(arm), "", drawn, "past")
        circle = f'<circle cx="{axis:g}" cy="{y + meet:g}" r="{radius}" fill="{fill("add")}" stroke="{LINE}"/>'
        circle += line((axis - 5, y + meet), (axis + 5, y + meet)) + line((axis, y + meet - 5), (axis, y + meet + 5))
        if join:
            circle += text(axis - radius - 6, y + meet, label, size=SMALL, anchor="end", fill=QUIET)
        return out + group(join.name if join else "", stages.about(join) if join else "", circle, "add")

    return Piece(width + left, meet + radius, axes[0] + left, paint, pointed=False)


TEMPLATES: dict[str, Callable[[Node, Arm], Piece]] = {"branches": branches, "residual": residual, "dense": dense}
