"""Plain, residual and pre-activated nets: the counts of their papers to the last digit, and what a shortcut may not do.

Numbers without a source are derived where they stand. Large nets are built without memory, on torch's meta device.
"""

import functools

import pytest
import torch
from torch import nn

from daiving.anatomy import cost
from daiving.errors import FixableError
from daiving.nets.preact import CifarPreActResNet, PreActivated, PreActResNet
from daiving.nets.residual import Residual, ZeroPad
from daiving.nets.resnet import ResNet
from daiving.nets.resnet_cifar import CifarResNet


@functools.cache
def meta(net, **options):
    with torch.device("meta"):
        return net(**options)


def counted(net, side, **options):
    """Parameters and multiply-adds."""
    found = cost(meta(net, **options), (3, side, side))
    return found.parameters, found.macs


def parameters(net, **options):
    return sum(p.numel() for p in meta(net, **options).parameters())


def shapes(net, **options):
    return {name: tuple(t.shape) for name, t in meta(net, **options).state_dict().items()}


# facts: zoo.md 2.5
@pytest.mark.parametrize(
    ("depth", "shortcut", "parameters", "macs"),
    [
        (18, "none", 11_515_688, 1_794_805_760),
        (18, "A", 11_515_688, 1_794_805_760),
        (18, "B", 11_689_512, 1_814_073_344),
        (34, "none", 21_623_848, 3_644_493_824),
        (34, "A", 21_623_848, 3_644_493_824),
        (34, "B", 21_797_672, 3_663_761_408),
    ],
)
def test_imagenet_nets_of_basic_blocks_cost_what_is_published(depth, shortcut, parameters, macs):
    assert counted(ResNet, 224, depth=depth, shortcut=shortcut) == (parameters, macs)


# facts: zoo.md 2.5, finding 7
@pytest.mark.parametrize(
    ("depth", "parameters", "on_1x1", "on_3x3"),
    [
        (50, 25_557_032, 3_857_973_248, 4_089_184_256),
        (101, 44_549_160, 7_570_194_432, 7_801_405_440),
        (152, 60_192_808, 11_282_415_616, 11_513_626_624),
    ],
)
def test_the_place_of_the_stride_changes_the_multiply_adds_and_no_tensor(depth, parameters, on_1x1, on_3x3):
    assert counted(ResNet, 224, depth=depth) == (parameters, on_1x1)
    assert counted(ResNet, 224, depth=depth, stride_on="3x3") == (parameters, on_3x3)
    assert shapes(ResNet, depth=depth) == shapes(ResNet, depth=depth, stride_on="3x3")


# facts: zoo.md 2.5; the multiply-adds are published to the million, and equal those of the nets of 2015 for 50 to 152
@pytest.mark.parametrize(
    ("depth", "parameters", "macs"),
    [
        (50, 25_549_480, 3_857_973_248),
        (101, 44_541_608, 7_570_194_432),
        (152, 60_185_256, 11_282_415_616),
        (200, 64_666_280, 14_776_270_848),
    ],
)
def test_pre_activated_imagenet_nets_cost_what_is_published(depth, parameters, macs):
    assert counted(PreActResNet, 224, depth=depth) == (parameters, macs)


@pytest.mark.parametrize(("depth", "giga"), [(50, 4.089), (200, 15.007)])
def test_pre_activated_nets_with_the_later_stride_cost_what_is_published(depth, giga):
    assert round(counted(PreActResNet, 224, depth=depth, stride_on="3x3")[1] / 1e9, 3) == giga


@pytest.mark.parametrize("stem", ["shared", "bit"])
def test_a_stem_with_one_activation_instead_of_two_lacks_one_norm_of_64_channels(stem):
    assert counted(PreActResNet, 224, depth=50, stem=stem) == (25_549_352, 3_857_973_248)
    assert 25_549_480 - 25_549_352 == 2 * 64


# facts: zoo.md 2.6
@pytest.mark.parametrize(
    ("depth", "a", "b", "macs"),
    [
        (20, 269_722, 272_474, 40_551_040),
        (32, 464_154, 466_906, 68_862_592),
        (44, 658_586, 661_338, 97_174_144),
        (56, 853_018, 855_770, 125_485_696),
        (110, 1_727_962, 1_730_714, 252_887_680),
    ],
)
def test_cifar_nets_cost_what_is_published(depth, a, b, macs):
    assert counted(CifarResNet, 32, depth=depth) == (a, macs)
    assert parameters(CifarResNet, depth=depth, shortcut="none") == a
    assert parameters(CifarResNet, depth=depth, shortcut="B") == b


def test_the_cifar_net_of_1202_layers_costs_what_is_published():
    assert counted(CifarResNet, 32, depth=1202) == (19_421_274, 2_829_238_912)


# facts: zoo.md 2.6, pytorchcv's counts
@pytest.mark.parametrize(("depth", "published"), [(164, 1_703_258), (1001, 10_327_706)])
def test_pre_activated_cifar_nets_have_the_parameters_that_are_published(depth, published):
    net = meta(CifarPreActResNet, depth=depth)
    assert parameters(CifarPreActResNet, depth=depth) == published
    projections = sum(p.numel() for name, p in net.named_parameters() if "shortcut" in name)
    assert projections == 16 * 64 + 64 * 128 + 128 * 256
    if depth == 1001:  # the paper's "10.2M": its convolutions
        assert round(sum(p.numel() for p in net.parameters() if p.ndim == 4) / 1e6, 1) == 10.2


def test_pre_activated_basic_blocks_cost_what_the_residual_ones_do():
    # One norm each way: behind conv1 (16 channels) and behind each addition's body, or before it and at the end.
    assert counted(CifarPreActResNet, 32, depth=110, bottleneck=False) == (1_727_962, 252_887_680)


# facts: zoo.md 2.5 and 2.6
@pytest.mark.parametrize(
    ("net", "side", "stages"),
    [
        (
            lambda: ResNet(depth=18),
            224,
            [(64, 112), (64, 56), (64, 56), (128, 28), (256, 14), (512, 7)],
        ),
        (
            lambda: ResNet(depth=50),
            224,
            [(64, 112), (64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7)],
        ),
        (
            lambda: PreActResNet(depth=50),
            224,
            [(64, 112), (64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7), (2048, 7)],
        ),
        (CifarResNet, 32, [(16, 32), (16, 32), (32, 16), (64, 8)]),
        (CifarPreActResNet, 32, [(16, 32), (64, 32), (128, 16), (256, 8), (256, 8)]),
    ],
    ids=["resnet18", "resnet50", "preact50", "cifar_resnet", "cifar_preact"],
)
def test_the_maps_shrink_and_widen_from_stage_to_stage_as_in_the_papers(net, side, stages):
    found = []
    with torch.device("meta"):
        x = torch.zeros(1, 3, side, side)
        for stage in net().eval().body:
            x = stage(x)
            found.append((x.shape[1], x.shape[2]))
            assert x.shape[2] == x.shape[3]
    assert found == stages


@pytest.mark.parametrize(("net", "depth"), [(ResNet, 18), (ResNet, 34), (CifarResNet, 20), (CifarResNet, 56)])
def test_a_plain_net_has_the_tensors_of_its_residual_twin_by_name_and_shape(net, depth):
    assert shapes(net, depth=depth, shortcut="none") == shapes(net, depth=depth, shortcut="A")


def test_projections_everywhere_add_to_those_where_the_shape_changes():
    a, b, c = (shapes(ResNet, depth=34, shortcut=option) for option in "ABC")
    assert a.items() < b.items() < c.items()
    assert {name.split(".shortcut")[0] for name in b.keys() - a.keys()} == {f"body.conv{i}_x.1" for i in (3, 4, 5)}
    assert len({name.split(".shortcut")[0] for name in c.keys() - a.keys()}) == 16


def test_shortcut_a_takes_every_second_pixel_and_pads_channels_of_zeros():
    pad, x = ZeroPad(2, 3, stride=2), torch.arange(18.0).view(1, 2, 3, 3)
    assert not list(pad.parameters())
    assert pad(x).tolist() == [[[[0, 2], [6, 8]], [[9, 11], [15, 17]], [[0, 0], [0, 0]]]]


def without_convolutions(net):
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.zeros_(m.weight)
    return net


@pytest.mark.parametrize(("depth", "bottleneck"), [(20, False), (20, True)])
def test_a_pre_activated_block_is_the_identity_when_its_convolutions_are_zero(depth, bottleneck):
    net = without_convolutions(CifarPreActResNet(depth=depth, bottleneck=bottleneck))
    block = net.get_submodule("body.conv3_x.2")
    x = torch.randn(2, 128 if bottleneck else 32, 5, 5)
    assert torch.equal(block(x), x)  # negative values as well: nothing is rectified on the way
    assert torch.equal(net.get_submodule("body.conv4_x")[1:](y := torch.randn(2, 256 if bottleneck else 64, 3, 3)), y)


def test_a_residual_block_is_rectified_behind_its_addition():
    block = without_convolutions(CifarResNet(depth=20)).get_submodule("body.conv3_x.2")
    x = torch.randn(2, 32, 5, 5)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize(
    ("net", "reading"),
    [
        (lambda: PreActResNet(depth=50), {"conv2_x.1", "conv3_x.1", "conv4_x.1", "conv5_x.1"}),
        (lambda: CifarPreActResNet(depth=29), {"conv2_x.1", "conv3_x.1", "conv4_x.1"}),
        (lambda: CifarPreActResNet(depth=20, bottleneck=False), {"conv2_x.1", "conv3_x.1", "conv4_x.1"}),
    ],
    ids=["imagenet", "bottlenecks", "basic"],
)
def test_only_the_first_block_of_a_stage_reads_the_activation_on_its_shortcut(net, reading):
    with torch.device("meta"):
        blocks = {name: m for name, m in net().body.named_modules() if isinstance(m, PreActivated)}
    assert {name for name, block in blocks.items() if block.activated} == reading
    for block in blocks.values():
        assert (block.wiring()[0] == "preact") is block.activated


def test_the_wiring_of_a_block_says_what_its_shortcut_reads():
    net = CifarPreActResNet(depth=20, bottleneck=False).eval()
    for name in ("body.conv2_x.1", "body.conv2_x.2"):
        block, read = net.get_submodule(name), {}
        for part in ("preact", "body", "shortcut"):
            block.get_submodule(part).register_forward_hook(
                lambda m, i, out, part=part, read=read: read.update({part: (i[0], out)})
            )
        block(x := torch.randn(2, 16, 4, 4))
        assert read["preact"][0] is x
        assert read["body"][0] is read["preact"][1]
        assert read["shortcut"][0] is (read["preact"][1] if block.wiring()[0] == "preact" else x)


def test_what_runs_in_a_block_is_what_its_wiring_names():
    for net in (CifarResNet(), CifarResNet(shortcut="none"), CifarResNet(shortcut="C"), CifarPreActResNet(depth=20)):
        for block in net.modules():
            if isinstance(block, Residual | PreActivated):
                named = []
                for step in block.wiring():
                    if isinstance(step, str):
                        named.append(step)
                    else:
                        named += [part for arm in step.arms.values() for part in arm] + [step.join]
                assert sorted(named) == sorted(name for name, _ in block.named_children())


def test_in_place_activations_leave_the_gradients_as_they_are():
    for make in (
        lambda: CifarPreActResNet(depth=20),
        lambda: CifarPreActResNet(depth=20, bottleneck=False),
        CifarResNet,
    ):
        torch.manual_seed(0)
        net, grads = make().double(), []
        x, y = torch.randn(2, 3, 8, 8, dtype=torch.float64), torch.arange(2)
        for inplace in (True, False):
            for m in net.modules():
                if isinstance(m, nn.ReLU):
                    m.inplace = inplace
            net.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            grads.append([p.grad.clone() for p in net.parameters()])
        assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize(
    ("make", "wrong", "expected", "fix"),
    [
        (
            lambda: ResNet(depth=51),
            "The net 'resnet51' cannot be 51 layers deep.",
            "one of 18, 34, 50, 101, 152: the columns of Table 1.",
            "take depth=50.",
        ),
        (
            lambda: PreActResNet(depth=180),
            "The net 'preact_resnet180' cannot be 180 layers deep.",
            "one of 50, 101, 152, 200.",
            "take depth=200.",
        ),
        (
            lambda: CifarResNet(depth=21),
            "The net 'cifar_resnet' cannot be 21 layers deep.",
            "6n+2: three stages of n blocks of 2 layers, a first layer and a last.",
            "take depth=20 or depth=26.",
        ),
        (
            lambda: CifarResNet(depth=2, shortcut="none"),
            "The net 'cifar_plain' cannot be 2 layers deep.",
            "6n+2: three stages of n blocks of 2 layers, a first layer and a last.",
            "take depth=8.",
        ),
        (
            lambda: CifarPreActResNet(depth=1000),
            "The net 'cifar_preact' cannot be 1000 layers deep.",
            "9n+2: three stages of n blocks of 3 layers, a first layer and a last.",
            "take depth=992 or depth=1001.",
        ),
        (
            lambda: CifarPreActResNet(depth=1001, bottleneck=False),
            "The net 'cifar_preact' cannot be 1001 layers deep.",
            "6n+2: three stages of n blocks of 2 layers, a first layer and a last.",
            "take depth=998 or depth=1004.",
        ),
        (
            lambda: ResNet(depth=18, shortcut="D"),
            "There is no shortcut called 'D'.",
            "one of A, B, C, none.",
            "choose one of these.",
        ),
    ],
)
def test_an_impossible_net_is_refused_with_what_would_be_possible(make, wrong, expected, fix):
    with pytest.raises(FixableError) as raised:
        make()
    assert (raised.value.wrong, raised.value.expected, raised.value.fix) == (wrong, expected, fix)


@pytest.mark.parametrize(
    ("net", "smallest"),
    [
        (lambda **facts: ResNet(depth=18, **facts), 17),
        (lambda **facts: PreActResNet(depth=50, **facts), 17),
        (CifarResNet, 3),
        (lambda **facts: CifarPreActResNet(depth=20, **facts), 3),
    ],
    ids=["resnet18", "preact50", "cifar_resnet", "cifar_preact"],
)
def test_the_nets_train_on_every_size_from_the_smallest_up(net, smallest):
    made = net(in_channels=1, num_classes=5, image_size=smallest)
    for side in (smallest, smallest + 1, smallest + 2):
        assert made(torch.randn(2, 1, side, side + 3)).shape == (2, 5)
    with pytest.raises(FixableError, match=rf"cannot take images of {smallest - 1}x{smallest - 1}"):
        net(image_size=smallest - 1)
