"""Deep Residual Learning for Image Recognition, He et al., 2015. https://arxiv.org/abs/1512.03385

    conv1 ─ pool1 ─ conv2_x ─ conv3_x ─ conv4_x ─ conv5_x ─ head
    112²    56²     56²       28²       14²       7²

The nets for ImageNet: Table 1, with the plain nets of 18 and 34 layers. Those for CIFAR are in `resnet_cifar.py`.

Where this leaves the paper
    Nowhere by default, where the paper is plain. Table 1 says which block of a stage has the stride, not which of a
    bottleneck's convolutions: 3.8 G multiply-adds for 50 layers fit the first 1x1, where the authors' Caffe files have
    it. `stride_on="3x3"` is the common later form, 231 million dearer, with the same tensors, so that weights of one
    form load into the other without a word and answer wrongly. Depths 18 and 34 have shortcut A in the paper's Table 2,
    34 has B and C as well in Table 3; 50 and more have B. Here every depth may have any. The paper starts its
    convolutions "as in [13]" (He et al., 2015) and does not say whether by fan in or fan out: fan out is what the first
    author's code of 2016 has, and our choice here. Nor does it say how pool1 treats the border: we pad by one, which
    gives the paper's sizes.

Where torchvision/timm differ
    Both (presets "torchvision", "timm") have shortcut B at every depth and the stride on the 3x3. The names and shapes
    of their tensors are the same in both. They leave the last layer's biases at torch's default instead of zero.
"""

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Input, chain, conv, head
from daiving.nets.residual import Residual, basic, impossible, initialise, shortcut

# Table 1, column for column:  block  conv2_x conv3_x conv4_x conv5_x
TABLE_1 = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
WIDTHS = (64, 128, 256, 512)  # of the 3x3 convolutions, stage for stage
EXPANSION = 4  # a bottleneck gives four times its width


def bottleneck(c_in: int, c: int, stride: int, stride_on: str) -> nn.Sequential:
    """Figure 5, right: a 1x1 reduces the channels, a 3x3 looks, a 1x1 restores them."""
    first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
    return chain(
        {
            "conv1": conv(c_in, c, 1, first),
            "conv2": conv(c, c, 3, second),
            "conv3": conv(c, EXPANSION * c, 1, relu=False),
        }
    )


class ResNet(nn.Module):
    """Table 1 of the paper: n x c x h x w images to n x classes logits. `shortcut="none"` is the plain net.

    Raises `FixableError` for a depth that is not in the table, and for images below 17 pixels.
    """

    def __init__(
        self,
        *,
        depth: int = 50,
        shortcut: str = "B",
        stride_on: str = "1x1",
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        name = f"plain{depth}" if shortcut == "none" else f"resnet{depth}"
        if depth not in TABLE_1:
            nearest = min(TABLE_1, key=lambda known: abs(known - depth))
            impossible(name, depth, f"one of {', '.join(map(str, TABLE_1))}: the columns of Table 1", (nearest,))
        self.input = Input(name, in_channels, 17, image_size, "it halves them five times")
        kind, counts = TABLE_1[depth]
        body: dict[str, nn.Module] = {"conv1": conv(in_channels, 64, 7, 2), "pool1": nn.MaxPool2d(3, 2, padding=1)}
        c = 64
        for i, (count, width) in enumerate(zip(counts, WIDTHS, strict=True)):
            blocks = {}
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1  # pool1 has already halved for conv2_x
                blocks[str(j + 1)], c = block(kind, c, width, stride, shortcut, stride_on)
            body[f"conv{i + 2}_x"] = chain(blocks)
        self.body = chain(body)
        self.head = head(c, num_classes)
        initialise(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))


def block(kind: str, c_in: int, c: int, stride: int, option: str, stride_on: str) -> tuple[Residual, int]:
    """One block of Table 1, and how many channels it gives."""
    if kind == "basic":
        return Residual(basic(c_in, c, stride), shortcut(option, c_in, c, stride)), c
    c_out = EXPANSION * c
    return Residual(bottleneck(c_in, c, stride, stride_on), shortcut(option, c_in, c_out, stride)), c_out
