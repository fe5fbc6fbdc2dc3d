"""The table of tasks. A task is data in three splits, a loss and a metric; torch is not needed to list them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daiving.errors import FixableError, unknown
from daiving.options import Option, settle, split
from daiving.tasks.data import Data


@dataclass(frozen=True)
class Entry:
    where: str  # "module:function", imported only when loaded
    about: str
    examples: str  # train / val / test, for people
    options: Mapping[str, Option]
    next_symbol: bool = False  # a label is the symbol that comes next: no net may read ahead


TASKS: Mapping[str, Entry] = {
    "digits": Entry(
        "daiving.tasks.digits:load",
        "5,000 handwritten digits of MNIST's training set, 28x28, embedded",
        "4,000 / 500 / 500",
        {},
    ),
    "mnist": Entry(
        "daiving.tasks.mnist:load",
        "all of MNIST, 28x28: from --data, the cache, or a verified download",
        "55,000 / 5,000 / 10,000",
        {},
    ),
    "images": Entry(
        "daiving.tasks.images:load",
        "your folder of PNG or JPEG files, one subfolder a class",
        "80 / 10 / 10 %, or train/ val/ test/",
        {
            "folder": Option("", "the folder; it may also stand for the task itself: --task path/to/folder"),
            "size": Option(28, "height and width that every image is brought to, pixels"),
            "channels": Option(0, "1 grey, 3 colour, 0 as the files are", among=(0, 1, 3)),
            "fit": Option("crop", "square by a crop around the centre, or by squashing", among=("crop", "squash")),
            "split_seed": Option(0, "which files are held out, where there is no train/ val/ test/"),
        },
    ),
    "arrays": Entry(
        "daiving.tasks.arrays:load",
        "your own arrays in an .npz file: x and y, or x_train, y_train, x_val, y_val, x_test, y_test",
        "80 / 10 / 10 %, or as named",
        {
            "file": Option("", "the .npz file"),
            "split_seed": Option(0, "which examples are held out, where there are x and y alone"),
        },
    ),
    "hello": Entry(
        "daiving.tasks.hello:load",
        "the lecture's hihell: say at each of six letters which comes next, ihello",
        "1 / 1 / 1, the same sequence of 6 letters",
        {},
        next_symbol=True,
    ),
    "text": Entry(
        "daiving.tasks.text:load",
        "a text, character by character: which comes next?",
        "80 / 10 / 10 % of the text, one behind the other",
        {
            "file": Option("", "a text file, UTF-8; else tinyshakespeare.txt of --data, else Python's own topics"),
            "steps": Option(64, "characters in one sequence", low=1),
        },
        next_symbol=True,
    ),
    "names": Entry(
        "daiving.tasks.names:load",
        "surnames, letter by letter: of which nation?",
        "80 / 10 / 10 % of the names of each nation",
        {
            "folder": Option("", "files NATION.txt, one name a line; else names_by_nationality.tar.gz of --data"),
            "split_seed": Option(0, "which names are held out"),
        },
    ),
}

PATHS = ("folder", "file")  # options that say where something lies, not what it is


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """A task as typed, `"digits"` or `"images:folder=photos,size=32"` or a folder, with all options.

    Raises `FixableError` for an unknown task or option and for a value that does not fit.
    """
    name, given = split(text)
    if name not in TASKS and Path(name).expanduser().is_dir():
        name, given = "images", {"folder": name, **given}
    if name not in TASKS:
        if "/" in name or "\\" in name:
            raise FixableError(
                f"There is no folder '{name}'.",
                expected=f"a folder with one subfolder a class, or one of {', '.join(TASKS)}.",
                fix="check the path; it is looked up from the folder you are in.",
            )
        raise unknown("task", name, TASKS)
    return name, settle("task", name, given, TASKS[name].options)


def load(name: str, options: Mapping[str, Any], *, data_dir: Path | None, cache_dir: Path | None) -> Data:
    """The three splits of a task.

    `data_dir` is where the user keeps data sets (may be None), `cache_dir` where decoded images may be
    kept for the next call (may be None). Raises `FixableError` when the data cannot be had or is not sound.
    """
    module, function = TASKS[name].where.split(":")
    return getattr(importlib.import_module(module), function)(**options, data_dir=data_dir, cache_dir=cache_dir)
