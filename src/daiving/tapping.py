"""Taps: what goes through a module, read by its name, while the net runs as if nobody looked."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from daiving.errors import unknown


@dataclass(frozen=True)
class Statistics:
    """Of all numbers of one tensor, in its own unit."""

    mean: float
    deviation: float
    low: float
    high: float
    zeros: float  # share that is exactly 0: behind a ReLU, what it cut off


@dataclass
class Tap:
    """A module's last output, the gradient that came back to it, and statistics of both; None before there is one."""

    name: str
    calls: int = 0  # of the module since the tap was opened
    output: Tensor | None = None  # a copy, for what follows may work in place
    gradient: Tensor | None = None
    of_output: Statistics | None = None
    of_gradient: Statistics | None = None


@contextmanager
def taps(net: nn.Module, *names: str, keep: bool = True) -> Iterator[Mapping[str, Tap]]:
    """Open taps at modules by their dotted names, all modules without any name, for the time of the `with` block.

        with taps(net, "body.3a.concat") as tapped:
            net(images).sum().backward()
        tapped["body.3a.concat"].output     # n x 256 x 28 x 28
        tapped["body.3a.concat"].gradient   # of the same shape

    The run is the same to the last bit with and without: outputs are copied, gradients only read. A module that
    answers with several tensors is tapped at the first. With `keep=False` only the statistics of each output stay, for
    nets whose outputs would not fit into memory. Raises `FixableError` for a name that is not there.
    """
    modules = dict(net.named_modules())
    for name in names:
        if name not in modules:
            raise unknown("module of this net", name, [key for key in modules if key])
    tapped = {name: Tap(name) for name in names or [key for key in modules if key]}
    hooks = [modules[name].register_forward_hook(reader(tap, keep)) for name, tap in tapped.items()]
    try:
        yield tapped
    finally:
        for hook in hooks:
            hook.remove()


def reader(tap: Tap, keep: bool) -> Any:
    """A forward hook that fills the tap and changes nothing: it answers None, and so does the gradient's."""

    def read_output(m: nn.Module, args: Sequence[Any], out: Any) -> None:
        t = next((leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)), None)
        if t is None or torch._C._current_graph_task_id() != -1:
            return  # inside a backward pass, a checkpointed net runs parts of itself again: that is no call of its own
        tap.calls += 1
        tap.gradient = tap.of_gradient = None
        tap.output, tap.of_output = t.detach().clone() if keep else None, statistics(t.detach())
        if t.requires_grad:
            t.register_hook(read_gradient)

    def read_gradient(g: Tensor) -> None:
        tap.gradient, tap.of_gradient = g.detach().clone() if keep else None, statistics(g.detach())

    return read_output


def statistics(t: Tensor) -> Statistics:
    """Of a tensor of any shape; deviation is that of the population. Of no number at all they are NaN."""
    if not t.numel():
        return Statistics(math.nan, math.nan, math.nan, math.nan, math.nan)
    t = t.float()
    low, high = torch.aminmax(t)
    zeros = (t == 0).float().mean()
    return Statistics(t.mean().item(), t.std(correction=0).item(), low.item(), high.item(), zeros.item())
