"""The parts that several papers' nets are made of. Each is a named module, so that it can be looked at and tapped.

Legend of shapes in this folder: `n` batch, `c` channels, `h w` height and width; others are named where they stand.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Union

import torch
from jaxtyping import Float
from torch import Tensor, nn

from daiving.errors import FixableError


class Scores(NamedTuple):
    """What a net with auxiliary heads answers while it trains; in evaluation it answers with the logits alone.

    The loss is that of `logits` plus `weight` times that of each of `aux`.
    """

    logits: Float[Tensor, "n classes"]
    aux: tuple[Float[Tensor, "n classes"], ...]
    weight: float


class Fork(NamedTuple):
    """How children of a module are wired where it is not one after the other, for whoever draws it.

    `kind` is "branches" (joined along the channels), "residual" (added) or "dense" (each layer reads all before it).
    `arms` names the children along each path in the paper's order, top to bottom; `join` names the child that joins.
    """

    kind: str
    arms: Mapping[str, Sequence[Union[str, "Fork"]]]
    join: str | None


class Input(nn.Module):
    """Passes images on, or says in three sentences why the net cannot take them.

    Raises `FixableError` for another number of channels and for images below `smallest` pixels: when the net is
    made, if its `image_size` is too small, and again for every batch.
    """

    def __init__(self, net: str, channels: int, smallest: int, image_size: int, why: str) -> None:
        super().__init__()
        self.net, self.channels, self.smallest, self.why = net, channels, smallest, why
        self.home = image_size  # pixels that it was built for; others are taken too
        self.check_size(image_size, image_size)

    def check_size(self, h: int, w: int) -> None:
        if min(h, w) < self.smallest:
            raise FixableError(
                f"The net '{self.net}' cannot take images of {h}x{w} pixels.",
                expected=f"at least {self.smallest}x{self.smallest}: {self.why}.",
                fix=f"bring the images to {self.smallest} pixels or more, or take a net for small images.",
            )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        if x.shape[1] != self.channels:
            raise FixableError(
                f"The net '{self.net}' was given images of {x.shape[1]} channels.",
                expected=f"{self.channels}, as it was built: images are n x {self.channels} x h x w.",
                fix=f"build it with in_channels={x.shape[1]}, or check the order of the axes.",
            )
        self.check_size(*x.shape[2:])
        return x


class Concat(nn.Module):
    """Feature maps stacked along the channels."""

    def forward(self, parts: Sequence[Float[Tensor, "n _ h w"]]) -> Float[Tensor, "n c h w"]:
        return torch.cat(list(parts), dim=1)


class Add(nn.Module):
    """The sum of two feature maps of one shape; `scale` times the second where a paper asks for it."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + y if self.scale == 1 else torch.add(x, y, alpha=self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class Branches(nn.Module):
    """Several looks at one input, stacked along the channels in the order given: the paper's figure, left to right."""

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(branches)
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.concat = Concat()

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h_out w_out"]:
        return self.concat([self.get_submodule(name)(x) for name in self.names])

    def wiring(self) -> list[str | Fork]:
        return [Fork("branches", {name: [name] for name in self.names}, "concat")]


def chain(parts: Mapping[str, nn.Module | None]) -> nn.Sequential:
    """One after the other, by name; parts that are None are left out."""
    return nn.Sequential(OrderedDict((name, part) for name, part in parts.items() if part is not None))


def conv(
    c_in: int,
    c_out: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    padding: int | tuple[int, int] | None = None,
    *,
    bn: bool = True,
    eps: float = 1e-5,
    relu: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm, ReLU: the unit of all nets since 2015; without `bn`, a convolution with bias and ReLU.

    `padding` keeps the size at stride 1 unless it is given; a kernel is (height, width).
    """
    size = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    if padding is None:
        padding = ((size[0] - 1) // 2, (size[1] - 1) // 2)
    return chain(
        {
            "conv": nn.Conv2d(c_in, c_out, size, stride, padding, bias=not bn),
            "bn": nn.BatchNorm2d(c_out, eps=eps) if bn else None,
            "relu": nn.ReLU(inplace=True) if relu else None,
        }
    )


def mean_pool(c_in: int, c_out: int, count_padding: bool = False) -> nn.Sequential:
    """The pool branch of the Inceptions since v2: a 3x3 mean that keeps the size, and a 1x1. TensorFlow, in which they
    were trained, leaves the padding out of the mean; torchvision and timm count it in v3."""
    mean = nn.AvgPool2d(3, 1, 1, count_include_pad=count_padding)
    return chain({"mean": mean, "project": conv(c_in, c_out, 1, eps=1e-3)})


def head(c_in: int, num_classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Mean over the whole map, dropout where the paper has it, one linear layer to the logits: `head` in every net."""
    return chain(
        {
            "mean": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "dropout": nn.Dropout(dropout) if dropout else None,
            "fc": nn.Linear(c_in, num_classes),
        }
    )


def with_aux(
    x: Float[Tensor, "n c h w"], body: nn.Sequential, aux: nn.ModuleDict, head: nn.Sequential, weight: float
) -> Float[Tensor, "n classes"] | Scores:
    """Through the stages of a body to its head; while it trains, each of `aux` reads the stage whose name it has."""
    read = []
    for name, stage in body.named_children():
        x = stage(x)
        if body.training and name in aux:
            read.append(aux[name](x))
    return Scores(head(x), tuple(read), weight) if read else head(x)


def he_normal(net: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """He et al., 2015 (arXiv 1502.01852, eq. 14 forward with "fan_in", eq. 15 backward with "fan_out"): N(0, 2 / fan)
    for every convolution; biases zero."""
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode=mode, nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
