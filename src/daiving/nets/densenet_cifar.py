"""Densely Connected Convolutional Networks, Huang et al., 2017: the nets for CIFAR and SVHN (section 4.2, Table 2).
https://arxiv.org/abs/1608.06993

    stem ─ block1 ─ transition1 ─ block2 ─ transition2 ─ block3 ─ norm ─ relu ─ head

Where this leaves the paper
    Nowhere by default. `stem_channels=0` is the paper's stem: 16 channels, or twice the growth for a DenseNet-BC. The
    authors' Torch code has twice the growth for all; only 16 gives the parameters of Table 2 (1.02 M for depth 40 and
    growth 12, not 1.06 M). With `bottleneck` and without compression, or the other way round, which Table 2 has not,
    the stem has 16. The rest is as in `densenet.py`, dropout included (0.2 in the paper where data is not augmented).

Where torchvision/timm differ
    They have no such nets. Others that do often halve at transitions although the net is no DenseNet-C: 0.60 M weights
    for depth 40 and growth 12, which is what the authors' code gives with its `reduction` left at 0.5.
"""

from jaxtyping import Float
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets.densenet import as_torch7, check_widths, dense_body
from daiving.nets.layers import Input, chain, head

BLOCKS = 3


class CifarDenseNet(nn.Module):
    """Three dense blocks of one size: n x c x h x w thumbnails to n x classes logits.

    The depth counts the stem, two transitions, the linear layer and each convolution of the blocks: 3n + 4, or 6n + 4
    with `bottleneck`. Raises `FixableError` for another depth, for a growth or compression that leaves no channels,
    and for images below 4 pixels.
    """

    def __init__(
        self,
        *,
        depth: int = 40,
        growth: int = 12,
        bottleneck: bool = False,
        compression: float = 1.0,
        stem_channels: int = 0,
        dropout: float = 0.0,
        checkpointed: bool = False,
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int = 32,
    ) -> None:
        super().__init__()
        blocks = (layers_in_a_block(depth, bottleneck),) * BLOCKS
        self.input = Input("cifar_densenet", in_channels, 4, image_size, "two transitions halve them, without padding")
        check_widths(growth, compression, stem_channels)
        c = stem_channels or (2 * growth if bottleneck and compression < 1 else 16)
        stem = nn.Conv2d(in_channels, c, 3, padding=1, bias=False)
        parts, c = dense_body(c, blocks, growth, compression, bottleneck, dropout, checkpointed)
        self.body = chain({"stem": stem, **parts})
        self.head = head(c, num_classes)
        as_torch7(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))


def layers_in_a_block(depth: int, bottleneck: bool) -> int:
    step = BLOCKS * (2 if bottleneck else 1)
    layers, rest = divmod(depth - 4, step)
    if rest or layers < 1:
        below = 4 + step * max(layers, 1)
        near = f"{below} or {below + step}" if layers >= 1 else f"{below}"
        raise FixableError(
            f"The net 'cifar_densenet' cannot be {depth} layers deep" + (" with bottleneck." if bottleneck else "."),
            expected=f"{step}n + 4: three blocks of n layers each, of {step // BLOCKS} convolution"
            + ("s." if bottleneck else "."),
            fix=f"take depth={near}.",
        )
    return layers
