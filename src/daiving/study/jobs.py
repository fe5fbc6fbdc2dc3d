"""A worker's process: does one job and tells the driver what happens, as JSON messages.

Whatever the user's net prints goes to the run's log. When its driver is gone, so is the worker.
"""

import errno
import io
import json
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from daiving.errors import FixableError
from daiving.events import Step, to_dict
from daiving.study.packing import run_packed, why_apart
from daiving.study.worker import probe, run

QUIET = 0.1  # seconds between two steps of a run that are told to the driver


def work(job: Sequence[str], log: str, messages: Connection) -> int:
    """Do a job and tell the driver; returns the exit code.

    A job is ("run", folder), ("every step", folder) for a run that tells of each of its steps, ("pack", folder, …) for
    runs of one arm, whose events come with the run's id, ("probe", request) or ("packing", request).
    """
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a net prints reaches its log although its process is killed
        sys.stdout.reconfigure(line_buffering=True)
    if hasattr(os, "setsid"):
        os.setsid()  # so that Ctrl-C reaches the driver alone, which then stops its workers
    threading.Thread(target=die_with_driver, daemon=True).start()
    torch.set_num_threads(1)

    def tell(message: dict[str, Any]) -> None:
        messages.send_bytes(json.dumps(message).encode())

    kind, *paths = job
    try:
        for message in messages_of(kind, [Path(path) for path in paths]):
            tell(message)
        return 0
    except FixableError as error:
        tell({"error": {"wrong": error.wrong, "expected": error.expected, "fix": error.fix}})
    except BaseException as error:
        message = "".join(traceback.format_exception_only(error)).strip()
        disk = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG)
        tell({"failed": {"kind": "disk" if disk else "raised", "message": message}})
        traceback.print_exc()  # last: the log may lie on a disk that is full
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 1


def messages_of(kind: str, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """What there is to tell about a job, while it is done; of steps only some."""
    if kind == "probe":
        yield {"cost": probe(**json.loads(paths[0].read_text()))}
    elif kind == "packing":
        yield {"apart": why_apart(**json.loads(paths[0].read_text()))}
    else:
        quiet, last = 0.0 if kind == "every step" else QUIET, dict.fromkeys(paths, 0.0)
        for folder, event in run_packed(paths) if kind == "pack" else ((paths[0], event) for event in run(paths[0])):
            if not isinstance(event, Step) or time.monotonic() - last[folder] > quiet:
                yield to_dict(event) | ({"run": folder.name} if kind == "pack" else {})
                last[folder] = time.monotonic()


def die_with_driver() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(3)
