"""The account of a net's branches for the terminal: what each 1x1 before a larger kernel saves, or costs."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from daiving.show.numbers import amount

WIDTH = 80
Row = Mapping[str, Any]  # of `account`: block, branch, kernel, size, channels, reduced, direct, ratio
HEADS = ("branch", "map", "MACs", "without it", "")


def account_text(rows: Sequence[Row]) -> str:
    """Lines of at most 80 columns, one a branch, equal neighbours once. Numbers are whole, or short: `199 M`."""
    blocks = [list(group) for _, group in groupby(rows, key=lambda row: row["block"])]
    runs: list[tuple[list[Row], str, int]] = []  # rows of the first block, name of the last, how many
    for block in blocks:
        last = block[0]["block"]
        if runs and alike(runs[-1][0], block):
            runs[-1] = (runs[-1][0], last, runs[-1][2] + 1)
        else:
            runs.append((block, last, 1))
    for number in (lambda n: f"{n:,}", amount):
        lines = aligned([HEADS, *(cells(row, last, many, number) for block, last, many in runs for row in block)])
        if max(map(len, lines)) <= WIDTH:
            break
    return "\n".join(lines)


def alike(a: Sequence[Row], b: Sequence[Row]) -> bool:
    return [{**row, "block": ""} for row in a] == [{**row, "block": ""} for row in b]


def cells(row: Row, last: str, many: int, number: Any) -> tuple[str, ...]:
    name = short(row["block"]) if many == 1 else f"{short(row['block'])}…{short(last).rpartition('.')[2]}"
    c_in, c_mid, c_out = row["channels"]
    path = f"{'x'.join(map(str, (*row['size'], c_in)))} → {c_mid} → {c_out}"
    ratio = row["ratio"]
    verdict = f"{ratio:.1f}x cheaper" if ratio > 1 else f"{1 / ratio - 1:.0%} dearer"
    return f"{name} {row['branch']}".strip(), path, number(row["reduced"]), number(row["direct"]), verdict


def short(block: str) -> str:
    """The name of a block without what is the same in all of them."""
    return block.removeprefix("body.").removesuffix(".body.branches")


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns two spaces apart, as wide as what stands in them; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            word.rjust(width) if i in (2, 3) else word.ljust(width)
            for i, (word, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
