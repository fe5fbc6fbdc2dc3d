"""The charts of a report, as SVG: each function draws one from the dict of which the tables are made too.

An arm is told by colour, dash and marker at once. A difference belongs to no arm: it is drawn in ink, and only an
interval that has a winner takes the winner's colour.
"""

import math
from typing import Any

from daiving.show.numbers import amount
from daiving.show.svg import (
    CHARACTER,
    INK,
    PAPER,
    QUIET,
    WIDTH,
    ZONE,
    Span,
    apart,
    axis,
    draw,
    mark,
    share,
    short,
    span,
    steps_125,
    style,
    ticks,
)

Shown = dict[str, Any]  # what `values.to_dict` gives, or a part of it
SIGNED = "datum.value == 0 ? '0' : format(datum.value, '+~f')"  # labels of an axis of differences
LEFT, LEFT_NAMES = 64, 130  # px left of the differences: for seeds, and for arms
POINTS = 3_000  # of single runs in one chart: more make the page heavy, and nobody could tell them apart


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
    x = axis("x", (low, high), f"difference in test {metric['name']} [{metric['unit']}]", labelExpr=SIGNED)

    y, bands = 44.0, []
    for c in compared:
        band, y = comparison_band(shown, c, x, (low, high), y, one)
        bands += band
    zone = [{"x": -smallest, "x2": smallest, "y": 34, "y2": y}] if smallest else []
    words = [{"x": 0, "y": y - 7, "text": f"shaded: less than {smallest:g} {metric['unit']}"}] if smallest else []
    layers = [
        *mark("rect", zone, x, color=ZONE),
        *mark("rule", [{"x": 0, "y": 0, "y2": y - 18 * len(words)}], x, color=INK),
        *mark("text", words, x, color=QUIET),
    ]
    left, right = (first, other) if metric["sign"] > 0 else (other, first)
    for lines, side, dx in ((("← favours", left), "right", -7), (("favours →", right), "left", 7)):
        rows = [{"x": 0, "y": 8 + 16 * i, "text": line} for i, line in enumerate(lines)]
        layers += mark("text", rows, x, color=INK, align=side, dx=dx)
    return draw(layers + bands, height=y, left=LEFT if one else LEFT_NAMES)


def comparison_band(shown: Shown, c: Shown, x: Any, ends: Span, top: float, one: bool) -> tuple[list, float]:
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
    said = f"{c['confidence']} interval {c['interval']}"
    per_px = (ends[1] - ends[0]) / (WIDTH - (LEFT if one else LEFT_NAMES) - 16)
    start = max(ends[0], min(low, ends[1] - CHARACTER * len(said) * per_px))  # where the bar begins, or where it fits
    words = [{"x": start, "y": bar + 18, "text": said}]
    layers += [
        *mark("rule", [{"x": low, "x2": high, "y": bar}], x, color=color, strokeWidth=5),
        *mark(
            "point",
            [{"x": c["mean"] * scale, "y": bar}],
            x,
            color=color,
            fill=PAPER,
            shape="diamond",
            size=150,
            opacity=1,
        ),
        *mark("text", words, x, color=INK, align="left"),
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
    reach = 1.5 * abs(final["high"] - final["low"])
    met = [look[end] for look in c["looks"] for end in ("low", "high") if look[end] is not None]
    low, high = span([end * scale for end in met if abs(end - final["mean"]) <= reach] + [0, -smallest, smallest])
    x = axis("x", (2.5, cap + 0.5), f"pairs, of at most {cap}", format="d", values=ticks(3, cap))
    y = axis("y", (low, high), f"{short(c['other'])} − {short(c['first'])} [{metric['unit']}]", labelExpr=SIGNED)
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
        *mark("point", means, x, y, color=INK, fill=PAPER, size=50, opacity=1, clip=True),
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
    x = axis("x", (1, last), "epoch", format="d", values=ticks(1, last))
    y = axis("y", (low, high), title, log, format="~g", **({"values": steps_125(low, high)} if log else {}))
    height = max(230, 20 * len(arms))
    means = [[{"x": point["epoch"], "y": point[quantity]["mean"] * scale} for point in arm["curve"]] for _, arm in arms]
    wanted = [height * (1 - share(mean[-1]["y"], (low, high), log)) for mean in means]
    names = [f"{short(arm['name'], 14)} (n={arm['n']})" for _, arm in arms]
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
        faint = min(0.4, max(0.08, 2 / len(drawn)))
        worst = high if quantity == "val_loss" else low
        crosses = [
            {"x": row["x"], "y": min(max(row["y"], low), high), "text": "×"}
            for run in arm["runs"]
            if not run["converged"]
            for row in (history(run, quantity, scale, log) or [{"x": 1, "y": worst}])[-1:]
        ]
        bands += mark("area", band, x, y, **about, opacity=0.13, clip=True)
        bands += mark("line", single, x, y, **about, opacity=faint, strokeWidth=1, clip=True)
        lines += mark("line", mean, x, y, **about, strokeWidth=2.5, strokeDash=look["dash"])
        lines += mark("point", mean[:: math.ceil(len(mean) / 12)], x, y, **marker)
        lines += mark("text", crosses, x, y, **about, size=20)
        lines += mark(
            "rule", [{"x": mean[-1]["x"], "y": want, "x2": edge, "y2": room}], x, color=QUIET, strokeWidth=0.7
        )
        lines += mark("point", [{"x": edge, "y": room}], x, **marker, xOffset=6)
        lines += mark("text", [{"x": edge, "y": room, "text": name}], x, color=INK, align="left", dx=16)
    return draw(bands + lines, height=height, left=58, right=round(CHARACTER * max(map(len, names))) + 36)


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
    x = axis("x", (low, high), f"test {metric} [{'%' if scale == 100 else 'nats'}]", format="~g")
    layers = []
    for i, ((look, arm), row) in enumerate(zip(order, values, strict=True)):
        y, mean, sd = 18 + 44 * i, arm["metrics"][metric]["mean"] * scale, arm["metrics"][metric]["sd"] * scale
        lines = (short(arm["name"]), f"{amount(arm['macs'])} MACs, n={arm['n']}")
        names = [{"x": low, "y": y - 8 + 16 * j, "text": line} for j, line in enumerate(lines)]
        layers += [
            *mark("text", names[:1], x, color=INK, align="right", dx=-10),
            *mark("text", names[1:], x, color=QUIET, align="right", dx=-10),
            *mark("point", [{"x": v, "y": y} for v in row], x, color=look["color"], filled=True, size=24, opacity=0.35),
            *mark(
                "rule", [{"x": mean - sd, "x2": mean + sd, "y": y}], x, color=look["color"], strokeWidth=2.5, clip=True
            ),
            *mark(
                "point",
                [{"x": mean, "y": y}],
                x,
                color=look["color"],
                fill=PAPER,
                shape=look["shape"],
                size=110,
                opacity=1,
            ),
        ]
    return draw(layers, height=44 * len(order) - 6, left=166)
