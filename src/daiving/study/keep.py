"""A run that survives anything: events and checkpoints on the disk, written so that a crash tears neither.

The checkpoint is what makes an epoch done: it is renamed into place first, with the epoch's own lines inside it, and
the lines are appended to `events.jsonl` after. So an epoch whose line anyone has seen is never trained again, and
lines that were cut off are written once more from the checkpoint.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from daiving.events import Epoch, Event, Step, to_dict
from daiving.files import write_atomic
from daiving.study.record import read_lines
from daiving.train import State


class Keeper:
    """Stores one run's events as they come; `state` is the one that `fit` was given."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state
        self.lines: list[str] = []  # of the epoch that is going on

    def take(self, event: Event) -> None:
        self.lines.append(json.dumps(to_dict(event)) + "\n")
        if isinstance(event, Epoch):
            save(self.folder / "checkpoint.safetensors", self.state, self.lines)
        if not isinstance(event, Step):
            append(self.folder / "events.jsonl", self.lines)
            self.lines = []


def keep(folder: Path, events: Iterator[Event], state: State) -> Iterator[Event]:
    """Pass the events of `fit` on, each stored before it is passed."""
    keeper = Keeper(folder, state)
    for event in events:
        keeper.take(event)
        yield event


def append(path: Path, lines: list[str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def save(path: Path, state: State, lines: list[str]) -> None:
    tensors: dict[str, Tensor] = {}
    for group in ("net", "mean", "best"):
        tensors |= {f"{group}/{name}": t for name, t in getattr(state, group).items()}
    for number, parts in state.optimizer.items():
        tensors |= {f"optimizer/{number}/{name}": t for name, t in parts.items() if isinstance(t, Tensor)}
    about = {
        "step": json.dumps(state.step),
        "history": json.dumps([vars(epoch) for epoch in state.history]),
        "lines": json.dumps(lines),
    }
    write_tensors(path, tensors, about)


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    content = packed(tensors, about)
    write_atomic(path, lambda file: file.write(content))


def packed(tensors: dict[str, Tensor], about: dict[str, str]) -> bytes:
    """The content of a safetensors file."""
    # Each name gets its own bytes: safetensors refuses tensors that share memory, as tied weights do.
    own = {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    return safetensors.torch.save(own, about)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Tensors and metadata of a safetensors file, or None where there is none that is whole."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (FileNotFoundError, safetensors.SafetensorError):
        return None


def resume(folder: Path) -> State:
    """Where the run stands: its last checkpoint, or the beginning. `events.jsonl` is made to end there."""
    state, lines = State(), []
    if found := read_tensors(folder / "checkpoint.safetensors"):
        tensors, about = found
        state.step = json.loads(about["step"])
        state.history = [Epoch(**row) for row in json.loads(about["history"])]
        lines = json.loads(about["lines"])
        for name, t in tensors.items():
            group, _, rest = name.partition("/")
            if group == "optimizer":
                number, _, part = rest.partition("/")
                state.optimizer.setdefault(int(number), {})[part] = t
            else:
                getattr(state, group)[rest] = t
    mend(folder / "events.jsonl", state.history, lines)
    return state


def mend(path: Path, history: list[Epoch], last: list[str]) -> None:
    """Bring `events.jsonl` to the end of the last kept epoch: cut what came after, write again what is missing."""
    by_epoch: dict[int, list[dict[str, Any]]] = {}
    for row in read_lines(path)[0]:
        by_epoch.setdefault(row.get("epoch", 0), []).append(row)
    lines: list[str] = []
    for epoch in history[:-1]:
        rows = by_epoch.get(epoch.epoch, [])
        if to_dict(epoch) not in rows:  # lost or damaged; the checkpoint knows the epoch, though not its steps
            rows = [*(row for row in rows if row.get("event") == "step"), to_dict(epoch)]
        lines += [json.dumps(row) + "\n" for row in rows]
    text = "".join([*lines, *last]).encode()
    if not path.exists() or path.read_bytes() != text:
        write_atomic(path, lambda file: file.write(text))
