"""The recipe of Inception v3 (arXiv 1512.00567, sections 7 and 8), auxiliary heads in the loss, small nets trained."""

import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import batches, small
from PIL import Image
from torch import Tensor, nn

from daiving.events import Ended, Epoch, Step
from daiving.nets.build import build
from daiving.nets.draw import drawn
from daiving.nets.layers import Scores
from daiving.recipe import RECIPES, Recipe
from daiving.study.keep import keep, resume
from daiving.train import State, evaluate, fit, loss_of, rate

PAPER = RECIPES["inception_v3"][0]
PLAIN = PAPER.but(ema=0.0, format="float32", layout="channels_first")


def test_the_recipe_has_the_papers_numbers():
    assert (PAPER.optimizer, PAPER.lr, PAPER.epsilon) == ("rmsprop", 0.045, 1.0)
    assert (PAPER.schedule, PAPER.stair, PAPER.stair_factor) == ("stairs", 2.0, 0.94)
    assert (PAPER.batch, PAPER.epochs, PAPER.clip, PAPER.label_smoothing) == (32, 100.0, 2.0, 0.1)
    # of the released code
    assert (PAPER.momentum, PAPER.weight_decay, PAPER.ema) == (0.9, 4e-5, 0.9999)


def test_the_rate_goes_down_every_second_epoch():
    rates = [rate(PAPER, step, 1000, 10) for step in range(100)]
    assert rates == [0.045 * 0.94 ** (step // 20) for step in range(100)]
    half = PAPER.but(stair=0.5, stair_factor=0.1)
    assert [rate(half, step, 40, 10) for step in (0, 4, 5, 9, 10)] == pytest.approx(
        [0.045, 0.045, 4.5e-3, 4.5e-3, 4.5e-4]
    )
    short = PAPER.but(stair=0.01)
    assert rate(short, 3, 20, 2) == pytest.approx(0.045 * 0.94**3)  # a stair is one step at least


class Net(nn.Sequential):
    """Convolution, batch norm and dropout: all that could carry hidden state."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 4, 5, stride=4),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(144, 10),
        )


class Aux(nn.Module):
    """Two auxiliary heads while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(784, 12), nn.Linear(12, 10)
        self.aux = nn.ModuleList([nn.Linear(12, 10), nn.Linear(784, 10)])

    def forward(self, x: Tensor) -> Tensor | Scores:
        x = x.flatten(1)
        y = self.body(x).relu()
        logits = self.head(y)
        return Scores(logits, (self.aux[0](y), self.aux[1](x)), 0.3) if self.training else logits


@pytest.mark.parametrize("kind", [lambda: build("logistic"), Aux])
def test_it_does_what_a_plain_loop_with_torchs_rmsprop_does(digits, kind):
    data, recipe = small(digits), PLAIN.but(epochs=3)
    train, val, _ = batches(data, recipe)
    ours, plain = drawn(kind, 4), drawn(kind, 4)
    events = list(fit(ours, train, val, recipe, 4))
    optimizer = torch.optim.RMSprop(plain.parameters(), lr=0.045, alpha=0.9, eps=1.0, momentum=0.9, weight_decay=4e-5)
    losses, norms, epochs = [], [], []
    for epoch in (1, 2, 3):
        for group in optimizer.param_groups:
            group["lr"] = 0.045 * 0.94 ** ((epoch - 1) // 2)
        plain.train()
        for x, y in train.shuffled(4, epoch):
            scores = plain(x)
            parts = [scores] if isinstance(scores, Tensor) else [scores.logits, *scores.aux]
            terms = [F.cross_entropy(one, y, label_smoothing=0.1) for one in parts]
            loss = terms[0] + 0.3 * sum(terms[1:])
            optimizer.zero_grad()
            loss.backward()
            norms.append(nn.utils.clip_grad_norm_(plain.parameters(), 2.0).item())
            optimizer.step()
            losses.append(loss.item())
        epochs.append({name: t.clone() for name, t in plain.state_dict().items()})
    steps = [e for e in events if isinstance(e, Step)]
    assert [e.loss for e in steps] == pytest.approx(losses, rel=1e-4)
    assert [e.grad_norm for e in steps] == pytest.approx(norms, rel=1e-3)
    assert max(norms) > 2  # else nothing was clipped
    assert [e.lr for e in steps] == pytest.approx([0.045] * 16 + [0.045 * 0.94] * 8)
    best = min((e for e in events if isinstance(e, Epoch)), key=lambda e: e.val_loss).epoch
    for name, t in ours.state_dict().items():
        assert torch.allclose(t, epochs[best - 1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [Net, Aux])
@pytest.mark.parametrize("stop", [1, 2])
def test_a_resumed_run_is_bit_for_bit_the_run_that_was_never_stopped(digits, tmp_path, kind, stop):
    recipe = PAPER.but(epochs=3, ema=0.9)
    train, val, _ = batches(small(digits), recipe)
    whole = drawn(kind, 1)
    events = list(fit(whole, train, val, recipe, 0))
    state, seen = State(), []
    for event in keep(tmp_path, fit(drawn(kind, 1), train, val, recipe, 0, state), state):
        seen.append(event)
        if isinstance(event, Epoch) and event.epoch == stop:
            break
    back, state = drawn(kind, 99), resume(tmp_path)
    seen += list(keep(tmp_path, fit(back, train, val, recipe, 0, state), state))
    assert events[-1] == Ended("finished", 24)
    assert [timeless(e) for e in seen] == [timeless(e) for e in events]
    for name, t in whole.state_dict().items():
        assert torch.equal(t, back.state_dict()[name]), name


def timeless(event: object) -> dict[str, object]:
    return {key: value for key, value in vars(event).items() if key != "seconds"}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_main_one_and_a_share_of_each_auxiliary_one(smoothing):
    torch.manual_seed(0)
    net, x, y = Aux().train(), torch.randn(5, 1, 28, 28), torch.tensor([0, 3, 3, 9, 1])

    def smoothed(logits: Tensor) -> Tensor:
        """Section 7: the target is (1 - e) for the label and e / K for each of the K classes."""
        target = F.one_hot(y, 10) * (1 - smoothing) + smoothing / 10
        return -(target * logits.log_softmax(1)).sum(1).mean()

    scores = net(x)
    want = smoothed(scores.logits) + 0.3 * (smoothed(scores.aux[0]) + smoothed(scores.aux[1]))
    recipe = Recipe(label_smoothing=smoothing, format="float32")
    loss = loss_of(net, x, y, recipe)
    assert loss.item() == pytest.approx(want.item(), rel=1e-5)
    loss.backward()
    assert all(p.grad.abs().max() > 0 for p in net.parameters())
    net.eval()
    assert loss_of(net, x, y, recipe).item() == pytest.approx(smoothed(net(x)).item(), rel=1e-5)


def test_validation_scores_the_main_head_alone_and_without_smoothing(digits):
    _, val, _ = batches(small(digits), PLAIN)
    net = drawn(Aux, 0).train()
    score = evaluate(net, val)
    assert net.training
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(x) for x, _ in val.in_order()])
    assert score.loss == pytest.approx(F.cross_entropy(logits, val.y).item(), rel=1e-5)


@pytest.mark.parametrize("net", ["cifar_resnet:depth=8", "cifar_densenet:depth=10", "cifar_preact:depth=11"])
def test_a_net_for_small_images_trains_a_part_of_an_epoch_on_digits(daiving, net):
    answer = daiving("train", net, "--epochs", 0.05, "--recipe", "inception_v3")
    assert answer.code == 0, answer
    accuracy, loss = re.search(r"test: accuracy ([\d.]+)%, loss ([\d.]+) nats", answer.out).groups()
    assert 0 <= float(accuracy) <= 100
    assert math.isfinite(float(loss))


def test_a_net_with_auxiliary_heads_trains_and_predicts(daiving, tmp_path):
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (24, 3, 80, 80), dtype=np.uint8), np.arange(24) % 2
    parts = {"train": slice(0, 12), "val": slice(12, 18), "test": slice(18, 24)}
    arrays = {f"{axis}_{name}": all_[part] for axis, all_ in (("x", x), ("y", y)) for name, part in parts.items()}
    np.savez(tmp_path / "my.npz", **arrays)
    answer = daiving("train", "googlenet", "--task", "arrays:file=my.npz", "--epochs", 1, "--batch", 6)
    assert answer.code == 0, answer
    assert "(n = 6," in answer.out
    run = re.search(r"run (\w{12})", answer.out)[1]
    Image.fromarray(x[0].transpose(1, 2, 0)).save(tmp_path / "one.png")
    said = daiving("predict", run, "one.png")
    assert said.code == 0, said
    shares = [float(share) for share in re.findall(r"([\d.]+)%", said.out)]
    assert len(shares) == 2
    assert sum(shares) == pytest.approx(100, abs=0.11)
