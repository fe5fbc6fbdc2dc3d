"""How the gradient fades through time: as a curve on a log axis, and as numbers for the terminal."""

import math
import textwrap
from collections.abc import Sequence
from html import escape

from daiving.rolled import FADED, Fading
from daiving.show.text_diagram import cut

FLOOR = 1e-10  # a share below it is drawn, and printed, as if it were this
WIDTH = 80


def memory_text(found: Sequence[Fading], about: str) -> str:
    """The shares at some distances, and each net's memory length."""
    steps = len(found[0].mean)
    wide = max(10, (WIDTH - 13) // len(found) - 2)
    names = [cut(one.name, wide) for one in found]
    widths = [max(len(name), 10) for name in names]
    rows = [("steps back", *names)]
    rows += [(str(at), *(value(one.share[at]) for one in found)) for at in distances(steps)]
    rows += [("memory", *(length(one, steps) for one in found))]
    lines = [
        "Gradient of the last step's loss by each step's input, as a share of that by the",
        f"last input; {about}.",
        "",
    ]
    for row in rows:
        cells = "".join(f"  {cell:<{w}}" for cell, w in zip(row[1:], widths, strict=True))
        lines.append(f"{row[0]:>10} {cells}".rstrip())
    lines += ["", "memory: steps back from which on the share stays at or below 1 %."]
    return "\n".join(lines)


def distances(steps: int) -> list[int]:
    """0, 1, 2, 5, 10 … and the first step's."""
    some = [at for power in range(7) for at in (10**power, 2 * 10**power, 5 * 10**power) if at < steps - 1]
    return [0, *some, *([steps - 1] if steps > 1 else [])]


def value(share: float) -> str:
    return f"{share:.3g}" if not share < FLOOR else f"< {FLOOR:.0e}"


def length(one: Fading, steps: int) -> str:
    return f"beyond {steps - 1}" if one.length is None else f"{one.length} steps"


def memory_svg(found: Sequence[Fading], about: str) -> str:
    """A line for each net, the spread of its draws as a band, and the share below which is forgotten."""
    from daiving.show.svg import CHARACTER, INK, QUIET, apart, axis, draw, mark, share, short, style

    steps, height = len(found[0].mean), 260
    last = max(steps - 1, 1)
    shares = [[at for at in one.share if at >= FLOOR] for one in found]
    low, high = min(*map(min, shares), FADED) / 1.6, max(map(max, shares)) * 1.6
    x = axis("x", (0, last), "steps back from the last", format="d")
    labels = {
        "labelExpr": "datum.value == 1 ? '1' : format(datum.value, '.0e')",
        "labelOverlap": False,
        "tickCount": 20,
    }
    y = axis("y", (low, high), "share of the gradient, log scale", True, values=powers(low, high), **labels)
    names = [f"{short(one.name)}: {length(one, steps)}" for one in found]
    ends = [height * (1 - share(row[-1], (low, high), True)) if len(row) == steps else height for row in shares]
    layers = mark("rule", [{"x": 0, "x2": last, "y": FADED}], x, y, color=QUIET, strokeDash=[4, 4])
    forgotten = [{"x": last, "y": FADED, "text": "1 %"}]
    layers += mark("text", forgotten, x, y, color=QUIET, align="right", dx=-4, dy=-8)
    for i, (one, row, room) in enumerate(zip(found, shares, apart(ends, 18, height), strict=True)):
        look, first = style(i), one.mean[0]
        spread = [{"x": at, "y": one.low[at] / first, "y2": one.high[at] / first} for at in range(len(row))]
        spread = [point for point in spread if point["y"] >= FLOOR]
        line = [{"x": at, "y": value} for at, value in enumerate(row)]
        dashed = {"strokeWidth": 2.5, "strokeDash": look["dash"]}
        layers += mark("area", spread if one.nets > 1 else [], x, y, color=look["color"], opacity=0.15, clip=True)
        layers += mark("line", line, x, y, color=look["color"], **dashed, clip=True)
        # Beside the chart, at the height where the line ends: a piece of the line, and its name.
        sample = [{"x": last * 1.03, "x2": last * 1.12, "y": room}]
        layers += mark("rule", sample, x, color=look["color"], **dashed)
        words = [{"x": last * 1.12, "y": room, "text": names[i]}]
        layers += mark("text", words, x, color=INK, align="left", dx=6)
    drawn = draw(layers, height=height, left=72, right=round(CHARACTER * max(map(len, names))) + 50)
    return standing(drawn, about)


def powers(low: float, high: float) -> list[float]:
    """Powers of ten on the axis, not more than a handful."""
    some = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return some[:: -(-len(some) // 7)] if some else [1.0]


def standing(drawn: str, about: str) -> str:
    """The chart as a file of its own: with a size, a font, a page's colour behind it, and what it is about below."""
    from daiving.show.svg import PAPER, QUIET

    _, _, w, h = map(float, drawn.split('viewBox="')[1].split('"')[0].split())
    lines = textwrap.wrap(f"Gradient of the last step's loss by each step's input; {about}.", 70)
    tall = h + 16 * len(lines) + 8
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{1.5 * w:g}" height="{1.5 * tall:g}" '
    head += f'viewBox="0 0 {w:g} {tall:g}" font-family="system-ui, sans-serif" role="img" aria-label="{escape(about)}">'
    paper = f'<rect width="{w:g}" height="{tall:g}" fill="{PAPER}"/>'
    words = "".join(
        f'<text x="12" y="{h + 12 + 16 * i:g}" font-size="11" fill="{QUIET}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    return head + paper + drawn[drawn.index(">") + 1 : drawn.rindex("</svg>")] + words + "</svg>"
