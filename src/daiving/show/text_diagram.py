"""A block or a net drawn with the characters of a terminal, for when there is no page.

x ─┬─ 1x1 conv, 64 ──────────────────────┐
   ├─ 1x1 conv, 96 ─ 3x3 conv, 128 ──────┤
   ├─ 1x1 conv, 16 ─ 5x5 conv, 32 ───────┼─ concat
   └─ 3x3 max pool ─ 1x1 conv, 32 ───────┘
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from daiving.nodes import Node
from daiving.show.dense import channels
from daiving.show.numbers import amount, shape
from daiving.show.stages import Stage, arms_and_join, holds_blocks, is_path, stages, title, what

WIDTH = 80
CORNERS = "┬┼┴├┤┌┐└┘"
Words = Callable[[Node], str]


@dataclass(frozen=True)
class Drawn:
    """Lines of one width, the one at which it is entered and the one at which it is left."""

    lines: tuple[str, ...]
    enter: int = 0
    leave: int = 0

    @property
    def width(self) -> int:
        return len(self.lines[0])


def text_diagram(node: Node, width: int = WIDTH) -> str:
    """A node on lines of at most `width` characters: with every part while there is room, else with less said of each.

    A whole net, or a stage of several blocks, is the row of its parts.
    """
    if node.kind == "leaf":
        return cut(node.label, width)
    if not node.name or holds_blocks(node):
        return net_text(node, width)
    for words, thin in ((plain, True), (plain, False), (brief, False)):
        drawn = in_row([Drawn(("x",)), *parts(node, words, thin)])
        if drawn.width <= width:
            return "\n".join(line.rstrip() for line in drawn.lines)
    return "\n".join(listed(node, width))


def plain(node: Node) -> str:
    return node.label


def brief(node: Node) -> str:
    """Without the words that a reader of such diagrams supplies: `3x3, 64`, `3x3 max /2`."""
    return node.label.replace(" conv", "").replace(" pool", "").replace("identity", "")


def parts(node: Node, words: Words, thin: bool) -> list[Drawn]:
    """What stands in a row for a node; without `thin`, norms and activations stay unsaid."""
    if node.kind == "dense":
        return [spine(node)]
    if node.kind in ("branches", "residual"):
        arms, join = arms_and_join(node)
        drawn = [in_row(parts(arm, words, thin)) for arm in arms]
        return [forked(drawn), *([Drawn((words(join),))] if join else [])]
    if not node.children or (node.role == "conv" and not thin):
        hidden = not thin and node.role in ("norm", "relu", "identity")
        return [] if hidden or node.role == "identity" else [Drawn((words(node),))]
    return [drawn for part in node.children for drawn in parts(part, words, thin)]


def in_row(drawn: Sequence[Drawn]) -> Drawn:
    """One behind the other, each entered where the one before was left."""
    if not drawn:
        return Drawn(("─",))
    whole = drawn[0]
    for one in drawn[1:]:
        shift = whole.leave - one.enter
        above = max(0, -shift)
        count = above + max(len(whole.lines), len(one.lines) + shift)
        link = ("─" if whole.lines[whole.leave][-1] in CORNERS else " ─") + (
            "" if one.lines[one.enter][0] in CORNERS else " "
        )
        rows = []
        for i in range(count):
            left, right = i - above, i - above - shift
            first = whole.lines[left] if 0 <= left < len(whole.lines) else " " * whole.width
            last = one.lines[right] if 0 <= right < len(one.lines) else " " * one.width
            rows.append(first + (link if left == whole.leave else " " * len(link)) + last)
        whole = Drawn(tuple(rows), whole.enter + above, one.leave + above + shift)
    return whole


def forked(arms: Sequence[Drawn]) -> Drawn:
    """Arms below one another, from one line and back to one: entered at the first, left at the last but one."""
    widest = max(arm.width for arm in arms)
    rows: list[str] = []
    enters, leaves = [], []
    for arm in arms:
        enters.append(len(rows) + arm.enter)
        leaves.append(len(rows) + arm.leave)
        for i, row in enumerate(arm.lines):
            filler = "─" if i == arm.leave else " "
            tail = f" {filler * (widest - arm.width + 1)}" if i == arm.leave else " " * (widest - arm.width + 2)
            rows.append(row + tail if not (set(row) <= {"─"}) else "─" * (widest + 2))
    out = []
    exit_row = leaves[-2] if len(leaves) > 2 else leaves[0]
    for i, row in enumerate(rows):
        left, right = corner(i, enters, enters[0]), corner(i, leaves, exit_row, mirrored=True)
        start = "─" if row[0] == "─" else "──" if row[0] in CORNERS else "─ "
        out.append(left + (start if i in enters else "  ") + row + right)
    longest = max(map(len, out))
    out = [row if len(row) == longest else stretched(row, longest) for row in out]
    return Drawn(tuple(out), enters[0], exit_row)


def stretched(row: str, width: int) -> str:
    """A row as wide as the others: its line, or its space, before the last corner is made longer."""
    return row[:-1] + row[-2] * (width - len(row)) + row[-1]


def corner(row: int, at: Sequence[int], outside: int, mirrored: bool = False) -> str:
    """The piece of the vertical line that joins these rows; `outside` has a line on its other side too."""
    first, last = at[0], at[-1]
    if not first <= row <= last:
        return " "
    if row not in at:
        return "│"
    if first == last:
        return "─"
    across = row == outside
    if row == first:
        return "┬" if across else "┐" if mirrored else "┌"
    if row == last:
        return "┴" if across else "┘" if mirrored else "└"
    return "┼" if across else "┤" if mirrored else "├"


def spine(node: Node) -> Drawn:
    """A dense block: a line for each layer, a dot for each place that it reads."""
    layers, join = arms_and_join(node)
    places = channels(node, layers)
    shown = range(len(layers)) if len(layers) <= 8 else [0, 1, 2, len(layers) - 2, len(layers) - 1]
    names = [layers[i].label if layers[i].type else f"layer {i + 1}" for i in range(len(layers))]
    wide = max(len(names[i]) for i in shown)
    rows, before = [], -1
    for i in shown:
        if i > before + 1:
            rows.append(f"… {i - before - 1} more layers")
        dots = "●─" * min(i + 1, 8 if i < 8 else 3) + ("…─" if i >= 8 else "")
        line = "─" * (2 * min(8, len(layers)) + 2 - len(dots))
        rows.append(f"{dots}{line} {names[i]:<{wide}} reads {places[i]}, adds {places[i + 1] - places[i]}")
        before = i
    rows.append(f"{join.label if join else 'together'}: {places[-1]} channels")
    longest = max(map(len, rows))
    return Drawn(tuple(row.ljust(longest) for row in rows), 0, 0)


def listed(node: Node, width: int) -> list[str]:
    """When nothing else fits: an arm a line, cut at the right side."""
    arms, join = arms_and_join(node) if node.kind != "chain" else (node.children, None)
    lines = [f"x: {title(node)}, {what(node)}"]
    for arm in arms:
        if arm.kind in ("branches", "residual", "dense") or any(is_path(part) for part in arm.children):
            lines += [f"  {line}" for line in listed(arm, width - 2)]
        else:
            words = [drawn.lines[0] for drawn in parts(arm, brief, thin=False)] or ["─"]
            lines += wrap(f"├─ {' ─ '.join(words)}", width, subsequent_indent="│    ")
    return [cut(line, width) for line in [*lines, *([f"└─ {join.label}"] if join else [])]]


def net_text(node: Node, width: int) -> str:
    """Stages in a row, as the map at the head of a net's file; below, what else there is to say of them."""
    found = stages(node)
    words = [f"{stage_words(stage)}" for stage in found]
    lines, row = [], ""
    for i, word in enumerate(words):
        word = cut(word + (" ─" if i < len(words) - 1 else ""), width)
        if row and len(row) + 1 + len(word) > width:
            lines.append(row)
            row = "  " + word if len(word) + 2 <= width else word
        else:
            row = f"{row} {word}" if row else word
    lines.append(row)
    for stage in found:
        lines += [cut(f"behind {title(stage.node)}, while it trains: {title(aux)}", width) for aux in stage.aux]
        if is_path(stage.node):
            lines += ["", *text_of_path(stage.node, width)]
    ends = f"{shape(node.taken)} to {shape(node.given)}; {amount(node.parameters)} parameters, {amount(node.macs)} MACs"
    return "\n".join([*lines, cut(ends, width)])


def text_of_path(fork: Node, width: int) -> list[str]:
    """A fork between stages, its stages closed."""
    arms, join = arms_and_join(fork)
    drawn = [
        in_row(
            [Drawn((title(part),)) for part in (arm.children if not arm.type else (arm,)) if part.role != "identity"]
        )
        for arm in arms
    ]
    row = in_row([Drawn(("x",)), forked(drawn), *([Drawn((join.label,))] if join else [])])
    return [cut(line.rstrip(), width) for line in row.lines]


def stage_words(stage: Stage) -> str:
    node = stage.node
    return f"({what(node)}: see below)" if is_path(node) else stage.title


def cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
