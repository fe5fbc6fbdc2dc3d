"""daiving train: one network, one seed, stored like every run of a study."""

import os
import textwrap
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from daiving.api import planned, task_row
from daiving.commands.flags import arg, parse, recipe_name, recipe_of, with_recipe
from daiving.errors import unknown
from daiving.events import Event, from_dict
from daiving.show.log import LOGS
from daiving.study.index import index
from daiving.study.plan import Plan, check_seed
from daiving.study.probe import cost_of
from daiving.study.process import RunFailed, failure, heard, prepare_run, spawn
from daiving.study.record import DEFAULT_LAB, FINISHED, Lab, result_of
from daiving.tasks.data import Data

WIDTH = 80


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
    lab: Annotated[Path, arg("folder in which everything is kept")] = DEFAULT_LAB
    data: Annotated[Path | None, arg("folder in which your data sets lie")] = None
    recipe: Annotated[str, arg("a recipe of `daiving recipes`; the flags below change it")] = "default"


def main(arguments: Sequence[str]) -> int:
    flags = parse(with_recipe(Train, recipe_name(arguments)), arguments, "train")
    if flags.log not in LOGS:
        raise unknown("form of log", flags.log, LOGS)
    lab = Lab(flags.lab.expanduser().resolve())
    lab.prepare()
    with lab.driving():
        plan, data = planned(flags.task, {"net": flags.net}, recipe_of(flags), lab.root, flags.data)
        folder = prepare_run(plan, lab, plan.arms[0], check_seed(flags.seed), task_row(plan, lab, flags.data))
        for note in data.notes:
            print(wrapped(f"Note: {note}"))
        if result_of(folder):
            print("This run is finished; nothing is left to do.")
        else:
            cost_of(plan.arms[0], task_row(plan, lab, flags.data), folder)
            with closing(follow(plan, folder, flags.seed)) as events:
                for line in LOGS[flags.log](events, data):
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
            f"(n = {result.examples}, the best epoch's weights)"
        )
        for line in in_bits(plan.task, data, result.metrics["loss"]):
            print(wrapped(line))
        print("One run says little: compare arms over seeds.")
    print(f"run {folder.name} in {os.path.relpath(folder)}")
    return 0 if result.status == FINISHED else 1


def in_bits(task: str, data: Data, loss: float) -> list[str]:
    """A text's loss as bits a character, beside what counting alone foretells of the same characters."""
    if task != "text":
        return []
    from daiving.tasks.ngrams import NGrams, to_bits
    from daiving.tasks.text import stream

    train, test = stream(data.train), stream(data.test)
    one, five = (NGrams(train, len(data.symbols), order).bits(test) for order in (1, 5))
    often = "every character" if data.shape[0] == 1 else f"every {data.shape[0]} characters"
    return [
        f"bits per character of test: {to_bits(loss):.3f}; by counting: unigram {one:.3f}, 5-gram {five:.3f}",
        f"(The net begins {often} with an empty memory; the 5-gram, Kneser-Ney's, always sees four characters back.)",
    ]


def wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def follow(plan: Plan, folder: Path, seed: int) -> Generator[Event, None, None]:
    """The events of a run in a worker of its own, as in a study; raises `RunFailed` when it cannot be done."""
    worker = spawn(["every step", str(folder)], folder, plan.arms[0], {folder.name: seed})
    with closing(heard(worker)) as messages:
        for message in messages:
            if "event" in message:
                yield from_dict(message)
            else:
                worker.last_words = message
    if "error" in worker.last_words:
        raise RunFailed(**worker.last_words["error"])
    if result_of(folder) is None:
        raise failure(worker)
