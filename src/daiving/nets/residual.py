"""What the residual nets share: the block of He et al., 2015 (figure 2), and the ways past it (section 3.3).

    x ─┬─ body ───────┬─ add ─ relu
       └─ shortcut ───┘

The plain nets, with which the paper compares, are the same blocks with neither shortcut nor addition; their tensors
have the same names and shapes, so that both start from the same weights.
"""

from collections.abc import Iterable
from typing import NoReturn

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from daiving.errors import FixableError, unknown
from daiving.nets.layers import Add, Fork, chain, conv, he_normal

SHORTCUTS = ("none", "A", "B", "C")


class Residual(nn.Module):
    """`relu(body(x) + shortcut(x))`; without a shortcut `relu(body(x))`, the plain net."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.body = body
        if shortcut is not None:
            self.shortcut, self.add = shortcut, Add()
        self.plain = shortcut is None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h_out w_out"]:
        y = self.body(x)
        return self.relu(y if self.plain else self.add(y, self.shortcut(x)))

    def wiring(self) -> list[str | Fork]:
        if self.plain:
            return ["body", "relu"]
        return [Fork("residual", {"body": ["body"], "shortcut": ["shortcut"]}, "add"), "relu"]


class ZeroPad(nn.Module):
    """Option A: every `stride`-th pixel, then channels of zeros behind those that are there. No parameters."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.stride, self.zeros = stride, c_out - c_in

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h_out w_out"]:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.zeros))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, zeros={self.zeros}"


def shortcut(option: str, c_in: int, c_out: int, stride: int) -> nn.Module | None:
    """Section 4.1: A pads with zeros where the shape changes, B projects there, C projects everywhere; "none" is None.

    Raises `FixableError` for another option.
    """
    if option not in SHORTCUTS:
        raise unknown("shortcut", option, SHORTCUTS)
    if option == "none":
        return None
    changes = stride != 1 or c_in != c_out
    if option == "C" or (option == "B" and changes):
        return conv(c_in, c_out, 1, stride, relu=False)
    return ZeroPad(c_in, c_out, stride) if changes else nn.Identity()


def basic(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """Figure 5, left: two 3x3 convolutions. The second one's ReLU waits for the addition."""
    return chain({"conv1": conv(c_in, c_out, 3, stride), "conv2": conv(c_out, c_out, 3, relu=False)})


def blocks_per_stage(net: str, depth: int, layers: int) -> int:
    """The n of a net for small images: three stages of n blocks of so many `layers`, a first layer and a last one.

    Raises `FixableError` with the nearest legal depths where there is no such n.
    """
    n, rest = divmod(depth - 2, 3 * layers)
    if n < 1 or rest:
        below = 3 * layers * max(n, 1) + 2
        near = (below,) if depth < below else (below, below + 3 * layers)
        why = f"three stages of n blocks of {layers} layers, a first layer and a last"
        impossible(net, depth, f"{3 * layers}n+2: {why}", near)
    return n


def impossible(net: str, depth: int, expected: str, near: Iterable[int]) -> NoReturn:
    raise FixableError(
        f"The net '{net}' cannot be {depth} layers deep.",
        expected=f"{expected}.",
        fix=f"take depth={' or depth='.join(map(str, near))}.",
    )


def initialise(net: nn.Module) -> None:
    """Convolutions from N(0, 2 / (k² c_out)), as in the 2016 paper's released code; the last layer's biases zero."""
    he_normal(net, "fan_out")
    for m in net.modules():
        if isinstance(m, nn.Linear):
            nn.init.zeros_(m.bias)
