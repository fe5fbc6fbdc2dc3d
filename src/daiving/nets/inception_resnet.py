"""Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning, Szegedy et al., 2016:
Inception-ResNet-v1 and v2. https://arxiv.org/abs/1602.07261

    stem ─ 5 x A ─ reduction A ─ 10 x B ─ reduction B ─ 5 x C ─ head          (figure 15)
    299    35      17                     8

v2 is v1 made wider, behind the stem of Inception-v4 (`inception_v4.py`, the same paper).

Where this leaves the paper
    Nowhere by default, where its figures agree with each other. In v2 the last 1x1 of B prints 1154 channels and that
    of C 2048 (figures 17, 19); what they are added to has 1152 and 2144, by Table 1 and figure 18, and that is what we
    build. Figure 15 draws 5, 10 and 5 blocks for both nets. Yet section 3.2 has v2 cost as much as Inception-v4, 12.3 G
    multiply-adds: 5/10/5 cost 9.3 G; `blocks="10-20-10"`, the number in the authors' code, 14.1 G.
    Residuals are scaled, by "factors between 0.1 and 0.3"; which, only the authors' code says: 0.17 in A, 0.10 in B
    and 0.20 in C, here for both nets and all forms. `scale="1"` is without. The last 1x1 of a residual is the figures'
    "linear": with a bias, and without batch norm, which the paper leaves out around the sum.
    Batch norm's eps (1e-3) and the initial weights (normal of variance 2 / fan_in) are from that code as well.
    v2's `form="released"`, which every library has under this name, is another net: the simple stem of v1 to 192
    channels, then a module with a real 5x5 (`mixed_5b`), so that its maps have 320, 1088 and 2080 channels, not 384,
    1152 and 2144; the last C is added unscaled and without ReLU; a 1x1 to 1536 channels stands before the head. Preset
    "released" has it with its 10/20/10 blocks.

Where torchvision/timm differ
    torchvision has neither net. timm has v2 only, and only as released (preset "timm", which drops nothing). Its
    branches, like the authors', join from the 1x1 to the pool, where the figures draw the pool first (`order`).
"""

from jaxtyping import Float
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets.inception_v4 import REDUCTION_A, SMALLEST, WHY, ReductionA, joined, stem, unit, valid
from daiving.nets.layers import Add, Branches, Fork, Input, chain, he_normal, head, mean_pool

# Widths of the branches of each figure, left to right and bottom to top
WIDTHS = {
    "v1": {
        "a": (32, 32, 32, 32, 32, 32),  # figure 10: 1x1; 1x1, 3x3; 1x1, 3x3, 3x3
        "b": (128, 128, 128, 128),  # figure 11: 1x1; 1x1, 1x7, 7x1
        "c": (192, 192, 192, 192),  # figure 13: 1x1; 1x1, 1x3, 3x1
        "reduction_b": (384, 256, 256, 256),  # figure 12: 3x3; 3x3; 3x3, 3x3; each behind a 1x1 of 256
    },
    "v2": {
        "a": (32, 32, 32, 32, 48, 64),  # figure 16
        "b": (192, 128, 160, 192),  # figure 17
        "c": (192, 192, 224, 256),  # figure 19
        "reduction_b": (384, 288, 288, 320),  # figure 18
    },
}


class Residual(nn.Module):
    """The input plus `scale` times what the branches make of it (figure 20).

    x ─┬─ branches ─ 1x1 ─ * scale ─┬─ add ─ relu
       └────────────────────────────┘
    """

    def __init__(self, c: int, branches: Branches, joined: int, scale: float, relu: bool = True) -> None:
        super().__init__()
        self.body = chain({"branches": branches, "linear": nn.Conv2d(joined, c, 1)})
        self.shortcut = nn.Identity()
        self.add = Add(scale)
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return self.relu(self.add(self.shortcut(x), self.body(x)))

    def wiring(self) -> list[str | Fork]:
        return [Fork("residual", {"body": ["body"], "shortcut": ["shortcut"]}, "add"), "relu"]


def residual_a(c: int, widths: tuple[int, ...], scale: float) -> Residual:
    """Figures 10 and 16: the body is

    x ─┬─ 1x1 ───────────────┐
       ├─ 1x1 ─ 3x3 ─────────┼─ concat ─ 1x1
       └─ 1x1 ─ 3x3 ─ 3x3 ───┘
    """
    n1, r3, n3, rd, d1, d2 = widths
    branches = {
        "1x1": unit(c, n1, 1),
        "3x3": chain({"reduce": unit(c, r3, 1), "full": unit(r3, n3, 3)}),
        "3x3dbl": chain({"reduce": unit(c, rd, 1), "first": unit(rd, d1, 3), "second": unit(d1, d2, 3)}),
    }
    return Residual(c, Branches(branches), n1 + n3 + d2, scale)


def residual_row_column(side: int, c: int, widths: tuple[int, ...], scale: float, relu: bool = True) -> Residual:
    """With side 7 block B, figures 11 and 17; with side 3 block C, figures 13 and 19: the body is

    x ─┬─ 1x1 ─────────────────────┐
       └─ 1x1 ─ 1 x s ─ s x 1 ─────┴─ concat ─ 1x1
    """
    n1, reduce, row, column = widths
    long = {
        "reduce": unit(c, reduce, 1),
        f"1x{side}": unit(reduce, row, (1, side)),
        f"{side}x1": unit(row, column, (side, 1)),
    }
    branches = Branches({"1x1": unit(c, n1, 1), f"{side}x{side}": chain(long)})
    return Residual(c, branches, n1 + column, scale, relu)


class ReductionB(Branches):
    """Figures 12 and 18, from 17x17 to 8x8.

    x ─┬─ 3x3 max /2 ─────────────┐
       ├─ 1x1 ─ 3x3 /2 ───────────┼─ concat
       ├─ 1x1 ─ 3x3 /2 ───────────┤
       └─ 1x1 ─ 3x3 ─ 3x3 /2 ─────┘
    """

    def __init__(self, c_in: int, widths: tuple[int, ...], order: str) -> None:
        a, b, d1, d2 = widths
        double = {"reduce": unit(c_in, 256, 1), "first": unit(256, d1, 3), "second": valid(d1, d2, 3, 2)}
        branches = {
            "pool": nn.MaxPool2d(3, 2),
            "3x3a": chain({"reduce": unit(c_in, 256, 1), "full": valid(256, a, 3, 2)}),
            "3x3b": chain({"reduce": unit(c_in, 256, 1), "full": valid(256, b, 3, 2)}),
            "3x3dbl": chain(double),
        }
        super().__init__(joined(order, branches))
        self.c_out = c_in + a + b + d2


def simple_stem(in_channels: int, last: dict[str, nn.Module]) -> nn.Sequential:
    """Figure 14 up to 192 channels at 71x71, and what makes 35x35 of them."""
    layers = {
        "conv1": valid(in_channels, 32, 3, 2),
        "conv2": valid(32, 32, 3),
        "conv3": unit(32, 64, 3),
        "pool": nn.MaxPool2d(3, 2),
        "conv4": unit(64, 80, 1),
        "conv5": valid(80, 192, 3),
    }
    return chain({**layers, **last})


def mixed_5b(order: str) -> Branches:
    """In no figure: the first module at 35x35 of the released v2, which the v3 nets begin with as well.

    x ─┬─ 3x3 mean ─ 1x1 ────┐
       ├─ 1x1 ───────────────┤
       ├─ 1x1 ─ 5x5 ─────────┼─ concat
       └─ 1x1 ─ 3x3 ─ 3x3 ───┘
    """
    branches = {
        "pool": mean_pool(192, 64),
        "1x1": unit(192, 96, 1),
        "5x5": chain({"reduce": unit(192, 48, 1), "full": unit(48, 64, 5)}),
        "3x3dbl": chain({"reduce": unit(192, 64, 1), "first": unit(64, 96, 3), "second": unit(96, 96, 3)}),
    }
    return Branches(joined(order, branches))


def stages(c: int, version: str, blocks: str, scale: str, order: str, bare_end: bool = False) -> dict[str, nn.Module]:
    """Figure 15 behind its stem of c channels. With `bare_end` the last C is added unscaled and has no ReLU."""
    widths, (scale_a, scale_b, scale_c) = WIDTHS[version], scales(scale)
    n_a, n_b, n_c = map(int, blocks.split("-"))
    a = [residual_a(c, widths["a"], scale_a) for _ in range(n_a)]
    reduction_a = ReductionA(c, REDUCTION_A[f"resnet_{version}"], order)
    b = [residual_row_column(7, reduction_a.c_out, widths["b"], scale_b) for _ in range(n_b)]
    reduction_b = ReductionB(reduction_a.c_out, widths["reduction_b"], order)
    ends = [(1.0, False) if bare_end and i == n_c - 1 else (scale_c, True) for i in range(n_c)]
    c_blocks = [residual_row_column(3, reduction_b.c_out, widths["c"], s, relu) for s, relu in ends]
    return {
        "a": nn.Sequential(*a),
        "reduction_a": reduction_a,
        "b": nn.Sequential(*b),
        "reduction_b": reduction_b,
        "c": nn.Sequential(*c_blocks),
    }


def scales(text: str) -> tuple[float, ...]:
    """ "0.17-0.10-0.20" for A, B and C, or one number for all three. Raises `FixableError` for anything else."""
    try:
        numbers = tuple(float(part) for part in text.split("-"))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(0 <= number <= 1 for number in numbers):
        raise FixableError(
            f"The residuals cannot be scaled by '{text}'.",
            expected="one number from 0 to 1, or three with '-' between them, for the blocks A, B and C.",
            fix="write it like scale=0.17-0.10-0.20, or scale=0.2; scale=1 is without.",
        )
    return numbers * 3 if len(numbers) == 1 else numbers


class InceptionResNetV1(nn.Module):
    """Figures 10 to 15: n x c x h x w images to n x classes logits.

    Raises `FixableError` for images below 75 pixels, and for a `scale` that is no scale.
    """

    def __init__(
        self,
        *,
        scale: str = "0.17-0.10-0.20",
        dropout: float = 0.2,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 299,
    ) -> None:
        super().__init__()
        self.input = Input("inception_resnet_v1", in_channels, SMALLEST, image_size, WHY)
        first = simple_stem(in_channels, {"conv6": valid(192, 256, 3, 2)})
        self.body = chain({"stem": first, **stages(256, "v1", "5-10-5", scale, "figure")})
        self.head = head(1792, num_classes, dropout)
        he_normal(self, "fan_in")

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))


class InceptionResNetV2(nn.Module):
    """Figures 3, 7 and 15 to 19, or the released net: n x c x h x w images to n x classes logits.

    Raises `FixableError` for images below 75 pixels, and for a `scale` that is no scale.
    """

    def __init__(
        self,
        *,
        form: str = "figures",
        blocks: str = "5-10-5",
        scale: str = "0.17-0.10-0.20",
        order: str = "figure",
        dropout: float = 0.2,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 299,
    ) -> None:
        super().__init__()
        self.input = Input("inception_resnet_v2", in_channels, SMALLEST, image_size, WHY)
        if form == "figures":
            self.body = chain({"stem": stem(in_channels), **stages(384, "v2", blocks, scale, order)})
            c = 2144
        else:
            first = simple_stem(in_channels, {"pool2": nn.MaxPool2d(3, 2), "mixed_5b": mixed_5b(order)})
            behind = stages(320, "v2", blocks, scale, order, bare_end=True)
            self.body = chain({"stem": first, **behind, "last": unit(2080, 1536, 1)})
            c = 1536
        self.head = head(c, num_classes, dropout)
        he_normal(self, "fan_in")

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))
