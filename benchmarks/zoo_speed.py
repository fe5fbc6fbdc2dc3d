"""Our nets beside torchvision's own code: inference, training step, and `daiving.fast`, one thread, batch 1 and 16.

    python benchmarks/zoo_speed.py [--rounds 5] [--nets googlenet,resnet50] [--batches 1,16]

Both sides compute the same layers in float32: ours is the preset "torchvision", without auxiliary heads; theirs is as
its own documentation builds it. Ours lies in memory as `fit` lays it out by default (channels_last) or in torch's
default order, whichever a trial before the rounds shows to be faster, and which is printed; `fast` is always
channels_last. They take turns; printed is the median over the rounds of their time divided by ours, with the range:
above 1 ours is faster. It needs an environment with torchvision (torch 2.14.1, torchvision 0.29.1). Without it, the
peer is a plain re-statement: the same layers in torch's default order in memory.
"""

import time
from collections.abc import Callable
from functools import partial

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
TRIALS = 4  # of each order in memory, in turn, before the rounds
NAMES = {torch.channels_last: "channels_last", torch.contiguous_format: "default order"}
Run = Callable[[], object]


def main() -> None:
    flags = options(
        __doc__.splitlines()[0],
        rounds=(int, 5, "of each"),
        nets=(str, ",".join(NETS), "which"),
        batches=(str, "1,16", "images at once"),
    )
    print(about_the_machine())
    peer = "torchvision's own code" if models else "the same layers in default order, for torchvision is missing"
    print(f"Times as fast as the peer, {peer}:")
    for name in flags.nets.split(","):
        for batch in map(int, flags.batches.split(",")):
            compare(name, batch, flags.rounds)


def compare(name: str, batch: int, rounds: int) -> None:
    size, no_aux = NETS[name], {"aux": False} if name in ("googlenet", "inception_v3") else {}
    peer = theirs(name) if models else daiving.build(name, preset="torchvision", **no_aux)
    x, y = torch.randn(batch, 3, size, size), torch.arange(batch) % 1000
    nets, inputs = {}, {}
    for form in (torch.channels_last, torch.contiguous_format):
        nets[form] = daiving.build(name, preset="torchvision", **no_aux)
        lay_out(nets[form], form)
        inputs[form] = x.contiguous(memory_format=form)
    quick = daiving.fast(nets[torch.channels_last])
    works: dict[str, tuple[Run, dict[str, Run]]] = {
        "inference": (
            partial(infer, peer, x),
            {NAMES[form]: partial(infer, net, inputs[form]) for form, net in nets.items()},
        ),
        "fast": (partial(infer, peer, x), {"channels_last": partial(infer, quick, inputs[torch.channels_last])}),
        "training step": (
            partial(step, peer, x, y),
            {NAMES[form]: partial(step, net, inputs[form], y) for form, net in nets.items()},
        ),
    }
    for what, (a, ours) in works.items():
        for run in (a, *ours.values()):
            run()  # warm up
        trial: dict[str, list[float]] = {form: [] for form in ours}
        for _ in range(TRIALS if len(ours) > 1 else 0):
            for form, run in ours.items():
                trial[form].append(seconds(run))
        form = min(trial, key=lambda form: sum(trial[form]))
        b, ratios = ours[form], []
        for turn in range(rounds):
            first, second = (a, b) if turn % 2 else (b, a)  # the machine's speed may drift
            times = {run: seconds(run) for run in (first, second)}
            ratios.append(times[a] / times[b])
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:<13} batch {batch:>2}  {what:<14} {median(ratios):.2f} {spread}  {form}", flush=True)


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
