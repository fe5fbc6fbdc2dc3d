"""daiving train: one network, one seed, stored like every run of a study."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from daiving.api import LAB, single
from daiving.commands.flags import arg, parse, recipe_name, recipe_of, with_recipe
from daiving.errors import unknown
from daiving.events import Event
from daiving.show.log import LOGS
from daiving.study.index import index
from daiving.study.record import FINISHED, Lab, result_of


@dataclass(frozen=True)
class Train:
    """Train one network with one seed.

        daiving train mnist_inception --epochs 2
        daiving train mnist_inception:jump=true --recipe deck --log deck

    Stopped, it goes on where it was; finished, it is not done again.
    """

    net: Annotated[Positional[str], arg("a net of `daiving nets` with its options, or path/to/file.py:Class")]
    task: Annotated[str, arg("a task of `daiving tasks`, or a folder of images")] = "digits"
    seed: Annotated[int, arg("fixes weights, order, augmentation and dropout")] = 0
    log: Annotated[str, arg("what is printed: plain (a line an epoch), deck (the lecture's lines), none")] = "plain"
    lab: Annotated[Path, arg("folder in which everything is kept")] = LAB
    data: Annotated[Path | None, arg("folder in which your data sets lie")] = None
    recipe: Annotated[str, arg("a recipe of `daiving recipes`; the flags below change it")] = "default"


def main(arguments: Sequence[str]) -> int:
    flags = parse(with_recipe(Train, recipe_name(arguments)), arguments, "train")
    if flags.log not in LOGS:
        raise unknown("form of log", flags.log, LOGS)
    lab = Lab(flags.lab.expanduser().resolve())
    lab.prepare()
    with lab.driving():
        folder, data = single(flags.task, flags.net, recipe_of(flags), flags.seed, lab, flags.data)
        for note in data.notes:
            print(f"Note: {note}")
        if result_of(folder):
            print("This run is finished; nothing is left to do.")
        for line in LOGS[flags.log](run_here(folder), data):
            print(line, flush=True)
        index(lab, write=True).close()
    result = result_of(folder)
    assert result is not None
    if result.status != FINISHED:
        print(f"Diverged: {result.detail}.")
    elif flags.log == "deck":
        right = round(result.metrics["accuracy"] * result.examples)
        print(
            f"\nTest set: Average loss: {result.metrics['loss']:.4f}, "
            f"Accuracy: {right}/{result.examples} ({result.metrics['accuracy']:.0%})"
        )
    else:
        print(
            f"test: accuracy {result.metrics['accuracy']:.2%}, loss {result.metrics['loss']:.4f} nats "
            f"(n = {result.examples}, weights of the best epoch; one run says little: compare arms over seeds)"
        )
    print(f"run {folder.name} in {os.path.relpath(folder)}")
    return 0 if result.status == FINISHED else 1


def run_here(folder: Path) -> Iterator[Event]:
    """The run in this process, on one thread as in a study, so that both give the same weights."""
    import torch  # two seconds, which a mistake in the flags should not cost

    from daiving.study.worker import run

    torch.set_num_threads(1)
    yield from run(folder)
