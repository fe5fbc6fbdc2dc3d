"""Inception-v4 and the two Inception-ResNets: the figures of arXiv 1602.07261, counted.

facts: zoo.md 2.4, and 4 for the order of branches. The nets are built on torch's "meta" device: shapes, no numbers.
"""

from functools import cache

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from daiving.errors import FixableError
from daiving.nets.inception_resnet import InceptionResNetV1, InceptionResNetV2, Residual, residual_a
from daiving.nets.inception_v4 import REDUCTION_A, InceptionA, InceptionV4

BIG = {"blocks": "10-20-10"}
RELEASED = {"form": "released", "order": "timm", **BIG}


def on_meta(kind, **options):
    with torch.device("meta"):
        return kind(**options).eval()


@cache
def counted(kind, *options):
    """Parameters, multiply-adds, and channels and height behind each stage, of one image of 299 pixels."""
    net, shapes = on_meta(kind, **dict(options)), {}
    stem = list(net.body.stem.named_children())
    for name, stage in (*net.body.named_children(), *[(f"stem.{name}", part) for name, part in stem]):
        stage.register_forward_hook(lambda m, i, out, name=name: shapes.update({name: tuple(out.shape[1:3])}))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 299, 299, device="meta"))
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2, shapes


def names_and_shapes(net):
    return {name: tuple(t.shape) for name, t in net.state_dict().items()}


@pytest.mark.parametrize(
    ("kind", "options", "parameters", "macs"),
    [
        (InceptionV4, {}, 42_679_816, 12_253_974_624),
        (InceptionResNetV1, {}, 22_756_328, 6_206_361_696),
        (InceptionResNetV2, {}, 32_433_928, 9_257_953_632),
        (InceptionResNetV2, BIG, 55_284_488, 14_142_011_232),
        (InceptionResNetV2, RELEASED, 55_843_464, 13_155_794_016),
    ],
)
def test_each_net_has_the_weights_and_the_cost_of_its_figures(kind, options, parameters, macs):
    assert counted(kind, *options.items())[:2] == (parameters, macs)


@pytest.mark.parametrize(
    ("kind", "options", "maps"),
    [
        (InceptionV4, {}, [("stem.join1", 160, 73), ("stem.join2", 192, 71), 384, 1024, 1536]),
        (InceptionResNetV1, {}, [("stem.conv5", 192, 71), 256, 896, 1792]),
        # Figures 17 and 19 print 1154 and 2048 for the last two; table 1 and figure 18 make 1152 and 2144 of them.
        (InceptionResNetV2, {}, [("stem.join1", 160, 73), ("stem.join2", 192, 71), 384, 1152, 2144]),
        (InceptionResNetV2, BIG, [384, 1152, 2144]),
        (InceptionResNetV2, RELEASED, [("stem.conv5", 192, 71), 320, 1088, 2080, ("last", 1536, 8)]),
    ],
)
def test_the_maps_have_the_sizes_of_the_figures(kind, options, maps):
    shapes = counted(kind, *options.items())[2]
    widths = [width for width in maps if isinstance(width, int)]
    pairs = (("stem", "a"), ("reduction_a", "b"), ("reduction_b", "c"))
    for stages, width, side in zip(pairs, widths, (35, 17, 8), strict=True):
        assert [shapes[stage] for stage in stages] == [(width, side)] * 2
    for name, width, side in (entry for entry in maps if not isinstance(entry, int)):
        assert shapes[name] == (width, side)


@pytest.mark.parametrize(
    ("kind", "name", "klmn"),
    [
        (InceptionV4, "v4", (192, 224, 256, 384)),
        (InceptionResNetV1, "resnet_v1", (192, 192, 256, 384)),
        (InceptionResNetV2, "resnet_v2", (256, 256, 384, 384)),
    ],
)
def test_reduction_a_has_the_widths_of_table_1(kind, name, klmn):
    module = on_meta(kind).body.reduction_a
    long = [unit.conv.out_channels for unit in module.get_submodule("3x3dbl")]
    assert (*long, module.get_submodule("3x3").conv.out_channels) == klmn == REDUCTION_A[name]


@pytest.mark.parametrize(("kind", "options"), [(InceptionV4, {}), (InceptionResNetV2, {"form": "released"})])
def test_both_orders_have_the_same_weights_under_the_same_names(kind, options):
    drawn, theirs = (on_meta(kind, order=order, **options) for order in ("figure", "timm"))
    assert names_and_shapes(drawn) == names_and_shapes(theirs)
    assert drawn.body.reduction_a.names == ("pool", "3x3", "3x3dbl")
    assert theirs.body.reduction_a.names == ("3x3", "3x3dbl", "pool")


def test_the_figures_join_the_pool_first_and_timm_last():
    modules = [InceptionA(order).eval() for order in ("figure", "timm")]
    modules[1].load_state_dict(modules[0].state_dict())
    with torch.no_grad():
        drawn, theirs = (module(torch.ones(1, 384, 3, 3)) for module in modules)
    assert torch.equal(drawn, theirs.roll(96, dims=1))
    assert not torch.equal(drawn, theirs)


def test_mean_pools_do_not_count_their_padding():
    pool = InceptionA("figure").get_submodule("pool.mean")
    assert torch.equal(pool(torch.ones(1, 1, 5, 5)), torch.ones(1, 1, 5, 5))


def small_block(scale):
    torch.manual_seed(0)
    return residual_a(16, (4, 4, 4, 4, 4, 4), scale).eval(), torch.randn(2, 16, 5, 5)


def test_a_block_whose_body_answers_zero_is_the_relu_of_its_input():
    block, x = small_block(0.17)
    nn.init.zeros_(block.body.linear.weight)
    nn.init.zeros_(block.body.linear.bias)
    with torch.no_grad():
        assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0])
def test_a_block_adds_its_residual_times_the_scale(scale):
    block, x = small_block(scale)
    with torch.no_grad():
        assert torch.allclose(block(x), (x + scale * block.body(x)).relu(), atol=1e-6)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [("0.17-0.10-0.20", (0.17, 0.10, 0.20)), ("0.3", (0.3, 0.3, 0.3)), ("1", (1.0, 1.0, 1.0))],
)
def test_each_stage_is_scaled_by_its_own_number(scale, expected):
    body = on_meta(InceptionResNetV1, scale=scale).body
    for stage, number in zip((body.a, body.b, body.c), expected, strict=True):
        assert {block.add.scale for block in stage} == {number}


@pytest.mark.parametrize("scale", ["", "much", "0.1-0.2", "-0.1", "nan", "2"])
def test_a_scale_that_is_none_is_explained(scale):
    with pytest.raises(FixableError, match="cannot be scaled"):
        InceptionResNetV1(scale=scale)


def test_the_last_layer_of_a_residual_has_a_bias_and_no_norm():
    for net in (on_meta(InceptionResNetV1), on_meta(InceptionResNetV2), on_meta(InceptionResNetV2, **RELEASED)):
        blocks = [module for module in net.modules() if isinstance(module, Residual)]
        assert all([name for name, _ in block.body.named_children()] == ["branches", "linear"] for block in blocks)
        assert all(block.body.linear.bias is not None for block in blocks)


def test_the_released_net_differs_from_the_figures_where_the_file_says():
    figures, released = on_meta(InceptionResNetV2), on_meta(InceptionResNetV2, **RELEASED)
    assert [len(net.body.get_submodule(stage)) for net in (figures, released) for stage in "abc"] == [
        *(5, 10, 5),
        *(10, 20, 10),
    ]
    names = [{name for name, _ in net.body.stem.named_children()} for net in (figures, released)]
    assert {"join1", "join2", "join3"} <= names[0]
    assert not any(name.startswith("join") for name in names[1])
    assert released.get_submodule("body.stem.mixed_5b.5x5.full.conv").kernel_size == (5, 5)
    assert not any(isinstance(m, nn.Conv2d) and m.kernel_size == (5, 5) for m in figures.modules())
    assert released.body.last.conv.out_channels == released.head.fc.in_features == 1536
    assert figures.head.fc.in_features == 2144
    last, others = released.body.c[-1], [*released.body.c[:-1], *figures.body.c]
    assert (last.add.scale, type(last.relu)) == (1.0, nn.Identity)
    assert {(block.add.scale, type(block.relu)) for block in others} == {(0.20, nn.ReLU)}


@pytest.mark.parametrize("kind", [InceptionV4, InceptionResNetV1, InceptionResNetV2])
def test_75_pixels_are_the_least_and_odd_sizes_fit(kind):
    net = on_meta(kind, num_classes=10, image_size=75).train()
    for h, w in ((75, 75), (91, 76)):
        assert net(torch.zeros(2, 3, h, w, device="meta")).shape == (2, 10)
    with pytest.raises(FixableError, match="cannot take images of 74x74"):
        kind(image_size=74)
    net.input.smallest = 0
    with pytest.raises(RuntimeError, match="too small"):
        net(torch.zeros(2, 3, 74, 74, device="meta"))
