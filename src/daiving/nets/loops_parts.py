"""What the loops over the steps have in common, in torch's operations and compiled."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

CACHED = 1 << 16  # numbers: factors are computed for so many at once, and are still in the cache when they are used
Kept = list[Tensor | None]  # what a loop leaves for its way back


def states(h: Tensor, steps: int) -> Tensor:
    """Room for h⁻ of the first step and h of every step."""
    every = h.new_empty(steps + 1, *h.shape)
    every[0] = h
    return every


def last(every: Tensor, lengths: Tensor | None) -> Tensor:
    """The state behind each sequence's own last step: n x hid. A copy: what is kept may not be written over."""
    return every[-1].clone() if lengths is None else at_end(every, lengths + 1)


def at_end(hs: Tensor, lengths: Tensor) -> Tensor:
    """t x n x hid at each sequence's own last step: n x hid."""
    return hs.gather(0, (lengths - 1)[None, :, None].expand(1, -1, hs.shape[2]))[0]


def at_their_steps(
    d_all: Tensor | None, d_last: Tensor | None, lengths: Tensor | None, like: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of every step and of the last state; with lengths the last state is that of a step of its own, and
    its gradient goes there."""
    if d_last is None or lengths is None:
        return d_all, d_last
    places = (lengths - 1)[None, :, None].expand(1, -1, like.shape[2])
    d_all = torch.zeros_like(like) if d_all is None else d_all
    return d_all.scatter_add(0, places, d_last[None]), None


def room(kept: Kept | None, xs: Tensor, n: int, width: int) -> Tensor:
    """Memory for all steps, or for one, which is written over, where nobody asks for the others later."""
    return xs.new_empty(len(xs) if kept is not None else 1, n, width)


def span(steps: int, numbers: int) -> int:
    """The factors of so many steps, `numbers` a step, stay in the cache."""
    return min(steps, max(1, CACHED // numbers))


def spans(steps: int, numbers: int) -> Iterator[tuple[int, int]]:
    """Steps from the last to the first in spans whose factors, so many `numbers` a step, stay in the cache."""
    size = span(steps, numbers)
    return ((max(0, end - size), end) for end in range(steps, 0, -size))


def from_above(grads: Tensor | None, hs: Tensor) -> Sequence[Tensor]:
    """The gradient that each step's h gets from the layer above; zeros where nothing reads it."""
    return grads.unbind(0) if grads is not None else [torch.zeros_like(hs[0])] * len(hs)


def plus(a: Tensor, b: Tensor | None) -> Tensor:
    return a if b is None else a + b


def over_time(slopes: Tensor, read: Tensor) -> Tensor:
    """Σ_t δāᵀ h⁻: the gradient of a weight matrix, in one product over all steps and sequences. Worked out the other
    way round, which MKL does up to a seventh faster."""
    return read.flatten(0, 1).t().mm(slopes.flatten(0, 1)).t()
