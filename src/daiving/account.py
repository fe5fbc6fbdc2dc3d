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
        first, rest = arm.children[:1], arm.children[1:]
        one = readers(first[0]) if first else []
        # What reads the 1x1: the next convolution, or each of several where the branch forks.
        kernels = next((found for part in rest if (found := readers(part))), [])
        if arm.kind != "chain" or len(one) != 1 or area(one[0]) > 1 or all(area(node) <= 1 for node in kernels):
            continue
        c_in, c_mid = one[0].taken[0], kernels[0].taken[0]
        direct = arm.macs - one[0].macs + sum(node.macs * c_in // c_mid - node.macs for node in kernels)
        name = " + ".join(node.label.split()[0] for node in kernels)
        channels = (c_in, c_mid, sum(node.given[0] for node in kernels))
        yield Saving(block.name, arm.label, name, kernels[0].given[-2:], channels, arm.macs, direct)


def readers(node: Node) -> list[Node]:
    """The convolutions that read what comes into a node: one, or the first of each branch; none if there is none."""
    if not node.children:
        return [node] if node.role == "conv" else []
    if node.kind in ("branches", "residual"):
        return [one for arm in node.children for one in readers(arm)]
    return next((found for child in node.children if (found := readers(child))), [])


def area(conv: Node) -> int:
    """Weights of the kernel for one input channel and one output channel; 1 for a 1x1. Grouped ones count less."""
    return conv.macs // (math.prod(conv.given) * conv.taken[0])
