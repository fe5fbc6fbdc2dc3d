"""daiving runs, show: what a lab holds. Neither needs torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from daiving.commands.flags import arg, parse
from daiving.errors import FixableError
from daiving.files import read_json
from daiving.study.index import index
from daiving.study.record import DEFAULT_LAB, Lab, read_lines, result_of, status_of

FEW = 20  # epochs that are all printed; of more, the first, the last, every tenth and the best
SHORT = 8  # characters of an id that are printed; any beginning that is unique will do


@dataclass(frozen=True)
class Runs:
    """The runs and studies of a lab, newest last."""

    lab: Annotated[Path, arg("the lab's folder")] = DEFAULT_LAB


@dataclass(frozen=True)
class Show:
    """One run or study: its verdict, its numbers, its report."""

    id: Annotated[Positional[str], arg("the id of a run or a study, or the beginning of one")]
    lab: Annotated[Path, arg("the lab's folder")] = DEFAULT_LAB


def runs(arguments: Sequence[str]) -> None:
    lab = existing(parse(Runs, arguments, "runs").lab)
    db = index(lab, write=False)
    table = grid("run", "net", "task", "seed", "epochs", "state", "accuracy", "s/epoch")
    columns = "id, net, task, seed, epochs, status, accuracy, seconds_per_epoch"
    for id, net, task, seed, epochs, status, accuracy, seconds in db.execute(
        f"select {columns} from runs order by changed"
    ):
        measured = f"{accuracy:.2%}" if accuracy is not None else "", f"{seconds:.1f}" if seconds else ""
        table.add_row(id[:SHORT], net, task, str(seed), f"{epochs:g}", status, *measured)
    studies = grid("study", "task", "arms", "metric", "cap")
    for row in db.execute("select * from studies"):
        studies.add_row(row[0][:SHORT], *map(str, row[1:]))
    console = Console(highlight=False)
    for one in (table, studies):
        if one.row_count:
            console.print(one)
    if not table.row_count:
        print(f"The lab '{lab.root}' has no runs yet.")


def show(arguments: Sequence[str]) -> None:
    flags = parse(Show, arguments, "show")
    lab = existing(flags.lab)
    studies, found = lab.root / "studies", []
    if studies.is_dir():
        found = [path for path in studies.iterdir() if path.name.startswith(flags.id)]
    if found:
        show_study(lab, lab.find(flags.id, "study"))
    else:
        show_run(lab.find(flags.id, "run"))


def show_study(lab: Lab, folder: Path) -> None:
    from daiving.api import outcome

    found = outcome(lab, folder.name)
    print(found)
    print(f"\nReport: {os.path.relpath(found.report) if found.report else 'not written, for the lab is read-only'}")


def show_run(folder: Path) -> None:
    about: dict[str, Any] = read_json(folder / "run.json") or {}
    result = result_of(folder)
    if not all(isinstance(about.get(key), dict) for key in ("arm", "task")):
        print(f"run {folder.name}: its run.json cannot be read")
        about |= {"arm": {}, "task": {}}
    arm = about["arm"]
    print(
        f"run {folder.name}: {arm.get('net', '?')} on {about.get('task', {}).get('name', '?')}, "
        f"seed {about.get('seed')}"
    )
    print(f"state: {status_of(folder)}" + (f", {result.detail}" if result and result.detail else ""))
    if error := read_json(folder / "error.json"):
        print(f"why: {error['message']} (all it printed: {os.path.relpath(folder / 'log.txt')})")
    if result and result.metrics:
        print(
            f"test accuracy {result.metrics['accuracy']:.2%}, loss {result.metrics['loss']:.4f} nats "
            f"(n = {result.examples} examples, one run)"
        )
    rows, damaged = read_lines(folder / "events.jsonl")
    if damaged:
        print(f"events.jsonl has {len(damaged)} damaged line(s), the first is line {damaged[0]}: left out here")
    history = result.history if result else [row for row in rows if row.get("event") == "epoch"]
    if history:
        table = grid("epoch", "train loss", "val loss", "val accuracy", "seconds", "")
        for row in told(history):
            numbers = (f"{row['train_loss']:.4f}", f"{row['val_loss']:.4f}", f"{row['val_accuracy']:.2%}")
            seconds = f"{row['seconds']:.1f}" if row["seconds"] else "packed"
            table.add_row(str(row["epoch"]), *numbers, seconds, "best so far" if row["best"] else "")
        Console(highlight=False).print(table)
        if len(history) > FEW:
            print(f"Of {len(history)} epochs: first, last, every tenth, best. All are in events.jsonl.")
    print("recipe: " + ", ".join(f"{key} {value}" for key, value in arm.get("recipe", {}).items()))
    print("on: " + ", ".join(f"{key} {value}" for key, value in about.get("environment", {}).items()))
    print(f"folder: {os.path.relpath(folder)}")


def told(history: Sequence[Any]) -> list[Any]:
    """The rows of epochs that are worth printing."""
    if len(history) <= FEW:
        return list(history)
    best = max((i for i, row in enumerate(history) if row["best"]), default=0)  # the last that was better than all
    return [row for i, row in enumerate(history) if i in (0, best, len(history) - 1) or row["epoch"] % 10 == 0]


def grid(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name not in ("net", "arms"))
    return table


def existing(root: Path) -> Lab:
    if not root.expanduser().is_dir():
        raise FixableError(
            f"There is no lab in '{root}'.",
            expected="a folder that `daiving compare` or `daiving train` has made.",
            fix="run one of them first, or name the right folder with --lab.",
        )
    return Lab(root.expanduser().resolve())
