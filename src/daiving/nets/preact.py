"""Identity Mappings in Deep Residual Networks, He et al., 2016. https://arxiv.org/abs/1603.05027

    ImageNet:  conv1 ─ pool1 ─ conv2_x ─ conv3_x ─ conv4_x ─ conv5_x ─ last ─ head
    CIFAR:     conv1 ───────── conv2_x ─ conv3_x ─ conv4_x ─────────── last ─ head

Norm and ReLU come before each convolution and nothing comes after the addition: what is on the shortcut reaches every
later block of its stage as it is, and so does the gradient on its way back. `last` is the norm and ReLU of the end.

Where this leaves the paper
    In 128 parameters on ImageNet. The paper has one norm and ReLU between conv1 and the first block's fork. With
    `stem="original"`, as these nets are commonly counted (25,549,480 at 50 layers), there is one behind conv1 and one
    more behind pool1, the first block's own. `stem="shared"` has the one behind conv1 only, as fb.resnet.torch;
    `stem="bit"` the one behind pool1 only (25,549,352 both). The paper's ImageNet nets have 101 layers and more; 50 is
    Table 1 of 2015. The paper says neither how a convolution starts, nor where a bottleneck's stride stands, nor that a
    projection goes without norm: all three, with fan out and the first 1x1, are those of the first author's code, which
    has the bottlenecks for CIFAR only. Of basic blocks (110 layers) it has none; their shortcut is option A, as on
    CIFAR in 2015.

Where torchvision/timm differ
    torchvision has none. timm's resnetv2 (preset "timm") has the stem "bit", the stride on the 3x3, and the last layer
    as a 1x1 convolution: the same numbers in another shape. pytorchcv's preresnet164bn (1,703,258) and preresnet1001
    (10,327,706) count the same tensors as ours: every weight, bias and norm, among them three projections without norm
    (41,984), and no norm behind conv1. The paper's "10.2M" fits the convolutions alone (10,175,920).
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from daiving.nets.layers import Add, Fork, Input, chain, conv, head
from daiving.nets.residual import ZeroPad, blocks_per_stage, impossible, initialise

# Blocks of conv2_x ... conv5_x: Table 1 of 2015, and 200 layers as in fb.resnet.torch.
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
WIDTHS, CIFAR_WIDTHS = (64, 128, 256, 512), (16, 32, 64)  # of the 3x3 convolutions, stage for stage
EXPANSION = 4  # a bottleneck gives four times its width


class PreActivated(nn.Module):
    """Figure 1(b): what is added to the input is computed from the input, normed and rectified.

    x ─┬─ preact ─ body ─┬─ add          x ─ preact ─┬─ body ───────┬─ add
       └─ shortcut ──────┘                           └─ shortcut ───┘

    Left: most blocks; nothing touches the shortcut. Right, with `activated`: where the shape changes, and in the first
    block of a net, the shortcut reads the activation as well.
    """

    def __init__(self, preact: nn.Module, body: nn.Module, shortcut: nn.Module, activated: bool) -> None:
        super().__init__()
        self.preact, self.body, self.shortcut, self.add = preact, body, shortcut, Add()
        self.activated = activated

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h_out w_out"]:
        active = self.preact(x)
        return self.add(self.body(active), self.shortcut(active if self.activated else x))

    def wiring(self) -> list[str | Fork]:
        if self.activated:
            return ["preact", Fork("residual", {"body": ["body"], "shortcut": ["shortcut"]}, "add")]
        return [Fork("residual", {"body": ["preact", "body"], "shortcut": ["shortcut"]}, "add")]


class PreActResNet(nn.Module):
    """n x c x h x w images to n x classes logits, in bottlenecks.

    Raises `FixableError` for a depth other than 50, 101, 152 and 200, and for images below 17 pixels.
    """

    def __init__(
        self,
        *,
        depth: int = 200,
        stride_on: str = "1x1",
        stem: str = "original",
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        name = f"preact_resnet{depth}"
        if depth not in BLOCKS:
            nearest = min(BLOCKS, key=lambda known: abs(known - depth))
            impossible(name, depth, f"one of {', '.join(map(str, BLOCKS))}", (nearest,))
        self.input = Input(name, in_channels, 17, image_size, "it halves them five times")
        bare = chain({"conv": same(in_channels, 64, 7, 2)})
        conv1 = bare if stem == "bit" else conv(in_channels, 64, 7, 2)
        first = nn.Identity() if stem == "shared" else activation(64)
        stages, c = stages_of(64, BLOCKS[depth], WIDTHS, True, stride_on, first)
        self.body = chain({"conv1": conv1, "pool1": nn.MaxPool2d(3, 2, padding=1), **stages, "last": activation(c)})
        self.head = head(c, num_classes)
        initialise(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))


class CifarPreActResNet(nn.Module):
    """n x c x h x w images to n x classes logits: 9n+2 layers in bottlenecks (164, 1001), 6n+2 without (110).

    Raises `FixableError` for another depth, and for images below 3 pixels.
    """

    def __init__(
        self,
        *,
        depth: int = 164,
        bottleneck: bool = True,
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int = 32,
    ) -> None:
        super().__init__()
        n = blocks_per_stage("cifar_preact", depth, layers=3 if bottleneck else 2)
        self.input = Input("cifar_preact", in_channels, 3, image_size, "it halves them twice")
        stages, c = stages_of(16, (n, n, n), CIFAR_WIDTHS, bottleneck, "1x1", activation(16))
        self.body = chain({"conv1": chain({"conv": same(in_channels, 16, 3)}), **stages, "last": activation(c)})
        self.head = head(c, num_classes)
        initialise(self)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        return self.head(self.body(self.input(x)))


def stages_of(
    c: int, counts: Sequence[int], widths: Sequence[int], bottleneck: bool, stride_on: str, first: nn.Module
) -> tuple[dict[str, nn.Module], int]:
    """The stages by name, and how many channels the last one gives; `first` is the very first block's activation."""
    stages: dict[str, nn.Module] = {}
    for i, (count, width) in enumerate(zip(counts, widths, strict=True)):
        blocks = {}
        for j in range(count):
            stride = 2 if i > 0 and j == 0 else 1
            c_out = EXPANSION * width if bottleneck else width
            body = bottleneck_body(c, width, stride, stride_on) if bottleneck else basic_body(c, width, stride)
            shortcut: nn.Module = nn.Identity()
            if changes := stride != 1 or c != c_out:
                shortcut = same(c, c_out, 1, stride) if bottleneck else ZeroPad(c, c_out, stride)
            start = i == j == 0
            blocks[str(j + 1)] = PreActivated(first if start else activation(c), body, shortcut, changes or start)
            c = c_out
        stages[f"conv{i + 2}_x"] = chain(blocks)
    return stages, c


def bottleneck_body(c_in: int, c: int, stride: int, stride_on: str) -> nn.Sequential:
    """1x1, 3x3, 1x1; the first one's activation is the block's `preact`."""
    first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
    c_out = EXPANSION * c
    return chain({"conv1": same(c_in, c, 1, first), "conv2": unit(c, c, 3, second), "conv3": unit(c, c_out, 1)})


def basic_body(c_in: int, c: int, stride: int) -> nn.Sequential:
    """3x3, 3x3, likewise."""
    return chain({"conv1": same(c_in, c, 3, stride), "conv2": unit(c, c, 3)})


def unit(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Norm, ReLU, convolution."""
    return chain({**dict(activation(c_in).named_children()), "conv": same(c_in, c_out, kernel, stride)})


def activation(c: int) -> nn.Sequential:
    """Norm and ReLU; in place it overwrites what the norm gave, never the input, which a shortcut may read."""
    return chain({"bn": nn.BatchNorm2d(c), "relu": nn.ReLU(inplace=True)})


def same(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A bare convolution, which keeps the size at stride 1."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
