"""A study as one HTML page that needs nothing else, as a piece of a notebook, and as a dict.

Page and notebook are made from the dict, so that what a person sees and what a program reads cannot differ.
"""

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

import daiving
from daiving.files import write_atomic
from daiving.options import show
from daiving.recipe import FIELDS
from daiving.show import words
from daiving.study.plan import METRICS, Arm
from daiving.study.reading import Comparison, Pair, Reading, pairs_needed, value
from daiving.study.record import unwritable
from daiving.study.verdict import FIRST, OTHER, Look, spread

Shown = dict[str, Any]
HERE = Path(__file__).parent
CURVES = {"val_loss": "Validation loss", "val_accuracy": "Validation accuracy"}


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
    code = [HERE / "report.py", HERE / "charts.py", *sorted((HERE / "templates").glob("report.*"))]
    parts = [json.dumps(shown, sort_keys=True).encode(), *(path.read_bytes() for path in code)]
    return hashlib.blake2b(b"\0".join(parts), digest_size=12).hexdigest()


def render(shown: Shown, kind: str, **more: Any) -> str:
    # Here and not above: with the charts it is 0.5 s, and a study that is shown again needs none of it.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from daiving.show import charts

    def read(name: str) -> str:
        return (HERE / "templates" / name).read_text(encoding="utf-8")

    metric = shown["metric"]["name"]
    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {
        "difference": lambda value, name=metric: "–" if value is None else words.difference(value, name),
        "number": lambda value, name=metric, sign=True: "–" if value is None else words.number(value, name, sign=sign),
        "level": lambda value, name=metric: "–" if value is None else words.level(value, name),
        "range": lambda about, name=metric: words.interval(*ends(about), name),
        "written": written,
    }
    looks = {"style": charts.style, "colours": charts.COLOURS, "css": Markup(read("report.css"))}
    figures = {
        name: ([Markup(svg) for svg in svgs], finding)
        for name, (svgs, finding) in draw(shown, charts, only="differences" if kind == "fragment" else "").items()
    }
    page = jinja.from_string(read("report.html"))
    return page.render(shown, kind=kind, figures=figures, fields=FIELDS, **looks, **more)


def draw(shown: Shown, charts: Any, only: str) -> dict[str, tuple[list[str], str]]:
    """Each chart's SVGs with what one sees in them; where there are none, why there is nothing to draw yet."""
    compared, arms = shown["comparisons"], shown["arms"]
    some = any(c["n"] for c in compared)
    found = {
        "differences": (
            [charts.differences(shown)] if some else [],
            " ".join(seen_in_pairs(shown, c) for c in compared) if some else
            "No picture of the differences yet: no pair has finished in which both arms converged.",
        )
    }  # fmt: skip
    if only:
        return found
    epochs = max((len(arm["curve"]) for arm in arms), default=0)
    for name, title in CURVES.items():
        svgs = [charts.curves(shown, name)] if epochs > 1 else []
        found[name] = (
            svgs,
            seen_in_curves(shown, name, title) if epochs else f"No {title.lower()} yet: no run is over.",
        )
    for i, c in enumerate(compared):
        drawn = len(c["looks"]) > 1 and c["low"] is not None and c["high"] is not None
        found[f"looks{i}"] = (
            [charts.narrowing(shown, c)] if drawn else [],
            seen_in_looks(c, shown["plan"]["max_pairs"]),
        )
    priced = sorted((arm for arm in arms if arm["n"] and arm["macs"] is not None), key=lambda arm: arm["macs"])
    if len(priced) > 2:
        ends = " ".join(
            f"{word}: {arm['name']}, {charts.amount(arm['macs'])} MACs, {reached(arm, shown['plan']['metric'])}."
            for word, arm in (("Cheapest", priced[0]), ("Dearest", priced[-1]))
        )
        found["costs"] = ([charts.costs(shown)], ends)
    return found


def seen_in_pairs(shown: Shown, c: Shown) -> str:
    """The dots in one sentence, without a winner."""
    metric = shown["metric"]
    signed = [metric["sign"] * pair["difference"] for pair in c["pairs"] if pair["difference"] is not None]
    if not signed:
        return f"{c['other']} and {c['first']}: no pair yet in which both converged."
    more = "higher" if metric["sign"] > 0 else "lower"
    said = f"{c['other']} had the {more} {metric['name']} in {sum(d > 0 for d in signed)} of {len(signed)} pairs with {c['first']}"
    if equal := sum(d == 0 for d in signed):
        said += f" and the same in {equal}"
    if c["interval"]:
        low, high = ends(c)
        said += f"; the {c['confidence']} interval {'includes' if low <= 0 <= high else 'leaves out'} zero"
    if gone := len(c["pairs"]) - len(signed):
        said += f"; {gone} pair{'s' * (gone != 1)} with a diverged run {'are' if gone != 1 else 'is'} marked ×"
    return f"{said}."


def seen_in_curves(shown: Shown, name: str, title: str) -> str:
    metric = "loss" if name == "val_loss" else "accuracy"
    said = [
        f"{arm['name']} {words.level(last[name]['mean'], metric)} (n={arm['n']}, {words.level(last[name]['low'], metric)} "
        f"to {words.level(last[name]['high'], metric)})"
        for arm in shown["arms"]
        for last in arm["curve"][-1:]
    ]
    why = "" if max(len(arm["curve"]) for arm in shown["arms"]) > 1 else " With one epoch there is no curve to draw."
    return f"{title} after the last epoch: {'; '.join(said)}.{why}"


def seen_in_looks(c: Shown, cap: int) -> str:
    pair = f"{c['other']} − {c['first']}"
    closed = [look for look in c["looks"] if look["width"]]
    if not c["looks"]:
        return f"{pair}: no look yet, because the first is taken after three pairs in which both converged; there are {c['n']}."
    if not closed:
        return f"{pair}: no interval yet, because all differences so far are the same and show no spread."
    first, last = closed[0], closed[-1]
    if len(c["looks"]) == 1:
        return f"{pair}: one look, after {last['pairs']} pairs; the interval is {last['width']} wide."
    return (
        f"{pair}: the interval is {last['width']} wide after {last['pairs']} of at most {cap} pairs; after "
        f"{first['pairs']} it was {first['width']}."
    )


def reached(arm: Shown, metric: str) -> str:
    about = arm["metrics"][metric]
    return f"test {metric} {words.level(about['mean'], metric)} ± {words.difference(about['sd'], metric, sign=False)} (n={arm['n']})"


def ends(about: Shown) -> tuple[float, float]:
    """The interval of a dict, in which None stands for an end that is infinite."""
    return (
        -math.inf if about["low"] is None else about["low"],
        math.inf if about["high"] is None else about["high"],
    )


def written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else show(value)


def to_dict(reading: Reading) -> Shown:
    """All that is shown, as plain values for JSON; what is infinite, or no number, is None.

    Differences are other - first, in the metric's own number and direction: accuracy from 0 to 1, loss in nats.
    """
    plan = reading.plan
    metric = METRICS[plan.metric]
    return plain(
        {
            "daiving": daiving.__version__,
            "study": plan.id,
            "over": reading.over,
            "headline": words.headline(reading),
            "plan": plan.to_dict(),
            "metric": {"name": plan.metric, "unit": metric.unit, "scale": metric.scale, "sign": metric.sign},
            "arms": [arm_dict(reading, arm) for arm in plan.arms],
            "comparisons": [comparison_dict(reading, comparison) for comparison in reading.comparisons],
            "test_examples": max((result.examples for result in reading.results.values()), default=0),
            "environment": reading.environment,
            "notes": reading.notes,
        }
    )


def plain(value: Any) -> Any:
    """Only what JSON has: lists for tuples, None for a number that is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def arm_dict(reading: Reading, arm: Arm) -> Shown:
    """What an arm costs and reaches; means are over the runs that converged, n of them."""
    seeds = {reading.plan.run_id(arm, seed): seed for seed in reading.plan.seeds}
    runs = reading.runs(arm.name)
    good = [run for run in runs if value(reading.plan, run) is not None]
    cost = reading.costs.get(arm.name, {})
    seconds = [run.seconds_per_epoch for run in good]
    metrics = {}
    for name in METRICS if good else ():
        mean, sd = spread([run.metrics[name] for run in good])
        metrics[name] = {"mean": mean, "sd": sd}
    return {
        "name": arm.name,
        "label": arm.label,
        "n": len(good),
        "diverged": len(runs) - len(good),
        "parameters": cost.get("parameters"),
        "macs": cost.get("macs"),
        "metrics": metrics,
        "seconds_per_epoch": {"median": median(seconds), "low": min(seconds), "high": max(seconds)}
        if seconds
        else None,
        "peak_memory": max((run.peak_memory for run in runs), default=None),  # MiB, largest of all runs
        "curve": curve([run.history for run in good]),
        "runs": [
            {
                "seed": seeds[run.id],
                "id": run.id,
                "converged": run in good,
                "why_not": run.detail or "below the floor",
                "metrics": run.metrics,
                "seconds_per_epoch": run.seconds_per_epoch,
                "history": [{key: row[key] for key in ("epoch", "train_loss", *CURVES)} for row in run.history],
            }
            for run in runs
        ],
    }


def curve(histories: list[list[Shown]]) -> list[Shown]:
    """Each epoch that all these runs have: mean, lowest and highest."""
    return [
        {"epoch": rows[0]["epoch"]}
        | {
            name: {"mean": fmean(values), "low": min(values), "high": max(values)}
            for name in CURVES
            for values in [[row[name] for row in rows]]
        }
        for rows in zip(*histories)
    ]


def comparison_dict(reading: Reading, c: Comparison) -> Shown:
    """One comparison. `low` and `high` are the interval that the verdict was read from."""
    plan = reading.plan
    sign = METRICS[plan.metric].sign
    low, high = words.ends(c, plan) or (None, None)
    seen = [pair.difference for pair in c.pairs if pair.difference is not None]
    left_out = [fmean(seen[:i] + seen[i + 1 :]) for i in range(len(seen))] if len(seen) > 2 else []
    return {
        "first": c.first,
        "other": c.other,
        "verdict": words.verdict_word(c),
        "winner": {FIRST: c.other, OTHER: c.first}.get(c.verdict),
        "sentence": words.verdict_sentence(plan, c),
        "alpha": c.alpha,
        "confidence": words.confidence(c),
        "n": c.converged,
        "mean": words.mean(c, plan) if c.looks else None,
        "low": low,
        "high": high,
        "interval": words.interval(low, high, plan.metric) if c.looks and math.isfinite(high - low) else None,
        "means_without_one_pair": {"low": min(left_out), "high": max(left_out)} if left_out else None,
        "pairs": [pair_dict(reading, c, pair) for pair in c.pairs],
        "looks": [look_dict(look, plan.metric, sign) for look in c.looks],
        "diverged": {"first": c.diverged[0], "other": c.diverged[1], "of": len(c.pairs), "p": c.divergence_p},
        "seconds_ratio": c.seconds and asdict(c.seconds),
        "secondary": {name: asdict(interval) for name, interval in c.secondary.items()},
        "images": c.images and asdict(c.images),
        "mcnemar_p": c.mcnemar_p,
        "pairs_needed": pairs_needed(plan, c),
        "given_converged": words.given_converged(c),
        "settle": words.settle(plan, c),
    }


def pair_dict(reading: Reading, c: Comparison, pair: Pair) -> Shown:
    first, other = (reading.results[name, pair.seed] for name in (c.first, c.other))
    return asdict(pair) | {"difference": pair.difference, "first_run": first.id, "other_run": other.id}


def look_dict(look: Look, metric: str, sign: int) -> Shown:
    low, high = (look.low, look.high) if sign > 0 else (-look.high, -look.low)
    width = words.difference(high - low, metric, sign=False) if math.isfinite(high - low) else None
    return {"pairs": look.pairs, "mean": sign * look.mean, "sd": look.sd, "level": look.level} | {
        "low": low, "high": high, "width": width, "decided": bool(look.verdict)
    }  # fmt: skip
