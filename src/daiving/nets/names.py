"""What other libraries call the tensors of the same nets: for each family, pairs that turn their name into ours.

Every pair is a regular expression on the whole name and what stands for it, applied with `re.sub` in order, each to
what those before have left. Tests hold the tables against the full lists of names and shapes of torchvision's and
timm's checkpoints, in both directions.
"""

import re
from collections.abc import Callable, Mapping, Sequence

Names = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]

GOOGLENET: Names = [
    (r"^conv1\.", r"body.conv1."),
    (r"^conv2\.", r"body.conv2.reduce."),
    (r"^conv3\.", r"body.conv2.full."),
    (r"^inception(\d\w)\.", r"body.\1."),
    (r"^(body\.\d\w\.)branch1\.", r"\g<1>1x1."),
    (r"^(body\.\d\w\.)branch2\.0\.", r"\g<1>3x3.reduce."),
    (r"^(body\.\d\w\.)branch2\.1\.", r"\g<1>3x3.full."),
    (r"^(body\.\d\w\.)branch3\.0\.", r"\g<1>5x5.reduce."),
    (r"^(body\.\d\w\.)branch3\.1\.", r"\g<1>5x5.full."),
    (r"^(body\.\d\w\.)branch4\.1\.", r"\1pool.project."),
    (r"^aux1\.", r"aux.4a."),
    (r"^aux2\.", r"aux.4d."),
    (r"^fc\.", r"head.fc."),
]

INCEPTION_V3: Names = [
    (r"^Conv2d_(\d[ab])_\dx\d\.", r"body.conv\1."),
    (r"^Mixed_(\d[a-e])\.branch", r"body.\1."),
    (r"^(body\.\d\w\.)_pool\.", r"\1pool.project."),
    # 6a's 3x3 and every 1x1 have no number behind them and stay as they are
    (r"^(body\.\d\w\.\w+)_1\.", r"\1.reduce."),
    (r"^(body\.5\w\.5x5)_2\.", r"\1.full."),
    (r"^(body\.(?:5\w|6a)\.3x3dbl)_2\.", r"\1.first."),
    (r"^(body\.(?:5\w|6a)\.3x3dbl)_3\.", r"\1.second."),
    (r"^(body\.\d\w\.7x7(?:x3)?)_2\.", r"\1.1x7."),
    (r"^(body\.\d\w\.7x7(?:x3)?)_3\.", r"\1.7x1."),
    (r"^(body\.6\w\.7x7dbl)_2\.", r"\1.7x1a."),
    (r"^(body\.6\w\.7x7dbl)_3\.", r"\1.1x7a."),
    (r"^(body\.6\w\.7x7dbl)_4\.", r"\1.7x1b."),
    (r"^(body\.6\w\.7x7dbl)_5\.", r"\1.1x7b."),
    (r"^(body\.7a\.3x3)_2\.", r"\1.full."),
    (r"^(body\.7a\.7x7x3)_4\.", r"\1.full."),
    (r"^(body\.7[bc]\.3x3dbl)_2\.", r"\1.full."),
    (r"^(body\.7[bc]\.3x3(?:dbl)?)_[23]a\.", r"\1.split.1x3."),
    (r"^(body\.7[bc]\.3x3(?:dbl)?)_[23]b\.", r"\1.split.3x1."),
    (r"^AuxLogits\.conv0\.", r"aux.6e.reduce."),
    (r"^AuxLogits\.conv1\.", r"aux.6e.full."),
    (r"^AuxLogits\.fc\.", r"aux.6e.fc."),
    (r"^fc\.", r"head.fc."),
]

# Their modules are numbered through: 0-5 are the stem, 6-9 A, 10 reduction A, 11-17 B, 18 reduction B, 19-21 C.
INCEPTION_V4: Names = [
    (r"^features\.0\.", "body.stem.conv1."),
    (r"^features\.1\.", "body.stem.conv2."),
    (r"^features\.2\.", "body.stem.conv3."),
    (r"^features\.3\.conv\.", "body.stem.join1.3x3."),
    (r"^features\.4\.branch0\.0\.", "body.stem.join2.3x3.reduce."),
    (r"^features\.4\.branch0\.1\.", "body.stem.join2.3x3.full."),
    (r"^features\.4\.branch1\.0\.", "body.stem.join2.7x7.reduce."),
    (r"^features\.4\.branch1\.1\.", "body.stem.join2.7x7.1x7."),
    (r"^features\.4\.branch1\.2\.", "body.stem.join2.7x7.7x1."),
    (r"^features\.4\.branch1\.3\.", "body.stem.join2.7x7.full."),
    (r"^features\.5\.conv\.", "body.stem.join3.3x3."),
    (r"^features\.10\.", "body.reduction_a."),
    (r"^features\.18\.", "body.reduction_b."),
    (r"^features\.([6-9])\.", lambda m: f"body.a.{int(m[1]) - 6}."),
    (r"^features\.(1[1-7])\.", lambda m: f"body.b.{int(m[1]) - 11}."),
    (r"^features\.(19|20|21)\.", lambda m: f"body.c.{int(m[1]) - 19}."),
    # reduction B has its "3x3" first, the other modules theirs second
    (r"(reduction_b)\.branch0\.0\.", r"\1.3x3.reduce."),
    (r"(reduction_b)\.branch0\.1\.", r"\1.3x3.full."),
    (r"(reduction_b)\.branch1\.0\.", r"\1.7x7x3.reduce."),
    (r"(reduction_b)\.branch1\.1\.", r"\1.7x7x3.1x7."),
    (r"(reduction_b)\.branch1\.2\.", r"\1.7x7x3.7x1."),
    (r"(reduction_b)\.branch1\.3\.", r"\1.7x7x3.full."),
    (r"(reduction_a)\.branch0\.", r"\1.3x3."),
    (r"(reduction_a)\.branch1\.0\.", r"\1.3x3dbl.reduce."),
    (r"(reduction_a)\.branch1\.1\.", r"\1.3x3dbl.first."),
    (r"(reduction_a)\.branch1\.2\.", r"\1.3x3dbl.second."),
    (r"\.branch0\.", ".1x1."),
    (r"\.branch3\.1\.", ".pool.project."),
    (r"(body\.a\.\d+)\.branch1\.0\.", r"\1.3x3.reduce."),
    (r"(body\.a\.\d+)\.branch1\.1\.", r"\1.3x3.full."),
    (r"(body\.a\.\d+)\.branch2\.0\.", r"\1.3x3dbl.reduce."),
    (r"(body\.a\.\d+)\.branch2\.1\.", r"\1.3x3dbl.first."),
    (r"(body\.a\.\d+)\.branch2\.2\.", r"\1.3x3dbl.second."),
    (r"(body\.b\.\d+)\.branch1\.0\.", r"\1.7x7.reduce."),
    (r"(body\.b\.\d+)\.branch1\.1\.", r"\1.7x7.1x7."),
    (r"(body\.b\.\d+)\.branch1\.2\.", r"\1.7x7.7x1."),
    (r"(body\.b\.\d+)\.branch2\.0\.", r"\1.7x7dbl.reduce."),
    (r"(body\.b\.\d+)\.branch2\.1\.", r"\1.7x7dbl.7x1a."),
    (r"(body\.b\.\d+)\.branch2\.2\.", r"\1.7x7dbl.1x7a."),
    (r"(body\.b\.\d+)\.branch2\.3\.", r"\1.7x7dbl.7x1b."),
    (r"(body\.b\.\d+)\.branch2\.4\.", r"\1.7x7dbl.1x7b."),
    (r"\.branch1_0\.", ".3x3.reduce."),
    (r"\.branch1_1a\.", ".3x3.split.1x3."),
    (r"\.branch1_1b\.", ".3x3.split.3x1."),
    (r"\.branch2_0\.", ".3x3dbl.reduce."),
    (r"\.branch2_1\.", ".3x3dbl.3x1."),
    (r"\.branch2_2\.", ".3x3dbl.1x3."),
    (r"\.branch2_3a\.", ".3x3dbl.split.1x3."),
    (r"\.branch2_3b\.", ".3x3dbl.split.3x1."),
    (r"^last_linear\.", "head.fc."),
]

INCEPTION_RESNET_V2: Names = [
    (r"^conv2d_1a\.", "body.stem.conv1."),
    (r"^conv2d_2a\.", "body.stem.conv2."),
    (r"^conv2d_2b\.", "body.stem.conv3."),
    (r"^conv2d_3b\.", "body.stem.conv4."),
    (r"^conv2d_4a\.", "body.stem.conv5."),
    (r"^conv2d_7b\.", "body.last."),
    (r"^mixed_5b\.branch0\.", "body.stem.mixed_5b.1x1."),
    (r"^mixed_5b\.branch1\.0\.", "body.stem.mixed_5b.5x5.reduce."),
    (r"^mixed_5b\.branch1\.1\.", "body.stem.mixed_5b.5x5.full."),
    (r"^mixed_5b\.branch2\.0\.", "body.stem.mixed_5b.3x3dbl.reduce."),
    (r"^mixed_5b\.branch2\.1\.", "body.stem.mixed_5b.3x3dbl.first."),
    (r"^mixed_5b\.branch2\.2\.", "body.stem.mixed_5b.3x3dbl.second."),
    (r"^mixed_5b\.branch3\.1\.", "body.stem.mixed_5b.pool.project."),
    (r"^mixed_6a\.branch0\.", "body.reduction_a.3x3."),
    (r"^mixed_6a\.branch1\.0\.", "body.reduction_a.3x3dbl.reduce."),
    (r"^mixed_6a\.branch1\.1\.", "body.reduction_a.3x3dbl.first."),
    (r"^mixed_6a\.branch1\.2\.", "body.reduction_a.3x3dbl.second."),
    (r"^mixed_7a\.branch0\.0\.", "body.reduction_b.3x3a.reduce."),
    (r"^mixed_7a\.branch0\.1\.", "body.reduction_b.3x3a.full."),
    (r"^mixed_7a\.branch1\.0\.", "body.reduction_b.3x3b.reduce."),
    (r"^mixed_7a\.branch1\.1\.", "body.reduction_b.3x3b.full."),
    (r"^mixed_7a\.branch2\.0\.", "body.reduction_b.3x3dbl.reduce."),
    (r"^mixed_7a\.branch2\.1\.", "body.reduction_b.3x3dbl.first."),
    (r"^mixed_7a\.branch2\.2\.", "body.reduction_b.3x3dbl.second."),
    (r"^repeat\.(\d+)\.", r"body.a.\1."),
    (r"^repeat_1\.(\d+)\.", r"body.b.\1."),
    (r"^repeat_2\.(\d+)\.", r"body.c.\1."),
    (r"^block8\.", "body.c.9."),  # the last C, without ReLU
    (r"\.conv2d\.", ".body.linear."),
    (r"\.branch0\.", ".body.branches.1x1."),
    (r"(body\.a\.\d+)\.branch1\.0\.", r"\1.body.branches.3x3.reduce."),
    (r"(body\.a\.\d+)\.branch1\.1\.", r"\1.body.branches.3x3.full."),
    (r"(body\.a\.\d+)\.branch2\.0\.", r"\1.body.branches.3x3dbl.reduce."),
    (r"(body\.a\.\d+)\.branch2\.1\.", r"\1.body.branches.3x3dbl.first."),
    (r"(body\.a\.\d+)\.branch2\.2\.", r"\1.body.branches.3x3dbl.second."),
    (r"(body\.b\.\d+)\.branch1\.0\.", r"\1.body.branches.7x7.reduce."),
    (r"(body\.b\.\d+)\.branch1\.1\.", r"\1.body.branches.7x7.1x7."),
    (r"(body\.b\.\d+)\.branch1\.2\.", r"\1.body.branches.7x7.7x1."),
    (r"(body\.c\.\d+)\.branch1\.0\.", r"\1.body.branches.3x3.reduce."),
    (r"(body\.c\.\d+)\.branch1\.1\.", r"\1.body.branches.3x3.1x3."),
    (r"(body\.c\.\d+)\.branch1\.2\.", r"\1.body.branches.3x3.3x1."),
    (r"^classif\.", "head.fc."),
]

# Stages and blocks are counted from 0 or 1 there; here they are conv2_x to conv5_x, as in Table 1, and from 1.
RESNET: Names = [
    (r"^conv1\.", "body.conv1.conv."),
    (r"^bn1\.", "body.conv1.bn."),
    (r"^layer(\d)\.(\d+)\.", lambda m: f"body.conv{int(m[1]) + 1}_x.{int(m[2]) + 1}."),
    (r"(_x\.\d+)\.(conv|bn)(\d)\.", r"\1.body.conv\3.\2."),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.bn."),
    (r"^fc\.", "head.fc."),
]

# Their head.fc.weight is that of a 1x1 convolution, n x c x 1 x 1.
PREACT: Names = [
    (r"^stem\.conv\.", "body.conv1.conv."),
    (r"^stages\.(\d)\.blocks\.(\d+)\.", lambda m: f"body.conv{int(m[1]) + 2}_x.{int(m[2]) + 1}."),
    (r"(_x\.\d+)\.norm1\.", r"\1.preact.bn."),
    (r"(_x\.\d+)\.conv1\.", r"\1.body.conv1."),
    (r"(_x\.\d+)\.norm(\d)\.", r"\1.body.conv\2.bn."),
    (r"(_x\.\d+)\.conv(\d)\.", r"\1.body.conv\2.conv."),
    (r"\.downsample\.conv\.", ".shortcut."),
    (r"^norm\.", "body.last.bn."),
]

DENSENET: Names = [
    # Files on disk: denselayer1.norm.1.weight for denselayer1.norm1.weight
    (r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2."),
    (r"^features\.denseblock(\d+)\.denselayer(\d+)\.(norm|conv)1\.", r"body.block\1.layer\2.reduce.\3."),
    (r"^features\.denseblock(\d+)\.denselayer(\d+)\.(norm|conv)2\.", r"body.block\1.layer\2.full.\3."),
    (r"^features\.transition(\d+)\.(norm|conv)\.", r"body.transition\1.reduce.\2."),
    (r"^features\.norm5\.", "body.norm."),
    # The stem: conv0 norm0 of the one 7x7; conv0 norm0, conv1 norm1, conv2 norm2 of timm's three 3x3
    (r"^features\.conv0\.", "body.stem.conv1.conv."),
    (r"^features\.norm0\.", "body.stem.conv1.bn."),
    (r"^features\.conv1\.", "body.stem.conv2.conv."),
    (r"^features\.norm1\.", "body.stem.conv2.bn."),
    (r"^features\.conv2\.", "body.stem.conv3.conv."),
    (r"^features\.norm2\.", "body.stem.conv3.bn."),
    (r"^classifier\.", "head.fc."),
]

# net: {preset: table}. torchvision and timm call the tensors of a ResNet and of a DenseNet alike.
TABLES: Mapping[str, Mapping[str, Names]] = {
    "googlenet": {"torchvision": GOOGLENET},
    "inception_v3": {"torchvision": INCEPTION_V3, "timm": INCEPTION_V3},
    "inception_v4": {"timm": INCEPTION_V4},
    "inception_resnet_v2": {"timm": INCEPTION_RESNET_V2},
    **{f"resnet{depth}": {"torchvision": RESNET, "timm": RESNET} for depth in (18, 34, 50, 101, 152)},
    **{f"preact_resnet{depth}": {"timm": PREACT} for depth in (50, 101, 152)},
    **{f"densenet{depth}": {"torchvision": DENSENET, "timm": DENSENET} for depth in (121, 161, 169, 201)},
    "densenet264": {"timm": DENSENET},
}


def translated(name: str, table: Names) -> str:
    """Our name of a tensor that another library calls `name`; what is in no pair stays as it is."""
    for pattern, ours in table:
        name = re.sub(pattern, ours, name)
    return name
