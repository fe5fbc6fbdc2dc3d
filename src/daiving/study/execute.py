"""Who runs what, and when: one process a run, one thread each, as many at once as there are cores.

Runs of one arm may share a process, packed: what that saves is the time that small nets spend between operations.
"""

import json
import os
from collections import Counter
from collections.abc import Generator, Mapping, Set
from dataclasses import asdict, dataclass
from typing import Any

from daiving.events import Ended, Event, from_dict
from daiving.files import read_json, write_atomic, write_json
from daiving.study.plan import Arm, Plan
from daiving.study.probe import apart, cost_of
from daiving.study.process import RunFailed, Worker, failure, listen, start, why
from daiving.study.reading import Comparison, collect, compare, wanted
from daiving.study.record import Lab, Result, read_lines, result_of

TRIES = 2  # a process that was killed is run again once; a net that raises would raise again


@dataclass(frozen=True)
class Started:
    run: str
    arm: Arm
    seed: int
    packed: str = ""  # the first run of its pack, where it shares a process


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


@dataclass(frozen=True)
class Noted:
    """What a person should know: why runs are not packed."""

    text: str


Progress = Started | Told | Done | Looked | Noted


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute(
    plan: Plan, lab: Lab, task: dict[str, Any], jobs: int | None = None, pack: int = 1
) -> Generator[Progress, None, None]:
    """Do the runs of a study until every comparison has its verdict; yields what happens.

    Up to `pack` runs of one arm share a process, where a trial shows that they come to what they come to alone. Runs
    that are over are taken as they are, so a study goes on where it stopped. When the consumer stops, all workers are
    stopped too, and keep their finished epochs. Raises `RunFailed` when a run cannot be done.
    """
    results = collect(plan, lab)
    write_costs(plan, lab, task)
    yield Looked(store_looks(plan, lab, results))
    todo = wanted(plan, results)
    jobs = jobs or cores()
    sizes = dict.fromkeys((arm.name for arm in plan.arms), 1)
    for arm in plan.arms if pack > 1 else ():
        if sum(one is arm for one, _ in todo) > 1:
            if reason := apart(arm, task, lab.study(plan.id)):
                yield Noted(f"The runs of '{arm.name}' are not packed: {reason}.")
            else:
                sizes[arm.name] = pack
    workers: list[Worker] = []
    tries: Counter[str] = Counter()
    alone: set[str] = set()  # were packed, and did not come to their end
    try:
        while todo:
            busy = {run for worker in workers for run in worker.runs}
            for arm, seeds in ahead(plan, todo, jobs, sizes, busy, alone):
                if len(workers) < jobs:
                    worker = start(plan, lab, arm, seeds, task)
                    workers.append(worker)
                    if not worker.packed:
                        tries[worker.folder.name] += 1
                    for run, seed in worker.runs.items():
                        yield Started(run, arm, seed, worker.folder.name if worker.packed else "")
            for worker in listen(workers):
                over = worker.over()  # asked before listening: what it said last must not be missed
                ended = over
                for message in worker.hear():
                    if "event" in message:
                        run = message.pop("run", worker.folder.name)
                        yield Told(run, event := from_dict(message))
                        ended |= worker.packed and isinstance(event, Ended)
                    else:
                        worker.last_words = message
                if not ended:
                    continue
                assert worker.arm is not None
                for run, seed in list(worker.runs.items()):
                    if result := result_of(lab.run(run)):
                        del worker.runs[run]
                        results[worker.arm.name, seed] = result
                        yield Done(result, worker.arm, seed)
                        yield Looked(store_looks(plan, lab, results))
                if not over:
                    continue
                workers.remove(worker)
                if not worker.runs:
                    continue
                if "error" in worker.last_words:
                    raise RunFailed(**worker.last_words["error"])
                if worker.packed:
                    alone |= worker.runs.keys()
                    yield Noted(f"{len(worker.runs)} packed runs of '{worker.arm.name}' go on alone: {why(worker)}.")
                elif worker.last_words or tries[worker.folder.name] >= TRIES:
                    raise failure(worker)  # else it was killed: once more
            todo = wanted(plan, results)
            still = {plan.run_id(arm, seed) for arm, seed in todo}
            for worker in [worker for worker in workers if worker.runs and not still & worker.runs.keys()]:
                worker.stop()  # decided without it
                workers.remove(worker)
    finally:
        for worker in workers:
            worker.ask_to_stop()
        for worker in workers:
            worker.stop()


def ahead(
    plan: Plan, todo: list[tuple[Arm, int]], jobs: int, sizes: Mapping[str, int], busy: Set[str], alone: Set[str]
) -> list[tuple[Arm, list[int]]]:
    """What may be started now, each as an arm and the seeds that share a process: a few pairs beyond the first
    unfinished one, since a verdict may come any time. `sizes` says how many runs of an arm are packed at most."""
    turns = -(-jobs // len({arm.name for arm, _ in todo}))
    found: list[tuple[Arm, list[int]]] = []
    filling: dict[str, list[int]] = {}  # arm -> the pack that is not full yet
    for arm, seed in todo:
        run, size = plan.run_id(arm, seed), sizes[arm.name]
        if run in busy:
            continue
        if run not in alone and len(filling.get(arm.name, ())) in range(1, size):
            filling[arm.name].append(seed)
        elif seed <= todo[0][1] + turns * size:
            found.append((arm, [seed]))
            if run not in alone:
                filling[arm.name] = found[-1][1]
    return found


def write_costs(plan: Plan, lab: Lab, task: dict[str, Any]) -> None:
    """Build each arm's net once and store what it costs; see `cost_of` for what it raises."""
    folder = lab.study(plan.id)
    if not read_json(folder / "costs.json"):
        write_json(folder / "costs.json", {arm.name: cost_of(arm, task, folder) for arm in plan.arms})


def store_looks(plan: Plan, lab: Lab, results: dict[tuple[str, int], Result]) -> tuple[Comparison, ...]:
    """The comparisons as they are now. When there is a look that the study's `looks.jsonl` has not, the file is written
    anew, as a whole: a line that a crash cut short must not swallow the next one."""
    compared = compare(plan, results)
    path = lab.study(plan.id) / "looks.jsonl"
    stored = {(row.get("other"), row.get("pairs")) for row in read_lines(path)[0]}
    rows = [{"first": c.first, "other": c.other, **asdict(look)} for c in compared for look in c.looks]
    if any((row["other"], row["pairs"]) not in stored for row in rows):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomic(path, lambda file: file.write(text.encode()))
    return compared
