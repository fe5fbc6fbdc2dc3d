"""A reading as plain values: all that a report shows, and what `Outcome.to_dict` gives."""

import math
from dataclasses import asdict
from statistics import fmean, median
from typing import Any

import daiving
from daiving.show import words
from daiving.study.plan import METRICS, Arm
from daiving.study.reading import Comparison, Pair, Reading, pairs_needed, value
from daiving.study.verdict import FIRST, OTHER, Look, spread

Shown = dict[str, Any]
CURVES = {"val_loss": "Validation loss", "val_accuracy": "Validation accuracy"}


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
    seeds = {run.id: seed for (name, seed), run in reading.results.items() if name == arm.name}
    runs = reading.runs(arm.name)
    good = [run for run in runs if value(reading.plan, run) is not None]
    cost = reading.costs.get(arm.name, {})
    seconds = [run.seconds_per_epoch for run in good if run.timed]
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
        "peak_memory": max((run.peak_memory for run in runs if run.peak_memory), default=None),  # MiB, the largest
        "curve": curve([run.history for run in good]),
        "runs": [
            {
                "seed": seeds[run.id],
                "id": run.id,
                "converged": value(reading.plan, run) is not None,
                "why_not": run.detail or words.diverged_word(reading.plan),
                "metrics": run.metrics,
                "seconds_per_epoch": run.seconds_per_epoch if run.timed else None,
                "history": [{key: row[key] for key in ("epoch", "train_loss", *CURVES)} for row in run.history],
            }
            for run in runs
        ],
    }


def curve(histories: list[list[Shown]]) -> list[Shown]:
    """Mean, lowest and highest of these runs at each epoch, as long as any of them has a loss that is finite."""
    points = []
    for rows in zip(*histories, strict=False):
        known = [row for row in rows if all(math.isfinite(row[name]) for name in CURVES)]
        if not known:
            break
        point = {"epoch": known[0]["epoch"]}
        for name in CURVES:
            values = [row[name] for row in known]
            point[name] = {"mean": fmean(values), "low": min(values), "high": max(values)}
        points.append(point)
    return points


def comparison_dict(reading: Reading, c: Comparison) -> Shown:
    """One comparison. `low` and `high` are the interval that the verdict was read from."""
    plan = reading.plan
    sign = METRICS[plan.metric].sign
    low, high = words.ends(c, plan) if c.looks else (-math.inf, math.inf)
    seen = c.differences
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
        "interval": words.interval(low, high, plan.metric) if math.isfinite(high - low) else None,
        "means_without_one_pair": {"low": min(left_out), "high": max(left_out)} if left_out else None,
        "pairs": [pair_dict(reading, c, pair) for pair in c.pairs],
        "looks": [look_dict(look, sign) for look in c.looks],
        "diverged": {"first": c.diverged[0], "other": c.diverged[1], "of": len(c.pairs), "p": c.divergence_p},
        "seconds_ratio": c.seconds and asdict(c.seconds),
        "secondary": {name: asdict(interval) for name, interval in c.secondary.items()},
        "images": c.images and asdict(c.images),
        "mcnemar_p": c.mcnemar_p,
        "pairs_needed": pairs_needed(plan, c),
        "given_converged": words.given_converged(plan, c),
        "robust": words.robust_sentence(plan, c),
        "seconds_sentence": words.seconds_sentence(c),
        "settle": words.settle(plan, c),
    }


def pair_dict(reading: Reading, c: Comparison, pair: Pair) -> Shown:
    first, other = (reading.results[name, pair.seed] for name in (c.first, c.other))
    return asdict(pair) | {"difference": pair.difference, "first_run": first.id, "other_run": other.id}


def look_dict(look: Look, sign: int) -> Shown:
    low, high = (look.low, look.high) if sign > 0 else (-look.high, -look.low)
    about = {"pairs": look.pairs, "mean": sign * look.mean, "sd": look.sd, "level": look.level}
    return about | {"low": low, "high": high, "decided": bool(look.verdict)}
