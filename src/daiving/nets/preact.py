"""Identity Mappings in Deep Residual Networks, He et al., 2016. https://arxiv.org/abs/1603.05027

    ImageNet:  conv1 ─ pool1 ─ conv2_x ─ conv3_x ─ conv4_x ─ conv5_x ─ last ─ head
    CIFAR:     conv1 ───────── conv2_x ─ conv3_x ─ conv4_x ─────────── last ─ head

Norm and ReLU come before each convolution and nothing comes after the addition, so that what is on the shortcut reaches
every later block, and every later gradient reaches it, as it is.

Where this leaves the paper
    In 128 parameters on ImageNet. The paper has one norm and ReLU between conv1 and the first block's fork; with
    `stem="original"`, as these nets are commonly counted (25,549,480 at 50 layers), there is one behind conv1 and the
    first block has its own behind the pool. `stem="shared"` has only the one behind conv1 (25,549,352), as
    fb.resnet.torch; `stem="bit"` only the one of the first block (25,549,352 again). The paper trains 101 layers and
    more; 50 is the table of 2015. Where the stride stands, the paper leaves to its predecessor: on a bottleneck's first
    1x1, as in the first author's code; `stride_on="3x3"` is the later form. That code, for 164 and 1001 layers, is also
    where the projections without norm, the fan-out initialisation and the stride on CIFAR are from. For basic blocks
    on CIFAR (110 layers), of which it has none, the shortcut is option A, as in the paper of 2015.

Where torchvision/timm differ
    torchvision has none. timm's resnetv2 (preset "timm") has the stem of "bit", the stride on the 3x3, and its last
    layer as a 1x1 convolution: the same numbers in another shape. pytorchcv's preresnet164bn (1,703,258 parameters) and
    preresnet1001 (10,327,706) are these: three projections, without norm, of 23,... parameters.
"""

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Add, Fork, Input, chain, conv, head
from daiving.nets.residual import ZeroPad, blocks_per_stage, impossible, initialise

# Blocks of conv2_x ... conv5_x: Table 1 of 2015, and 200 layers as in the released code.
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
WIDTHS, CIFAR_WIDTHS = (64, 128, 256, 512), (16, 32, 64)  # of the 3x3 convolutions, stage for stage
EXPANSION = 4  # a bottleneck gives four times its width


class PreActivated(nn.Module):
    """Figure 1(b): what is added to the input is computed from the input, normed and rectified.

    x ─┬─ preact ─ body ─┬─ add          x ─ preact ─┬─ body ───────┬─ add
       └─ shortcut ──────┘                           └─ shortcut ───┘

    Left: nearly every block, where the shortcut is the identity. Right, with `shared`: where the shape changes, and the
    first block of the net, shortcut and body share the activation.
    """

    def __init__(self, preact: nn.Module, body: nn.Module, shortcut: nn.Module, shared: bool) -> None:
        super().__init__()
        self.preact, self.body, self.shortcut, self.add = preact, body, shortcut, Add()
        self.shared = shared

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h_out w_out"]:
        active = self.preact(x)
        return self.add(self.body(active), self.shortcut(active if self.shared else x))

    def wiring(self) -> list[str | Fork]:
        if self.shared:
            return ["preact", Fork("residual", {"body": ["body"], "shortcut": ["shortcut"]}, "add")]
        return [Fork("residual", {"body": ["preact", "body"], "shortcut": ["shortcut"]}, "add")]


def activation(c: int) -> nn.Sequential:
    # In place is safe, although the shortcut reads the same input: the ReLU overwrites what the norm gave, not `x`.
    return chain({"bn": nn.BatchNorm2d(c), "relu": nn.ReLU(inplace=True)})


def plain_conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride, (kernel - 1) // 2, bias=False)


def unit(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Norm, ReLU, convolution."""
    return chain({**dict(activation(c_in).named_children()), "conv": plain_conv(c_in, c_out, kernel, stride)})


def basic_body(c_in: int, c: int, stride: int) -> nn.Sequential:
    return chain({"conv1": plain_conv(c_in, c, 3, stride), "conv2": unit(c, c, 3)})


def bottleneck_body(c_in: int, c: int, stride: int, stride_on: str) -> nn.Sequential:
    first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
    return chain(
        {
            "conv1": plain_conv(c_in, c, 1, first),
            "conv2": unit(c, c, 3, second),
            "conv3": unit(c, EXPANSION * c, 1),
        }
    )
