"""A net as a table in the terminal, a row for each stage, and as plain values for a program."""

import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daiving.nodes import Node
from daiving.show.numbers import amount, mib, shape
from daiving.show.stages import Stage, is_path, stages, title, what

WIDTH = 80
WORDS = 24  # columns for name and what, at the least; they are folded
HEADS = ("name", "what", "out", "parameters", "MACs", "MiB")


def look_text(node: Node, depth: int = 0, one: str = "image") -> str:
    """Stages with what they give and cost, at most 80 columns wide; `depth` levels deeper, their parts as well. `one`
    is what a single input is called."""
    out = io.StringIO()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for head in HEADS:
        left = head in HEADS[:2]
        table.add_column(head, justify="left" if left else "right", no_wrap=not left)
    found = [cells(stage, level) for stage, level in rows(node, depth)]
    total = ("in all", "", shape(node.given), *numbers(node))
    if sum(max(len(row[i]) + 1 for row in (*found, total)) for i in range(2, len(HEADS))) > WIDTH - WORDS:
        # Never a number with its end cut off: the sizes of very large images are written short, as "1.2 G".
        found = [brief(row) for row in found]
        total = brief(total)
    for row in found:
        table.add_row(*(Text(word, overflow="fold") for word in row))
    table.add_section()
    table.add_row(*total, style="bold")
    Console(file=out, width=WIDTH, highlight=False).print(table)
    lines = [line.rstrip() for line in out.getvalue().rstrip().splitlines()]
    lines += ["", f"MACs: multiply-adds for one {one}, in evaluation."]
    lines.append(f"MiB: kept for the backward pass of one {one}, in training, float32.")
    if any(part.aux for part in node.walk()):
        lines.append("aux: runs in training only; its MACs are in no sum.")
    return "\n".join(lines)


def rows(node: Node, depth: int = 0, level: int = 0) -> Iterator[tuple[Stage, int]]:
    """Stages and how deep they lie, in order of execution; equal neighbours are one row."""
    for stage in stages(node):
        yield stage, level
        # A fork that is no module has no name to be asked for; its arms are at the level of the stages around it.
        if stage.node.children and (depth > 0 or is_path(stage.node)):
            yield from below(stage.node, depth - (not is_path(stage.node)), level + 1)
        for aux in stage.aux:
            yield Stage((aux,)), level
            if depth > 0:
                yield from below(aux, depth - 1, level + 1)


def below(node: Node, depth: int, level: int) -> Iterator[tuple[Stage, int]]:
    if node.kind == "chain":
        yield from rows(node, depth, level)
        return
    for part in node.children:
        yield Stage((part,)), level
        if part.children and (depth > 0 or not part.type):
            yield from below(part, depth - bool(part.type), level + 1)


def cells(stage: Stage, level: int) -> tuple[str, ...]:
    """What stands in the row of a stage, in the order of `HEADS`."""
    node = stage.node
    name = node.name.rpartition(".")[2] if node.type else node.label
    last = stage.nodes[-1].name.rpartition(".")[2]
    name = title(node) if node.aux and node.role == "block" else name
    many = f" x {len(stage.nodes)}" if len(stage.nodes) > 1 else ""
    said = "  " * level + (f"{name}…{last}" if many and last != name else name) + many
    each = "each " if many else ""
    return (said, each + what(node), shape(stage.nodes[-1].given), *numbers(node, len(stage.nodes)))


def numbers(node: Node, times: int = 1) -> tuple[str, str, str]:
    """Of all equal neighbours together, so that a column adds up."""
    return f"{node.parameters * times:,}", f"{node.macs * times:,}", mib(node.saved * times)


def brief(row: tuple[str, ...]) -> tuple[str, ...]:
    return (*row[:3], *(amount(int(number.replace(",", ""))) for number in row[3:5]), row[5])


def to_dict(node: Node) -> dict[str, Any]:
    """The whole tree as plain values: all fields of every node, children nested."""
    return listed(asdict(node))


def listed(value: Any) -> Any:
    """The same with lists where there were tuples, as JSON has them."""
    if isinstance(value, dict):
        return {key: listed(one) for key, one in value.items()}
    return [listed(one) for one in value] if isinstance(value, tuple | list) else value
