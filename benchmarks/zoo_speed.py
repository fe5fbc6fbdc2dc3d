"""Our nets beside torchvision's own code: inference, training step, and `daiving.fast`, one thread, batch 1 and 16.

    python benchmarks/zoo_speed.py [--rounds 5] [--nets googlenet,resnet50] [--batches 1,16]

Both sides compute the same layers in float32: ours is the preset "torchvision", without auxiliary heads, in the order
in memory that `fit` and `fast` use (channels_last); theirs is as its own documentation builds it. They take turns;
printed is the median over the rounds of their time divided by ours, with the range: above 1 ours is faster. It needs an
environment with torchvision (torch 2.14.1, torchvision 0.29.1). Without it, the peer is a plain re-statement: the same
layers in torch's default order in memory.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import daiving
from common import about_the_machine, median, options
from daiving.train import lay_out

try:
    from torchvision import models
except (ImportError, RuntimeError):  # RuntimeError: it does not fit this torch
    models = None

NETS = {"googlenet": 224, "inception_v3": 299, "resnet18": 224, "resnet50": 224, "densenet121": 224}
Run = Callable[[], object]


def main() -> None:
    flags = options(
        __doc__.splitlines()[0],
        rounds=(int, 5, "of each"),
        nets=(str, ",".join(NETS), "which"),
        batches=(str, "1,16", "images at once"),
    )
    print(about_the_machine())
    print("peer: " + ("torchvision's own code" if models else "the same layers, default order; torchvision is missing"))
    for name in flags.nets.split(","):
        for batch in map(int, flags.batches.split(",")):
            compare(name, batch, flags.rounds)


def compare(name: str, batch: int, rounds: int) -> None:
    size, no_aux = NETS[name], {"aux": False} if name in ("googlenet", "inception_v3") else {}
    ours = daiving.build(name, preset="torchvision", **no_aux)
    lay_out(ours, torch.channels_last)
    quick = daiving.fast(ours)
    peer = theirs(name) if models else daiving.build(name, preset="torchvision", **no_aux)
    x = torch.randn(batch, 3, size, size)
    mine = x.contiguous(memory_format=torch.channels_last)
    y = torch.arange(batch) % 1000
    pairs: dict[str, tuple[Run, Run]] = {
        "inference": (lambda: infer(peer, x), lambda: infer(ours, mine)),
        "fast": (lambda: infer(peer, x), lambda: infer(quick, mine)),
        "training step": (lambda: step(peer, x, y), lambda: step(ours, mine, y)),
    }
    for what, (a, b) in pairs.items():
        a(), b()  # warm up both
        ratios = []
        for turn in range(rounds):
            first, second = (a, b) if turn % 2 else (b, a)  # the machine's speed may drift
            times = {run: seconds(run) for run in (first, second)}
            ratios.append(times[a] / times[b])
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(
            f"{name:<13} batch {batch:>2}  {what:<14} {median(ratios):.2f} times the peer's speed {spread}", flush=True
        )


def theirs(name: str) -> nn.Module:
    more = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return getattr(models, name)(weights=None, **more)


@torch.inference_mode()
def infer(net: nn.Module, x: Tensor) -> Tensor:
    return net.eval()(x)


def step(net: nn.Module, x: Tensor, y: Tensor) -> None:
    net.train()
    net.zero_grad()
    F.cross_entropy(net(x), y).backward()
    with torch.no_grad():
        for p in net.parameters():
            p.sub_(p.grad, alpha=1e-4)


def seconds(run: Run) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
