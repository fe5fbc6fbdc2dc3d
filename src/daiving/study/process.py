"""A run in a process of its own: started, listened to, stopped, and its failure put into words."""

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daiving.errors import FixableError
from daiving.files import read_json, write_json
from daiving.study.plan import Arm, Plan
from daiving.study.record import Lab, result_of

GRACE = 5.0  # seconds between asking a worker to stop and killing it


class RunFailed(FixableError):
    """A run that could not be done: the net's own code failed, or its process died. The study can go on later."""


@dataclass(eq=False)
class Worker:
    """A run in its process."""

    run: str
    arm: Arm
    seed: int
    folder: Path
    process: subprocess.Popen[bytes]
    last_words: dict[str, Any] = field(default_factory=dict)  # why it failed, if it could say

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        self.ask_to_stop()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(plan: Plan, lab: Lab, arm: Arm, seed: int, task: dict[str, Any], messages: queue.Queue) -> Worker:
    folder = prepare_run(plan, lab, arm, seed, task)
    with (folder / "log.txt").open("ab") as log:
        process = spawn([str(folder)], log)
    worker = Worker(folder.name, arm, seed, folder, process)

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):  # a worker that is killed may leave half a line
                messages.put((worker, json.loads(line)))
        messages.put((worker, None))

    threading.Thread(target=listen, daemon=True).start()
    return worker


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


def spawn(arguments: list[str], log: Any) -> subprocess.Popen[bytes]:
    """A worker: one thread, and a session of its own, so that Ctrl-C reaches the driver alone."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "daiving.study.worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=os.environ | one_thread | {"PYTHONHASHSEED": "0"},
        start_new_session=True,
    )


def failure(worker: Worker) -> RunFailed:
    """Store why a run failed, and say it."""
    said = worker.last_words.get("failed", {})
    code = worker.process.returncode
    if said.get("kind") == "disk":
        message, expected = said["message"], "a disk with room, and a lab that may be written."
    else:
        message = said.get("message") or (
            f"its process was killed by signal {-code}" if code < 0 else f"it exited with {code}"
        )
        expected = "a net that trains to the end of its run."
    log = worker.folder / "log.txt"
    with suppress(OSError):
        write_json(worker.folder / "error.json", {"message": message, "log": log.name})
    return RunFailed(
        f"The run of '{worker.arm.name}' with seed {worker.seed} failed: {message}.",
        expected=expected,
        fix=f"read what it printed in {log}, mend it, and start the same command again: finished runs are kept.",
    )
