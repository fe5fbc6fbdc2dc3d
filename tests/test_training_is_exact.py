"""`fit`: what a plain loop does, no more; resumed bit for bit; honest about validation and divergence."""

import inspect
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import batches, small
from torch import nn

from daiving import Recipe, build
from daiving.events import Ended, Epoch, Step
from daiving.nets.draw import drawn
from daiving.recipe import RECIPES
from daiving.study.keep import keep, resume
from daiving.tasks.data import Examples, pack
from daiving.train import State, evaluate, fit, rate

SHORT = Recipe(epochs=3, batch=32, lr=0.01)


def run(data, recipe, seed=0, net=None, state=None):
    train, val, _ = batches(data, recipe)
    net = net or build("logistic", seed=seed)
    return net, list(fit(net, train, val, recipe, seed, state))


def test_the_deck_recipe_does_what_a_plain_loop_does(digits):
    data, recipe = small(digits), RECIPES["deck"][0].but(epochs=2)
    ours, events = run(data, recipe, net=build("mnist_inception", seed=4), seed=4)
    train, _, _ = batches(data, recipe)
    plain, losses, epochs = build("mnist_inception", seed=4), [], []
    sgd = torch.optim.SGD(plain.parameters(), lr=0.01, momentum=0.5)
    for epoch in (1, 2):
        for x, y in train.shuffled(4, epoch):
            loss = F.cross_entropy(plain(x), y)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            losses.append(loss.item())
        epochs.append({name: t.clone() for name, t in plain.state_dict().items()})
    assert [e.loss for e in events if isinstance(e, Step)] == pytest.approx(losses, rel=1e-5)
    best = min((e for e in events if isinstance(e, Epoch)), key=lambda e: e.val_loss).epoch
    for name, t in ours.state_dict().items():
        assert torch.allclose(t, epochs[best - 1][name], atol=1e-6)


@pytest.mark.parametrize("recipe", [SHORT, SHORT.but(optimizer="sgd", ema=0.0), SHORT.but(epochs=2.4, shift=1)])
@pytest.mark.parametrize("stop", [1, 2])
def test_a_resumed_run_is_bit_for_bit_the_run_that_was_never_stopped(digits, tmp_path, recipe, stop):
    class Net(nn.Sequential):  # convolution, batch norm and dropout: all that could carry hidden state
        def __init__(self):
            super().__init__(
                nn.Conv2d(1, 4, 5, stride=4),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Flatten(),
                nn.Dropout(0.3),
                nn.Linear(144, 10),
            )

    data = small(digits)
    whole, events = run(data, recipe, net=drawn(Net, 1))
    train, val, _ = batches(data, recipe)
    state, seen = State(), []
    for event in keep(tmp_path, fit(drawn(Net, 1), train, val, recipe, 0, state), state):
        seen.append(event)
        if isinstance(event, Epoch) and event.epoch == stop:
            break
    back, state = drawn(Net, 99), resume(tmp_path)
    seen += list(keep(tmp_path, fit(back, train, val, recipe, 0, state), state))
    assert [timeless(e) for e in seen] == [timeless(e) for e in events]
    for name, t in whole.state_dict().items():
        assert torch.equal(t, back.state_dict()[name]), name


def timeless(event):
    return {key: value for key, value in vars(event).items() if key != "seconds"}


def test_fit_cannot_see_the_test_split():
    assert not [name for name in inspect.signature(fit).parameters if "test" in name]


def test_the_net_ends_with_the_weights_that_were_best_on_validation(digits):
    recipe = SHORT.but(epochs=6, lr=0.2, ema=0.0, schedule="constant")
    net, events = run(small(digits), recipe)
    epochs = [e for e in events if isinstance(e, Epoch)]
    best = min(epochs, key=lambda e: e.val_loss)
    assert best.epoch != 6  # else this test would show nothing
    _, val, _ = batches(small(digits), recipe)
    assert evaluate(net, val).loss == pytest.approx(best.val_loss, rel=1e-6)
    assert [e.best for e in epochs] == [
        e.val_loss < min((p.val_loss for p in epochs[:i]), default=math.inf) for i, e in enumerate(epochs)
    ]


def test_a_loss_that_is_not_a_number_ends_the_run_and_says_where(digits):
    class Explodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.calls = nn.Linear(784, 10), 0

        def forward(self, x):
            self.calls += self.training
            return self.fc(x.flatten(1)) * (math.inf if self.calls == 5 else 1)

    _, events = run(small(digits), SHORT, net=Explodes())
    assert isinstance(events[-1], Ended)
    assert (events[-1].reason, events[-1].detail) == ("diverged", "the loss of step 5 is not finite")
    assert sum(isinstance(e, Step) for e in events) == 4


def test_a_step_that_is_not_finite_never_reaches_the_weights(digits):
    class BadGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.nan

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(784, 10)

        def forward(self, x):
            return BadGradient.apply(self.fc(x.flatten(1)))

    net, events = run(small(digits), SHORT, net=Net())
    assert events[-1].detail == "the gradient of step 1 is not finite"
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_clipping_bounds_the_step_and_the_event_has_the_norm_before_it(digits):
    recipe = SHORT.but(epochs=0.1, optimizer="sgd", momentum=0.0, ema=0.0, schedule="constant", lr=1.0, clip=0.01)
    net = build("logistic", seed=0)
    before = [p.detach().clone() for p in net.parameters()]
    _, events = run(small(digits), recipe.but(epochs=0.125), net=net)
    assert events[0].grad_norm > 0.1
    moved = math.sqrt(sum((p - q).square().sum().item() for p, q in zip(net.parameters(), before, strict=True)))
    assert moved == pytest.approx(0.01, rel=1e-3)  # one step of lr 1 along a gradient of that norm


def test_the_running_mean_is_what_validation_scores(digits):
    recipe = SHORT.but(epochs=1, ema=0.9)
    train, val, _ = batches(small(digits), recipe)
    net, mean = build("logistic", seed=0), None
    for event in fit(net, train, val, recipe, 0):
        if isinstance(event, Step):
            decay = min(0.9, event.step / (event.step + 9))
            now = {name: p.detach().clone() for name, p in net.named_parameters()}
            start = {name: p.detach().clone() for name, p in build("logistic", seed=0).named_parameters()}
            mean = {name: decay * (mean or start)[name] + (1 - decay) * now[name] for name in now}
    assert all(torch.allclose(p, mean[name], atol=1e-6) for name, p in net.named_parameters())


class Tied(nn.Module):
    """Two layers with one weight between them."""

    def __init__(self):
        super().__init__()
        self.front, self.a, self.b, self.head = (
            nn.Linear(784, 12),
            nn.Linear(12, 12),
            nn.Linear(12, 12),
            nn.Linear(12, 10),
        )
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.head(self.b(self.a(self.front(x.flatten(1)).relu()).relu()))


def test_tied_weights_are_averaged_as_others_are(digits):
    net, means = drawn(Tied, 0), {}
    train, val, _ = batches(small(digits), SHORT)
    for event in fit(net, train, val, SHORT.but(epochs=1), 0):
        if isinstance(event, Step):
            decay = min(SHORT.ema, event.step / (event.step + 9))
            start = drawn(Tied, 0).a.weight.detach()
            means = decay * (means if event.step > 1 else start) + (1 - decay) * net.a.weight.detach()
    assert net.a.weight is net.b.weight
    assert torch.allclose(net.a.weight, means, atol=1e-6)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_run_stopped_after_an_epoch_without_a_finite_validation_says_the_same_when_it_goes_on(
    digits, tmp_path, epochs
):
    class Blind(nn.Linear):
        def __init__(self):
            super().__init__(784, 10)

        def forward(self, x):
            return super().forward(x.flatten(1)) * (1 if self.training else math.nan)

    recipe, data = SHORT.but(epochs=epochs), small(digits)
    _, whole = run(data, recipe, net=drawn(Blind, 0))
    train, val, _ = batches(data, recipe)
    state = State()
    for event in keep(tmp_path, fit(drawn(Blind, 0), train, val, recipe, 0, state), state):
        if isinstance(event, Epoch):
            break
    state = resume(tmp_path)
    assert list(fit(drawn(Blind, 0), train, val, recipe, 0, state)) == [whole[-1]]
    assert whole[-1] == Ended("diverged", 8, "the validation loss of epoch 1 is not finite")


def test_one_cycle_goes_up_to_the_peak_and_down_to_nothing():
    recipe = Recipe(lr=0.4, warmup=0.25)
    rates = [rate(recipe, step, 1000, 100) for step in range(1000)]
    top = rates.index(max(rates))
    assert rates == sorted(rates[: top + 1]) + sorted(rates[top + 1 :], reverse=True)
    assert (top, max(rates)) == (pytest.approx(250, abs=1), pytest.approx(0.4, rel=1e-3))
    assert rates[-1] < 1e-5
    assert rate(recipe.but(schedule="constant"), 999, 1000, 100) == 0.4


@pytest.mark.parametrize(("epochs", "steps"), [(0.5, 4), (1.0, 8), (1.25, 10), (3.0, 24)])
def test_a_fraction_of_an_epoch_is_that_share_of_its_steps(digits, epochs, steps):
    _, events = run(small(digits), SHORT.but(epochs=epochs))
    assert sum(isinstance(e, Step) for e in events) == steps
    assert [e.epoch for e in events if isinstance(e, Epoch)] == list(range(1, math.ceil(epochs) + 1))


def test_bfloat16_trains_and_answers_in_float32(digits):
    net, events = run(small(digits), SHORT.but(format="bfloat16", batch=64))
    assert events[-1].reason == "finished"
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_every_example_counts_alike_in_a_score(digits):
    recipe = Recipe()
    data = small(digits, val=61)
    _, val, _ = batches(data, recipe)
    net = build("logistic", seed=0)
    score = evaluate(net, val)
    with torch.no_grad():
        logits = torch.cat([net(x) for x, _ in val.in_order(7)])
    assert score.loss == pytest.approx(F.cross_entropy(logits, val.y).item(), rel=1e-5)
    assert score.accuracy == pytest.approx((logits.argmax(1) == val.y).double().mean().item())


def test_the_layout_in_memory_changes_no_result_beyond_rounding(digits):
    last, first = (
        run(small(digits), SHORT.but(layout=layout, epochs=1), net=build("mnist_inception", seed=2))[1]
        for layout in ("channels_last", "channels_first")
    )
    assert [e.loss for e in last if isinstance(e, Step)] == pytest.approx(
        [e.loss for e in first if isinstance(e, Step)], rel=1e-3
    )


def test_majority_learns_the_share_of_each_class(digits):
    y = np.repeat([0, 1, 2], [700, 200, 100])
    part = Examples(digits.train.x[:1000], y)
    data = pack(part, part, part, ("a", "b", "c"))
    net, events = run(data, Recipe(epochs=20, lr=0.05), net=build("majority", num_classes=3, seed=0))
    assert net.bias.softmax(0).tolist() == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    assert events[-2].val_accuracy == 0.7
