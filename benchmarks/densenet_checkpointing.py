"""What `checkpointed=True` saves of a DenseNet's memory in training, and what it costs in time.

    python benchmarks/densenet_checkpointing.py [--net densenet121] [--rounds 5] [--batch 2] [--size 224]

The same net, weights and images in both forms, in turn, on one thread. Memory is what autograd keeps for the backward
pass: each storage once, parameters and the images left out, by the hooks that torch calls for every tensor it saves.
It is counted where it is first kept, so the one layer that is computed again at a time comes on top; the process's
peak is not measured. Time is forward and backward, without an optimizer. The ratio of each round, their median and
range.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common import about_the_machine, median, options
from daiving import build
from daiving.nets import NETS

MIB = 2**20


def saved_bytes(net: nn.Module, x: Tensor, y: Tensor) -> int:
    """Bytes that autograd keeps between forward and backward, without parameters and images."""
    known = {p.untyped_storage().data_ptr() for p in (*net.parameters(), x, y)}
    kept: dict[int, int] = {}
    held: list[Tensor] = []  # a storage that is freed could give its address to another

    def keep(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
            held.append(t)
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        F.cross_entropy(net(x), y)
    return sum(kept.values())


def seconds_of_step(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net.zero_grad()
    began = time.perf_counter()
    F.cross_entropy(net(x), y).backward()
    return time.perf_counter() - began


def main() -> None:
    flags = options(
        __doc__.splitlines()[0],
        net=(str, "densenet121", "one of the table's dense nets"),
        rounds=(int, 5, "of each"),
        batch=(int, 2, "images in a step"),
        size=(int, 224, "height = width of an image"),
    )
    print(about_the_machine())
    channels, _, classes = NETS[flags.net].home
    facts = {"in_channels": channels, "num_classes": classes, "image_size": flags.size}
    plain = build(flags.net, seed=0, **facts).train()
    checkpointed = build(flags.net, seed=0, checkpointed=True, **facts).train()
    torch.manual_seed(0)
    x = torch.randn(flags.batch, channels, flags.size, flags.size)
    y = torch.randint(classes, (flags.batch,))
    mib = [saved_bytes(net, x, y) / flags.batch / MIB for net in (plain, checkpointed)]
    print(f"{flags.net}, {flags.batch} images of {flags.size}x{flags.size}, float32, training")
    print(f"saved for backward: plain {mib[0]:.1f} MiB/image, checkpointed {mib[1]:.1f}, ratio {mib[1] / mib[0]:.3f}")
    for net in (plain, checkpointed):
        seconds_of_step(net, x, y)  # warm up
    ratios = []
    for turn in range(flags.rounds):
        if turn % 2:  # who goes first changes, as the machine's speed may drift
            ours, bare = seconds_of_step(checkpointed, x, y), seconds_of_step(plain, x, y)
        else:
            bare, ours = seconds_of_step(plain, x, y), seconds_of_step(checkpointed, x, y)
        ratios.append(ours / bare)
        print(f"round {turn}: plain {bare:.2f} s, checkpointed {ours:.2f} s, ratio {ratios[-1]:.3f}")
    print(f"median: a checkpointed step takes {median(ratios):.3f} times as long", end="")
    print(f" (range {min(ratios):.3f} to {max(ratios):.3f} of {flags.rounds} rounds)")


if __name__ == "__main__":
    main()
