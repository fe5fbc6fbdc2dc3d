"""Before any time is spent on runs: can this net be built, does it fit the task, and what does it cost?"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from daiving.errors import FixableError
from daiving.files import write_json
from daiving.study.plan import Arm
from daiving.study.process import heard, spawn


def cost_of(arm: Arm, task: dict[str, Any], folder: Path) -> dict[str, int]:
    """Parameters and multiply-adds of an arm's net, built and tried once in a process of its own.

    Raises `FixableError` for a net that cannot be built, cannot take the task's images, or answers in a wrong shape.
    What the net prints, and its traceback, are in `log.txt` of the folder.
    """
    request = folder / "probe.json"
    write_json(request, {"task": task, "arm": asdict(arm)})
    worker = spawn(["probe", str(request)], folder)
    answer: dict[str, Any] = {}
    try:
        for message in heard(worker):
            answer = message
    finally:
        request.unlink(missing_ok=True)
    if "error" in answer:
        raise FixableError(**answer["error"])
    if "cost" not in answer:
        said = answer.get("failed", {}).get("message", f"its process ended with {worker.process.exitcode}")
        raise FixableError(
            f"The net of '{arm.name}', {arm.label}, cannot be built and tried once: {said.rstrip('.')}.",
            expected="a net that takes a batch of this task's images and answers with one score a class.",
            fix=f"read the traceback in {folder / 'log.txt'} and mend the net or its options; no run was started.",
        )
    return answer["cost"]
