"""The deck's two nets to the last parameter. What holds for every net is in test_every_net_keeps_the_contract.py."""

import pytest
import torch
from torch import nn

from daiving import build
from daiving.anatomy import cost
from daiving.errors import FixableError

IMAGE = (1, 28, 28)


def test_the_jump_costs_what_the_deck_says():
    found = cost(build("mnist_inception", jump=True), IMAGE)
    assert (found.parameters, found.macs) == (724_650, 16_055_424)


# facts: deck.md 3.1, the table of layers
@pytest.mark.parametrize(
    ("layer", "parameters"),
    [("conv1", 260), ("incept1", 19_104), ("conv2", 44_020), ("incept2", 19_824), ("fc", 14_090), ("conv3", 627_352)],
)
def test_each_layer_has_the_parameters_of_the_deck(layer, parameters):
    net = build("mnist_inception", jump=True)
    assert sum(p.numel() for p in net.get_submodule(layer).parameters()) == parameters


def test_the_sizes_on_the_way_are_the_decks():
    net, sizes = build("mnist_inception", jump=True), {}
    for name in ("conv1", "incept1", "conv2", "incept2", "conv3", "fc"):
        net.get_submodule(name).register_forward_hook(lambda m, i, out, name=name: sizes.update({name: out.shape[1:]}))
    net(torch.zeros(2, *IMAGE))
    assert {name: tuple(size) for name, size in sizes.items()} == {
        "conv1": (10, 24, 24),
        "incept1": (88, 12, 12),
        "conv2": (20, 8, 8),
        "incept2": (88, 4, 4),
        "conv3": (88, 4, 4),
        "fc": (10,),
    }


def test_the_module_of_the_deck_is_linear_and_with_relu_it_is_not():
    torch.manual_seed(0)
    x, y = torch.randn(2, 3, 10, 12, 12, dtype=torch.float64)
    for activation, linear in (("none", True), ("relu", False)):
        module = build("mnist_inception", activation=activation, seed=1).incept1.double()
        zero = module(torch.zeros_like(x))
        gap = (module(x + y) - module(x) - module(y) + zero).abs().max().item()
        assert (gap < 1e-12) is linear


def test_the_jump_is_one_linear_layer_from_the_first_pooled_maps():
    net = build("mnist_inception", jump=True, seed=3).double()

    def bypass(h):  # what reaches the logits by the jump alone
        return nn.functional.linear(net.conv3(net.incept1(h)).flatten(1), net.fc.weight)

    with torch.no_grad():
        inputs = torch.eye(1440, dtype=torch.float64).view(1440, 10, 12, 12)
        offset = bypass(torch.zeros(1, 10, 12, 12, dtype=torch.float64))
        matrix = bypass(inputs) - offset  # 1440 x 10
        h = torch.randn(4, 10, 12, 12, dtype=torch.float64)
        assert torch.allclose(bypass(h), h.flatten(1) @ matrix + offset, atol=1e-10)


def test_the_naive_module_has_no_convolution_in_front():
    names = dict(build("mnist_inception", module="naive").named_modules())
    assert not {"incept1.branch5x5_1", "incept1.branch3x3dbl_1", "incept1.branch_pool"} & names.keys()
    assert build("mnist_inception", module="naive").incept1.c_out == 16 + 24 + 24 + 10


@pytest.mark.parametrize(
    ("size", "jump"), [(16, False), (32, False), (64, False), (26, True), (27, True), (28, True), (29, True)]
)
def test_the_net_fits_every_size_that_it_accepts(size, jump):
    assert build("mnist_inception", jump=jump, image_size=size)(torch.zeros(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize(("size", "jump"), [(15, False), (25, True), (30, True)])
def test_the_net_says_which_sizes_fit_when_one_does_not(size, jump):
    with pytest.raises(FixableError, match=rf"cannot take images of {size}x{size}.*\n.*from 26x26 to 29x29"):
        build("mnist_inception", jump=jump, image_size=size)


def test_counting_the_cost_leaves_the_net_as_it_was():
    net = build("mnist_inception", seed=0)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    cost(net.train(), IMAGE)
    assert net.training
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
