"""What the benchmarks share: full MNIST as tensors, and a line about the machine."""

import argparse
import os
import platform
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # decision 6 of the design: one thread each, before torch is imported

import torch

from daiving.study.worker import processor
from daiving.tasks import load
from daiving.tasks.data import Data

BESIDE = Path(__file__).parents[2] / "shared" / "data"  # a data folder beside the checkout, where there is one


def mnist(folder: Path | None) -> Data:
    """Full MNIST: from the folder given, else beside the checkout, else as the task finds it."""
    return load("mnist", {}, data_dir=folder or (BESIDE if BESIDE.is_dir() else None), cache_dir=None)


def options(about: str, **more: tuple[type, object, str]) -> argparse.Namespace:
    """Flags of a benchmark: `--data` and its own, each (type, default, help)."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", type=Path, help="folder in which mnist.npz lies")
    for name, (kind, default, help) in more.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{help} (default {default})")
    return parser.parse_args()


def about_the_machine() -> str:
    torch.set_num_threads(1)
    return f"torch {torch.__version__}, Python {platform.python_version()}, one thread, {processor()}"


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
