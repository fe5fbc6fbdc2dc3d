"""Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning, Szegedy et al., 2016:
Inception-v4. https://arxiv.org/abs/1602.07261

    stem ─ 4 x A ─ reduction A ─ 7 x B ─ reduction B ─ 3 x C ─ head           (figure 9)
    299    35      17                    8

The figures number the channels of every layer, so that each class below is one figure. Convolutions marked "V" there
do not pad.

Where this leaves the paper
    Nowhere in its widths. Figure 3 gives the last 3x3 of the stem no stride; its map would not fit the pool beside it,
    so it goes by 2. Figure 5 has a branch of two 1x7, where a row and a column are meant. In the stem and in the
    longest branches of B and C, what the figures call 7x1 is 1x7 in the authors' code and the other way round, as if
    width came first; in the other branches both agree, height first. Ours are the code's kernels, for which all trained
    weights are. The size of the average pools (3x3, padding not counted), batch norm's eps (1e-3) and the initial
    weights (normal of variance 2 / fan_in; theirs are cut at two deviations) are from that code too: the paper gives
    none of them.

Where torchvision/timm differ
    timm (preset "timm", as the authors' code) joins its branches from the 1x1 to the pool, where the figures draw the
    pool first: the same weights under the same names, but the next layer reads its channels in another order. It drops
    nothing unless asked. torchvision has no Inception-v4.
"""

from collections.abc import Mapping
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Branches, Input, chain, conv, he_normal, head, mean_pool

# Table 1: the widths of reduction A (figure 7) in the three nets of the paper
#                       k    l    m    n
REDUCTION_A = {
    "v4": (192, 224, 256, 384),
    "resnet_v1": (192, 192, 256, 384),
    "resnet_v2": (256, 256, 384, 384),
}
SMALLEST = 75
WHY = "of less, its layers without padding leave no pixel"

unit = partial(conv, eps=1e-3)
valid = partial(conv, eps=1e-3, padding=0)  # marked "V" in the figures


def joined(order: str, branches: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The branches as the figures draw them, the pool leftmost; with "timm" the pool comes last."""
    if order == "figure":
        return dict(branches)
    return {name: branches[name] for name in sorted(branches, key=lambda name: name == "pool")}


def stem(in_channels: int) -> nn.Sequential:
    """Figure 3, also Inception-ResNet-v2's: three joins on the way from 299 to 35 pixels.

    3x3/2 ─ 3x3 ─ 3x3 ─┬─ 3x3 max /2 ─┬─┬─ 1x1 ─ 3x3 ─────────────┬─┬─ 3x3 /2 ──────┬─
                       └─ 3x3 /2 ─────┘ └─ 1x1 ─ 1x7 ─ 7x1 ─ 3x3 ─┘ └─ 3x3 max /2 ──┘
                                    160                           192              384
    """
    rows = {
        "reduce": unit(160, 64, 1),
        "1x7": unit(64, 64, (1, 7)),
        "7x1": unit(64, 64, (7, 1)),
        "full": valid(64, 96, 3),
    }
    return chain(
        {
            "conv1": valid(in_channels, 32, 3, 2),
            "conv2": valid(32, 32, 3),
            "conv3": unit(32, 64, 3),
            "join1": Branches({"pool": nn.MaxPool2d(3, 2), "3x3": valid(64, 96, 3, 2)}),
            "join2": Branches(
                {"3x3": chain({"reduce": unit(160, 64, 1), "full": valid(64, 96, 3)}), "7x7": chain(rows)}
            ),
            "join3": Branches({"3x3": valid(192, 192, 3, 2), "pool": nn.MaxPool2d(3, 2)}),
        }
    )


class InceptionA(Branches):
    """Figure 4, at 35x35.

    x ─┬─ 3x3 mean ─ 1x1 ────┐
       ├─ 1x1 ───────────────┤
       ├─ 1x1 ─ 3x3 ─────────┼─ concat
       └─ 1x1 ─ 3x3 ─ 3x3 ───┘
    """

    def __init__(self, order: str) -> None:
        branches = {
            "pool": mean_pool(384, 96),
            "1x1": unit(384, 96, 1),
            "3x3": chain({"reduce": unit(384, 64, 1), "full": unit(64, 96, 3)}),
            "3x3dbl": chain({"reduce": unit(384, 64, 1), "first": unit(64, 96, 3), "second": unit(96, 96, 3)}),
        }
        super().__init__(joined(order, branches))


class ReductionA(Branches):
    """Figure 7, from 35x35 to 17x17; its widths are in Table 1.

    x ─┬─ 3x3 max /2 ───────────────────┐
       ├─ 3x3 /2 (n) ───────────────────┼─ concat
       └─ 1x1 (k) ─ 3x3 (l) ─ 3x3/2 (m) ┘
    """

    def __init__(self, c_in: int, klmn: tuple[int, int, int, int], order: str) -> None:
        k, l, m, n = klmn  # noqa: E741, the paper's letters
        double = {"reduce": unit(c_in, k, 1), "first": unit(k, l, 3), "second": valid(l, m, 3, 2)}
        branches = {"pool": nn.MaxPool2d(3, 2), "3x3": valid(c_in, n, 3, 2), "3x3dbl": chain(double)}
        super().__init__(joined(order, branches))
        self.c_out = c_in + n + m


class InceptionB(Branches):
    """Figure 5, at 17x17.

    x ─┬─ 3x3 mean ─ 1x1 ────────────────────┐
       ├─ 1x1 ───────────────────────────────┤
       ├─ 1x1 ─ 1x7 ─ 7x1 ───────────────────┼─ concat
       └─ 1x1 ─ 7x1 ─ 1x7 ─ 7x1 ─ 1x7 ───────┘
    """

    def __init__(self, order: str) -> None:
        double = {
            "reduce": unit(1024, 192, 1),
            "7x1a": unit(192, 192, (7, 1)),
            "1x7a": unit(192, 224, (1, 7)),
            "7x1b": unit(224, 224, (7, 1)),
            "1x7b": unit(224, 256, (1, 7)),
        }
        branches = {
            "pool": mean_pool(1024, 128),
            "1x1": unit(1024, 384, 1),
            "7x7": chain({"reduce": unit(1024, 192, 1), "1x7": unit(192, 224, (1, 7)), "7x1": unit(224, 256, (7, 1))}),
            "7x7dbl": chain(double),
        }
        super().__init__(joined(order, branches))


class ReductionB(Branches):
    """Figure 8, from 17x17 to 8x8.

    x ─┬─ 3x3 max /2 ─────────────────┐
       ├─ 1x1 ─ 3x3 /2 ───────────────┼─ concat
       └─ 1x1 ─ 1x7 ─ 7x1 ─ 3x3 /2 ───┘
    """

    def __init__(self, order: str) -> None:
        long = {
            "reduce": unit(1024, 256, 1),
            "1x7": unit(256, 256, (1, 7)),
            "7x1": unit(256, 320, (7, 1)),
            "full": valid(320, 320, 3, 2),
        }
        branches = {
            "pool": nn.MaxPool2d(3, 2),
            "3x3": chain({"reduce": unit(1024, 192, 1), "full": valid(192, 192, 3, 2)}),
            "7x7x3": chain(long),
        }
        super().__init__(joined(order, branches))


class InceptionC(Branches):
    """Figure 6, at 8x8: two branches end in a row and a column side by side.

    x ─┬─ 3x3 mean ─ 1x1 ──────────────────┐
       ├─ 1x1 ─────────────────────────────┤
       ├─ 1x1 ─────────────┬─ 1x3 ─────────┤
       │                   └─ 3x1 ─────────┼─ concat
       └─ 1x1 ─ 3x1 ─ 1x3 ─┬─ 1x3 ─────────┤
                           └─ 3x1 ─────────┘
    """

    def __init__(self, order: str) -> None:
        double = {
            "reduce": unit(1536, 384, 1),
            "3x1": unit(384, 448, (3, 1)),
            "1x3": unit(448, 512, (1, 3)),
            "split": row_and_column(512),
        }
        branches = {
            "pool": mean_pool(1536, 256),
            "1x1": unit(1536, 256, 1),
            "3x3": chain({"reduce": unit(1536, 384, 1), "split": row_and_column(384)}),
            "3x3dbl": chain(double),
        }
        super().__init__(joined(order, branches))


def row_and_column(c_in: int) -> Branches:
    return Branches({"1x3": unit(c_in, 256, (1, 3)), "3x1": unit(c_in, 256, (3, 1))})


class InceptionV4(nn.Module):
    """Figure 9: n x c x h x w images to n x classes logits. Raises `FixableError` for images below 75 pixels."""

    def __init__(
        self,
        *,
        order: str = "figure",
        dropout: float = 0.2,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 299,
    ) -> None:
        super().__init__()
        self.input = Input("inception_v4", in_channels, SMALLEST, image_size, WHY)
        self.body = chain(
            {
                "stem": stem(in_channels),
                "a": nn.Sequential(*[InceptionA(order) for _ in range(4)]),
                "reduction_a": ReductionA(384, REDUCTION_A["v4"], order),
                "b": nn.Sequential(*[InceptionB(order) for _ in range(7)]),
                "reduction_b": ReductionB(order),
                "c": nn.Sequential(*[InceptionC(order) for _ in range(3)]),
            }
        )
        self.head = head(1536, num_classes, dropout)
        he_normal(self, "fan_in")

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))
