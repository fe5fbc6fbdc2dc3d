"""How a chart is drawn: colours, layers in Altair's terms, and an SVG that fits into a page.

Everything is drawn for the narrowest page, a phone, and scales up.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import vl_convert

from daiving.show.palette import LINES

Span = tuple[float, float]

WIDTH, FONT = 440, 13  # px; on a phone of 360 px the text is still 10 px high
CHARACTER = 7.9  # px, on the wide side: which font a reader has is not known

# name: (colour written into the SVG, for light pages and paper, and the one that CSS puts in its place in the dark).
# The arms' are after Okabe and Ito, made darker or lighter until each stands 3:1 against its page.
COLOURS = {
    **{name: LINES[name] for name in ("paper", "ink", "quiet", "grid")},
    "zone": ("#e9ecf0", "#2a3038"),
    "arm1": ("#0072b2", "#56b4e9"),
    "arm2": ("#c44e08", "#f28a4b"),
    "arm3": ("#00825c", "#2fc197"),
    "arm4": ("#ad4f86", "#e6a0c8"),
    "arm5": ("#946800", "#e2b33f"),
    "arm6": ("#5f4bb0", "#b5a6f2"),
}
PAPER, INK, QUIET, GRID, ZONE, *ARMS = (light for light, _ in COLOURS.values())
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [13, 3])
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
PIXELS = alt.Y("y:Q", scale=None, axis=None)


def style(i: int) -> dict[str, Any]:
    """How the i-th arm looks; from the seventh on the colours come again, with other dashes and markers."""
    turn = (i + i // len(ARMS)) % len(ARMS)
    return {"color": ARMS[i % len(ARMS)], "dash": DASHES[turn], "shape": SHAPES[turn]}


def short(name: str, most: int = 16) -> str:
    """A long name with its middle left out: what tells two names apart is often at their end."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - most // 2 + 1 :]}"


def span(values: Iterable[float], log: bool = False) -> Span:
    """The range of an axis that shows all values, with a little air."""
    values = [math.log(value) if log else value for value in values]
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    low, high = low - air, high + air
    return (math.exp(low), math.exp(high)) if log else (low, high)


def share(value: float, ends: Span, log: bool) -> float:
    """Where a value stands between the ends of an axis, 0 to 1."""
    value, low, high = (math.log(v) if log else v for v in (value, *ends))
    return (value - low) / (high - low)


def ticks(low: int, high: int) -> list[int]:
    """A handful of whole numbers from `low` on: all of them, or `low` and round ones."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, high) if (high - low) / step < 8)
    round_ones = [at for at in range(step, high + 1, step) if at > low + 1]
    return list(range(low, high + 1, step)) if step < 5 else [low, *round_ones]


def steps_125(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 … between the ends of a log axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]


def apart(wanted: Sequence[float], gap: float, high: float) -> list[float]:
    """Places for labels, near where they are wanted, in the same order, at least `gap` apart and not below `high`."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    at = [wanted[i] for i in order]
    for i in range(1, len(at)):
        at[i] = max(at[i], at[i - 1] + gap)
    at[-1] = min(at[-1], high - 6)
    for i in reversed(range(len(at) - 1)):
        at[i] = min(at[i], at[i + 1] - gap)
    return [place for _, place in sorted(zip(order, at, strict=True))]


def axis(channel: str, ends: Span, title: str, log: bool = False, **look: Any) -> Any:
    """An x or y axis from end to end, with no room added."""
    scale = alt.Scale(domain=list(ends), nice=False, zero=False, type="log" if log else "linear")
    kind = alt.X if channel == "x" else alt.Y
    return kind(f"{channel}:Q", scale=scale, axis=alt.Axis(title=title, **look))


def mark(kind: str, rows: list[dict[str, Any]], x: Any, y: Any = PIXELS, **look: Any) -> list[alt.Chart]:
    """One layer, or none where there is nothing to draw. Without `y`, that of the rows is in pixels from the top."""
    if not rows:
        return []
    more = {key: f"{key}:N" if key in ("text", "detail") else key for key in rows[0] if key not in ("x", "y")}
    chart = alt.Chart(alt.Data(values=rows))
    return [getattr(chart, f"mark_{kind}")(**look).encode(x=x, y=y, **more)]


def draw(layers: list[alt.Chart], *, height: float, left: float, right: float = 16) -> str:
    sides = {"left": left, "right": right, "top": 10, "bottom": 46}
    chart = alt.layer(*layers).properties(width=WIDTH - left - right, height=height, padding=sides, autosize="none")
    text = {
        "labelFontSize": FONT,
        "titleFontSize": FONT,
        "titleFontWeight": "normal",
        "labelColor": QUIET,
        "titleColor": QUIET,
    }
    axes = {
        **text,
        "gridColor": GRID,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "titlePadding": 8,
        "tickCount": 5,
        "labelFlush": False,
    }
    looks = {"background": "none", "view": {"stroke": None}, "axis": axes, "text": {"fontSize": FONT}, "aria": False}
    return slim(vl_convert.vegalite_to_svg(chart.configure(**looks).to_dict()))


def slim(svg: str) -> str:
    """The SVG for a page: as wide as its place, with ids of its own, and without what only costs bytes."""
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)">', r'<svg viewBox="\1">', svg)
    svg = re.sub(r'<path [^>]*display="none"/>|<path class="background"[^>]*/>', "", svg)
    svg = re.sub(r' (?:class|role|font-family|aria-\w+|pointer-events)="[^"]*"| opacity="1"', "", svg)
    svg = re.sub(r' (?:d|transform|[xy]2?)="[^"]*"', lambda found: re.sub(r"(?<=\.\d)\d+", "", found[0]), svg)
    own = hashlib.blake2b(re.sub(r"\bclip\d+\b", "", svg).encode(), digest_size=4).hexdigest()
    names: dict[str, str] = {}
    return re.sub(r"\bclip\d+\b", lambda found: names.setdefault(found[0], f"clip-{own}-{len(names)}"), svg)
