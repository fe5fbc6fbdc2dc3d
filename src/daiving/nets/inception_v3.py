"""Inception v3 as released with Rethinking the Inception Architecture for Computer Vision, Szegedy et al., 2015.
https://arxiv.org/abs/1512.00567

    conv1a/2 2a 2b ─ pool3a/2 ─ conv3b 4a ─ pool5a/2 ─ 5b 5c 5d ─ 6a/2 6b 6c 6d 6e ─ 7a/2 7b 7c ─ head
    299      149 147   73          71          35                    17      └ aux       8

Names of layers and order of branches are those of the released code: every library has its weights in them.

Where this leaves the paper
    Everywhere that the released net does; the paper's own Table 1 is `inception_v2`. The stem ends with 1x1, 3x3 and a
    pool at 192 channels, where the table has three 3x3 and 288. The 35x35 modules keep a real 5x5, where figure 5 has
    two 3x3. Five modules at 17x17 count the one that gets there. The net has 5.7 G multiply-adds, not the 4.8 G of
    Table 3, and its longest path 48 layers with weights, not 42. The auxiliary head's large layer has 768 channels, not
    the 1024 of figure 8; its loss weighs 0.4, from TensorFlow's training code, since the paper gives no number.
    Dropout is slim's 0.2 (it keeps 0.8); the paper has none. Average pools do not count their padding, which is what
    TensorFlow trained with. The initial weights are slim's too: He's, and in the last two layers of the auxiliary head
    normal of deviation 0.01 and 0.001.
    The auxiliary head pools its 17x17 map to 5x5 for a 5x5 convolution, so that with it images need the full 299
    pixels; `aux_pool="adaptive"`, ours, pools every map to 5x5, and `aux=False` leaves the head out: 75 then do.

Where torchvision/timm differ
    Both (presets "torchvision", "timm") count the padding of average pools, so that the same weights see other borders,
    and both draw initial weights of deviation 0.1. torchvision drops 0.5; timm drops nothing and has no auxiliary head
    unless asked. With its released weights torchvision first moves its images from ImageNet's mean and deviation to 0.5
    and 0.5 (`transform_input`); here images are normalised outside of the net.
"""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Branches, Input, Scores, chain, conv, he_normal, head, mean_pool, with_aux

AUX_BEHIND = "6e"
AUX_WEIGHT = 0.4
# Channels behind the pool at 35x35, and inside the 7x7 branches at 17x17
POOL_35 = {"5b": 32, "5c": 64, "5d": 64}
INSIDE_17 = {"6b": 128, "6c": 160, "6d": 160, "6e": 192}

unit = partial(conv, eps=1e-3)
valid = partial(conv, eps=1e-3, padding=0)  # the stem and whatever goes by 2 do not pad


class Grid35(Branches):
    """5b, 5c, 5d.

    x ─┬─ 1x1 ───────────────┐
       ├─ 1x1 ─ 5x5 ─────────┤
       ├─ 1x1 ─ 3x3 ─ 3x3 ───┼─ concat
       └─ 3x3 mean ─ 1x1 ────┘
    """

    def __init__(self, c_in: int, pool: int, count_padding: bool) -> None:
        super().__init__(
            {
                "1x1": unit(c_in, 64, 1),
                "5x5": chain({"reduce": unit(c_in, 48, 1), "full": unit(48, 64, 5)}),
                "3x3dbl": chain({"reduce": unit(c_in, 64, 1), "first": unit(64, 96, 3), "second": unit(96, 96, 3)}),
                "pool": mean_pool(c_in, pool, count_padding),
            }
        )
        self.c_out = 64 + 64 + 96 + pool


class ReduceTo17(Branches):
    """6a.

    x ─┬─ 3x3 /2 ──────────────┐
       ├─ 1x1 ─ 3x3 ─ 3x3 /2 ──┼─ concat
       └─ 3x3 max /2 ──────────┘
    """

    def __init__(self, c_in: int) -> None:
        double = {"reduce": unit(c_in, 64, 1), "first": unit(64, 96, 3), "second": valid(96, 96, 3, 2)}
        super().__init__({"3x3": valid(c_in, 384, 3, 2), "3x3dbl": chain(double), "pool": nn.MaxPool2d(3, 2)})
        self.c_out = 384 + 96 + c_in


class Grid17(Branches):
    """6b to 6e: each 7x7 is a row and a column, for 14/49 of its weights.

    x ─┬─ 1x1 ───────────────────────────────┐
       ├─ 1x1 ─ 1x7 ─ 7x1 ───────────────────┤
       ├─ 1x1 ─ 7x1 ─ 1x7 ─ 7x1 ─ 1x7 ───────┼─ concat
       └─ 3x3 mean ─ 1x1 ────────────────────┘
    """

    def __init__(self, c_in: int, c: int, count_padding: bool) -> None:
        single = {"reduce": unit(c_in, c, 1), "1x7": unit(c, c, (1, 7)), "7x1": unit(c, 192, (7, 1))}
        double = {
            "reduce": unit(c_in, c, 1),
            "7x1a": unit(c, c, (7, 1)),
            "1x7a": unit(c, c, (1, 7)),
            "7x1b": unit(c, c, (7, 1)),
            "1x7b": unit(c, 192, (1, 7)),
        }
        super().__init__(
            {
                "1x1": unit(c_in, 192, 1),
                "7x7": chain(single),
                "7x7dbl": chain(double),
                "pool": mean_pool(c_in, 192, count_padding),
            }
        )
        self.c_out = 4 * 192


class ReduceTo8(Branches):
    """7a.

    x ─┬─ 1x1 ─ 3x3 /2 ───────────────┐
       ├─ 1x1 ─ 1x7 ─ 7x1 ─ 3x3 /2 ───┼─ concat
       └─ 3x3 max /2 ─────────────────┘
    """

    def __init__(self, c_in: int) -> None:
        long = {
            "reduce": unit(c_in, 192, 1),
            "1x7": unit(192, 192, (1, 7)),
            "7x1": unit(192, 192, (7, 1)),
            "full": valid(192, 192, 3, 2),
        }
        super().__init__(
            {
                "3x3": chain({"reduce": unit(c_in, 192, 1), "full": valid(192, 320, 3, 2)}),
                "7x7x3": chain(long),
                "pool": nn.MaxPool2d(3, 2),
            }
        )
        self.c_out = 320 + 192 + c_in


class Grid8(Branches):
    """7b, 7c: a row and a column side by side make the last maps wide (figure 7).

    x ─┬─ 1x1 ──────────────────────┐
       ├─ 1x1 ───────┬─ 1x3 ────────┤
       │             └─ 3x1 ────────┤
       ├─ 1x1 ─ 3x3 ─┬─ 1x3 ────────┼─ concat
       │             └─ 3x1 ────────┤
       └─ 3x3 mean ─ 1x1 ───────────┘
    """

    def __init__(self, c_in: int, count_padding: bool) -> None:
        super().__init__(
            {
                "1x1": unit(c_in, 320, 1),
                "3x3": chain({"reduce": unit(c_in, 384, 1), "split": row_and_column(384)}),
                "3x3dbl": chain(
                    {"reduce": unit(c_in, 448, 1), "full": unit(448, 384, 3), "split": row_and_column(384)}
                ),
                "pool": mean_pool(c_in, 192, count_padding),
            }
        )
        self.c_out = 320 + 2 * 384 + 2 * 384 + 192


def row_and_column(c: int) -> Branches:
    return Branches({"1x3": unit(c, c, (1, 3)), "3x1": unit(c, c, (3, 1))})


class InceptionV3(nn.Module):
    """The released net: n x c x h x w images to n x classes logits; while it trains with `aux`, `Scores`.

    Raises `FixableError` for images below 75 pixels, or 299 with the auxiliary head and its own pool.
    """

    def __init__(
        self,
        *,
        aux: bool = True,
        aux_pool: str = "mean5x5",
        count_padding: bool = False,
        dropout: float = 0.2,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 299,
    ) -> None:
        super().__init__()
        fixed_aux = aux and aux_pool == "mean5x5"
        why = "its auxiliary head takes 17x17 maps; 75 with aux=false or aux_pool=adaptive"
        if not fixed_aux:
            why = "it halves them five times and its stem does not pad"
        self.input = Input("inception_v3", in_channels, 299 if fixed_aux else 75, image_size, why)
        body: dict[str, nn.Module] = {
            "conv1a": valid(in_channels, 32, 3, 2),
            "conv2a": valid(32, 32, 3),
            "conv2b": unit(32, 64, 3),
            "pool3a": nn.MaxPool2d(3, 2),
            "conv3b": unit(64, 80, 1),
            "conv4a": valid(80, 192, 3),
            "pool5a": nn.MaxPool2d(3, 2),
        }
        c = 192
        for name, pool in POOL_35.items():
            body[name] = block = Grid35(c, pool, count_padding)
            c = block.c_out
        body["6a"] = block = ReduceTo17(c)
        c = block.c_out
        for name, inside in INSIDE_17.items():
            body[name] = block = Grid17(c, inside, count_padding)
            c = block.c_out
        heads = {AUX_BEHIND: aux_head(c, num_classes, aux_pool)} if aux else {}
        body["7a"] = block = ReduceTo8(c)
        c = block.c_out
        for name in ("7b", "7c"):
            body[name] = block = Grid8(c, count_padding)
            c = block.c_out
        self.body = chain(body)
        self.aux = nn.ModuleDict(heads)
        self.head = head(c, num_classes, dropout)
        he_normal(self, "fan_in")
        for name, p in self.aux.named_parameters():
            if name.endswith(("full.conv.weight", "fc.weight")):
                nn.init.normal_(p, std=0.001 if name.endswith("fc.weight") else 0.01)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"] | Scores:
        return with_aux(self.input(x), self.body, self.aux, self.head, AUX_WEIGHT)


def aux_head(c_in: int, num_classes: int, pool: str) -> nn.Sequential:
    """Figure 8: mean pool 5x5 by 3, 1x1 to 128, 5x5 to 768 (a full connection at 299 pixels), linear to the classes."""
    return chain(
        {
            "pool": nn.AvgPool2d(5, 3) if pool == "mean5x5" else nn.AdaptiveAvgPool2d(5),
            "reduce": unit(c_in, 128, 1),
            "full": valid(128, 768, 5),
            "mean": nn.AdaptiveAvgPool2d(1),  # for larger images, as torchvision has it
            "flatten": nn.Flatten(),
            "fc": nn.Linear(768, num_classes),
        }
    )
