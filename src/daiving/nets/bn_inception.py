"""Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift,
Ioffe & Szegedy, 2015. https://arxiv.org/abs/1502.03167, appendix, figure 5

    conv1 ─ pool1 ─ conv2 ─ pool2 ─ 3a 3b 3c/2 ─ 4a 4b 4c 4d 4e/2 ─ 5a 5b ─ head

The inception module of GoogLeNet with two 3x3 for each 5x5, batch norm behind every convolution, and no pools between
the modules: 3c and 4e halve the map themselves.

Where this leaves the paper
    The widths of the table are built as printed, and they do not add up. 4c and 4d list "avg + 128" behind their pools,
    which makes 608 channels; the table prints 576, and therefore 1024 behind 4e where 1056 arrive. `pool_4cd=96` is the
    other reading: all printed sizes, another width. Neither has the "13.6 million" parameters of section 4.2.
    The table's conv1 is a 7x7; the last sentence of the appendix says that theirs was separable, with multiplier 8.
    The default is the table's, whose 2.03 G multiply-adds are the 2.0 billion that the authors' next paper counts for
    this net (1512.00567, Table 3); `stem="separable"` builds the sentence, and has 1.95 G.
    The paper is silent about initialisation (ours: He's), about the epsilon of batch norm (1e-3, as the authors used
    later), and about the border of average pools (padding is not counted, as in the authors' framework). Section 4.2.1
    takes dropout out, so there is none. Its table shows no auxiliary heads, so there are none.
    In 3c and 4e the 3x3 convolutions by 2 and the pool by 2 must answer with maps of one size. All pad 1, which gives
    half, rounded up, at even and at odd sizes alike; a pool without padding that rounds up would be one pixel short
    at odd sizes.

Where torchvision/timm differ
    Neither has this net. TF-slim's (preset "slim") has the separable stem, pool_4cd=96 and dropout 0.2, and pads one
    pixel less on the left and above where it goes by 2. The Caffe ports keep a bias in front of every batch norm.
"""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Branches, Input, chain, conv, he_normal, head

# Figure 5, row for row:  1x1  3x3r  3x3  double 3x3r  double 3x3  pool, projection (None: pass through, by 2)
FIGURE_5 = {
    "3a": (64, 64, 64, 64, 96, "avg", 32),
    "3b": (64, 64, 96, 64, 96, "avg", 64),
    "3c": (0, 128, 160, 64, 96, "max", None),
    "4a": (224, 64, 96, 96, 128, "avg", 128),
    "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 128),
    "4d": (96, 128, 192, 160, 192, "avg", 128),
    "4e": (0, 128, 192, 192, 256, "max", None),
    "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}
PRINTED_576 = ("4c", "4d")  # whose widths make 608

unit = partial(conv, eps=1e-3)


class InceptionDouble(Branches):
    """One row of the table: two 3x3 see what a 5x5 sees, for 18/25 of its weights.

    x ─┬─ 1x1 ───────────────┐
       ├─ 1x1 ─ 3x3 ─────────┤
       ├─ 1x1 ─ 3x3 ─ 3x3 ───┼─ concat
       └─ 3x3 mean ─ 1x1 ────┘
    """

    def __init__(self, c_in: int, n1: int, r3: int, n3: int, rd: int, nd: int, pool: str, project: int) -> None:
        kind = nn.AvgPool2d(3, 1, 1, count_include_pad=False) if pool == "avg" else nn.MaxPool2d(3, 1, 1)
        super().__init__(
            {
                "1x1": unit(c_in, n1, 1),
                "3x3": chain({"reduce": unit(c_in, r3, 1), "full": unit(r3, n3, 3)}),
                "3x3dbl": chain({"reduce": unit(c_in, rd, 1), "first": unit(rd, nd, 3), "second": unit(nd, nd, 3)}),
                "pool": chain({pool: kind, "project": unit(c_in, project, 1)}),
            }
        )
        self.c_out = n1 + n3 + nd + project


class InceptionHalf(Branches):
    """3c and 4e, "stride 2": no 1x1, and the pool passes all its channels on.

    x ─┬─ 1x1 ─ 3x3 /2 ────────┐
       ├─ 1x1 ─ 3x3 ─ 3x3 /2 ──┼─ concat
       └─ 3x3 max /2 ──────────┘
    """

    def __init__(self, c_in: int, r3: int, n3: int, rd: int, nd: int) -> None:
        super().__init__(
            {
                "3x3": chain({"reduce": unit(c_in, r3, 1), "full": unit(r3, n3, 3, 2)}),
                "3x3dbl": chain({"reduce": unit(c_in, rd, 1), "first": unit(rd, nd, 3), "second": unit(nd, nd, 3, 2)}),
                "pool": nn.MaxPool2d(3, 2, 1),  # pads as the convolutions do, so that odd sizes agree
            }
        )
        self.c_out = n3 + nd + c_in


class BNInception(nn.Module):
    """Figure 5 of the paper: n x c x h x w images to n x classes logits.

    Raises `FixableError` for images below 23 pixels.
    """

    def __init__(
        self,
        *,
        stem: str = "full",
        pool_4cd: int = 128,
        dropout: float = 0.0,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        self.input = Input("bn_inception", in_channels, 23, image_size, "it halves them five times")
        body: dict[str, nn.Module] = {}
        if stem == "separable":
            depthwise = nn.Conv2d(in_channels, 8 * in_channels, 7, 2, 3, groups=in_channels, bias=False)
            body["conv1"] = chain({"depthwise": depthwise, "pointwise": unit(8 * in_channels, 64, 1)})
        else:
            body["conv1"] = unit(in_channels, 64, 7, 2)
        body["pool1"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        body["conv2"] = chain({"reduce": unit(64, 64, 1), "full": unit(64, 192, 3)})
        body["pool2"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        c = 192
        for name, (n1, r3, n3, rd, nd, pool, project) in FIGURE_5.items():
            if project is None:
                block = InceptionHalf(c, r3, n3, rd, nd)
            else:
                project = pool_4cd if name in PRINTED_576 else project
                block = InceptionDouble(c, n1, r3, n3, rd, nd, pool, project)
            body[name], c = block, block.c_out
        self.body = chain(body)
        self.head = head(c, num_classes, dropout)
        he_normal(self, "fan_in")

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))
