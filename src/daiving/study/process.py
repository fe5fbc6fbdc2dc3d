"""A run in a process of its own: started, listened to, stopped, and its failure put into words.

Where the system can fork, all workers are forked from one server that has imported torch and done nothing else: a run
then starts in milliseconds rather than in the seconds that torch takes to import.
"""

import importlib
import json
import multiprocessing
import os
import sys
import types
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from daiving.errors import FixableError
from daiving.files import read_json, write_json
from daiving.study.plan import Arm, Plan
from daiving.study.record import Lab, result_of

GRACE = 5.0  # seconds between asking a worker to stop and killing it
PRELOAD = ["daiving.study.jobs", "torch._dynamo"]  # the latter any optimizer imports at its first step: a second
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class RunFailed(FixableError):
    """A run that could not be done: the net's own code failed, or its process died. The study can go on later."""

    exit_code = 1


@dataclass(eq=False)
class Worker:
    """A job in its process."""

    folder: Path  # of the run, of the first of a pack, or of the study for a probe
    process: BaseProcess
    messages: Connection
    arm: Arm | None = None
    runs: dict[str, int] = field(default_factory=dict)  # id -> seed; of a pack, those that are not over yet
    packed: bool = False
    last_words: dict[str, Any] = field(default_factory=dict)  # why it failed, if it could say

    def hear(self) -> Iterator[dict[str, Any]]:
        """What it has said and nobody has heard yet."""
        with suppress(EOFError, OSError):  # the end of what it says
            while self.messages.poll():
                with suppress(ValueError):  # a worker that was killed may leave half a message
                    yield json.loads(self.messages.recv_bytes())

    def over(self) -> bool:
        return not self.process.is_alive()

    def ask_to_stop(self) -> None:
        if self.process.is_alive():
            self.process.terminate()

    def stop(self) -> None:
        self.ask_to_stop()
        self.process.join(GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def spawn(job: Sequence[str], folder: Path, arm: Arm | None = None, runs: Mapping[str, int] | None = None) -> Worker:
    """Start `daiving.study.jobs.work` on a job in its own process; all it prints goes to `log.txt` in the folder."""
    context: Any = multiprocessing.get_context(METHOD)
    ours, theirs = context.Pipe(duplex=False)
    with as_a_child_should_start():
        if METHOD == "forkserver":
            context.set_forkserver_preload(PRELOAD)
        process = context.Process(target=entry, args=(list(job), str(folder / "log.txt"), theirs))
        process.start()
    theirs.close()
    return Worker(folder, process, ours, arm, dict(runs or {}), packed=job[0] == "pack")


def entry(job: list[str], log: str, messages: Connection) -> None:
    """The first function of a worker's process."""
    # By name: the worker imports torch, which the driver, whose module this is, never does.
    sys.exit(importlib.import_module("daiving.study.jobs").work(job, log, messages))


@contextmanager
def as_a_child_should_start() -> Iterator[None]:
    """One thread for each library, and not the user's script again.

    multiprocessing runs the main module once more in each child, so that a script which starts a study without
    `if __name__ == "__main__"` would start it again and again; no worker needs that module.
    """
    before = dict(os.environ)
    main = sys.modules["__main__"]
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        os.environ.clear()
        os.environ |= before


def listen(workers: Sequence[Worker]) -> list[Worker]:
    """Wait until one of them has something to say or is over; those that have."""
    ready = wait([handle for worker in workers for handle in (worker.messages, worker.process.sentinel)])
    return [worker for worker in workers if worker.messages in ready or worker.process.sentinel in ready]


def heard(worker: Worker) -> Generator[dict[str, Any], None, None]:
    """All that one worker says, until it is over; when the listener leaves before, the worker is stopped."""
    try:
        over = False
        while not over:
            listen([worker])
            over = worker.over()  # asked before listening: what it said last must not be missed
            yield from worker.hear()
    finally:
        worker.stop()


def start(plan: Plan, lab: Lab, arm: Arm, seeds: Sequence[int], task: dict[str, Any]) -> Worker:
    """One run in a process of its own, or several of one arm packed."""
    folders = [prepare_run(plan, lab, arm, seed, task) for seed in seeds]
    runs = {folder.name: seed for folder, seed in zip(folders, seeds, strict=True)}
    return spawn(["pack" if len(folders) > 1 else "run", *map(str, folders)], folders[0], arm, runs)


def prepare_run(plan: Plan, lab: Lab, arm: Arm, seed: int, task: dict[str, Any]) -> Path:
    """The folder of a run, with its `run.json`."""
    folder = lab.run(plan.run_id(arm, seed))
    if result_of(folder):
        return folder
    about = {"id": folder.name, "arm": asdict(arm), "seed": seed, "task": task}
    known = read_json(folder / "run.json") or {}
    if {key: known.get(key) for key in about} != about:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "run.json", known | about)
    return folder


def why(worker: Worker) -> str:
    """Why a process ended before its work was done: what it said itself, or how it went."""
    code = worker.process.exitcode or 0
    ended = f"its process was killed by signal {-code}" if code < 0 else f"it exited with {code}"
    return worker.last_words.get("failed", {}).get("message", ended)


def failure(worker: Worker) -> RunFailed:
    """Store why a run failed, and say it."""
    assert worker.arm is not None
    (seed,) = worker.runs.values()
    message = why(worker)
    disk = worker.last_words.get("failed", {}).get("kind") == "disk"
    log = worker.folder / "log.txt"
    with suppress(OSError):
        write_json(worker.folder / "error.json", {"message": message, "log": log.name})
    return RunFailed(
        f"The run of '{worker.arm.name}' with seed {seed} failed: {message}.",
        expected="a disk with room, and a lab that may be written."
        if disk
        else "a net that trains to the end of its run.",
        fix=f"read what it printed in {log}, mend it, and start the same command again: finished runs are kept.",
    )
