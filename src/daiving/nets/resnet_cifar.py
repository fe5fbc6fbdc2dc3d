"""Deep Residual Learning for Image Recognition, He et al., 2015, section 4.2. https://arxiv.org/abs/1512.03385

    conv1 ─ conv2_x ─ conv3_x ─ conv4_x ─ head
    32²     32²       16²       8²

The paper's nets for CIFAR-10: 6n+2 layers, on which it shows that a plain net gets worse with depth and a residual one
does not. Those for ImageNet are in `resnet.py`; the names of the stages are taken from there.

Where this leaves the paper
    Nowhere by default: n is 3, 5, 7, 9, 18 and 200 in the paper (20, 32, 44, 56, 110 and 1202 layers), any n here, and
    shortcut A, "so our residual models have exactly the same depth, width, and number of parameters as the plain
    counterparts". Shortcuts B and C are not in its CIFAR section. Zeros are padded behind the channels that are there;
    the paper does not say where. It names He et al., 2015 ("as in [13]") for the initialisation and not whether by fan
    in or fan out: fan out is what the first author's code of 2016 has, and our choice here.

Where torchvision/timm differ
    Neither has these nets. pytorchcv's are of shortcut B (2,752 parameters more), akamaster's pad the zeros half before
    and half behind.
"""

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Input, chain, conv, head
from daiving.nets.residual import Residual, basic, blocks_per_stage, initialise, shortcut

# The table in section 4.2: side of the map -> channels; 2n layers each, and conv1 with the first.
WIDTHS = {32: 16, 16: 32, 8: 64}


class CifarResNet(nn.Module):
    """Section 4.2 of the paper: n x c x h x w images to n x classes logits. `shortcut="none"` is the plain net.

    Raises `FixableError` for a depth that is not 6n+2, and for images below 3 pixels.
    """

    def __init__(
        self,
        *,
        depth: int = 20,
        shortcut: str = "A",
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int = 32,
    ) -> None:
        super().__init__()
        name = "cifar_plain" if shortcut == "none" else "cifar_resnet"
        n = blocks_per_stage(name, depth, layers=2)
        self.input = Input(name, in_channels, 3, image_size, "it halves them twice")
        c = 16
        body: dict[str, nn.Module] = {"conv1": conv(in_channels, c, 3)}
        for i, width in enumerate(WIDTHS.values()):
            blocks = {}
            for j in range(n):
                blocks[str(j + 1)] = block(c, width, 2 if i > 0 and j == 0 else 1, shortcut)
                c = width
            body[f"conv{i + 2}_x"] = chain(blocks)
        self.body = chain(body)
        self.head = head(c, num_classes)
        initialise(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))


def block(c_in: int, c_out: int, stride: int, option: str) -> Residual:
    return Residual(basic(c_in, c_out, stride), shortcut(option, c_in, c_out, stride))
