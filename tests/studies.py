"""A task that trains in a moment and nets of a user's that misbehave, for tests that run whole studies."""

import subprocess
import sys
from pathlib import Path

import numpy as np

NETS = '''
import os, signal, time
import torch
from torch import nn

class Plain(nn.Module):
    """Linear, with a pause in each step so that there is time to be killed."""
    def __init__(self, num_classes, image_size, pause=0.0, hidden=0):
        super().__init__()
        n = image_size ** 2
        layers = [nn.Linear(n, hidden), nn.ReLU(), nn.Linear(hidden, num_classes)]
        self.fc = nn.Sequential(*layers) if hidden else nn.Linear(n, num_classes)
        self.pause = pause
    def forward(self, x):
        time.sleep(self.pause if self.training else 0)
        return self.fc(x.flatten(1))

class Ends(Plain):
    """Does something bad in its tenth step."""
    def __init__(self, num_classes, image_size, how="raise"):
        super().__init__(num_classes, image_size)
        self.how, self.steps = how, 0
    def forward(self, x):
        self.steps += self.training
        if self.steps == 10:
            print("about to end")
            if self.how == "raise": raise RuntimeError("out of ideas")
            if self.how == "exit": os._exit(7)
            if self.how == "quit": raise SystemExit(5)
            if self.how == "kill": os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)

class Explodes(Plain):
    """Not a number in its tenth step, for about half of the seeds."""
    def forward(self, x):
        self.steps = getattr(self, "steps", 0) + self.training
        return super().forward(x) * (float("nan") if self.steps == 10 and self.fc.bias[0] > 0 else 1)
'''


def task(folder: Path, n: int = 400) -> str:
    """An .npz of three noisy classes, 6x6, and `nets.py` beside it; returns the task as typed."""
    random = np.random.default_rng(0)
    y = np.arange(n) % 3
    middle = random.random((3, 6, 6)) * 120
    x = (middle[y] + random.random((n, 6, 6)) * 130).astype(np.uint8)
    np.savez(folder / "blobs.npz", x=x, y=y)
    (folder / "nets.py").write_text(NETS)
    return "arrays:file=blobs.npz"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "daiving", *map(str, arguments)]


def call(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, **options)


def workers_of(pid: int) -> list[int]:
    """The processes at work for a driver, from the kernel's own table: those that its fork server has started."""
    return [worker for server in children_of(pid) for worker in children_of(server)]


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
