"""The charts of a report, as SVG: each function draws one from the dict of which the tables are made too.

Everything is drawn for the narrowest page, a phone, and scales up. An arm is told by colour, dash and marker at once. A
difference belongs to no arm: it is drawn in ink, and only an interval that has a winner takes the winner's colour.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import vl_convert

Shown = dict[str, Any]  # what `report.to_dict` gives, or a part of it
Span = tuple[float, float]

WIDTH, FONT = 440, 13  # px; on a phone of 360 px the text is still 10 px high
POINTS = 5_000  # of single runs in one chart: more make the page heavy, and nobody could tell them apart

# name: (colour written into the SVG, for light pages and paper, and the one that CSS puts in its place in the dark).
# The arms' are after Okabe and Ito, made darker or lighter until each stands 3:1 against its page.
COLOURS = {
    "paper": ("#ffffff", "#15181c"),
    "ink": ("#1b1e22", "#e7e9ec"),
    "quiet": ("#59626d", "#a9b1bb"),
    "grid": ("#e1e4e8", "#333a42"),
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


def style(i: int) -> Shown:
    """How the i-th arm looks; from the seventh on the colours come again, with other dashes and markers."""
    turn = (i + i // len(ARMS)) % len(ARMS)
    return {"color": ARMS[i % len(ARMS)], "dash": DASHES[turn], "shape": SHAPES[turn]}


def differences(shown: Shown) -> str:
    """Every pair's difference in seed order, a band for each comparison, and under it the interval as a bar."""
    metric, scale = shown["metric"], shown["metric"]["scale"]
    smallest = (shown["plan"]["smallest"] or 0) * scale
    compared = [c for c in shown["comparisons"] if c["pairs"]]
    one = len(compared) == 1
    first, other = short(compared[0]["first"]), short(compared[0]["other"]) if one else "the other"
    seen = [pair["difference"] * scale for c in compared for pair in c["pairs"] if pair["difference"] is not None]
    ends = [c[end] * scale for c in compared for end in ("low", "high") if c[end] is not None]
    low, high = span([*seen, *ends, -smallest, smallest])
    low, high = min(low, -0.45 * high), max(high, -0.45 * low)  # room for words on both sides of zero
    what = f"{other} − {first}" if one else f"difference from {first}"
    x = axis(alt.X, (low, high), f"{what}, test {metric['name']} [{metric['unit']}]", format="+~g")

    y, layers = 44.0, []
    for c in compared:
        band, y = comparison_band(shown, c, x, (low, high), y, one)
        layers += band
    if smallest:
        zone = [{"x": -smallest, "x2": smallest, "y": 34, "y2": y}]
        words = [{"x": 0, "y": y - 7, "text": f"shaded: less than {smallest:g} {metric['unit']}"}]
        layers = [*mark("rect", zone, x, color=ZONE), *layers, *mark("text", words, x, color=QUIET)]
    left, right = (first, other) if metric["sign"] > 0 else (other, first)
    for lines, side, dx in ((("← favours", left), "right", -7), (("favours →", right), "left", 7)):
        rows = [{"x": 0, "y": 8 + 16 * i, "text": line} for i, line in enumerate(lines)]
        layers += mark("text", rows, x, color=INK, align=side, dx=dx)
    layers += mark("rule", [{"x": 0, "y": 0, "y2": y - 18 * bool(smallest)}], x, color=INK)
    return draw(layers, height=y, left=64 if one else 112)


def comparison_band(shown: Shown, c: Shown, x: alt.X, ends: Span, top: float, one: bool) -> tuple[list, float]:
    """The layers of one comparison from `top` down, and where the next one begins."""
    scale, n = shown["metric"]["scale"], len(c["pairs"])
    pitch = (20 if n <= 12 else 15 if n <= 25 else 11) if one else (7 if n <= 12 else 5)
    rows = [(pair, top + pitch * i) for i, pair in enumerate(c["pairs"])]
    bar = rows[-1][1] + max(pitch, 12) + 4
    dots = [{"x": pair["difference"] * scale, "y": y} for pair, y in rows if pair["difference"] is not None]
    gone = [{"x": ends[0], "y": y, "text": who_diverged(c, pair)} for pair, y in rows if pair["difference"] is None]
    if one:
        names = [{"x": ends[0], "y": y, "text": f"seed {pair['seed']}"} for pair, y in rows[:: math.ceil(13 / pitch)]]
    else:
        lines = (short(c["other"], 14), f"n = {c['n']}")
        names = [{"x": ends[0], "y": (top + bar) / 2 - 8 + 17 * i, "text": line} for i, line in enumerate(lines)]
    layers = [
        *mark("text", names, x, color=QUIET, align="right", dx=-8),
        *mark("point", dots, x, color=INK, filled=True, size=56 if one else 26, opacity=0.7),
        *mark("text", [row | {"text": "×"} for row in gone], x, color=INK, dx=6, size=16 if one else 12),
        *mark("text", gone if one else [], x, color=QUIET, align="left", dx=16),
    ]
    if c["low"] is None and c["high"] is None:
        return layers, bar + 12
    low, high = (end if c[key] is None else c[key] * scale for key, end in zip(("low", "high"), ends, strict=True))
    color = next((style(i)["color"] for i, arm in enumerate(shown["arms"]) if arm["name"] == c["winner"]), INK)
    fits = ends[1] - low > 0.6 * (ends[1] - ends[0])  # else words that begin with the bar would run out of the picture
    words = [{"x": low if fits else ends[1], "y": bar + 18, "text": f"{c['confidence']} interval {c['interval']}"}]
    layers += [
        *mark("rule", [{"x": low, "x2": high, "y": bar}], x, color=color, strokeWidth=5),
        *mark("point", [{"x": c["mean"] * scale, "y": bar}], x, color=color, fill=PAPER, shape="diamond", size=150),
        *mark("text", words, x, color=INK, align="left" if fits else "right"),
    ]
    return layers, bar + 46


def who_diverged(c: Shown, pair: Shown) -> str:
    return " and ".join(short(c[side]) for side in ("first", "other") if pair[side] is None) + " diverged"


def narrowing(shown: Shown, c: Shown) -> str:
    """The interval at each look, from the third pair to the cap."""
    metric, scale, cap = shown["metric"], shown["metric"]["scale"], shown["plan"]["max_pairs"]
    smallest = (shown["plan"]["smallest"] or 0) * scale
    final = c["looks"][-1]
    # The first looks are so wide that they would press all others flat: those run out of the picture.
    reach = 3 * (final["high"] - final["low"])
    met = [look[end] for look in c["looks"] for end in ("low", "high") if look[end] is not None]
    low, high = span([end * scale for end in met if abs(end - final["mean"]) <= reach] + [0, -smallest, smallest])
    x = axis(alt.X, (2.5, cap + 0.5), f"pairs, of at most {cap}", format="d", values=ticks(3, cap))
    y = axis(alt.Y, (low, high), f"{short(c['other'])} − {short(c['first'])} [{metric['unit']}]", format="+~g")
    bars = [
        {"x": look["pairs"], "y": low if look["low"] is None else look["low"] * scale}
        | {"y2": high if look["high"] is None else look["high"] * scale}
        for look in c["looks"]
    ]
    means = [{"x": look["pairs"], "y": look["mean"] * scale} for look in c["looks"]]
    wide = {"x": 2.5, "x2": cap + 0.5}
    layers = [
        *mark("rect", [wide | {"y": -smallest, "y2": smallest}] if smallest else [], x, y, color=ZONE),
        *mark("rule", [wide | {"y": 0}], x, y, color=INK),
        *mark("rule", bars, x, y, color=INK, strokeWidth=3, clip=True),
        *mark("point", means, x, y, color=INK, fill=PAPER, size=50, clip=True),
    ]
    return draw(layers, height=220, left=66)


def curves(shown: Shown, quantity: str) -> str:
    """`val_loss` or `val_accuracy` by epoch: the mean, the lowest and highest run, and the single runs."""
    arms = [(style(i), arm) for i, arm in enumerate(shown["arms"]) if arm["curve"]]
    scale = 100 if quantity == "val_accuracy" else 1
    met = [point[quantity][end] * scale for _, arm in arms for point in arm["curve"] for end in ("low", "high")]
    # Loss falls by factors, so that on a linear axis only the first epochs would be seen.
    log = quantity == "val_loss" and min(met) > 0 and max(met) > 5 * min(met)
    low, high = span(met, log)
    last = max(point["epoch"] for _, arm in arms for point in arm["curve"])
    title = "validation accuracy [%]" if scale == 100 else "validation loss [nats]" + ", log scale" * log
    x = axis(alt.X, (1, last), "epoch", format="d", values=ticks(1, last))
    y = axis(alt.Y, (low, high), title, log, format="~g", **({"values": steps_125(low, high)} if log else {}))
    height = max(230, 20 * len(arms))
    means = [[{"x": point["epoch"], "y": point[quantity]["mean"] * scale} for point in arm["curve"]] for _, arm in arms]
    wanted = [height * (1 - share(mean[-1]["y"], (low, high), log)) for mean in means]
    names = [f"{short(arm['name'])} (n={arm['n']})" for _, arm in arms]
    points = sum(len(run["history"]) for _, arm in arms for run in arm["runs"])
    edge = last + 0.08 * (last - 1)
    bands, lines = [], []
    for (look, arm), mean, name, want, room in zip(arms, means, names, wanted, apart(wanted, 18, height), strict=True):
        about = {"color": look["color"]}
        marker = {**about, "shape": look["shape"], "filled": True, "size": 60, "opacity": 1}
        rows = [(point["epoch"], point[quantity]) for point in arm["curve"]]
        band = [{"x": epoch, "y": at["low"] * scale, "y2": at["high"] * scale} for epoch, at in rows]
        drawn = arm["runs"][: max(1, len(arm["runs"]) * POINTS // max(points, 1))]
        single = [row for run in drawn for row in history(run, quantity, scale, log)]
        ended = [history(run, quantity, scale, log)[-1:] for run in arm["runs"] if not run["converged"]]
        crosses = [{"x": row["x"], "y": min(max(row["y"], low), high), "text": "×"} for rows in ended for row in rows]
        bands += mark("area", band, x, y, **about, opacity=0.13, clip=True)
        bands += mark("line", single, x, y, **about, opacity=0.35, strokeWidth=1, clip=True)
        lines += mark("line", mean, x, y, **about, strokeWidth=2.5, strokeDash=look["dash"])
        lines += mark("point", mean[:: math.ceil(len(mean) / 12)], x, y, **marker)
        lines += mark("text", crosses, x, y, **about, size=20)
        lines += mark(
            "rule", [{"x": mean[-1]["x"], "y": want, "x2": edge, "y2": room}], x, color=QUIET, strokeWidth=0.7
        )
        lines += mark("point", [{"x": edge, "y": room}], x, **marker, xOffset=6)
        lines += mark("text", [{"x": edge, "y": room, "text": name}], x, color=INK, align="left", dx=16)
    return draw(bands + lines, height=height, left=58, right=round(7.2 * max(map(len, names))) + 32)


def history(run: Shown, quantity: str, scale: float, log: bool) -> list[Shown]:
    rows = [(row["epoch"], row[quantity]) for row in run["history"] if row[quantity] is not None]
    return [{"x": epoch, "y": at * scale, "detail": run["seed"]} for epoch, at in rows if at > 0 or not log]


def costs(shown: Shown) -> str:
    """What each arm reaches, the cheapest first: mean, s.d. and the single runs."""
    metric = shown["plan"]["metric"]
    scale = 100 if metric == "accuracy" else 1
    order = sorted(
        ((style(i), arm) for i, arm in enumerate(shown["arms"]) if arm["n"] and arm["macs"] is not None),
        key=lambda pair: (pair[1]["macs"], pair[1]["parameters"]),
    )
    values = [[run["metrics"][metric] * scale for run in arm["runs"] if run["converged"]] for _, arm in order]
    low, high = span([value for row in values for value in row])
    x = axis(alt.X, (low, high), f"test {metric} [{'%' if scale == 100 else 'nats'}]", format="~g")
    layers = []
    for i, ((look, arm), row) in enumerate(zip(order, values, strict=True)):
        y, mean, sd = 18 + 44 * i, arm["metrics"][metric]["mean"] * scale, arm["metrics"][metric]["sd"] * scale
        lines = (f"{short(arm['name'], 14)} (n={arm['n']})", f"{amount(arm['macs'])} MACs")
        names = [{"x": low, "y": y - 8 + 16 * j, "text": line} for j, line in enumerate(lines)]
        layers += [
            *mark("text", names[:1], x, color=INK, align="right", dx=-10),
            *mark("text", names[1:], x, color=QUIET, align="right", dx=-10),
            *mark("point", [{"x": v, "y": y} for v in row], x, color=look["color"], filled=True, size=24, opacity=0.35),
            *mark(
                "rule", [{"x": mean - sd, "x2": mean + sd, "y": y}], x, color=look["color"], strokeWidth=2.5, clip=True
            ),
            *mark("point", [{"x": mean, "y": y}], x, color=look["color"], fill=PAPER, shape=look["shape"], size=110),
        ]
    return draw(layers, height=44 * len(order) - 6, left=156)


def amount(count: float) -> str:
    """A large number in short: `6.02 M`."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count}"


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
    """At most seven whole numbers, the first included."""
    return list(range(low, high + 1, math.ceil((high - low + 1) / 7)))


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


def axis(kind: type, ends: Span, title: str, log: bool = False, **look: Any) -> Any:
    scale = alt.Scale(domain=list(ends), nice=False, zero=False, type="log" if log else "linear")
    return kind(f"{kind.__name__.lower()}:Q", scale=scale, axis=alt.Axis(title=title, **look))


def mark(kind: str, rows: list[Shown], x: Any, y: Any = PIXELS, **look: Any) -> list[alt.Chart]:
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
    axes = {**text, "gridColor": GRID, "domain": False, "ticks": False, "labelPadding": 6, "tickCount": 5}
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
