"""Who runs what, and when: one process a run, one thread each, as many at once as there are cores."""

import json
import os
from collections import Counter
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

from daiving.events import Event, from_dict
from daiving.files import read_json, write_atomic, write_json
from daiving.study.plan import Arm, Plan
from daiving.study.probe import cost_of
from daiving.study.process import RunFailed, Worker, failure, listen, start
from daiving.study.reading import Comparison, collect, compare, wanted
from daiving.study.record import Lab, Result, read_lines, result_of

TRIES = 2  # a process that was killed is run again once; a net that raises would raise again


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


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute(plan: Plan, lab: Lab, task: dict[str, Any], jobs: int | None = None) -> Generator[Progress, None, None]:
    """Do the runs of a study until every comparison has its verdict; yields what happens.

    Runs that are over are taken as they are, so a study goes on where it stopped. When the consumer stops, all workers
    are stopped too, and keep their finished epochs. Raises `RunFailed` when a run cannot be done.
    """
    results = collect(plan, lab)
    write_costs(plan, lab, task)
    yield Looked(store_looks(plan, lab, results))
    todo = wanted(plan, results)
    jobs = jobs or cores()
    workers: list[Worker] = []
    tries: Counter[str] = Counter()
    try:
        while todo:
            for arm, seed in ahead(todo, jobs):
                run = plan.run_id(arm, seed)
                if len(workers) < jobs and run not in {worker.run for worker in workers}:
                    tries[run] += 1
                    workers.append(start(plan, lab, arm, seed, task))
                    yield Started(run, arm, seed)
            for worker in listen(workers):
                over = worker.over()  # asked before listening: what it said last must not be missed
                for message in worker.hear():
                    if "event" in message:
                        yield Told(worker.run, from_dict(message))
                    else:
                        worker.last_words = message
                if not over:
                    continue
                workers.remove(worker)
                result = result_of(worker.folder)
                if result:
                    assert worker.arm is not None
                    results[worker.arm.name, worker.seed] = result
                    yield Done(result, worker.arm, worker.seed)
                    yield Looked(store_looks(plan, lab, results))
                elif "error" in worker.last_words:
                    raise RunFailed(**worker.last_words["error"])
                elif worker.last_words or tries[worker.run] >= TRIES:
                    raise failure(worker)  # else it was killed: once more
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
    arms = len({arm.name for arm, _ in todo})
    horizon = todo[0][1] + -(-jobs // arms)
    return [(arm, seed) for arm, seed in todo if seed <= horizon]


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
