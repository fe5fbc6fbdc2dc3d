"""What a worker does in its own process: one run, or the probe of a study's nets.

It tells the driver what happens as JSON messages; whatever the user's net prints goes to the run's log. When its driver
is gone, so is the worker.
"""

import contextlib
import errno
import json
import multiprocessing
import os
import platform
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import nn

import daiving
from daiving.anatomy import cost
from daiving.errors import FixableError
from daiving.events import Ended, Epoch, Event, Step, to_dict
from daiving.files import read_json, write_atomic, write_json
from daiving.nets.build import build
from daiving.nets.layers import Scores
from daiving.nets.user import source_hash
from daiving.study.keep import keep, resume, write_tensors
from daiving.study.plan import Arm, arm_from
from daiving.study.record import result_of
from daiving.tasks import load
from daiving.tasks.batches import Batches, scale
from daiving.tasks.data import Data
from daiving.train import Score, evaluate, fit

QUIET = 0.1  # seconds between two steps that are told to the driver
WAIT = 20.0  # seconds for the worker of a driver that was killed to notice it


def run(folder: Path) -> Iterator[Event]:
    """Do the run of that folder, or the rest of it, storing everything; yields its events.

    What is there already is never done again: a folder with a result yields nothing.
    """
    with FileLock(folder / "lock", timeout=WAIT):
        if result_of(folder):
            return
        (folder / "error.json").unlink(missing_ok=True)
        about = read_json(folder / "run.json")
        arm, seed = arm_from(about["arm"]), about["seed"]
        if source_hash(arm.net) != arm.source:
            raise FixableError(
                f"The file of {arm.net} was changed while the study was going on.",
                expected="the same code for all runs of an arm.",
                fix="start the same command again: the changed net is another arm, with runs of its own.",
            )
        data = task_data(about["task"])
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
        }
        write_json(folder / "run.json", about | {"environment": environment(), "data": facts})
        train, val, test = (Batches(part, arm.recipe, mean, deviation) for part in (data.train, data.val, data.test))
        state = resume(folder)
        net = make_net(arm, data.shape, len(data.classes), seed)
        ended = None
        for event in keep(folder, fit(net, train, val, arm.recipe, seed, state), state):
            ended = event
            yield event
        assert isinstance(ended, Ended)
        finish(folder, net, ended, evaluate(net, test) if ended.reason == "finished" else None, state.history)


def finish(folder: Path, net: nn.Module, ended: Ended, score: Score | None, history: list[Epoch]) -> None:
    """Weights and answers first, the result last: a run with a result has the rest as well."""
    if score:
        write_tensors(folder / "model.safetensors", net.state_dict(), {"made by": f"daiving {daiving.__version__}"})
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
            "seconds_per_epoch": seconds_per_epoch(history),
            "peak_memory": peak_memory(),
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


def make_net(arm: Arm, shape: Sequence[int], classes: int, seed: int) -> nn.Module:
    facts = {"in_channels": shape[0], "num_classes": classes, "image_size": shape[1]}
    return build(arm.net, seed=seed, **arm.options, **facts)


def probe(task: dict[str, Any], arm: dict[str, Any]) -> dict[str, int]:
    """What an arm's net costs, and the proof that it can be built and answers in the right shape.

    Raises `FixableError` for a net that does not fit the task.
    """
    data, tried = task_data(task), arm_from(arm)
    scale(data.train)  # which raises where there is nothing to learn from
    net = make_net(tried, data.shape, len(data.classes), seed=0)
    if not any(p.requires_grad for p in net.parameters()):
        raise misfit(tried, "has no parameter that can be trained", "at least one")
    found = cost(net, data.shape)
    wanted = (2, len(data.classes))
    for mode in (False, True):  # some nets answer otherwise while they train
        net.train(mode)
        with torch.no_grad():
            answer = net(torch.zeros(2, *data.shape))
        if mode and isinstance(answer, Scores):  # with auxiliary heads, which `fit` understands
            answer = answer.logits
        if not isinstance(answer, torch.Tensor) or tuple(answer.shape) != wanted:
            is_tensor = isinstance(answer, torch.Tensor)
            got = f"shape {tuple(answer.shape)}" if is_tensor else f"a {type(answer).__name__}"
            when = " while it trains" if mode else ""
            expected = f"one tensor of shape {wanted}: a score for each of the classes"
            raise misfit(tried, f"answers two images with {got}{when}", expected)
    return asdict(found)


def misfit(arm: Arm, what: str, expected: str) -> FixableError:
    return FixableError(
        f"The net of the arm '{arm.name}', {arm.label}, {what}.",
        expected=f"{expected}.",
        fix="give the net the arguments num_classes and in_channels and use them: daiving fills them in from the task.",
    )


def environment() -> dict[str, Any]:
    return {
        "daiving": daiving.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "threads": torch.get_num_threads(),
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


def work(job: Sequence[str], log: str, messages: Connection) -> int:
    """Do a job and tell the driver; returns the exit code.

    A job is ("run", folder), ("every step", folder) for a run that tells of each of its steps, or ("probe", request).
    """
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if hasattr(os, "setsid"):
        os.setsid()  # so that Ctrl-C reaches the driver alone, which then stops its workers
    threading.Thread(target=die_with_driver, daemon=True).start()
    torch.set_num_threads(1)

    def tell(message: dict[str, Any]) -> None:
        messages.send_bytes(json.dumps(message).encode())

    kind, path = job
    try:
        if kind == "probe":
            tell({"cost": probe(**json.loads(Path(path).read_text()))})
            return 0
        quiet, last = 0.0 if kind == "every step" else QUIET, 0.0
        for event in run(Path(path)):
            if not isinstance(event, Step) or time.monotonic() - last > quiet:
                tell(to_dict(event))
                last = time.monotonic()
        return 0
    except FixableError as error:
        tell({"error": {"wrong": error.wrong, "expected": error.expected, "fix": error.fix}})
    except BaseException as error:
        traceback.print_exc()
        message = "".join(traceback.format_exception_only(error)).strip()
        disk = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG)
        tell({"failed": {"kind": "disk" if disk else "raised", "message": message}})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 1


def die_with_driver() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(3)
