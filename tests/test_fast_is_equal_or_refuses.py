"""`fast` answers as the net does, is really another net, and refuses where it cannot prove itself equal."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.faster import fast
from daiving.nets import NETS
from daiving.nets.build import build
from daiving.nets.layers import Input

# One net of each class and kind of block, with its smallest images: the deeper ones are the same parts more often.
CASES = {
    "googlenet": ({"aux": False}, 31),
    "bn_inception": ({}, 23),
    "inception_v2": ({"aux": False}, 75),
    "inception_v3": ({"aux": False}, 75),
    "inception_v4": ({}, 75),
    "inception_resnet_v1": ({}, 75),
    "inception_resnet_v2": ({"form": "released"}, 75),
    "plain18": ({}, 17),
    "cifar_plain": ({"depth": 8}, 8),
    "cifar_resnet": ({"depth": 8}, 8),
    "resnet34": ({"shortcut": "C"}, 17),
    "resnet50": ({"stride_on": "3x3"}, 17),
    "cifar_preact": ({"depth": 11}, 8),
    "preact_resnet50": ({}, 17),
    "densenet121": ({"checkpointed": True}, 29),
    "cifar_densenet": ({"depth": 16, "preset": "BC"}, 8),
}
# 1x1 convolutions: the net's, and those of its fast form, where all that read one map are one
POINTWISE = {"googlenet": (38, 20), "bn_inception": (37, 12), "inception_v3": (40, 12)}


# The check of annotations, which only tests have, takes the tracer's stand-ins for mistakes.
pytestmark = pytest.mark.usefixtures("types_unchecked")


def lively(net: nn.Module, x: Tensor) -> nn.Module:
    """As a training leaves it: averages of what went through, norms that are not the identity."""
    torch.manual_seed(0)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        net.train()(x)
    for m in norms:
        m.running_var *= torch.empty_like(m.running_var).uniform_(0.7, 1.4)
        nn.init.uniform_(m.weight, 0.7, 1.4)
        nn.init.normal_(m.bias, 0, 0.2)
    return net


def made(name: str, **more: object) -> tuple[nn.Module, int]:
    options, size = CASES[name]
    net = build(name, seed=0, num_classes=10, image_size=size, **options | more)
    return lively(net, torch.randn(2, 3, size + 1, size)), size


@torch.no_grad()
def apart(a: nn.Module, b: nn.Module, x: Tensor) -> float:
    """The largest difference of an answer, relative to the largest answer."""
    ours, theirs = a(x), b(x)
    assert len(x) == 1 or (theirs[0] - theirs[1]).abs().max() > 0.01 * theirs.abs().max()  # else this shows nothing
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def pointwise(net: nn.Module) -> int:
    return sum(isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) for m in net.modules())


def norms_behind_convolutions(net: torch.fx.GraphModule) -> list[str]:
    modules = dict(net.named_modules())
    calls = [node for node in net.graph.nodes if node.op == "call_module"]
    return [
        str(node.target)
        for node in calls
        if isinstance(modules[node.target], nn.BatchNorm2d) and isinstance(modules.get(node.args[0].target), nn.Conv2d)
    ]


@pytest.mark.parametrize("name", list(CASES))
def test_the_fast_net_answers_as_the_net_does_at_every_size_and_leaves_it_as_it_was(name):
    net, size = made(name)
    net.train()
    next(iter(net.children())).eval()
    before = {key: t.clone() for key, t in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    quick = fast(net)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(t, before[key]) for key, t in net.state_dict().items())
    assert not {t.data_ptr() for t in quick.parameters()} & {t.data_ptr() for t in net.parameters()}
    assert not quick.training
    net.eval()
    for shape in ((2, size, size), (1, size + 6, size + 3)):
        x = torch.randn(shape[0], 3, *shape[1:])
        assert apart(quick, net, x) < 1e-4
    assert norms_behind_convolutions(quick) == []
    assert pointwise(quick) <= pointwise(net)


def test_every_kind_of_net_of_the_table_is_here():
    def kind(name: str) -> tuple[str, object]:
        return NETS[name].where, NETS[name].fixed.get("shortcut")

    without = {"majority", "logistic", "mnist_inception"}  # below, with their shape
    assert {kind(name) for name, net in NETS.items() if net.takes == "images" and name not in without} == {
        kind(name) for name in CASES
    }


@pytest.mark.parametrize("name", list(POINTWISE))
def test_parallel_1x1_convolutions_of_one_map_are_one(name):
    net, _ = made(name)
    assert (pointwise(net), pointwise(fast(net))) == POINTWISE[name]


@pytest.mark.parametrize("count_padding", [True, False])
def test_a_1x1_stands_in_front_of_its_mean_pool_and_borders_are_right(count_padding):
    net, size = made("inception_v3", count_padding=count_padding)
    net.eval()
    quick = fast(net)
    modules = dict(quick.named_modules())
    pools = [node for node in quick.graph.nodes if isinstance(modules.get(node.target), nn.AvgPool2d)]
    same_size = [node for node in pools if modules[node.target].stride in (1, (1, 1))]
    assert len(same_size) == 9
    for node in same_size:  # what it reads is a share of a joint 1x1
        share = node.args[0]
        assert share.target == "narrow"
        assert modules[share.args[0].target].kernel_size == (1, 1)
    x = torch.randn(2, 3, size, size + 5)
    assert apart(quick, net, x) < 1e-5


@pytest.mark.parametrize("count_padding", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, 2), (3, 0), ((1, 5), (0, 2))])
def test_a_mean_pool_and_a_1x1_change_places_to_the_last_pixel(count_padding, bias, kernel, padding):
    pool = nn.AvgPool2d(kernel, 1, padding, count_include_pad=count_padding)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), pool, nn.Conv2d(8, 4, 1, bias=bias), nn.BatchNorm2d(4))
    net = lively(net, torch.randn(4, 3, 9, 9)).eval()
    quick = fast(net, (3, 9, 9))
    order = [type(dict(quick.named_modules()).get(node.target)).__name__ for node in quick.graph.nodes]
    assert order.index("AvgPool2d") > len(order) - 1 - order[::-1].index("Conv2d")
    with torch.no_grad():
        for size in ((9, 9), (7, 12)):
            x = torch.randn(2, 3, *size)
            assert torch.allclose(quick(x), net(x), atol=1e-5)


def test_a_pool_that_strides_or_that_others_read_too_stays_where_it_is():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.mix = nn.AvgPool2d(3, 1, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.pool(x)
            return self.mix(x) + x

    for net in (nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 4, 1)), Shared()):
        quick = fast(net, (3, 8, 8))
        kinds = [type(dict(quick.named_modules()).get(node.target)).__name__ for node in quick.graph.nodes]
        assert kinds.index("AvgPool2d") < kinds.index("Conv2d")


@pytest.mark.parametrize("options", [{}, {"activation": "relu"}, {"jump": True}, {"module": "naive"}])
def test_the_lectures_net_is_made_faster_with_its_shape(options):
    net = build("mnist_inception", seed=0, **options).eval()
    assert apart(fast(net, (1, 28, 28)), net, torch.randn(4, 1, 28, 28)) < 1e-4


class Mine(nn.Module):
    """A user's net: functional, a norm used twice, a convolution that two parts read."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.norm, self.twice = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.left, self.right = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1, bias=False)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(input=self.first(x)))
        x = self.twice(self.twice(x))
        x = torch.cat([self.left(x) * self.right(x), self.grouped(x), self.left(x)], 1)
        return self.fc(x.mean((2, 3)))


def test_a_net_of_your_own_is_made_faster_with_its_shape():
    net = lively(Mine(), torch.randn(4, 2, 8, 8)).eval()
    quick = fast(net, (2, 8, 8))
    assert apart(quick, net, torch.randn(3, 2, 9, 7)) < 1e-4
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        for p in quick.parameters():
            p.zero_()
    assert all(torch.equal(t, before[key]) for key, t in net.state_dict().items())


def test_wrong_images_still_get_three_sentences():
    quick = fast(made("googlenet")[0])
    assert any(isinstance(m, Input) for m in quick.modules())
    with pytest.raises(FixableError, match="was given images of 1 channels"):
        quick(torch.randn(1, 1, 40, 40))
    with pytest.raises(FixableError, match="cannot take images of 30x40 pixels"):
        quick(torch.randn(1, 3, 30, 40))


class Branches(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else -x)


class Table(nn.Sequential):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"scores": super().forward(x)}


class Shouts(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if self.training else 1) + torch.randn(())


def small(kind: type[nn.Sequential] = nn.Sequential, value: float | None = None) -> nn.Module:
    net = kind(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if value is not None:
        nn.init.constant_(net[0].weight, value)
    return net


@pytest.mark.parametrize(
    ("net", "shape", "wrong", "expected", "fix"),
    [
        (small(Branches), (3, 8, 8), "The graph of this net cannot be read: ", "does not depend on", "as it is"),
        (small(), None, "It is not known which images this net takes.", "shape=(channels, height, width)", "3, 224"),
        (small(value=float("nan")), (3, 8, 8), "answers otherwise: by nan", "a difference below 0.0001", "not finite"),
        (small(value=float("inf")), (3, 8, 8), "answers otherwise: by nan", "a difference below 0.0001", "not finite"),
        (small(value=0.0).eval(), (3, 8, 8), None, None, None),
        (small(Shouts), (3, 8, 8), "answers otherwise: by ", "a difference below 0.0001", "as it is"),
        (small(Table), (3, 8, 8), "answers with a dict", "one tensor", "as it is"),
    ],
)
def test_what_cannot_be_proved_is_refused_in_three_sentences(net, shape, wrong, expected, fix):
    if wrong is None:  # zero weights and a bias: nothing to refuse
        assert fast(net, shape)(torch.randn(1, 3, 8, 8)).shape == (1, 4)
        return
    with pytest.raises(FixableError) as caught:
        fast(net, shape)
    error = caught.value
    assert wrong in error.wrong
    assert expected in error.expected
    assert fix in error.fix
    assert all(text.endswith(".") for text in (error.wrong, error.expected, error.fix))


def test_a_rewrite_that_is_wrong_would_be_found(monkeypatch):
    from daiving import faster as module

    monkeypatch.setattr(module, "fuse_conv_bn_eval", lambda conv, norm: conv)
    with pytest.raises(FixableError, match="The faster form of this net answers otherwise"):
        fast(made("cifar_resnet")[0])


def test_a_fast_net_answers_outside_of_no_grad_too_and_keeps_no_gradient():
    net, _ = made("inception_v3")
    x = torch.randn(1, 3, 96, 96, requires_grad=True)
    quick = fast(net)
    quick(x).sum().backward()  # of its input, for who asks what the net looks at
    assert x.grad is not None
    assert not any(p.requires_grad for p in quick.parameters())
