"""GoogLeNet, BN-Inception and the factorised Inceptions against the numbers of their papers, row by row.

Source of all numbers: facts zoo.md, 2.1, 2.3 and 2.4. K is 1024 weights, as in GoogLeNet's Table 1.
"""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from daiving.errors import FixableError
from daiving.nets import NETS
from daiving.nets.bn_inception import BNInception
from daiving.nets.googlenet import TABLE_1, GoogLeNet
from daiving.nets.inception_v2 import STEM, InceptionV2
from daiving.nets.inception_v3 import InceptionV3

PRESETS = {"paper": {}, **NETS["googlenet"].presets}
SLIM = NETS["bn_inception"].presets["slim"]

# GoogLeNet's Table 1 below the stem: channels and side out, weights of these widths, the paper's K;
# MACs of these widths and of the paper, in millions
ROWS = {
    "conv2": (192, 56, 114_688, 112, 359.7, 360),
    "3a": (256, 28, 163_328, 159, 128.0, 128),
    "3b": (480, 28, 388_096, 380, 304.3, 304),
    "4a": (512, 14, 375_552, 364, 73.6, 73),
    "4b": (512, 14, 448_512, 437, 87.9, 88),
    "4c": (512, 14, 509_440, 463, 99.9, 100),
    "4d": (528, 14, 604_672, 580, 118.5, 119),
    "4e": (832, 14, 867_328, 840, 170.0, 170),
    "5a": (832, 7, 1_042_432, 1072, 51.1, 54),
    "5b": (1024, 7, 1_442_816, 1388, 70.7, 71),
}
# Rows whose printed weights do not follow from the printed widths of the same row: by how many percent ours differ
WEIGHTS_WRONG_IN_PAPER = {"4c": 7.5, "4d": 1.8, "5a": -5.0, "5b": 1.5}
OPERATIONS_WRONG_IN_PAPER = {"5a": -5.4}


def meta(make, **options):
    with torch.device("meta"):
        return make(**options)


def parameters(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def weights(module):
    """Of convolutions and linear layers, without biases: what the papers count."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear))


def walk(net, size, channels=3):
    """One image through a net on the meta device: MACs in all, MACs and shape (c h w) behind each part of its body."""
    shapes, macs = {}, {}
    counter = FlopCounterMode(display=False)

    def note(name):
        def hook(module, taken, given):
            shapes[name], macs[name] = tuple(given.shape[1:]), counter.get_total_flops() // 2

        return hook

    hooks = [part.register_forward_hook(note(name)) for name, part in net.body.named_children()]
    with counter, torch.no_grad():
        net.eval()(torch.zeros(1, channels, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    before = [0, *macs.values()]
    parts = {name: after - past for (name, after), past in zip(macs.items(), before, strict=False)}
    return counter.get_total_flops() // 2, parts, shapes


@pytest.fixture(scope="module")
def googlenet():
    net = meta(GoogLeNet)
    return net, *walk(net, 224)


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_googlenet_has_the_size_weights_and_operations_of_its_widths(googlenet, row):
    net, _, macs, shapes = googlenet
    channels, side, expected, _, millions, _ = ROWS[row]
    assert shapes[row] == (channels, side, side)
    assert weights(net.body.get_submodule(row)) == expected
    assert round(macs[row] / 1e6, 1) == millions


@pytest.mark.parametrize("row", [row for row in ROWS if row not in WEIGHTS_WRONG_IN_PAPER])
def test_a_row_of_googlenet_has_the_weights_that_the_paper_prints_within_its_rounding(googlenet, row):
    ours, printed = weights(googlenet[0].body.get_submodule(row)) / 1024, ROWS[row][3]
    assert abs(ours - printed) / printed < 0.01


@pytest.mark.parametrize("row", WEIGHTS_WRONG_IN_PAPER)
def test_the_paper_disagrees_with_its_own_widths_on_the_weights_of_4c_4d_5a_and_5b(googlenet, row):
    ours, printed = weights(googlenet[0].body.get_submodule(row)) / 1024, ROWS[row][3]
    assert printed == {"4c": 463, "4d": 580, "5a": 1072, "5b": 1388}[row]
    assert round(ours, 1) == {"4c": 497.5, "4d": 590.5, "5a": 1018.0, "5b": 1409.0}[row]
    assert round(100 * (ours / printed - 1), 1) == WEIGHTS_WRONG_IN_PAPER[row]


@pytest.mark.parametrize("row", [row for row in ROWS if row not in OPERATIONS_WRONG_IN_PAPER])
def test_a_row_of_googlenet_has_the_operations_that_the_paper_prints(googlenet, row):
    assert abs(googlenet[2][row] / 1e6 - ROWS[row][5]) < 0.7


def test_the_paper_disagrees_with_its_own_widths_on_the_operations_of_5a(googlenet):
    ours, printed = googlenet[2]["5a"] / 1e6, ROWS["5a"][5]
    assert (round(ours, 1), printed) == (51.1, 54)
    assert round(100 * (ours / printed - 1), 1) == OPERATIONS_WRONG_IN_PAPER["5a"]


def test_only_a_separable_first_layer_has_the_weights_and_operations_of_table_1(googlenet):
    net, _, macs, shapes = googlenet
    assert shapes["conv1"] == (64, 112, 112)
    assert weights(net.body.conv1) == 2_712  # 2.7 K
    assert round(macs["conv1"] / 1e6) == 34
    full = meta(GoogLeNet, stem="full")
    assert weights(full.body.conv1) == 9_408
    assert round(walk(full, 224)[1]["conv1"] / 1e6) == 118


def test_the_last_layer_of_googlenet_has_1000_k_weights(googlenet):
    assert weights(googlenet[0].head) == 1000 * 1024


@pytest.mark.parametrize(
    ("preset", "main", "aux", "macs"),
    [
        ("paper", 6_998_552 - 9_408 + 2_712, 6_379_728, 1_498_677_248),  # Caffe's less the full stem
        ("caffe", 6_998_552, 6_379_728, 1_582_671_872),
        ("torchvision", 6_624_904, 13_004_888 - 6_624_904, 1_498_376_192),
    ],
)
def test_each_preset_of_googlenet_has_its_main_and_auxiliary_parameters_and_operations(preset, main, aux, macs):
    net = meta(GoogLeNet, **PRESETS[preset])
    assert (parameters(net.body, net.head), parameters(net.aux)) == (main, aux)
    assert walk(net, 224)[0] == macs


def test_googlenet_with_batch_norm_and_real_5x5_has_the_count_of_neither_library():
    net = meta(GoogLeNet, **{**PRESETS["torchvision"], "kernel5": 5})
    assert parameters(net.body, net.head) == 7_005_832


def test_a_3x3_for_the_5x5_changes_every_row_though_the_total_hides_it(googlenet):
    three = meta(GoogLeNet, kernel5=3)
    for row in TABLE_1:
        share = weights(three.body.get_submodule(row)) / weights(googlenet[0].body.get_submodule(row))
        assert 0.87 < share < 0.98, row
    full = walk(meta(GoogLeNet, kernel5=3, stem="full"), 224)[0]
    assert abs(full / googlenet[1] - 1) < 0.001  # two departures that cancel: why a total is no test


def test_the_naive_module_3a_grows_to_416_channels():
    net = meta(GoogLeNet, module="naive", aux=False)
    assert net.body.get_submodule("3a").c_out == 192 + 64 + 128 + 32 == 416
    _, macs, shapes = walk(net, 224)
    assert shapes["3a"] == (416, 28, 28)
    assert (weights(net.body.get_submodule("3a")), macs["3a"]) == (387_072, 303_464_448)


BN_SHAPES = {"3a": 256, "3b": 320, "3c": 576, "4a": 576, "4b": 576, "4c": 608, "4d": 608, "4e": 1056, "5a": 1024}


def test_bn_inception_as_its_table_is_printed_has_608_channels_behind_4c_and_4d():
    net = meta(BNInception)
    macs, _, shapes = walk(net, 224)
    assert (parameters(net), macs) == (11_285_224, 2_032_600_064)
    sides = {"3": 28, "4": 14, "5": 7}
    expected = {name: (c, sides[name[0]], sides[name[0]]) for name, c in {**BN_SHAPES, "5b": 1024}.items()}
    expected |= {"3c": (576, 14, 14), "4e": (1056, 7, 7)}  # the modules that halve the map
    assert {name: shape for name, shape in shapes.items() if name in expected} == expected
    printed = {"4c": 576, "4d": 576, "4e": 1024}
    assert {name: shapes[name][0] - c for name, c in printed.items()} == {"4c": 32, "4d": 32, "4e": 32}


def test_bn_inception_as_slim_reads_it_has_the_printed_sizes():
    net = meta(BNInception, **SLIM)
    macs, _, shapes = walk(net, 224)
    assert (parameters(net), macs) == (11_188_288, 1_934_857_216)
    assert [shapes[name][0] for name in ("4c", "4d", "4e", "5b")] == [576, 576, 1024, 1024]


def test_no_reading_of_bn_inception_has_the_parameters_that_its_paper_claims():
    for stem in ("full", "separable"):
        for pool in (128, 96):
            assert parameters(meta(BNInception, stem=stem, pool_4cd=pool)) < 11.3e6 < 13.6e6


def test_bn_inception_has_the_operations_that_the_next_paper_counts():
    assert round(walk(meta(BNInception), 224)[0] / 1e9, 1) == 2.0
    assert round(walk(meta(BNInception, stem="separable"), 224)[0] / 1e9, 1) == 1.9


def test_the_stem_of_the_factorised_net_is_table_1_to_the_parameter():
    net = meta(InceptionV2)
    _, macs, shapes = walk(net, 299)
    assert parameters(*(net.body.get_submodule(name) for name in STEM)) == 711_872
    assert round(sum(macs[name] for name in STEM) / 1e9, 3) == 1.628
    sides = {"conv1": 149, "conv2": 147, "conv3": 147, "pool": 73, "conv4": 71, "conv5": 35, "conv6": 35}
    widths = {"conv1": 32, "conv2": 32, "conv3": 64, "pool": 64, "conv4": 80, "conv5": 192, "conv6": 288}
    assert {name: shapes[name] for name in STEM} == {name: (widths[name], s, s) for name, s in sides.items()}


def test_the_factorised_net_has_the_printed_sizes_between_its_modules_and_the_printed_bound_of_parameters():
    net = meta(InceptionV2)
    shapes = walk(net, 299)[2]
    assert {shapes[f"5{letter}"] for letter in "abc"} == {(288, 35, 35)}
    assert {shapes[f"6{letter}"] for letter in "abcde"} | {shapes["down1"]} == {(768, 17, 17)}
    assert shapes["down2"] == (1280, 8, 8)
    assert shapes["7a"] == shapes["7b"] == (2048, 8, 8)
    assert parameters(net.body, net.head) < 25e6


def test_v3_as_released_has_the_parameters_operations_and_sizes_of_the_released_net():
    net = meta(InceptionV3)
    macs, _, shapes = walk(net, 299)
    assert (parameters(net.body, net.head), parameters(net.aux)) == (23_834_568, 3_326_696)
    assert macs == 5_713_216_096
    stem = ("conv1a", "conv2a", "conv2b", "pool3a", "conv3b", "conv4a", "pool5a")
    assert parameters(*(net.body.get_submodule(name) for name in stem)) == 172_672
    assert shapes["pool5a"] == (192, 35, 35)
    assert [shapes[name] for name in ("5b", "5c", "5d")] == [(256, 35, 35), (288, 35, 35), (288, 35, 35)]
    assert {shapes[f"6{letter}"] for letter in "abcde"} == {(768, 17, 17)}
    assert [shapes[name] for name in ("7a", "7b", "7c")] == [(1280, 8, 8), (2048, 8, 8), (2048, 8, 8)]


def test_v3_has_fewer_parameters_but_more_operations_than_its_paper_prints():
    net = meta(InceptionV3, aux=False)
    assert parameters(net) < 25e6
    assert round(walk(net, 299)[0] / 1e9, 1) == 5.7 != 4.8


@pytest.mark.parametrize(
    ("make", "preset", "printed", "unit"),
    [
        (GoogLeNet, {**PRESETS["torchvision"], "aux": False}, 6_624_904, 1),  # torchvision's num_params leaves aux out
        (GoogLeNet, {**PRESETS["torchvision"], "aux": False}, 6.6, 1e6),
        (InceptionV3, {}, 27_161_264, 1),  # torchvision's num_params of this one has aux in
        (InceptionV3, {}, 27.2, 1e6),
        (BNInception, {}, 11.29, 1e6),
        (BNInception, SLIM, 11.19, 1e6),
    ],
)
def test_published_parameter_counts_are_met_to_the_printed_digit(make, preset, printed, unit):
    digits = len(str(printed).partition(".")[2])
    assert round(parameters(meta(make, **preset)) / unit, digits) == printed


@pytest.mark.parametrize(
    ("make", "size", "behind", "weight"),
    [(GoogLeNet, 224, ["4a", "4d"], 0.3), (InceptionV2, 299, ["6e"], 0.4), (InceptionV3, 299, ["6e"], 0.4)],
)
def test_auxiliary_heads_answer_only_in_training_and_with_their_weight(make, size, behind, weight):
    net, x = meta(make, num_classes=7), torch.zeros(2, 3, size, size, device="meta")
    scores = net.train()(x)
    assert list(net.aux) == behind
    assert scores.logits.shape == (2, 7)
    assert [a.shape for a in scores.aux] == [(2, 7)] * len(behind)
    assert scores.weight == weight
    assert net.eval()(x).shape == (2, 7)
    assert meta(make, num_classes=7, aux=False).train()(x).shape == (2, 7)


@pytest.mark.parametrize("make", [InceptionV2, InceptionV3])
@pytest.mark.parametrize("options", [{"aux": False}, {"aux_pool": "adaptive"}])
def test_factorised_nets_train_on_images_from_75_pixels_without_the_fixed_auxiliary_pool(make, options):
    net = meta(make, num_classes=7, image_size=75, **options).train()
    for size in (75, 76, 95, 331):
        scores = net(torch.zeros(2, 3, size, size, device="meta"))
        assert (scores if options.get("aux") is False else scores.logits).shape == (2, 7)


@pytest.mark.parametrize("make", [InceptionV2, InceptionV3])
def test_a_factorised_net_says_what_to_do_about_images_too_small_for_its_auxiliary_head(make):
    with pytest.raises(FixableError, match=r"298x298 pixels(.|\n)*299x299.*75 with aux=false or aux_pool=adaptive"):
        meta(make, image_size=298)


def test_convolution_and_pool_of_the_stride_2_modules_agree_at_odd_sizes():
    net = meta(BNInception, num_classes=7, image_size=23).train()
    for size in (23, 24, 25, 31, 33, 75, 97, 225):
        assert net(torch.zeros(2, 3, size, size + 2, device="meta")).shape == (2, 7)


def test_average_pools_of_v3_count_their_padding_only_where_a_library_does():
    ours, theirs = (meta(InceptionV3, aux=False, count_padding=value) for value in (False, True))
    pool, ones = "body.5b.pool.mean", torch.ones(1, 1, 4, 4)
    assert ours.get_submodule(pool)(ones).min() == 1
    assert theirs.get_submodule(pool)(ones).min() == pytest.approx(4 / 9)
