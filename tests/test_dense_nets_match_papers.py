"""Dense nets to the last parameter and multiply-add, and training that keeps less in memory but changes nothing."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from daiving.errors import FixableError
from daiving.nets.densenet import TABLE_1, Composite, DenseBlock, DenseNet
from daiving.nets.densenet_cifar import CifarDenseNet

BC = {"bottleneck": True, "compression": 0.5}
SMALL = {"depth": 22, "growth": 6, **BC}


def counted(kind: type[nn.Module], size: int, **options) -> tuple[int, int, int]:
    """Parameters, multiply-adds of one image, channels that reach the linear layer; nothing is computed."""
    with torch.device("meta"):
        net = kind(**options).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(torch.zeros(1, 3, size, size))
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2, net.head.fc.in_features


# facts: zoo.md 2.7; the paper's Table 1 says 8, 14, 20, 33 M, and has no 161
@pytest.mark.parametrize(
    ("depth", "growth", "parameters", "macs", "channels"),
    [
        (121, 32, 7_978_856, 2_834_161_664, 1024),
        (161, 48, 28_681_000, 7_727_907_072, 2208),
        (169, 32, 14_149_480, 3_359_843_328, 1664),
        (201, 32, 20_013_928, 4_291_365_888, 1920),
        (264, 32, 33_337_704, 5_751_653_376, 2688),
    ],
)
def test_a_net_for_photos_costs_what_the_paper_says(depth, growth, parameters, macs, channels):
    assert counted(DenseNet, 224, depth=depth, growth=growth) == (parameters, macs, channels)


# facts: zoo.md 2.7; the paper's Table 2 says 1.0, 7.0, 27.2, 0.8, 15.3, 25.6 M
@pytest.mark.parametrize(
    ("options", "parameters", "of_100_classes", "macs", "channels"),
    [
        ({"depth": 40, "growth": 12}, 1_019_722, 1_060_132, 264_812_928, 448),
        ({"depth": 100, "growth": 12}, 6_979_642, 7_084_852, 1_769_516_448, 1168),
        ({"depth": 100, "growth": 24}, 27_249_082, 27_457_972, 6_889_347_744, 2320),
        ({"depth": 100, "growth": 12, **BC}, 769_162, 800_032, 287_929_692, 342),
        ({"depth": 250, "growth": 24, **BC}, 15_324_406, 15_480_556, 5_418_785_724, 1734),
        ({"depth": 190, "growth": 40, **BC}, 25_624_430, 25_821_620, 9_301_945_740, 2190),
    ],
)
def test_a_net_for_thumbnails_costs_what_the_paper_says(options, parameters, of_100_classes, macs, channels):
    assert counted(CifarDenseNet, 32, **options) == (parameters, macs, channels)
    # The linear layer alone knows of the classes; building the small ones is enough to see it.
    assert parameters + 90 * (channels + 1) == of_100_classes
    if parameters < 2e6:
        assert counted(CifarDenseNet, 32, num_classes=100, **options)[0] == of_100_classes


@pytest.mark.parametrize(
    ("depth", "growth", "parameters"), [(40, 12, 1_059_298), (100, 12, 7_083_538), (100, 24, 28_071_706)]
)
def test_the_authors_code_has_a_wider_stem_than_the_paper(depth, growth, parameters):
    assert counted(CifarDenseNet, 32, depth=depth, growth=growth, stem_channels=2 * growth)[0] == parameters


def test_timms_264_is_another_net_than_the_papers():
    with torch.device("meta"):
        net = DenseNet(depth=264, growth=48, stem="deep")
    parameters = sum(p.numel() for p in net.parameters())
    assert (round(parameters / 1e6, 1), net.head.fc.in_features) == (72.7, 4032)


def test_the_sizes_on_the_way_are_those_of_table_1():
    sizes = {}
    with torch.device("meta"):
        net = DenseNet().eval()
        for name, part in net.body.named_children():
            part.register_forward_hook(lambda m, i, out, name=name: sizes.update({name: tuple(out.shape[1:])}))
        net(torch.zeros(1, 3, 224, 224))
    assert sizes == {
        "stem": (64, 56, 56),
        "block1": (256, 56, 56),
        "transition1": (128, 28, 28),
        "block2": (512, 28, 28),
        "transition2": (256, 14, 14),
        "block3": (1024, 14, 14),
        "transition3": (512, 7, 7),
        "block4": (1024, 7, 7),
        "norm": (1024, 7, 7),
        "relu": (1024, 7, 7),
    }


def test_a_depth_counts_the_layers_that_have_weights():
    found = {depth: 2 * sum(layers) + 5 for depth, layers in TABLE_1.items()}  # stem, three transitions, linear layer
    assert found == {121: 121, 161: 161, 169: 169, 201: 201, 264: 265}  # the paper's own arithmetic for the last


def test_a_block_grows_by_the_same_number_of_channels_each_layer():
    """The paper's figure 1 and the deck's: k0 = 6, k = 4."""
    block, grown = DenseBlock(6, 4, growth=4, bottleneck=False).eval(), []
    for part in block.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_pre_hook(lambda m, given: grown.append(given[0].shape[1]))
    assert [*grown, block(torch.zeros(1, 6, 5, 5)).shape[1]] == [22]
    assert grown == [6, 10, 14, 18]
    assert block.c_out == 22


@pytest.mark.parametrize("bottleneck", [False, True])
def test_each_layer_reads_the_maps_of_all_layers_before_it(bottleneck):
    block, read, given = DenseBlock(6, 4, 4, bottleneck).eval(), [], []

    def tap(layer: nn.Module, taken: tuple, out: Tensor) -> None:
        read.append(taken[0])
        given.append(out)

    for name in block.names:
        block.get_submodule(name).register_forward_hook(tap)
    x = torch.randn(2, 6, 5, 5)
    out = block(x)
    for i, maps in enumerate(read):
        assert [id(m) for m in maps] == [id(m) for m in (x, *given[:i])]
    assert torch.equal(out, torch.cat([x, *given], 1))


def test_the_weights_are_drawn_as_the_authors_draw_them():
    torch.manual_seed(0)
    net = DenseNet()
    conv = net.body.block3.layer24.full.conv
    assert conv.weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.02)
    assert not net.head.fc.bias.any()
    assert all((m.weight == 1).all() and not m.bias.any() for m in net.modules() if isinstance(m, nn.BatchNorm2d))


def twins(**options) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = CifarDenseNet(**options)
    checkpointed = CifarDenseNet(checkpointed=True, **options)
    checkpointed.load_state_dict(copy.deepcopy(plain.state_dict()))
    return plain, checkpointed


def stepped(net: nn.Module, x: Tensor, backwards: int = 1) -> Tensor:
    torch.manual_seed(1)
    out = net(x)
    for turn in range(backwards):
        out.square().mean().backward(retain_graph=turn + 1 < backwards)
    return out


def assert_same_step(plain: nn.Module, checkpointed: nn.Module, **how) -> None:
    x = torch.randn(4, 3, 16, 16)
    assert torch.equal(stepped(plain, x, **how), stepped(checkpointed, x, **how))
    for (name, p), q in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad), name
    for (name, p), q in zip(plain.named_buffers(), checkpointed.buffers(), strict=True):
        assert torch.equal(p, q), name


@pytest.mark.parametrize("options", [{"depth": 13}, SMALL, {"dropout": 0.3, **SMALL}])
def test_a_checkpointed_step_is_the_plain_one_bit_for_bit(options):
    plain, checkpointed = twins(**options)
    assert_same_step(plain, checkpointed)
    norms = [m for m in checkpointed.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {m.num_batches_tracked.item() for m in norms} == {1}


def test_a_checkpointed_step_may_go_backward_twice():
    assert_same_step(*twins(**SMALL), backwards=2)


def test_a_checkpointed_step_leaves_norms_alone_that_are_frozen():
    plain, checkpointed = twins(**SMALL)
    for m in (*plain.modules(), *checkpointed.modules()):
        if isinstance(m, nn.BatchNorm2d):
            m.eval()
    assert_same_step(plain, checkpointed)


def test_a_checkpointed_net_evaluated_before_the_backward_pass_has_the_same_gradients():
    plain, checkpointed = twins(**SMALL)
    x = torch.randn(4, 3, 16, 16)
    for net in (plain, checkpointed):
        out = net(x)
        net.eval()
        out.square().mean().backward()
        assert not any(m.training for m in net.modules())
    assert all(torch.equal(p.grad, q.grad) for p, q in zip(plain.parameters(), checkpointed.parameters(), strict=True))


def test_a_backward_pass_that_fails_leaves_a_checkpointed_net_whole():
    _, net = twins(**SMALL)
    out, before = net(torch.randn(4, 3, 16, 16)), dict(net.named_buffers())
    values = {name: t.clone() for name, t in before.items()}

    def fail(*_):
        raise RuntimeError("no memory left")

    net.body.block2.layer1.reduce.norm.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="no memory left"):
        out.sum().backward()
    for name, t in net.named_buffers():
        assert t is before[name], name
        assert torch.equal(t, values[name]), name
    assert all(m.training for m in net.modules())


def saved_bytes(net: nn.Module, x: Tensor) -> int:
    weights, kept = {p.untyped_storage().data_ptr() for p in net.parameters()}, {}

    def keep(t: Tensor) -> Tensor:
        kept[t.untyped_storage().data_ptr()] = t  # held, so that no address is given twice
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        held = net(x)
    assert held.requires_grad
    return sum(t.untyped_storage().nbytes() for address, t in kept.items() if address not in weights)


@pytest.mark.parametrize("options", [{}, {"depth": 100, **BC}], ids=["plain", "BC"])
def test_a_checkpointed_net_for_thumbnails_keeps_at_most_half(options):
    plain, checkpointed = twins(**options)
    x = torch.randn(2, 3, 16, 16)
    assert saved_bytes(checkpointed, x) <= 0.5 * saved_bytes(plain, x)


def test_a_checkpointed_net_for_photos_keeps_at_most_half():
    x = torch.randn(2, 3, 64, 64)
    assert saved_bytes(DenseNet(checkpointed=True), x) <= 0.5 * saved_bytes(DenseNet(), x)


def test_a_checkpointed_net_runs_plainly_where_there_is_no_backward_pass(monkeypatch):
    def refused(*_, **__):
        raise AssertionError("checkpointed")

    plain, net = twins(**SMALL)
    monkeypatch.setattr("daiving.nets.densenet.checkpoint", refused)
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        net(x), plain(x)
    assert torch.equal(net.eval()(x), plain.eval()(x))
    with pytest.raises(AssertionError, match="checkpointed"):
        net.train()(x)


def test_dropout_follows_every_convolution_but_the_first():
    net = DenseNet(dropout=0.2)
    parts = [m for m in net.modules() if isinstance(m, Composite)]
    assert len(parts) == 119  # of 120 convolutions
    assert all(list(dict(m.named_children()))[-2:] == ["conv", "dropout"] for m in parts)


def test_every_part_that_runs_is_in_the_wiring():
    for m in CifarDenseNet(**SMALL, dropout=0.1).modules():
        if isinstance(m, Composite):
            assert m.wiring() == [name for name, _ in m.named_children()]
        if isinstance(m, DenseBlock):
            (fork,) = m.wiring()
            assert (fork.kind, fork.join) == ("dense", "concat")
            assert [*fork.arms, "concat"] == [name for name, _ in m.named_children()]


@pytest.mark.parametrize(
    ("make", "wrong", "fix"),
    [
        (lambda: DenseNet(depth=160), "The net 'densenet' cannot be 160 layers deep.", "depth=161"),
        (lambda: CifarDenseNet(depth=41), "The net 'cifar_densenet' cannot be 41 layers deep.", "depth=40 or 43."),
        (lambda: CifarDenseNet(depth=103, **BC), "cannot be 103 layers deep with bottleneck.", "depth=100 or 106."),
        (lambda: CifarDenseNet(depth=2), "cannot be 2 layers deep.", "depth=7."),
        (lambda: CifarDenseNet(growth=0), "growth=0", "compression 0.5"),
        (lambda: CifarDenseNet(compression=1.5), "compression=1.5", "compression 0.5"),
        (lambda: CifarDenseNet(compression=0.001), "compression=0.001", "compression 0.5"),
        (lambda: DenseNet(image_size=28), "28x28", "29 pixels"),
        (lambda: CifarDenseNet(image_size=3), "3x3", "4 pixels"),
    ],
)
def test_an_impossible_net_is_refused_in_three_sentences(make, wrong, fix):
    with pytest.raises(FixableError) as caught:
        make()
    error = caught.value
    assert wrong in error.wrong
    assert fix in error.fix
    assert all(part.endswith(".") for part in (error.wrong, error.expected, error.fix))


@pytest.mark.parametrize(("kind", "sizes"), [(DenseNet, (29, 37)), (CifarDenseNet, (4, 5, 31))])
def test_a_net_trains_from_its_smallest_size_up(kind, sizes):
    net = kind(image_size=sizes[0], checkpointed=True)
    for size in sizes:
        net(torch.randn(2, 3, size, size)).sum().backward()
