"""Rethinking the Inception Architecture for Computer Vision, Szegedy et al., 2015. https://arxiv.org/abs/1512.00567

    conv1/2 ─ 2 ─ 3 ─ pool/2 ─ conv4 ─ 5/2 ─ 6 ─ 3x figure 5 ─ down1/2 ─ 5x figure 6 ─ down2/2 ─ 2x figure 7 ─ head
    299       149 147  147      73      71    35    35x35         35       17x17 └ aux   17       8x8

Table 1, the factorised net: no kernel on the way is larger than 3 in both directions. The released "Inception v3" is a
relative of it, here `inception_v3`; by the paper's Table 3 this net, with its batch-normalised auxiliary head, is v3.

Where this leaves the paper
    THE WIDTHS INSIDE THE MODULES ARE OUR CHOICE. The paper prints the channels between the modules only and leaves the
    others to a file that was never in its text. Ours are those of the released v3 where a branch has its counterpart
    there, and make every printed size come out. So the net's 24.6 M parameters without the auxiliary head and 5.98 G
    multiply-adds (the paper: "less than 25 million", 4.8 G) tell about our widths, not about the paper's. The stem has
    no such freedom.
    Table 1 marks only conv3 as padded; conv6 must be too, or its 35x35 would shrink to 33x33. The modules that halve
    the map are only said to be "variations of" figure 10; ours are figure 10. Figure 8's full connection to 1024 is a
    5x5 convolution on its 5x5 map, the same thing at 299 pixels. Mean pools in the modules do not count their padding.
    The weight of the auxiliary loss is not printed; 0.4 is that of TensorFlow's training code. The initial weights are
    He's. With the auxiliary head images need the full 299 pixels, as its map must be 17x17; `aux_pool="adaptive"`,
    ours, pools every map to 5x5, and `aux=False` leaves the head out: 75 then do.

Where torchvision/timm differ
    Neither has this net. What TF-slim calls "inception_v2" is `bn_inception`.
"""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Branches, Input, Scores, chain, conv, he_normal, head, mean_pool, with_aux

# Table 1, the stem:  kernel, stride, padded, channels out; None is the 3x3 pool by 2
STEM = {
    "conv1": (3, 2, False, 32),
    "conv2": (3, 1, False, 32),
    "conv3": (3, 1, True, 64),
    "pool": None,
    "conv4": (3, 1, False, 80),
    "conv5": (3, 2, False, 192),
    "conv6": (3, 1, True, 288),
}
AUX_BEHIND = "6e"
AUX_WEIGHT = 0.4

unit = partial(conv, eps=1e-3)
valid = partial(conv, eps=1e-3, padding=0)


class Figure5(Branches):
    """Two 3x3 for a 5x5.

    x ─┬─ 1x1 ─ 3x3 ─ 3x3 ───┐
       ├─ 1x1 ─ 3x3 ─────────┤
       ├─ 3x3 mean ─ 1x1 ────┼─ concat
       └─ 1x1 ───────────────┘
    """

    def __init__(self, c_in: int, row: tuple[int, ...]) -> None:
        rd, nd, r3, n3, pool, n1 = row
        super().__init__(
            {
                "3x3dbl": chain({"reduce": unit(c_in, rd, 1), "first": unit(rd, nd, 3), "second": unit(nd, nd, 3)}),
                "3x3": chain({"reduce": unit(c_in, r3, 1), "full": unit(r3, n3, 3)}),
                "pool": mean_pool(c_in, pool),
                "1x1": unit(c_in, n1, 1),
            }
        )
        self.c_out = nd + n3 + pool + n1


class Figure6(Branches):
    """A 7x7 as a row and a column.

    x ─┬─ 1x1 ─ 1x7 ─ 7x1 ─ 1x7 ─ 7x1 ───────┐
       ├─ 1x1 ─ 1x7 ─ 7x1 ───────────────────┤
       ├─ 3x3 mean ─ 1x1 ────────────────────┼─ concat
       └─ 1x1 ───────────────────────────────┘
    """

    def __init__(self, c_in: int, row: tuple[int, ...]) -> None:
        c, c_out = row
        double = {
            "reduce": unit(c_in, c, 1),
            "1x7a": unit(c, c, (1, 7)),
            "7x1a": unit(c, c, (7, 1)),
            "1x7b": unit(c, c, (1, 7)),
            "7x1b": unit(c, c_out, (7, 1)),
        }
        single = {"reduce": unit(c_in, c, 1), "1x7": unit(c, c, (1, 7)), "7x1": unit(c, c_out, (7, 1))}
        super().__init__(
            {
                "7x7dbl": chain(double),
                "7x7": chain(single),
                "pool": mean_pool(c_in, c_out),
                "1x1": unit(c_in, c_out, 1),
            }
        )
        self.c_out = 4 * c_out


class Figure7(Branches):
    """A row and a column side by side: wide maps where they are small.

    x ─┬─ 1x1 ─ 3x3 ─┬─ 1x3 ────────┐
       │             └─ 3x1 ────────┤
       ├─ 1x1 ───────┬─ 1x3 ────────┤
       │             └─ 3x1 ────────┤
       ├─ 3x3 mean ─ 1x1 ───────────┼─ concat
       └─ 1x1 ──────────────────────┘
    """

    def __init__(self, c_in: int, row: tuple[int, ...]) -> None:
        r3, n3, r1, pool, n1 = row
        super().__init__(
            {
                "3x3": chain({"reduce": unit(c_in, r3, 1), "full": unit(r3, n3, 3), "split": row_and_column(n3)}),
                "flat": chain({"reduce": unit(c_in, r1, 1), "split": row_and_column(r1)}),
                "pool": mean_pool(c_in, pool),
                "1x1": unit(c_in, n1, 1),
            }
        )
        self.c_out = 2 * n3 + 2 * r1 + pool + n1


class Figure10(Branches):
    """Halves the map and widens it, without a narrow place in between.

    x ─┬─ 1x1 ─ 3x3 ─ 3x3 /2 ──┐
       ├─ 1x1 ─ 3x3 /2 ────────┼─ concat
       └─ 3x3 max /2 ──────────┘
    """

    def __init__(self, c_in: int, row: tuple[int, ...]) -> None:
        rd, nd, r3, n3 = row
        double = {"reduce": unit(c_in, rd, 1), "first": unit(rd, nd, 3), "second": valid(nd, nd, 3, 2)}
        super().__init__(
            {
                "3x3dbl": chain(double),
                "3x3": chain({"reduce": unit(c_in, r3, 1), "full": valid(r3, n3, 3, 2)}),
                "pool": nn.MaxPool2d(3, 2),
            }
        )
        self.c_out = nd + n3 + c_in


def row_and_column(c: int) -> Branches:
    return Branches({"1x3": unit(c, c, (1, 3)), "3x1": unit(c, c, (3, 1))})


# Table 1 below the stem, with a reduction wherever the map shrinks. The sums are the paper's, THE WIDTHS OUR CHOICE.
BODY: dict[str, tuple[type[Figure5 | Figure6 | Figure7 | Figure10], tuple[int, ...]]] = {
    # double 3x3r, double 3x3, 3x3r, 3x3, pool, 1x1: 288 channels
    "5a": (Figure5, (64, 96, 48, 64, 64, 64)),
    "5b": (Figure5, (64, 96, 48, 64, 64, 64)),
    "5c": (Figure5, (64, 96, 48, 64, 64, 64)),
    # double 3x3r, double 3x3, 3x3r, 3x3: 480 to the 288 that the pool passes on
    "down1": (Figure10, (64, 96, 64, 384)),
    # inside the branches, and at the end of each: 4 x 192 = 768
    "6a": (Figure6, (128, 192)),
    "6b": (Figure6, (128, 192)),
    "6c": (Figure6, (160, 192)),
    "6d": (Figure6, (160, 192)),
    "6e": (Figure6, (192, 192)),
    # 512 to 768
    "down2": (Figure10, (192, 192, 192, 320)),
    # 3x3r, 3x3 and each of its split, 1x1 and each of its split, pool, 1x1: 2 x 384 + 2 x 384 + 192 + 320 = 2048
    "7a": (Figure7, (448, 384, 384, 192, 320)),
    "7b": (Figure7, (448, 384, 384, 192, 320)),
}


class InceptionV2(nn.Module):
    """Table 1 with widths of our choice in its modules: n x c x h x w images to n x classes logits.

    While it trains with `aux`, it answers with `Scores`. Raises `FixableError` for images below 75 pixels, or 299 with
    the auxiliary head and its own pool.
    """

    def __init__(
        self,
        *,
        aux: bool = True,
        aux_pool: str = "mean5x5",
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 299,
    ) -> None:
        super().__init__()
        fixed_aux = aux and aux_pool == "mean5x5"
        why = "its auxiliary head takes 17x17 maps; 75 with aux=false or aux_pool=adaptive"
        if not fixed_aux:
            why = "it halves them five times and its stem does not pad"
        self.input = Input("inception_v2", in_channels, 299 if fixed_aux else 75, image_size, why)
        body: dict[str, nn.Module] = {}
        c = in_channels
        for name, layer in STEM.items():
            if layer is None:
                body[name] = nn.MaxPool2d(3, 2)
            else:
                kernel, stride, padded, c_out = layer
                body[name] = (unit if padded else valid)(c, c_out, kernel, stride)
                c = c_out
        heads = {}
        for name, (module, row) in BODY.items():
            body[name] = block = module(c, row)
            c = block.c_out
            if aux and name == AUX_BEHIND:
                heads[name] = aux_head(c, num_classes, aux_pool)
        self.body = chain(body)
        self.aux = nn.ModuleDict(heads)
        self.head = head(c, num_classes)
        he_normal(self, "fan_in")

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"] | Scores:
        return with_aux(self.input(x), self.body, self.aux, self.head, AUX_WEIGHT)


def aux_head(c_in: int, num_classes: int, pool: str) -> nn.Sequential:
    """Figure 8, "BN-auxiliary": mean pool 5x5 by 3, 1x1 to 128, full connection to 1024, linear to the classes."""
    return chain(
        {
            "pool": nn.AvgPool2d(5, 3) if pool == "mean5x5" else nn.AdaptiveAvgPool2d(5),
            "reduce": unit(c_in, 128, 1),
            "full": valid(128, 1024, 5),
            "mean": nn.AdaptiveAvgPool2d(1),  # of 1x1 at 299 pixels; larger images have more
            "flatten": nn.Flatten(),
            "fc": nn.Linear(1024, num_classes),
        }
    )
