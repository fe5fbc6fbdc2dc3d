"""The curves of a claim as an SVG file of their own, for light pages and paper."""

import math
from xml.sax.saxutils import escape

from daiving.deck.evidence import Figure
from daiving.show.svg import FONT, INK, PAPER, WIDTH, axis, draw, mark, span, style

HEIGHT, LEFT, TITLE = 250, 66, 34  # px
ROW = 18  # px, a name


def picture(figure: Figure, title: str) -> str:
    """Mean of the seeds with a band from the lowest to the highest; the names of the lines stand above."""
    met = [value for rows in figure.lines.values() for row in rows for value in row[1:] if value > 0 or not figure.log]
    places = sorted({row[0] for rows in figure.lines.values() for row in rows})
    y_ends = span(met, figure.log)
    x = axis("x", span(places), figure.x, format="d", values=places, labelOverlap=False)
    look = {"format": ".0e", "values": powers(y_ends)} if figure.log else {"format": ".0f"}
    y = axis("y", y_ends, figure.y + (", log scale" if figure.log else ""), figure.log, **look)
    layers = []
    for i, rows in enumerate(figure.lines.values()):
        looks = style(i)
        color = {"color": looks["color"]}
        rows = [row for row in rows if row[2] > 0 or not figure.log]
        layers += mark(
            "area", [{"x": a, "y": low, "y2": high} for a, _, low, high in rows], x, y, **color, opacity=0.18
        )
        means = [{"x": a, "y": mean} for a, mean, _, _ in rows]
        layers += mark("line", means, x, y, **color, strokeWidth=2.5, strokeDash=looks["dash"])
        layers += mark("point", means, x, y, **color, shape=looks["shape"], filled=True, size=60, opacity=1)
    drawn = draw(layers, height=HEIGHT, left=LEFT)
    inner = drawn[drawn.index(">") + 1 : drawn.rindex("</svg>")]
    top = TITLE + ROW * len(figure.lines) + 6
    names = "".join(legend_line(i, name) for i, name in enumerate(figure.lines))
    height = top + HEIGHT + 56
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'role="img"><title>{escape(title)}</title><rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>'
        f'<text x="12" y="20" font-size="14" fill="{INK}">{escape(title)}</text>{names}'
        f'<g transform="translate(0,{top})">{inner}</g></svg>\n'
    )


def legend_line(i: int, name: str) -> str:
    """A line's look and its name, the i-th from the top."""
    looks, y = style(i), TITLE + ROW * i + 8
    dash, color = " ".join(map(str, looks["dash"])), looks["color"]
    return (
        f'<line x1="12" x2="52" y1="{y}" y2="{y}" stroke="{color}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
        f'<text x="60" y="{y + 4}" font-size="{FONT}" fill="{INK}">{escape(name)}</text>'
    )


def powers(ends: tuple[float, float]) -> list[float]:
    """A handful of powers of ten on a log axis."""
    low, high = math.ceil(math.log10(ends[0])), math.floor(math.log10(ends[1]))
    return [10.0**power for power in range(low, high + 1, max(1, (high - low) // 5))]
