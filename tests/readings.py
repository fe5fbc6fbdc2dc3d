"""Readings of made-up runs, one for each way in which a study can stand."""

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np

from daiving.recipe import Recipe
from daiving.study.plan import Arm, Plan
from daiving.study.reading import Reading, compare
from daiving.study.record import DIVERGED, FINISHED, Result

IMAGES = 500


def study(folder: Path, reached: dict[str, list[float | None]], *, epochs: int = 4, **plan) -> Reading:
    """A reading of made-up runs: arm -> the accuracy reached with each seed, None where it diverged.

    The loss is 2 (1 - accuracy), so that a higher accuracy is a lower loss.
    """
    arms = tuple(
        Arm(
            arm,
            "mnist_inception",
            {"jump": bool(i), "activation": "none", "module": "reduced"},
            Recipe(lr=0.004 + i / 1e3),
        )
        for i, arm in enumerate(reached)
    )
    made = Plan(
        **{"task": "digits", "task_options": {}, "fingerprint": "724c1ed3", "arms": arms, "max_pairs": 20, **plan}
    )
    dice = random.Random(1)
    results = {}
    for i, arm in enumerate(arms):
        for seed, accuracy in enumerate(reached[arm.name], start=made.first_seed):
            id = made.run_id(arm, seed)
            results[arm.name, seed] = run(folder / id, accuracy, epochs, dice, seconds=5 + 2 * i)
    costs = {arm.name: {"parameters": 97_298 * (i + 1), "macs": 6_019_200 * (i + 1)} for i, arm in enumerate(arms)}
    environment = {
        "daiving": "0.1.0",
        "torch": "2.13.0+cpu",
        "python": "3.11.7",
        "processor": "A processor",
        "threads": 1,
    }
    return Reading(made, results, compare(made, results), costs, environment, ())


def run(folder: Path, accuracy: float | None, epochs: int, dice: random.Random, seconds: float) -> Result:
    """A run that is over, with its answers in `right.bits`."""
    folder.mkdir(parents=True, exist_ok=True)
    known = accuracy is not None
    right = np.arange(IMAGES) < round((accuracy or 0) * IMAGES)
    np.random.default_rng(dice.randrange(9)).shuffle(right[-60:])
    (folder / "right.bits").write_bytes(np.packbits(right).tobytes())
    share, history = float(right.mean()), []
    for epoch in range(1, epochs + 1 if known else 2):
        loss = (2 * (1 - share) + 1.2 * 0.45**epoch) * dice.uniform(0.95, 1.05) if known else float("nan")
        row = {"epoch": epoch, "step": 63 * epoch, "train_loss": loss, "val_loss": loss}
        history.append(row | {"val_accuracy": 1 - loss / 2.6 if known else 0.1, "seconds": seconds, "best": True})
    return Result(
        id=folder.name,
        status=FINISHED if known else DIVERGED,
        detail="" if known else "the loss of step 71 is nan",
        metrics={"accuracy": share, "loss": 2 * (1 - share)} if known else {},
        examples=IMAGES if known else 0,
        history=history,
        seconds_per_epoch=seconds * dice.uniform(0.95, 1.05),
        peak_memory=450.0,
        folder=folder,
    )


def around(mean: float, sd: float, n: int, seed: int) -> list[float | None]:
    dice = random.Random(seed)
    return [mean + sd * dice.gauss(0, 1) for _ in range(n)]


def decided(folder: Path, **plan) -> Reading:
    return study(
        folder, {"plain": around(0.930, 0.006, 20, 1), "jump": around(0.951, 0.006, 20, 2)}, smallest=0.003, **plan
    )


def undecided(folder: Path) -> Reading:
    return study(folder, {"plain": around(0.94, 0.008, 8, 3), "jump": around(0.943, 0.008, 8, 4)}, max_pairs=8)


def three(folder: Path) -> Reading:
    arms = {
        "plain": around(0.93, 0.005, 12, 5),
        "jump": around(0.95, 0.005, 12, 6),
        "wide": around(0.932, 0.005, 12, 7),
    }
    return study(folder, arms, max_pairs=12, smallest=0.005)


def diverged(folder: Path) -> Reading:
    arms = {"plain": around(0.93, 0.01, 8, 8), "jump": [0.95, None, 0.94, None, 0.935, 0.951, 0.928, 0.93]}
    return study(folder, arms, max_pairs=8)


def too_few(folder: Path) -> Reading:
    return study(folder, {"plain": [0.93, 0.94, None, 0.95], "jump": [0.95, None, None, 0.94]}, max_pairs=4)


def unfinished(folder: Path) -> Reading:
    return study(folder, {"plain": [0.93, 0.94, 0.92, 0.95], "jump": [0.95, 0.93, 0.94]})


def nothing_yet(folder: Path) -> Reading:
    return study(folder, {"plain": [], "jump": []})


def by_loss(folder: Path) -> Reading:
    return decided(folder, metric="loss")


def the_same(folder: Path) -> Reading:
    return study(folder, {"plain": [0.93] * 4, "jump": [0.93] * 4}, max_pairs=4, epochs=1)


def lopsided(folder: Path) -> Reading:
    return study(folder, {"plain": around(0.93, 0.01, 4, 9), "jump": [None] * 4, "wide": [0.95, 0.94]}, max_pairs=4)


def broken(folder: Path) -> Reading:
    """A loss that is no number, in a run that counts: nothing of it may break the page."""
    reading = undecided(folder)
    lost = reading.results["jump", 2]
    history = [row | {"val_loss": math.nan} if row["epoch"] == 3 else row for row in lost.history]
    lost = replace(lost, metrics=lost.metrics | {"loss": math.nan}, history=history)
    results = reading.results | {("jump", 2): lost}
    return replace(reading, results=results, comparisons=compare(reading.plan, results), costs={}, environment={})


def drifting(folder: Path) -> Reading:
    """Undecided by accuracy, while the loss of the last seeds is another than that of the first."""
    reading = study(folder, {"plain": around(0.94, 0.01, 20, 3), "jump": around(0.94, 0.01, 20, 4)})
    results = {
        (arm, seed): replace(
            run, metrics=run.metrics | {"loss": 0.2 + (arm == "jump") * (seed % 3 - 1 + 9 * (seed > 7)) / 500}
        )
        for (arm, seed), run in reading.results.items()
    }
    return replace(reading, results=results, comparisons=compare(reading.plan, results))


def six(folder: Path) -> Reading:
    arms = {f"an_arm_with_a_long_name_{i}": around(0.93 + i / 500, 0.01, 50, i) for i in range(6)}
    return study(folder, arms, max_pairs=50, epochs=30)


STUDIES = [decided, undecided, three, diverged, lopsided, too_few, unfinished, nothing_yet]
STUDIES += [by_loss, the_same, broken, drifting, six]
WITHOUT_WINNER = [undecided, diverged, lopsided, too_few, unfinished, nothing_yet, the_same, drifting]
