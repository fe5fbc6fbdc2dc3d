"""A lab: a folder of runs and studies. Its files are the truth; nothing here needs torch.

lab/runs/ID/run.json              what determines the run, and where and on what it ran
           /events.jsonl          what happened, appended at the end of each epoch
           /checkpoint.safetensors  how to go on; gone when the run is over
           /model.safetensors     the best weights
           /right.bits            one bit a test example
           /result.json           written last: a run with one is over
           /error.json  log.txt   a run that failed: why, and all it printed
lab/studies/ID/study.json         the plan
              /costs.json         parameters and multiply-adds of each arm
              /looks.jsonl        every look, as it was taken
              /report.html
lab/data/                         the user's images, decoded
lab/lab.db                        an index of all that; it can be deleted
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from daiving.errors import FixableError
from daiving.files import read_json

FINISHED, DIVERGED, FAILED, UNFINISHED = "finished", "diverged", "failed", "unfinished"


DEFAULT_LAB = Path("daiving-lab")  # in the folder that one works in


@dataclass(frozen=True)
class Lab:
    """Where everything is kept."""

    root: Path

    def run(self, id: str) -> Path:
        return self.root / "runs" / id

    def study(self, id: str) -> Path:
        return self.root / "studies" / id

    @property
    def data(self) -> Path:
        return self.root / "data"

    def prepare(self) -> None:
        """Make the folders; raises `FixableError` where that is not allowed."""
        try:
            for folder in ("runs", "studies", "data"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            probe = self.root / ".writable"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise unwritable(self.root, error) from None

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Hold the lab for one driver. Raises `FixableError` while another holds it, whatever became of that one's
        workers: the lock goes with the process, even one that was killed."""
        lock = FileLock(self.root / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise FixableError(
                f"Another daiving is at work in the lab '{self.root}'.",
                expected="one study or training at a time in one lab, so that no run is done twice.",
                fix="wait until it is done, or give this one a lab of its own: --lab OTHER_FOLDER.",
            ) from None
        except OSError as error:
            raise unwritable(self.root, error) from None
        try:
            yield
        finally:
            lock.release()

    def find(self, prefix: str, kind: str) -> Path:
        """The folder of the run or study (`kind`) whose id begins so; raises `FixableError` where it is not one."""
        folder = self.root / f"{'runs' if kind == 'run' else 'studies'}"
        ids = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        found = [id for id in ids if prefix and id.startswith(prefix)]
        if len(found) == 1:
            return folder / found[0]
        if found:
            raise FixableError(
                f"'{prefix}' is the beginning of {len(found)} {kind} ids.",
                expected=f"enough of one to tell: {', '.join(found[:5])}.",
                fix="give one or two characters more.",
            )
        if not ids:
            raise FixableError(
                f"There is no {kind} in the lab '{self.root}'.",
                expected=f"the id of a {kind} that was started in this lab.",
                fix="run `daiving compare` first, or name the right lab with --lab.",
            )
        raise FixableError(
            f"No {kind} in this lab has an id that begins with '{prefix}'.",
            expected=f"the beginning of an id of the {len(ids)} that are there.",
            fix="`daiving runs` lists them all.",
        )


def unwritable(root: Path, error: OSError) -> FixableError:
    return FixableError(
        f"The lab '{root}' cannot be written to ({error.strerror or error}).",
        expected="a folder that may be written, on a disk with room.",
        fix="give another with --lab FOLDER, or change the rights of this one; finished runs in it stay readable.",
    )


@dataclass(frozen=True)
class Result:
    """A run that is over, as its `result.json` has it."""

    id: str
    status: str  # FINISHED or DIVERGED
    detail: str  # of a divergence
    metrics: dict[str, float]  # on the test split; empty when diverged
    examples: int  # in the test split
    history: list[dict[str, Any]]  # its `Epoch` events
    seconds_per_epoch: float  # median over whole epochs, wall; 0 where no epoch was timed: it was packed
    peak_memory: float  # of the process, MiB; 0 where it is not known, or not the run's alone
    folder: Path

    @property
    def timed(self) -> bool:
        """Whether it has seconds of its own."""
        return self.seconds_per_epoch > 0

    def right(self) -> np.ndarray | None:
        """Which test examples it got right, bool; None where the file is missing or torn."""
        try:
            packed = np.frombuffer((self.folder / "right.bits").read_bytes(), dtype=np.uint8)
        except FileNotFoundError:
            return None
        right = np.unpackbits(packed, count=self.examples).astype(bool) if len(packed) * 8 >= self.examples else None
        if right is None or abs(right.mean() - self.metrics.get("accuracy", -1)) > 1e-9:
            return None
        return right


def result_of(folder: Path) -> Result | None:
    """The result of a run's folder, or None while there is none that can be believed."""
    row: dict[str, Any] | None = read_json(folder / "result.json")
    try:
        return Result(folder=folder, **row) if row else None
    except TypeError:
        return None


def status_of(folder: Path) -> str:
    """One of FINISHED, DIVERGED, FAILED, UNFINISHED."""
    if result := result_of(folder):
        return result.status
    return FAILED if read_json(folder / "error.json") else UNFINISHED


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The rows of a `.jsonl` file, and the numbers (from 1) of the lines that are no row.

    A last line without its end is a write that was cut off: it is left out and not called damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], []
    rows, damaged = [], []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError
            rows.append(row)
        except ValueError:
            damaged.append(number)
    return rows, damaged
