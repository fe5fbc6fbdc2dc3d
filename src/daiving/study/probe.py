"""Before any time is spent on runs: can this net be built, does it fit the task, and what does it cost?"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from daiving.errors import FixableError
from daiving.files import write_json
from daiving.study.plan import Arm
from daiving.study.process import heard, spawn


def apart(arm: Arm, task: dict[str, Any], folder: Path) -> str:
    """Why runs of this arm cannot be packed, in half a sentence; empty where they can. Tried in a process of its own,
    two runs of a few steps both ways."""
    answer = asked("packing", arm, task, folder)
    if "apart" in answer:
        return answer["apart"]
    return answer["error"]["wrong"].rstrip(".") if "error" in answer else answer["failed"]["message"]


def cost_of(arm: Arm, task: dict[str, Any], folder: Path) -> dict[str, int]:
    """Parameters and multiply-adds of an arm's net, built and tried once in a process of its own.

    Raises `FixableError` for a net that cannot be built, cannot take the task's images, or answers in a wrong shape.
    What the net prints, and its traceback, are in `log.txt` of the folder.
    """
    answer = asked("probe", arm, task, folder)
    if "error" in answer:
        raise FixableError(**answer["error"])
    if "cost" not in answer:
        said = answer["failed"]["message"]
        raise FixableError(
            f"The net of '{arm.name}', {arm.label}, cannot be built and tried once: {said.rstrip('.')}.",
            expected="a net that takes a batch of this task's examples and answers with one score a class.",
            fix=f"read the traceback in {folder / 'log.txt'} and mend the net or its options; no run was started.",
        )
    return answer["cost"]


def asked(what: str, arm: Arm, task: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The answer of a process that does this job for an arm; how it died, if it did."""
    request = folder / "probe.json"
    write_json(request, {"task": task, "arm": asdict(arm)})
    worker = spawn([what, str(request)], folder)
    answer: dict[str, Any] = {}
    try:
        for message in heard(worker):
            answer = message
    finally:
        request.unlink(missing_ok=True)
    return answer or {"failed": {"message": f"its process ended with {worker.process.exitcode}"}}
