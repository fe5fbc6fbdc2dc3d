"""Two arms with one seed share what they can share: weights by name, order, augmentation."""

import random

import numpy as np
import pytest
import torch
from conftest import batches, small
from torch import nn

from daiving import Recipe, build
from daiving.events import Step
from daiving.nets.draw import drawn
from daiving.train import fit


def weights(net):
    return {name: t.clone() for name, t in net.state_dict().items()}


def shared_are_equal(a, b):
    both = [name for name in a if name in b and a[name].shape == b[name].shape]
    assert both
    return all(torch.equal(a[name], b[name]) for name in both)


def test_two_arms_that_share_a_layer_start_with_equal_weights_in_it():
    plain = weights(build("mnist_inception", seed=5))
    jump = weights(build("mnist_inception", jump=True, seed=5))
    assert shared_are_equal(plain, jump)
    assert {name.partition(".")[0] for name in jump.keys() - plain.keys()} == {"conv3"}


class Chain(nn.Module):
    """A net with layers of every kind of initialisation; `extra` adds one in the middle."""

    def __init__(self, extra=False):
        super().__init__()
        self.first = nn.Linear(6, 6)
        if extra:
            self.extra = nn.LSTM(6, 6)
        self.conv = nn.Conv1d(6, 6, 3)
        self.scale = nn.Parameter(torch.randn(6) * 0.02 + 1)  # drawn outside a layer, then computed with
        self.orthogonal = nn.Linear(6, 6)
        nn.init.orthogonal_(self.orthogonal.weight)  # drawn into a temporary, then copied
        nn.init.trunc_normal_(self.orthogonal.bias)
        self.table = nn.Embedding(9, 6)
        self.register_buffer("fixed", torch.rand(4))


def test_adding_a_layer_to_one_arm_changes_nothing_in_the_other():
    assert shared_are_equal(weights(drawn(Chain, 7)), weights(drawn(lambda: Chain(extra=True), 7)))


def test_layers_of_one_shape_are_drawn_apart():
    net = drawn(Chain, 7)
    assert not torch.equal(net.first.weight, net.orthogonal.weight)
    assert not torch.equal(net.first.weight, drawn(Chain, 8).first.weight)


@pytest.mark.parametrize("name", ["majority", "logistic", "mnist_inception"])  # the contract has the others
def test_the_same_seed_gives_the_same_weights(name):
    assert shared_are_equal(weights(build(name, seed=3)), weights(build(name, seed=3)))


def test_the_nets_own_initialisation_is_kept():
    net = drawn(lambda: nn.Sequential(*(nn.Linear(400, 400) for _ in range(4))), 0)
    bound = 1 / 400**0.5  # of nn.Linear
    for layer in net:
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    wide = torch.cat([layer.weight.flatten() for layer in net])
    assert abs(wide.mean().item()) < 4 * bound / 3**0.5 / len(wide) ** 0.5


def test_orthogonal_weights_are_still_orthogonal():
    w = drawn(Chain, 2).orthogonal.weight
    assert torch.allclose(w @ w.T, torch.eye(6), atol=1e-5)


def test_tied_weights_stay_tied():
    def tied():
        a, b = nn.Linear(5, 5), nn.Linear(5, 5)
        b.weight = a.weight
        return nn.ModuleList([a, b])

    net = drawn(tied, 1)
    assert net[0].weight is net[1].weight


def test_building_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    expected = torch.rand(3), np.random.rand(3), random.random()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    build("mnist_inception", seed=9)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])
    assert random.random() == expected[2]


def test_order_and_shifts_depend_on_seed_and_epoch_alone(digits):
    train, _, _ = batches(small(digits), Recipe(shift=2, batch=32))
    first = [x for x, _ in train.shuffled(4, 1)]
    torch.rand(1000)  # whatever else has drawn random numbers in between
    again = [x for x, _ in train.shuffled(4, 1)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (train.shuffled(4, 2), train.shuffled(5, 1)):
        assert not torch.equal(first[0], next(other)[0])


def test_every_example_comes_once_in_an_epoch(digits):
    train, _, _ = batches(small(digits), Recipe(batch=50))
    seen = torch.cat([x for x, _ in train.shuffled(0, 1)])
    whole = torch.cat([x for x, _ in train.in_order()])
    assert sorted(map(hash_of, seen)) == sorted(map(hash_of, whole))


def hash_of(x):
    return hash(x.contiguous().numpy().tobytes())


def test_shifts_move_each_image_by_whole_pixels_within_their_bound():
    from daiving.tasks.batches import generator, shifted

    x = torch.zeros(200, 2, 9, 9)
    x[:, :, 4, 4] = torch.tensor([1.0, 2.0])
    moved = shifted(x, 3, generator(0, 1, "augmentation"))
    assert moved.shape == x.shape
    assert moved.sum().item() == 200 * 3  # nothing left the picture
    where = moved[:, 0].nonzero()[:, 1:] - 4
    assert where.abs().max() == 3
    assert torch.equal(moved[:, 0].nonzero(), moved[:, 1].nonzero())
    assert len({tuple(row) for row in where.tolist()}) > 30


class Noisy(nn.Module):
    """A linear net, with dropout or without."""

    def __init__(self, dropout):
        super().__init__()
        self.fc = nn.Linear(784, 10)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return self.fc(self.drop(x.flatten(1)))


def test_dropout_in_one_arm_leaves_the_batches_of_the_other_alone(digits):
    recipe = Recipe(epochs=1, batch=64, shift=1)
    seen = []
    for dropout in (0.0, 0.5):
        train, val, _ = batches(small(digits), recipe)
        net, inputs = drawn(lambda p=dropout: Noisy(p), 1), []
        net.register_forward_pre_hook(lambda m, x, kept=inputs: kept.append(x[0].clone()) if m.training else None)
        steps = [event for event in fit(net, train, val, recipe, 1) if isinstance(event, Step)]
        seen.append((inputs, steps))
    (plain, plain_steps), (dropped, dropped_steps) = seen
    assert all(torch.equal(a, b) for a, b in zip(plain, dropped, strict=True))
    assert plain_steps[0].loss != dropped_steps[0].loss
