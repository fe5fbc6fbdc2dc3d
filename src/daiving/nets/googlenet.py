"""Going Deeper with Convolutions, Szegedy et al., 2014. https://arxiv.org/abs/1409.4842

    conv1 ─ pool1 ─ conv2 ─ pool2 ─ 3a 3b ─ pool3 ─ 4a 4b 4c 4d 4e ─ pool4 ─ 5a 5b ─ head
                                                    └ aux1     └ aux2

Where this leaves the paper
    Nowhere by default, where the paper is plain. Its Table 1 gives the first layer 2.7 K weights and 34 M operations,
    which a full 7x7 convolution (9.4 K, 118 M) has not and a separable one of multiplier 8 has to the digit; so
    `stem="separable"` is our reading of it. `stem="full"` is the common one. The paper names no initialisation: ours is
    that of the authors' Caffe replica (uniform of variance 1 / fan_in, biases 0.2). Rows 4c, 4d, 5a and 5b of the
    weights column, and 5a of the operations, do not follow from the widths of the same rows; we build the widths.
    The third branch of `module="naive"` is figure 2(a); stacked for real, its pool branch makes every map wider.

Where torchvision/timm differ
    torchvision (preset "torchvision") has 3x3 for every 5x5, batch norm (eps 1e-3) for local response norm, a 2x2
    pool4, dropout 0.2, and pools its auxiliary inputs to 4x4 whatever their size. timm has no GoogLeNet. Caffe's
    (preset "caffe") has the full stem.
"""

import math
from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Branches, Input, Scores, chain, conv, he_normal, head, with_aux

# Table 1, row for row:  1x1  3x3r  3x3  5x5r  5x5  pool
TABLE_1 = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
AUX_BEHIND = ("4a", "4d")  # section 5
AUX_WEIGHT = 0.3
Unit = Callable[..., nn.Sequential]  # `conv` with or without batch norm


class InceptionReduced(Branches):
    """Figure 2(b): four looks at one input; a 1x1 in front pays for each large kernel.

    x ─┬─ 1x1 ─────────────┐
       ├─ 1x1 ─ 3x3 ───────┤
       ├─ 1x1 ─ 5x5 ───────┼─ concat
       └─ 3x3 max ─ 1x1 ───┘
    """

    def __init__(self, c_in: int, row: tuple[int, ...], kernel5: int = 5, unit: Unit = conv) -> None:
        n1, r3, n3, r5, n5, pool = row
        super().__init__(
            {
                "1x1": unit(c_in, n1, 1),
                "3x3": chain({"reduce": unit(c_in, r3, 1), "full": unit(r3, n3, 3)}),
                "5x5": chain({"reduce": unit(c_in, r5, 1), "full": unit(r5, n5, kernel5)}),
                "pool": chain({"max": nn.MaxPool2d(3, 1, 1, ceil_mode=True), "project": unit(c_in, pool, 1)}),
            }
        )
        self.c_out = n1 + n3 + n5 + pool


class InceptionNaive(Branches):
    """Figure 2(a): the same without any 1x1 in front or behind; the pool passes all its channels on.

    x ─┬─ 1x1 ──────┐
       ├─ 3x3 ──────┤
       ├─ 5x5 ──────┼─ concat
       └─ 3x3 max ──┘
    """

    def __init__(self, c_in: int, row: tuple[int, ...], kernel5: int = 5, unit: Unit = conv) -> None:
        n1, _, n3, _, n5, _ = row
        super().__init__(
            {
                "1x1": unit(c_in, n1, 1),
                "3x3": unit(c_in, n3, 3),
                "5x5": unit(c_in, n5, kernel5),
                "pool": nn.MaxPool2d(3, 1, 1, ceil_mode=True),
            }
        )
        self.c_out = n1 + n3 + n5 + c_in


MODULES = {"reduced": InceptionReduced, "naive": InceptionNaive}


class GoogLeNet(nn.Module):
    """Table 1 of the paper: n x c x h x w images to n x classes logits; while it trains with `aux`, `Scores`.

    Raises `FixableError` for images below 31 pixels, or 79 with the auxiliary heads.
    """

    def __init__(
        self,
        *,
        stem: str = "separable",
        kernel5: int = 5,
        norm: str = "lrn",
        pool4: int = 3,
        dropout: float = 0.4,
        aux: bool = True,
        aux_pool: str = "mean5x5",
        module: str = "reduced",
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        bn = norm == "bn"
        unit: Unit = partial(conv, bn=bn, eps=1e-3)
        fixed_aux = aux and aux_pool == "mean5x5"
        why = "its auxiliary pools are 5x5; 31 with aux=false" if fixed_aux else "it halves them five times"
        self.input = Input("googlenet", in_channels, 79 if fixed_aux else 31, image_size, why)
        body: dict[str, nn.Module] = {}
        if stem == "separable":
            # 3 x 8 x 49 + 24 x 64 = 2,712 weights: the "2.7K" of Table 1.
            depthwise = nn.Conv2d(in_channels, 8 * in_channels, 7, 2, 3, groups=in_channels, bias=False)
            body["conv1"] = chain({"depthwise": depthwise, "pointwise": unit(8 * in_channels, 64, 1)})
        else:
            body["conv1"] = unit(in_channels, 64, 7, 2)
        body["pool1"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        if not bn:
            body["norm1"] = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        body["conv2"] = chain({"reduce": unit(64, 64, 1), "full": unit(64, 192, 3)})
        if not bn:
            body["norm2"] = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        body["pool2"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        c, heads = 192, {}
        for name, row in TABLE_1.items():
            if name == "4a":
                body["pool3"] = nn.MaxPool2d(3, 2, ceil_mode=True)
            if name == "5a":
                body["pool4"] = nn.MaxPool2d(pool4, 2, ceil_mode=True)
            block = MODULES[module](c, row, kernel5, unit)
            body[name], c = block, block.c_out
            if aux and name in AUX_BEHIND:
                heads[name] = aux_head(c, num_classes, image_size, aux_pool, unit)
        self.body = chain(body)
        self.aux = nn.ModuleDict(heads)
        self.head = head(c, num_classes, dropout)
        if bn:
            he_normal(self)
        else:
            as_caffe(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"] | Scores:
        return with_aux(self.input(x), self.body, self.aux, self.head, AUX_WEIGHT)


def aux_head(c_in: int, num_classes: int, image_size: int, pool: str, unit: Unit = conv) -> nn.Sequential:
    """Section 5: mean pool 5x5 by 3, 1x1 to 128, linear to 1024, dropout 70 %, linear to the classes."""
    side = math.ceil(image_size / 2)  # behind conv1
    for _ in range(3):
        side //= 2  # a 3x3 pool by 2 that rounds up
    side = (side - 5) // 3 + 1 if pool == "mean5x5" else 4
    return chain(
        {
            "pool": nn.AvgPool2d(5, 3) if pool == "mean5x5" else nn.AdaptiveAvgPool2d(4),
            "conv": unit(c_in, 128, 1),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(128 * side**2, 1024),
            "relu": nn.ReLU(inplace=True),
            "dropout": nn.Dropout(0.7),
            "fc2": nn.Linear(1024, num_classes),
        }
    )


def as_caffe(net: nn.Module) -> None:
    """Caffe's "xavier" filler, U(-a, a) with a² = 3 / fan_in; biases 0.2, and 0 where logits come out."""
    for name, m in net.named_modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            bound = math.sqrt(3 / m.weight[0].numel())
            nn.init.uniform_(m.weight, -bound, bound)
            if m.bias is not None:
                nn.init.constant_(m.bias, 0.0 if name.endswith(("fc", "fc2")) else 0.2)
