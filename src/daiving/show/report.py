"""A study as one HTML page that needs nothing else, and as a piece of a notebook.

Both are made from `to_dict`, so that what a person sees and what a program reads cannot differ.
"""

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from daiving.files import write_atomic
from daiving.options import show
from daiving.recipe import FIELDS
from daiving.show import words
from daiving.show.values import CURVES, Shown, to_dict
from daiving.study.reading import Reading
from daiving.study.record import unwritable

HERE = Path(__file__).parent
DRAWN_BY = (
    "report.py",
    "charts.py",
    "svg.py",
    "palette.py",
    "numbers.py",
    "templates/report.html",
    "templates/report.css",
)


def write(reading: Reading, folder: Path) -> Path:
    """Write `report.html` there, unless the one that is there shows the same; raises `FixableError` if it cannot."""
    path, shown = folder / "report.html", to_dict(reading)
    known = digest(shown)
    try:
        if path.exists() and known.encode() in path.read_bytes()[:1_000]:
            return path
        page = render(shown, "page", digest=known)
        write_atomic(path, lambda file: file.write(page.encode()))
    except OSError as error:
        raise unwritable(folder, error) from None
    return path


def fragment(reading: Reading) -> str:
    """The verdict, its picture and the cost table, as HTML for a notebook."""
    return render(to_dict(reading), "fragment")


def digest(shown: Shown) -> str:
    """Changes when anything shown changes, or the code that shows it."""
    parts = [json.dumps(shown, sort_keys=True).encode(), *((HERE / name).read_bytes() for name in DRAWN_BY)]
    return hashlib.blake2b(b"\0".join(parts), digest_size=12).hexdigest()


def render(shown: Shown, kind: str, **more: Any) -> str:
    # Here and not above: with the charts it is half a second, and a study that is shown again needs none of it.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from daiving.show import charts, svg

    def read(name: str) -> str:
        return (HERE / "templates" / name).read_text(encoding="utf-8")

    metric = shown["metric"]["name"]
    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {
        "difference": lambda x, name=metric, sign=True: "–" if x is None else words.difference(x, name, sign=sign),
        "number": lambda x, name=metric, sign=True: "–" if x is None else words.number(x, name, sign=sign),
        "level": lambda x, name=metric: "–" if x is None else words.level(x, name),
        "range": lambda about, name=metric: between(about, name),
        "brief": brief,
        "tied": tied,
    }
    drawn = pairs_figure(shown, charts) if kind == "fragment" else figures(shown, charts)
    return (
        jinja.from_string(read("report.html"))
        .render(
            shown,
            kind=kind,
            figures={name: ([Markup(one) for one in svgs], finding) for name, (svgs, finding) in drawn.items()},
            looks={arm["name"]: svg.style(i) for i, arm in enumerate(shown["arms"])},
            colours=svg.COLOURS,
            css=Markup(read("report.css")),
            curves=CURVES,
            recipe=recipe_rows(shown),
            **more,
        )
        .lstrip()
    )


# A figure is its SVGs and one line on what is seen in them; without SVGs, on why there is nothing to draw yet.
Figures = dict[str, tuple[list[str], str]]


def pairs_figure(shown: Shown, charts: Any) -> Figures:
    compared = shown["comparisons"]
    if not any(c["n"] for c in compared):
        return {"differences": ([], "No picture yet: no pair has finished in which both arms converged.")}
    return {"differences": ([charts.differences(shown)], " ".join(seen_in_pairs(shown, c) for c in compared))}


def figures(shown: Shown, charts: Any) -> Figures:
    found = pairs_figure(shown, charts)
    epochs = max(len(arm["curve"]) for arm in shown["arms"])
    for name, title in CURVES.items():
        found[name] = ([charts.curves(shown, name)] if epochs > 1 else [], seen_in_curves(shown, name, title, epochs))
    for i, c in enumerate(shown["comparisons"]):
        several = len(c["looks"]) > 1 and c["interval"] is not None
        found[f"looks{i}"] = ([charts.narrowing(shown, c)] if several else [], seen_in_looks(shown, c))
    known = sorted((arm for arm in shown["arms"] if arm["n"] and arm["macs"] is not None), key=lambda arm: arm["macs"])
    if len(known) > 2:
        found["costs"] = ([charts.costs(shown)], seen_in_costs(shown, known))
    return found


def seen_in_pairs(shown: Shown, c: Shown) -> str:
    metric = shown["metric"]
    signed = [metric["sign"] * pair["difference"] for pair in c["pairs"] if pair["difference"] is not None]
    if not signed:
        return f"{c['other']} and {c['first']}: no pair yet in which both converged."
    more = f"{'higher' if metric['sign'] > 0 else 'lower'} {metric['name']}"
    said = f"{c['other']} had the {more} in {sum(d > 0 for d in signed)} of {len(signed)} pairs with {c['first']}"
    equal = sum(d == 0 for d in signed)
    if equal == len(signed):
        said = f"{c['other']} and {c['first']} had the same {metric['name']} in all of {equal} pairs"
    elif equal:
        said += f" and the same in {equal}"
    if c["interval"]:
        low, high = ends(c)
        said += f"; the {c['confidence']} interval {'includes' if low <= 0 <= high else 'leaves out'} zero"
    if gone := len(c["pairs"]) - len(signed):
        said += f"; {gone} pair{'s' * (gone != 1)} with a diverged run {'are' if gone != 1 else 'is'} marked ×"
    return f"{said}."


def seen_in_curves(shown: Shown, name: str, title: str, epochs: int) -> str:
    if not epochs:
        return f"No {title.lower()} yet: no run that converged is over."
    metric = name.removeprefix("val_")
    said = []
    for arm in shown["arms"]:
        for last in arm["curve"][-1:]:
            low, high = (words.number(last[name][key], metric, sign=False) for key in ("low", "high"))
            said.append(f"{arm['name']} {words.level(last[name]['mean'], metric)} ({low} to {high}, n={arm['n']})")
    one = " With one epoch there is no curve to draw." if epochs == 1 else ""
    return f"{title} after the last epoch: {'; '.join(said)}.{one}"


def seen_in_looks(shown: Shown, c: Shown) -> str:
    what, metric = f"{c['other']} − {c['first']}", shown["metric"]["name"]
    widths = [(look["pairs"], high - low) for look in c["looks"] for low, high in [ends(look)] if high - low < math.inf]
    if not c["looks"]:
        return f"{what}: no look yet, for the first needs three pairs in which both converged, and there are {c['n']}."
    if not widths:
        return f"{what}: no interval, for all differences are the same and show no spread ({c['n']} pairs)."
    (before, wide), (pairs, width) = widths[0], widths[-1]
    wide, width = (words.difference(size, metric, sign=False) for size in (wide, width))
    said = f"{what}: after {pairs} of at most {shown['plan']['max_pairs']} pairs the interval is {width} wide"
    return f"{said}; after {before} it was {wide}." if pairs > before else f"{said}. It was the only look."


def seen_in_costs(shown: Shown, known: list[Shown]) -> str:
    cheap, dear = f"{known[0]['macs']:,} MACs", f"{known[-1]['macs']:,} MACs"
    if cheap == dear:
        return f"{cheap} each: {'; '.join(reached(shown, arm) for arm in known)}."
    return f"Cheapest, with {cheap}: {reached(shown, known[0])}. Dearest, with {dear}: {reached(shown, known[-1])}."


def reached(shown: Shown, arm: Shown) -> str:
    metric = shown["metric"]["name"]
    about = arm["metrics"][metric]
    spread = f"{words.level(about['mean'], metric)} ± {words.number(about['sd'], metric, sign=False)}"
    return f"{arm['name']}, test {metric} {spread} (n={arm['n']})"


def ends(about: Shown) -> tuple[float, float]:
    """The interval of a dict, where None stands for an end that is infinite."""
    low, high = about["low"], about["high"]
    return -math.inf if low is None else low, math.inf if high is None else high


def brief(seconds: float) -> str:
    return f"{seconds:.3g}" if seconds < 1000 else f"{seconds:.0f}"


def between(about: Shown, metric: str) -> str:
    low, high = ends(about)
    if low > high:
        return "none: the looks contradict one another"
    return words.interval(low, high, metric) if high - low < math.inf else "none: no spread"


def tied(text: str) -> str:
    """The same words, with no line to end between a number and its unit or sign."""
    return re.sub(r"(?<=[\d∞]) (?=pp|nats|%|pairs)|(?<=[−±]) | (?=±)", "\u00a0", text)


def recipe_rows(shown: Shown) -> list[Shown]:
    """Net, options and recipe of all arms side by side, and whether they differ."""
    arms = shown["plan"]["arms"]
    options = dict.fromkeys(key for arm in arms for key in arm["options"])
    rows = [("net", "", [Path(arm["net"]).name for arm in arms])]
    rows += [(key, "option of the net", [written(arm["options"].get(key, "–")) for arm in arms]) for key in options]
    rows += [(key, f.metadata["help"], [written(arm["recipe"][key]) for arm in arms]) for key, f in FIELDS.items()]
    return [{"name": name, "about": about, "values": row, "differs": len(set(row)) > 1} for name, about, row in rows]


def written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else show(value)
