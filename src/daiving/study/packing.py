"""Runs of one arm as one, with a record of its own for each; and the trial that says whether an arm's net allows it."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

from filelock import FileLock

from daiving import packed, train
from daiving.events import Ended, Epoch, Event, Step
from daiving.files import read_json
from daiving.study.keep import Keeper
from daiving.study.plan import arm_from
from daiving.study.record import result_of
from daiving.study.worker import WAIT, begin, finish, make_net, task_data
from daiving.tasks.batches import Batches, scale
from daiving.tasks.data import Examples

TOLERANCE = 1e-5  # of a loss, as a share of it where it is above 1 nat


def run_packed(folders: Sequence[Path]) -> Iterator[tuple[Path, Event]]:
    """Do the runs of these folders, all of one arm, or what is left of them; each event comes with its run's folder.

    Runs that stand behind the same epoch are packed, one such group after the other. A run's result is there before its
    last event is yielded. What is there already is never done again.
    """
    with ExitStack() as locks:
        for folder in sorted(folders):
            locks.enter_context(FileLock(folder / "lock", timeout=WAIT))
        left = [folder for folder in folders if not result_of(folder)]
        if not left:
            return
        data = task_data(read_json(left[0] / "run.json")["task"])
        begun = [begin(folder, data, packed=len(left)) for folder in left]
        for _, same in groupby(sorted(begun, key=lambda one: one.state.step), key=lambda one: one.state.step):
            runs = list(same)
            keepers = [Keeper(one.folder, one.state) for one in runs]
            nets, seeds, states = zip(*((one.net, one.seed, one.state) for one in runs), strict=True)
            for k, event in packed.fit(nets, runs[0].train, runs[0].val, runs[0].arm.recipe, seeds, states):
                keepers[k].take(event)
                if isinstance(event, Ended):
                    finish(runs[k], event)
                yield runs[k].folder, event


def why_apart(task: dict[str, Any], arm: dict[str, Any]) -> str:
    """Why runs of this arm must not be packed; empty where they may be.

    Two runs of a few steps are done both ways, with short batches and validation, and must agree in every loss.
    """
    data, tried = task_data(task), arm_from(arm)
    recipe = tried.recipe.but(epochs=2.0)
    batch = recipe.batch
    parts = [cut(data.train, 2 * batch + batch // 2), cut(data.val, 64)]
    few, val = (Batches(part, recipe, *scale(data.train)) for part in parts)
    seeds = (0, 1)
    together: list[list[Event]] = [[], []]
    try:
        for k, event in packed.fit([make_net(tried, data.facts, s) for s in seeds], few, val, recipe, seeds):
            together[k].append(event)
        alone = [list(train.fit(make_net(tried, data.facts, s), few, val, recipe, s)) for s in seeds]
    except Exception as error:  # whatever it is: where the net itself is wrong, a run of its own will say so
        return reason(str(error))
    return next(filter(None, map(difference, together, alone)), "")


def cut(part: Examples, most: int) -> Examples:
    return replace(part, x=part.x[:most], y=part.y[:most])


def difference(together: list[Event], alone: list[Event]) -> str:
    """The first thing in which a packed run is not the run alone, to rounding; empty where there is none."""
    for a, b in zip_longest(together, alone):
        if isinstance(a, Step) and isinstance(b, Step):
            found = a.loss, b.loss, f"the loss of step {b.step}"
        elif isinstance(a, Epoch) and isinstance(b, Epoch):
            found = a.val_loss, b.val_loss, f"the validation loss of epoch {b.epoch}"
        elif a == b:
            continue
        else:
            return "packed, a run ends otherwise than alone"
        mine, wanted, what = found
        close = math.isclose(mine, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        if not close and not (math.isnan(mine) and math.isnan(wanted)):
            return f"packed, {what} is off by {abs(mine - wanted):.1g} from that of the run alone"
    return ""


def reason(said: str) -> str:
    """torch's complaint about stacking, in our words where it is one of the known ones."""
    if "random operation" in said:
        return "it draws random numbers as it trains (dropout does), which would not be those of the run alone"
    if "data-dependent control flow" in said or ".item()" in said:
        return "what it does depends on the values of tensors, and packed runs all do the same"
    return f"its nets cannot be stacked: {said.partition(chr(10))[0].partition('. ')[0].rstrip('.')}"
