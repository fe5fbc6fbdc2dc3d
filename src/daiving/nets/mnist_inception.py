"""The lecture's Inception net for MNIST, and the same net with its "jump".

Source: the deck's slides "Inception" and "Inception Resnet"; the code is lesson 11_1 of hunkim/PyTorchZeroToAll.

    1x28x28 ─ conv1 5x5 ─ pool ─ incept1 ─┬─ conv2 5x5 ─ pool ─ incept2 ─(+)─ fc ─ 10
              10x24x24   10x12x12  88x12x12 │  20x8x8    20x4x4   88x4x4    │   1408
                                            └──────── conv3 9x9 (jump) ─────┘

The module borrows the branch names of torchvision's Inception-v3 but lost its ReLUs and batch norm on the way: as the
deck has it, it is one linear map. `activation="relu"` puts a ReLU behind each of its convolutions, where torchvision
has one. The jump is no residual connection either: it is a linear bypass of 627,352 parameters, and its 9x9 is forced
by the sizes (12 - 9 + 1 = 4).

Where we leave the deck: nowhere by default. `module="naive"` is the deck's figure (a), which its code never shows: the
same four branches without the 1x1 convolutions in front, the last one a bare pool that passes its input on.
"""

from jaxtyping import Float
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets.layers import Add, Concat, Fork


class InceptionReduced(nn.Module):
    """The deck's InceptionA.

    x ─┬─ 1x1 ──────────────┐
       ├─ 1x1 ─ 5x5 ────────┤
       ├─ 1x1 ─ 3x3 ─ 3x3 ──┼─ concat
       └─ 3x3 mean ─ 1x1 ───┘
    """

    def __init__(self, c_in: int, activation: nn.Module) -> None:
        super().__init__()
        self.branch1x1 = nn.Conv2d(c_in, 16, 1)
        self.branch5x5_1 = nn.Conv2d(c_in, 16, 1)
        self.branch5x5_2 = nn.Conv2d(16, 24, 5, padding=2)
        self.branch3x3dbl_1 = nn.Conv2d(c_in, 16, 1)
        self.branch3x3dbl_2 = nn.Conv2d(16, 24, 3, padding=1)
        self.branch3x3dbl_3 = nn.Conv2d(24, 24, 3, padding=1)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.branch_pool = nn.Conv2d(c_in, 24, 1)
        self.act = activation
        self.concat = Concat()
        self.c_out = 16 + 24 + 24 + 24

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n 88 h w"]:
        one = self.act(self.branch1x1(x))
        five = self.act(self.branch5x5_2(self.act(self.branch5x5_1(x))))
        three = self.act(self.branch3x3dbl_2(self.act(self.branch3x3dbl_1(x))))
        three = self.act(self.branch3x3dbl_3(three))
        pool = self.act(self.branch_pool(self.pool(x)))
        return self.concat([one, five, three, pool])

    def wiring(self) -> list[str | Fork]:
        arms = {
            "1x1": ["branch1x1"],
            "5x5": ["branch5x5_1", "branch5x5_2"],
            "3x3": ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"],
            "pool": ["pool", "branch_pool"],
        }
        return [Fork("branches", arms, "concat")]


class InceptionNaive(nn.Module):
    """The deck's figure (a) with the widths of its code; 64 channels out and those that the pool passes on.

    x ─┬─ 1x1 ──────┐
       ├─ 5x5 ──────┤
       ├─ 3x3 ─ 3x3 ┼─ concat
       └─ 3x3 mean ─┘
    """

    def __init__(self, c_in: int, activation: nn.Module) -> None:
        super().__init__()
        self.branch1x1 = nn.Conv2d(c_in, 16, 1)
        self.branch5x5_2 = nn.Conv2d(c_in, 24, 5, padding=2)
        self.branch3x3dbl_2 = nn.Conv2d(c_in, 24, 3, padding=1)
        self.branch3x3dbl_3 = nn.Conv2d(24, 24, 3, padding=1)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.act = activation
        self.concat = Concat()
        self.c_out = 16 + 24 + 24 + c_in

    def forward(self, x: Float[Tensor, "n c_in h w"]) -> Float[Tensor, "n c_out h w"]:
        one = self.act(self.branch1x1(x))
        five = self.act(self.branch5x5_2(x))
        three = self.act(self.branch3x3dbl_3(self.act(self.branch3x3dbl_2(x))))
        return self.concat([one, five, three, self.pool(x)])

    def wiring(self) -> list[str | Fork]:
        arms = {
            "1x1": ["branch1x1"],
            "5x5": ["branch5x5_2"],
            "3x3": ["branch3x3dbl_2", "branch3x3dbl_3"],
            "pool": ["pool"],
        }
        return [Fork("branches", arms, "concat")]


MODULES = {"reduced": InceptionReduced, "naive": InceptionNaive}
ACTIVATIONS = {"none": nn.Identity, "relu": nn.ReLU}


class MnistInception(nn.Module):
    """The deck's net: 97,298 parameters, 724,650 with the jump.

    Raises `FixableError` for an image size below 16, and with the jump for any but 26 to 29.
    """

    def __init__(
        self,
        *,
        jump: bool = False,
        activation: str = "none",
        module: str = "reduced",
        in_channels: int = 1,
        num_classes: int = 10,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        middle = (image_size - 4) // 2  # behind conv1 and its pool
        last = (middle - 4) // 2  # behind conv2 and its pool
        check_size(image_size, last, jump and middle - 8 != last)
        act = ACTIVATIONS[activation]()
        self.conv1 = nn.Conv2d(in_channels, 10, 5)
        self.incept1 = MODULES[module](10, act)
        self.conv2 = nn.Conv2d(self.incept1.c_out, 20, 5)
        self.incept2 = MODULES[module](20, act)
        self.conv3 = nn.Conv2d(self.incept1.c_out, self.incept2.c_out, 9) if jump else None
        self.add = Add() if jump else None
        self.mp = nn.MaxPool2d(2)
        self.fc = nn.Linear(self.incept2.c_out * last**2, num_classes)

    def forward(self, x: Float[Tensor, "n c size size"]) -> Float[Tensor, "n classes"]:
        x = self.incept1(self.mp(self.conv1(x)).relu())
        jump = self.conv3(x) if self.conv3 is not None else None
        x = self.incept2(self.mp(self.conv2(x)).relu())
        if self.add is not None:
            x = self.add(x, jump)
        return self.fc(x.flatten(1))

    def wiring(self) -> list[str | Fork]:
        """`mp`, which runs twice, stands where it first does."""
        if self.conv3 is None:
            return ["conv1", "mp", "incept1", "conv2", "incept2", "fc"]
        jump = Fork("residual", {"body": ["conv2", "incept2"], "shortcut": ["conv3"]}, "add")
        return ["conv1", "mp", "incept1", jump, "fc"]


def check_size(image_size: int, last: int, jump_misfits: bool) -> None:
    if last < 1 or jump_misfits:
        raise FixableError(
            f"mnist_inception cannot take images of {image_size}x{image_size}{' with its jump' if last >= 1 else ''}.",
            expected="from 26x26 to 29x29 with the jump, at least 16x16 without: its convolutions have no padding.",
            fix="bring the images to 28 pixels (images:size=28), or leave the jump out.",
        )
