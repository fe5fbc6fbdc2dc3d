"""Who runs what, and when: one process a run, one thread each, as many at once as there are cores."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daiving.errors import FixableError
from daiving.events import Event, from_dict
from daiving.files import read_json, write_json
from daiving.study.plan import Arm, Plan
from daiving.study.reading import Comparison, Reading, collect, compare, wanted
from daiving.study.record import Lab, Result, read_lines, result_of

TRIES = 2  # a process that was killed is run again once; a net that raises would raise again
GRACE = 5.0  # seconds between asking a worker to stop and killing it


@dataclass(frozen=True)
class Started:
    run: str
    arm: Arm
    seed: int


@dataclass(frozen=True)
class Told:
    """An event of a run that is going on; of its steps only some."""

    run: str
    event: Event


@dataclass(frozen=True)
class Done:
    result: Result
    arm: Arm
    seed: int


@dataclass(frozen=True)
class Looked:
    """What all finished pairs say now."""

    comparisons: tuple[Comparison, ...]


Progress = Started | Told | Done | Looked


class RunFailed(FixableError):
    """A run that could not be done: the net's own code failed, or its process died. The study can go on later."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute(plan: Plan, lab: Lab, task: dict[str, Any], jobs: int | None = None) -> Iterator[Progress]:
    """Do the runs of a study until every comparison has its verdict; yields what happens.

    Runs that are over are taken as they are, so a study goes on where it stopped. When the consumer stops, all workers
    are stopped too, and keep their finished epochs. Raises `RunFailed` when a run cannot be done.
    """
    results = collect(plan, lab)
    yield Looked(store_looks(plan, lab, results))
    todo = wanted(plan, results)
    if not todo:
        return
    write_costs(plan, lab, task)
    jobs = jobs or cores()
    messages: queue.Queue[tuple[Worker, dict[str, Any] | None]] = queue.Queue()
    workers: list[Worker] = []
    tries: dict[str, int] = {}
    try:
        while todo or workers:
            busy = {worker.run for worker in workers}
            for arm, seed in ahead(todo, jobs):
                run = plan.run_id(arm, seed)
                if len(workers) < jobs and run not in busy:
                    tries[run] = tries.get(run, 0) + 1
                    workers.append(start(plan, lab, arm, seed, task, messages))
                    yield Started(run, arm, seed)
            worker, message = messages.get()
            if message is not None:
                if "event" in message:
                    yield Told(worker.run, from_dict(message))
                else:
                    worker.last_words = message
                continue
            workers.remove(worker)
            worker.process.wait()
            result = result_of(worker.folder)
            if result is None:
                if "wrong" in worker.last_words.get("error", {}):
                    raise RunFailed(**worker.last_words["error"])
                if worker.last_words or tries[worker.run] >= TRIES:
                    raise failure(worker)
                continue  # killed: once more
            results[worker.arm.name, worker.seed] = result
            yield Done(result, worker.arm, worker.seed)
            yield Looked(store_looks(plan, lab, results))
            todo = wanted(plan, results)
            still = {plan.run_id(arm, seed) for arm, seed in todo}
            for worker in [worker for worker in workers if worker.run not in still]:
                worker.stop()  # decided without it
                workers.remove(worker)
    finally:
        for worker in workers:
            worker.ask_to_stop()
        for worker in workers:
            worker.stop()


def ahead(todo: list[tuple[Arm, int]], jobs: int) -> list[tuple[Arm, int]]:
    """What may be started now: a few pairs beyond the first unfinished one, since a verdict may come any time."""
    if not todo:
        return []
    arms = len({arm.name for arm, _ in todo})
    horizon = todo[0][1] + -(-jobs // arms)
    return [(arm, seed) for arm, seed in todo if seed <= horizon]


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


def write_costs(plan: Plan, lab: Lab, task: dict[str, Any]) -> None:
    """Build each arm's net once, in a process of its own, and store what it costs.

    Raises `FixableError` for a net that cannot be built or does not fit the task, before any time is spent on runs.
    """
    folder = lab.study(plan.id)
    if read_json(folder / "costs.json"):
        return
    request, log = folder / "probe.json", folder / "log.txt"
    write_json(request, {"task": task, "arms": [asdict(arm) for arm in plan.arms]})
    with log.open("wb") as file:
        process = spawn(["--probe", str(request)], file)
        try:
            assert process.stdout is not None
            words = [json.loads(line) for line in process.stdout]
            code = process.wait()
        finally:
            process.kill()
    answer = words[-1] if words else {}
    if "error" in answer:
        raise FixableError(**answer["error"])
    if "costs" not in answer:
        said = answer.get("failed", {}).get("message", f"its process ended with {code}")
        raise FixableError(
            f"A net of this study cannot be built and run once: {said}.",
            expected="nets that take a batch of this task's images and answer with one score a class.",
            fix=f"read the traceback in {log} and mend the net; no run was started.",
        )
    request.unlink()
    write_json(folder / "costs.json", answer["costs"])


def store_looks(plan: Plan, lab: Lab, results: dict[tuple[str, int], Result]) -> tuple[Comparison, ...]:
    """The comparisons as they are now; looks that were not stored yet are appended to the study's `looks.jsonl`."""
    compared = compare(plan, results)
    path = lab.study(plan.id) / "looks.jsonl"
    stored = {(row["other"], row["pairs"]) for row in read_lines(path)[0]}
    rows = [{"first": c.first, "other": c.other, **asdict(look)} for c in compared for look in c.looks]
    if new := [row for row in rows if (row["other"], row["pairs"]) not in stored]:
        with path.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in new)
    return compared


def reading(plan: Plan, lab: Lab, notes: tuple[str, ...] = ()) -> Reading:
    """A study as its files have it."""
    results = collect(plan, lab)
    environment: dict[str, object] = {}
    warnings = list(notes)
    for (arm, seed), result in results.items():
        environment = environment or (read_json(result.folder / "run.json") or {}).get("environment", {})
        if damaged := read_lines(result.folder / "events.jsonl")[1]:
            warnings.append(
                f"events.jsonl of the run of '{arm}' with seed {seed} ({result.id}) has {len(damaged)} damaged "
                f"line(s), the first is line {damaged[0]}: left out. The verdict does not use that file."
            )
    costs = read_json(lab.study(plan.id) / "costs.json") or {}
    return Reading(plan, results, compare(plan, results), costs, environment, tuple(warnings))
