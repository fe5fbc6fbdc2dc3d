"""Densely Connected Convolutional Networks, Huang, Liu, van der Maaten and Weinberger, 2017.
https://arxiv.org/abs/1608.06993

    stem ─ block1 ─ transition1 ─ block2 ─ transition2 ─ block3 ─ transition3 ─ block4 ─ norm ─ relu ─ head

Where this leaves the paper
    Nowhere in the widths; those of Table 1's "DenseNet-264" make 265 layers by the count that gives the other names.
    Where the table is silent we follow the authors' Torch code: norm and ReLU stand behind the stem's 7x7, not in
    front of it, and once more before the mean; weights are N(0, 2 / fan_out), biases zero. Depth 161 is from an early
    version of the paper and the authors' README, with growth 48: the default of the line `densenet161` of the table of
    nets. Dropout, where asked for, follows every convolution but the first, as the paper has it for data that is not
    augmented (0.2 there).

Where torchvision/timm differ
    Both draw weights with fan_in and drop only behind the 3x3. Their `memory_efficient` runs each norm twice a step, so
    that running averages move twice; `checkpointed=True` moves them once. timm's densenet264d (preset "timm": growth 48
    and three 3x3 for the 7x7) has 72.7 M weights, not the paper's 33.3 M.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from daiving.errors import FixableError
from daiving.nets.layers import Concat, Fork, Input, chain, conv, he_normal, head

# Table 1: the layers of the four dense blocks
TABLE_1 = {
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
    264: (6, 12, 64, 48),
}
BOTTLENECK = 4  # section 3: a 1x1 in front of a 3x3 has 4 times the growth


class Again:
    """Around the second run of a checkpointed part: its norm works as it did in the first, on copies of its averages.

    Entered once for each backward pass, and left by an exception too: torch stops the run so when it has all it needs.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.norm, self.training = norm, norm.training

    def __enter__(self) -> None:
        # Not track_running_stats=False: a norm without averages saves two tensors less, and torch counts them.
        self.averages, self.mode = dict(self.norm.named_buffers()), self.norm.training
        for name, average in self.averages.items():
            setattr(self.norm, name, average.clone())
        self.norm.training = self.training

    def __exit__(self, *raised: object) -> None:
        for name, average in self.averages.items():
            setattr(self.norm, name, average)
        self.norm.training = self.mode


class Composite(nn.Module):
    """Section 3, "composite function": norm, ReLU, convolution; in front of them a concatenation where it `joins` maps.

    `checkpointed`: in training it keeps the maps that it is given, which others keep too, and computes the wide ones
    (concatenation, norm, ReLU) a second time in the backward pass; hooks on those then run twice. The convolution runs
    once. Dropout stays outside, so no random state has to be kept.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int, dropout: float, *, joins: bool = False, checkpointed: bool = False
    ) -> None:
        super().__init__()
        self.joins, self.checkpointed = joins, checkpointed
        if joins:
            self.concat = Concat()
        self.norm = nn.BatchNorm2d(c_in)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
        if dropout:
            self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "n c h w"] | Sequence[Float[Tensor, "n _ h w"]]) -> Float[Tensor, "n c_out h w"]:
        maps: Sequence[Tensor] = x if self.joins else (x,)  # type: ignore[assignment]
        if self.checkpointed and self.training and torch.is_grad_enabled():
            # Each map is an argument of its own, so that torch saves it like any other: seen by saved_tensors_hooks.
            y: Tensor = checkpoint(
                self.undropped,
                *maps,
                use_reentrant=False,
                preserve_rng_state=False,
                context_fn=lambda: (nullcontext(), Again(self.norm)),
            )
        else:
            y = self.undropped(*maps)
        return self.dropout(y) if hasattr(self, "dropout") else y

    def undropped(self, *maps: Float[Tensor, "n _ h w"]) -> Float[Tensor, "n c_out h w"]:
        x = self.concat(maps) if self.joins else maps[0]
        return self.conv(self.relu(self.norm(x)))

    def wiring(self) -> list[str | Fork]:
        return [name for name, _ in self.named_children()]


class DenseBlock(nn.Module):
    """Figure 1: each layer reads the block's input and the maps of all layers before it, and adds `growth` channels.

    x ─┬─ layer1 ─┬─ layer2 ─┬─ layer3 ─┬─ concat
       ├──────────┼──────────┼──────────┤
       │          └──────────┼──────────┤
       │                     └──────────┤
       └────────────────────────────────┘
    """

    def __init__(
        self, c_in: int, layers: int, growth: int, bottleneck: bool, dropout: float = 0.0, checkpointed: bool = False
    ) -> None:
        super().__init__()
        self.names = tuple(f"layer{i + 1}" for i in range(layers))
        for i, name in enumerate(self.names):
            c, wide = c_in + i * growth, BOTTLENECK * growth
            if bottleneck:
                reduce = Composite(c, wide, 1, dropout, joins=True, checkpointed=checkpointed)
                full = Composite(wide, growth, 3, dropout)  # its map is narrow: not worth a second run
                layer = chain({"reduce": reduce, "full": full})
            else:
                layer = Composite(c, growth, 3, dropout, joins=True, checkpointed=checkpointed)
            self.add_module(name, layer)
        self.concat = Concat()
        self.c_out = c_in + layers * growth

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h w"]:
        maps = (x,)
        for name in self.names:
            maps = (*maps, self.get_submodule(name)(maps))
        return self.concat(maps)

    def wiring(self) -> list[str | Fork]:
        return [Fork("dense", {name: [name] for name in self.names}, "concat")]


class DenseNet(nn.Module):
    """Table 1 of the paper: n x c x h x w images to n x classes logits.

    `stem_channels=0` is the paper's width, twice the growth. Raises `FixableError` for a depth that is not in the
    table, for a growth or compression that leaves no channels, and for images below 29 pixels.
    """

    def __init__(
        self,
        *,
        depth: int = 121,
        growth: int = 32,
        compression: float = 0.5,
        bottleneck: bool = True,
        stem_channels: int = 0,
        stem: str = "7x7",
        dropout: float = 0.0,
        checkpointed: bool = False,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        if depth not in TABLE_1:
            nearest = min(TABLE_1, key=lambda known: abs(known - depth))
            raise FixableError(
                f"The net 'densenet' cannot be {depth} layers deep.",
                expected=f"a depth of Table 1: {', '.join(map(str, TABLE_1))}.",
                fix=f"take depth={nearest}, the nearest; 'cifar_densenet' has others.",
            )
        why = "its stem halves them twice, and three transitions halve what is left, without padding"
        self.input = Input("densenet", in_channels, 29, image_size, why)
        check_widths(growth, compression, stem_channels, least=2 if stem == "deep" else 1)
        c = stem_channels or 2 * growth
        if stem == "deep":
            parts: dict[str, nn.Module | None] = {
                "conv1": conv(in_channels, c // 2, 3, 2),
                "conv2": conv(c // 2, c // 2, 3),
                "conv3": conv(c // 2, c, 3),
            }
        else:
            parts = {"conv1": conv(in_channels, c, 7, 2)}
        stem_parts = chain({**parts, "pool": nn.MaxPool2d(3, 2, 1)})
        blocks, c = dense_body(c, TABLE_1[depth], growth, compression, bottleneck, dropout, checkpointed)
        self.body = chain({"stem": stem_parts, **blocks})
        self.head = head(c, num_classes)
        as_torch7(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))


def dense_body(
    c: int,
    blocks: Sequence[int],
    growth: int,
    compression: float,
    bottleneck: bool,
    dropout: float,
    checkpointed: bool,
) -> tuple[dict[str, nn.Module], int]:
    """Dense blocks with transitions between them and the last norm, from a map of `c` channels; and what comes out."""
    parts: dict[str, nn.Module] = {}
    for number, layers in enumerate(blocks, 1):
        block = DenseBlock(c, layers, growth, bottleneck, dropout, checkpointed)
        parts[f"block{number}"], c = block, block.c_out
        if number < len(blocks):
            if (kept := math.floor(compression * c)) < 1:
                raise impossible(growth, compression)
            reduce = Composite(c, kept, 1, dropout, checkpointed=checkpointed)
            parts[f"transition{number}"] = chain({"reduce": reduce, "pool": nn.AvgPool2d(2)})
            c = kept
    return {**parts, "norm": nn.BatchNorm2d(c), "relu": nn.ReLU(inplace=True)}, c


def check_widths(growth: int, compression: float, stem_channels: int, least: int = 1) -> None:
    """Before anything is built of them; the stem has at least so many channels."""
    if growth < 1 or not 0 < compression <= 1:
        raise impossible(growth, compression)
    if stem_channels != 0 and stem_channels < least:
        raise FixableError(
            f"A dense net cannot have {stem_channels} channels behind its first layer.",
            expected=f"{least} or more, or 0 for the paper's number.",
            fix="leave stem_channels out.",
        )


def impossible(growth: int, compression: float) -> FixableError:
    return FixableError(
        f"A dense net cannot have growth={growth} and compression={compression}.",
        expected="a growth of 1 or more, and a compression of at most 1 that leaves each transition a channel.",
        fix="take the paper's: growth 12 to 48, compression 0.5, or 1 for none.",
    )


def as_torch7(net: nn.Module) -> None:
    """The authors' initialisation: convolutions N(0, 2 / fan_out), norms 1 and 0, the linear layer's bias 0."""
    he_normal(net, "fan_out")
    for m in net.modules():
        if isinstance(m, nn.Linear):
            nn.init.zeros_(m.bias)
