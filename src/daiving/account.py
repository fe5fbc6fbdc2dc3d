"""What a 1x1 convolution before a larger kernel saves, or costs: the account of each branch of a net. No torch here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from daiving.nodes import Node


@dataclass(frozen=True)
class Saving:
    """One branch: its multiply-adds for one image as it is, and with the kernel reading the block's input itself."""

    block: str  # dotted name
    branch: str  # label
    kernel: str  # the one behind the 1x1: "5x5"
    size: tuple[int, ...]  # h w of the map
    channels: tuple[int, int, int]  # of the input, behind the 1x1, behind the kernel
    reduced: int  # MACs as built: the 1x1, the kernel, and what follows
    direct: int  # MACs without the 1x1

    @property
    def ratio(self) -> float:
        """Above 1 where the 1x1 saves."""
        return self.direct / self.reduced

    @property
    def sentence(self) -> str:
        if self.ratio >= 1.995:
            return f"the 1x1 makes it {self.ratio:.1f} times cheaper"
        if self.ratio > 1:
            return f"the 1x1 saves {1 - 1 / self.ratio:.0%}"
        return f"the 1x1 is no reducer here: it makes the branch {1 / self.ratio - 1:.0%} dearer"


def account(net: Node) -> list[Saving]:
    """Every branch of the net in which a 1x1 convolution comes before a larger one, in order of execution."""
    return [saving for node in net.walk() if node.kind == "branches" for saving in savings(node)]


def savings(block: Node) -> Iterator[Saving]:
    for arm in block.children:
        convs = [node for node in arm.walk() if node.role == "conv" and not node.children]
        kernel = next((node for node in convs if area(node) > 1), None)
        if arm.kind == "branches" or kernel is None or len(convs) < 2 or convs[1] is not kernel or area(convs[0]) > 1:
            continue
        first = convs[0]
        c_in, c_mid, c_out = first.taken[0], kernel.taken[0], kernel.given[0]
        direct = arm.macs - first.macs - kernel.macs + kernel.macs * c_in // c_mid
        name = kernel.label.split()[0]
        yield Saving(block.name, arm.label, name, kernel.given[-2:], (c_in, c_mid, c_out), arm.macs, direct)


def area(conv: Node) -> int:
    """Weights of the kernel for one input channel and one output channel; 1 for a 1x1. Grouped ones count less."""
    return conv.macs // (math.prod(conv.given) * conv.taken[0])
