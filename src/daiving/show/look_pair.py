"""Two nets as one table in the terminal, equal stages on one row and every difference marked."""

import io

from rich.console import Console
from rich.table import Table

from daiving.nodes import Node
from daiving.show.numbers import amount, shape
from daiving.show.stages import Lane, aligned, difference, in_lanes, last_name, title

WIDTH = 80
MARKS = {"alike": "", "unlike": "≠", "alone": "+"}


def pair_text(a: Node, b: Node, names: tuple[str, str]) -> str:
    """At most 80 columns: for each stage of either net what it gives and costs there."""
    rows = aligned(in_lanes(a), in_lanes(b))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for head in ("", "A", "out", "params", "MACs", "B", "out", "params", "MACs"):
        table.add_column(head, justify="left" if head in ("", "A", "B") else "right", no_wrap=head not in ("A", "B"))
    for left, right in rows:
        table.add_row(MARKS[difference(left, right)], *cells(left), *cells(right))
    table.add_section()
    ends = [(shape(net.given), amount(net.parameters), amount(net.macs)) for net in (a, b)]
    table.add_row("", "in all", *ends[0], "in all", *ends[1], style="bold")
    out = io.StringIO()
    Console(file=out, width=WIDTH, highlight=False).print(table)
    lines = [f"A: {names[0]}", f"B: {names[1]}", "", *(line.rstrip() for line in out.getvalue().rstrip().splitlines())]
    kinds = [difference(left, right) for left, right in rows]
    counts = [kinds.count(kind) for kind in MARKS]
    differ = "differs" if counts[1] == 1 else "differ"
    lines += ["", f"{counts[0]} rows the same, {counts[1]} {differ} (≠), {counts[2]} in one only (+)."]
    lines.append(f"Parameters, B to A: {b.parameters - a.parameters:+,}; MACs: {b.macs - a.macs:+,}.")
    return "\n".join(lines)


def cells(at: Lane | None) -> tuple[str, ...]:
    if at is None:
        return ("", "", "", "")
    node, many = at.stage.node, len(at.stage.nodes)
    name = (title(node) if node.aux else last_name(node) or title(node)) + (f" x {many}" if many > 1 else "")
    return name, shape(at.stage.nodes[-1].given), amount(node.parameters * many), amount(node.macs * many)
