"""The curves of a claim as an SVG file of their own, for light pages and paper."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from daiving.deck.evidence import Figure
from daiving.show.svg import FONT, INK, PAPER, WIDTH, Span, axis, draw, mark, span, steps_125, style, ticks

HEIGHT, LEFT, TITLE = 250, 66, 34  # px
ROW = 18  # px, a name
LETTERS = 56  # of a line of the title
FLOOR: dict[str, Any] = {"strokeWidth": 1.5, "strokeDash": [2, 3]}
SINGLE = 12  # so many points of a line are marked one by one, and named on the axis


def picture(figure: Figure, title: str) -> str:
    """The lines with their bands (of the lowest and highest seeds, or what the names say); the names stand above."""
    floors = {name: value for name, value in figure.floors.items() if value > 0 or not figure.log}
    met = [value for rows in figure.lines.values() for row in rows for value in row[1:] if value > 0 or not figure.log]
    places = sorted({row[0] for rows in figure.lines.values() for row in rows})
    x_ends = span(places, figure.log_x)
    y_ends = span([*met, *floors.values()], figure.log)
    x = axis(
        "x", x_ends, figure.x, figure.log_x, format="d", labelOverlap=False, **all_of(places_named(places, figure))
    )
    y = axis("y", y_ends, figure.y + (", log scale" if figure.log else ""), figure.log, **look(y_ends, figure.log))
    layers = []
    for i, (name, rows) in enumerate(figure.lines.items()):
        looks = style(i)
        color = {"color": looks["color"]}
        rows = [row for row in rows if row[2] > 0 or not figure.log]
        if any(row[2] < row[3] for row in rows):
            band = [{"x": a, "y": low, "y2": high} for a, _, low, high in rows]
            layers += mark("area", band, x, y, **color, opacity=0.18)
        if name in floors:
            layers += mark("line", across(x_ends, floors[name]), x, y, **color, **FLOOR)
        means = [{"x": a, "y": mean} for a, mean, _, _ in rows]
        layers += mark("line", means, x, y, **color, strokeWidth=2.5, strokeDash=looks["dash"])
        if len(rows) <= SINGLE:
            layers += mark("point", means, x, y, **color, shape=looks["shape"], filled=True, size=60, opacity=1)
    own = [name for name in floors if name not in figure.lines]
    for name in own:
        layers += mark("line", across(x_ends, floors[name]), x, y, color=INK, **FLOOR)
    drawn = draw(layers, height=HEIGHT, left=LEFT)
    inner = drawn[drawn.index(">") + 1 : drawn.rindex("</svg>")]
    headings = textwrap.wrap(title, LETTERS)
    names = [
        legend_line(i, floored(name, floors), looks["color"], looks["dash"], 2.5)
        for i, (name, looks) in enumerate((name, style(i)) for i, name in enumerate(figure.lines))
    ]
    names += [
        legend_line(i, f"{name}: {floors[name]:.4f}", INK, FLOOR["strokeDash"], FLOOR["strokeWidth"])
        for i, name in enumerate(own, len(names))
    ]
    more = ROW * (len(headings) - 1)
    top = TITLE + ROW * len(names) + 6
    height = more + top + HEIGHT + 56
    heading = "".join(
        f'<text x="12" y="{20 + ROW * i}" font-size="14" fill="{INK}">{escape(line)}</text>'
        for i, line in enumerate(headings)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'role="img"><title>{escape(title)}</title><rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>'
        f'{heading}<g transform="translate(0,{more})">{"".join(names)}'
        f'<g transform="translate(0,{top})">{inner}</g></g></svg>\n'
    )


def across(x_ends: Span, value: float) -> list[dict[str, float]]:
    return [{"x": end, "y": value} for end in x_ends]


def floored(name: str, floors: dict[str, float]) -> str:
    return f"{name} (dotted: its floor, {floors[name]:.4f})" if name in floors else name


def legend_line(i: int, name: str, color: str, dash: Sequence[int], width: float) -> str:
    """A line's look and its name, the i-th from the top."""
    y = TITLE + ROW * i + 8
    return (
        f'<line x1="12" x2="52" y1="{y}" y2="{y}" stroke="{color}" stroke-width="{width}" '
        f'stroke-dasharray="{" ".join(map(str, dash))}"/>'
        f'<text x="60" y="{y + 4}" font-size="{FONT}" fill="{INK}">{escape(name)}</text>'
    )


def places_named(places: list[float], figure: Figure) -> list[float]:
    """The places on the x axis that have their number written to them: all, or a handful."""
    if len(places) <= SINGLE:
        return places
    if figure.log_x:
        return [power for power in powers((places[0], places[-1])) if places[0] <= power <= places[-1]]
    return [float(tick) for tick in ticks(int(places[0]), int(places[-1]))]


def look(ends: Span, log: bool) -> dict[str, Any]:
    """How the y axis is written on: far apart in whole numbers or powers of ten, near with digits behind the point."""
    if not log:
        return {"format": ".0f" if ends[1] - ends[0] > 5 else ".2f"}
    if ends[1] / ends[0] < 100:
        return {"format": "~g", **all_of(steps_125(*ends))}
    return {"format": ".0e", **all_of(powers(ends))}


def all_of(values: list[float]) -> dict[str, Any]:
    """An axis with these numbers; without a count Vega leaves out every second one of more than five."""
    return {"values": values, "tickCount": len(values)}


def powers(ends: tuple[float, float]) -> list[float]:
    """A handful of powers of ten on a log axis."""
    low, high = math.ceil(math.log10(ends[0])), math.floor(math.log10(ends[1]))
    return [10.0**power for power in range(low, high + 1, max(1, (high - low) // 5))]
