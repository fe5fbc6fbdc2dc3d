"""What is done in a worker's own process: one run, or the probe of a study's nets."""

import contextlib
import platform
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import nn

import daiving
from daiving.anatomy import cost
from daiving.errors import FixableError
from daiving.events import Ended, Epoch, Event
from daiving.files import read_json, write_atomic, write_json
from daiving.nets import loops_compiled
from daiving.nets.axes import check_axes
from daiving.nets.build import SEQUENCE_FACTS, build
from daiving.nets.layers import Scores
from daiving.nets.user import source_hash
from daiving.study.keep import keep, resume, write_tensors
from daiving.study.plan import Arm, arm_from
from daiving.study.record import result_of
from daiving.tasks import TASKS, load
from daiving.tasks.batches import Batches, scale
from daiving.tasks.data import Data
from daiving.train import State, evaluate, fit

WAIT = 20.0  # seconds for the worker of a driver that was killed to notice it


@dataclass
class Begun:
    """A run's parts, ready to be trained."""

    folder: Path
    arm: Arm
    seed: int
    net: nn.Module
    train: Batches
    val: Batches
    test: Batches
    state: State


def run(folder: Path) -> Iterator[Event]:
    """Do the run of that folder, or the rest of it, storing everything; yields its events.

    What is there already is never done again: a folder with a result yields nothing.
    """
    with FileLock(folder / "lock", timeout=WAIT):
        if result_of(folder):
            return
        one = begin(folder, task_data(read_json(folder / "run.json")["task"]))
        ended = None
        events = fit(one.net, one.train, one.val, one.arm.recipe, one.seed, one.state)
        for event in keep(folder, events, one.state):
            ended = event
            yield event
        assert isinstance(ended, Ended)
        finish(one, ended)


def begin(folder: Path, data: Data, **more: Any) -> Begun:
    """Make what the run of that folder needs, with the data of its task, and store on what it runs, and `more`.

    Raises `FixableError` where its net or its data are no longer those that it was started with.
    """
    (folder / "error.json").unlink(missing_ok=True)
    about = read_json(folder / "run.json")
    arm, seed = arm_from(about["arm"]), about["seed"]
    if source_hash(arm.net) != arm.source:
        raise FixableError(
            f"The file of {arm.net} was changed while the study was going on.",
            expected="the same code for all runs of an arm.",
            fix="start the same command again: the changed net is another arm, with runs of its own.",
        )
    if data.fingerprint != about["task"]["fingerprint"]:
        raise FixableError(
            "The data of the task was changed while the study was going on.",
            expected="the same data for all runs of a study.",
            fix="start the same command again: changed data is another study, with runs of its own.",
        )
    mean, deviation = scale(data.train)
    facts = {
        "classes": data.classes,
        "shape": data.shape,
        "dtype": str(data.train.x.dtype),
        "mean": mean,
        "deviation": deviation,
        "symbols": data.symbols,
        "each_step": data.each_step,
    }
    state = resume(folder)
    if not state.history:
        about.pop("packed", None)  # nothing is left of what it did beside others
    write_json(folder / "run.json", about | {"environment": environment(), "data": facts} | more)
    train, val, test = (Batches(part, arm.recipe, mean, deviation) for part in (data.train, data.val, data.test))
    return Begun(folder, arm, seed, make_net(arm, data.facts, seed), train, val, test, state)


def finish(one: Begun, ended: Ended) -> None:
    """Read the test split, once. Weights and answers first, the result last: a run with a result has the rest as well.

    A run that was packed, be it for some epochs only, has shared its process: no seconds and no memory are its own.
    """
    folder, history = one.folder, one.state.history
    score = evaluate(one.net, one.test) if ended.reason == "finished" else None
    packed = "packed" in read_json(folder / "run.json")
    if score:
        write_tensors(folder / "model.safetensors", one.net.state_dict(), {"made by": f"daiving {daiving.__version__}"})
        bits = np.packbits(score.right.numpy()).tobytes()
        write_atomic(folder / "right.bits", lambda file: file.write(bits))
    write_json(
        folder / "result.json",
        {
            "id": folder.name,
            "status": ended.reason,
            "detail": ended.detail,
            "metrics": {"accuracy": score.accuracy, "loss": score.loss} if score else {},
            "examples": len(score.right) if score else 0,
            "history": [asdict(epoch) for epoch in history],
            "seconds_per_epoch": 0.0 if packed else seconds_per_epoch(history),
            "peak_memory": 0.0 if packed else peak_memory(),
        },
    )
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def seconds_per_epoch(history: list[Epoch]) -> float:
    """Median over whole epochs; where there is none, a part of one scaled up to a whole. 0 without any."""
    whole = [epoch.seconds for epoch in history if epoch.share == 1]
    return statistics.median(whole or [epoch.seconds / epoch.share for epoch in history] or [0.0])


def task_data(task: dict[str, Any]) -> Data:
    data_dir, cache_dir = (Path(p) if p else None for p in (task["data_dir"], task["cache_dir"]))
    return load(task["name"], task["options"], data_dir=data_dir, cache_dir=cache_dir)


def make_net(arm: Arm, facts: Mapping[str, Any], seed: int) -> nn.Module:
    """An arm's net for a task, of which `facts` are what `Data.facts` says."""
    return build(arm.net, seed=seed, **arm.options, **facts)


def probe(task: dict[str, Any], arm: dict[str, Any]) -> dict[str, int]:
    """What an arm's net costs, and the proof that it can be built and answers in the right shape.

    Raises `FixableError` for a net that does not fit the task.
    """
    data, tried = task_data(task), arm_from(arm)
    scale(data.train)  # which raises where there is nothing to learn from
    net = make_net(tried, data.facts, seed=0)
    if not any(p.requires_grad for p in net.parameters()):
        raise misfit(tried, "has no parameter that can be trained", "at least one", data.facts)
    inputs = torch.int64 if data.symbols else torch.float32
    found = cost(net, data.shape, inputs)
    wanted = (2, *data.shape, len(data.classes)) if data.each_step else (2, len(data.classes))
    for mode in (False, True):  # some nets answer otherwise while they train
        net.train(mode)
        with torch.no_grad():
            answer = net(torch.zeros(2, *data.shape, dtype=inputs))
        if mode and isinstance(answer, Scores):  # with auxiliary heads, which `fit` understands
            answer = answer.logits
        if not isinstance(answer, torch.Tensor) or tuple(answer.shape) != wanted:
            is_tensor = isinstance(answer, torch.Tensor)
            got = f"shape {tuple(answer.shape)}" if is_tensor else f"a {type(answer).__name__}"
            when = " while it trains" if mode else ""
            expected = f"one tensor of shape {wanted}: a score for each of the classes"
            expected += " at each step" if data.each_step else ""
            what = "sequences" if data.symbols else "images"
            raise misfit(tried, f"answers two {what} with {got}{when}", expected, data.facts)
    if data.symbols:  # a net of the user's own may have its axes mixed up, and shapes that fit all the same
        check_axes(net, len(data.symbols), symbols=True, causal=TASKS[task["name"]].next_symbol)
    return asdict(found)


def misfit(arm: Arm, what: str, expected: str, facts: Mapping[str, int]) -> FixableError:
    names = SEQUENCE_FACTS if "num_symbols" in facts else ("num_classes", "in_channels")
    return FixableError(
        f"The net of the arm '{arm.name}', {arm.label}, {what}.",
        expected=f"{expected}.",
        fix=f"give the net the arguments {', '.join(names[:-1])} and {names[-1]} and use them: "
        "daiving fills them in from the task.",
    )


def environment() -> dict[str, Any]:
    return {
        "daiving": daiving.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "recurrent loops": "compiled" if loops_compiled.library() else "torch",
    }


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def peak_memory() -> float:
    """The largest resident size of this process so far, MiB; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # macOS counts bytes, Linux KiB
