"""Packed runs are the runs they stand for: the same losses, a record each, and none disturbs another."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from readings import study
from rich.console import Console
from studies import task
from torch import nn

from daiving import packed
from daiving.api import Study, planned, task_row
from daiving.errors import FixableError
from daiving.events import Ended, Epoch, Step
from daiving.nets.build import build
from daiving.nets.draw import drawn
from daiving.recipe import Recipe, named
from daiving.show.terminal import Board
from daiving.study.execute import Started, Told
from daiving.study.packing import run_packed, why_apart
from daiving.study.process import prepare_run
from daiving.study.record import Lab, read_lines, result_of
from daiving.study.worker import run
from daiving.tasks.batches import Batches
from daiving.tasks.data import Examples
from daiving.train import State, fit, make_optimizer

SEEDS = (3, 4, 5)
RECIPE = Recipe(epochs=3, batch=32, format="float32")
NETS = """
import torch
from torch import nn

class Norm(nn.Module):
    def __init__(self, num_classes, in_channels, bias=False):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(in_channels, 4, 3, bias=bias), nn.BatchNorm2d(4)
        self.fc = nn.Linear(64, num_classes)
    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().flatten(1))

class Drop(Norm):
    def forward(self, x):
        return self.fc(nn.functional.dropout(self.conv(x).relu(), 0.5, self.training).flatten(1))

class Looks(Norm):
    def forward(self, x):
        return super().forward(x) * (2 if self.fc.bias[0] > 0 else 1)

class Late(Norm):
    "Cannot be stacked from its tenth step on."
    def forward(self, x):
        self.steps = getattr(self, "steps", 0) + self.training
        return super().forward(x) * (2 if self.steps == 10 and self.fc.bias[0] > 9 else 1)
"""


class Conv(nn.Module):
    """A frozen layer, one used twice, batch norm: all that a stack has to keep apart."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.again = self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 36, 3)
        self.first.requires_grad_(False)

    def forward(self, x):
        x = self.norm(self.first(x)).tanh()
        return self.fc(self.twice(self.again(x).tanh()).tanh().flatten(1))


def images(recipe, n=70):
    random = np.random.default_rng(0)
    y = np.arange(n) % 3
    x = (random.random((3, 1, 6, 6))[y] * 120 + random.random((n, 1, 6, 6)) * 130).astype(np.uint8)
    return Batches(Examples(x[:50], y[:50]), recipe, 0.5, 0.3), Batches(Examples(x[50:], y[50:]), recipe, 0.5, 0.3)


def sequences(recipe, n=30):
    """Of 2 to 7 letters; the label of each step is the letter before it, and the first has none."""
    random = np.random.default_rng(0)
    x = random.integers(0, 4, (n, 7))
    x[np.arange(7) >= random.integers(2, 8, n)[:, None]] = -1
    y = np.where(x >= 0, np.roll(x, 1, axis=1), -1)
    y[:, 0] = -1
    return Batches(Examples(x[:20], y[:20]), recipe, 0.0, 1.0), Batches(Examples(x[20:], y[20:]), recipe, 0.0, 1.0)


def conv(seed):
    return drawn(Conv, seed)


def lstm(seed):
    return build("lstm", seed=seed, hidden=6, layers=2, num_symbols=4, num_classes=4, each_step=True)


def together(make, data, recipe, seeds=SEEDS, states=None):
    nets, found = [make(seed) for seed in seeds], [[] for _ in seeds]
    for k, event in packed.fit(nets, *data, recipe, seeds, states):
        found[k].append(event)
    return nets, found


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adam", "rmsprop"])
@pytest.mark.parametrize(("make", "parts"), [(conv, images), (lstm, sequences)], ids=["convolutions", "recurrent"])
def test_every_step_has_the_loss_that_it_has_alone(make, parts, optimizer):
    rest = dict(weight_decay=1e-3, clip=0.4, ema=0.9, label_smoothing=0.1, format="float32", shift=0)
    recipe = Recipe(epochs=3.5, batch=8, optimizer=optimizer, lr=0.003, epsilon=1e-4, **rest)
    data = parts(recipe)
    nets, found = together(make, data, recipe)
    for k, seed in enumerate(SEEDS):
        net = make(seed)
        alone = list(fit(net, *data, recipe, seed))
        assert [type(event) for event in found[k]] == [type(event) for event in alone]
        for a, b in zip(found[k], alone, strict=True):
            if isinstance(a, Step):
                assert a.loss == pytest.approx(b.loss, abs=1e-5)
                assert a.grad_norm == pytest.approx(b.grad_norm, rel=1e-3)
                assert replace(a, loss=b.loss, grad_norm=b.grad_norm) == b
            elif isinstance(a, Epoch):
                assert a.val_loss == pytest.approx(b.val_loss, abs=1e-5)
                assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)
                assert replace(a, val_loss=b.val_loss, train_loss=b.train_loss, seconds=b.seconds) == b
        for name, t in nets[k].state_dict().items():
            assert torch.allclose(t, net.state_dict()[name], atol=1e-3), name
    norms = {event.grad_norm for event in found[0] if isinstance(event, Step)}
    assert min(norms) < 0.4 < max(norms) or min(norms) > 0.4  # the clip was at work


def test_a_pack_stopped_after_an_epoch_goes_on_as_if_it_had_not():
    recipe = Recipe(epochs=3, batch=8, lr=0.003, format="float32")
    data = images(recipe)
    _, whole = together(conv, data, recipe)
    states = [State() for _ in SEEDS]
    for k, event in packed.fit([conv(seed) for seed in SEEDS], *data, recipe, SEEDS, states):
        if k == len(SEEDS) - 1 and isinstance(event, Epoch):
            break
    _, rest = together(conv, data, recipe, states=states)
    for a, b in zip(whole, rest, strict=True):
        assert a[-len(b) :] == b
        assert len(b) == 2 * 8 + 1


def test_each_gradient_is_clipped_by_its_own_norm():
    weights = [torch.zeros(3, 2, 2), torch.zeros(3)]
    weights[0].grad, weights[1].grad = torch.ones(3, 2, 2), torch.zeros(3)
    weights[0].grad[1] *= 0.1
    weights[0].grad[2], weights[1].grad[2] = 0.0, 50.0
    assert packed.clipped(weights, 1.0).tolist() == pytest.approx([2.0, 0.2, 50.0])
    assert weights[0].grad[0].norm() == pytest.approx(1.0)
    assert torch.equal(weights[0].grad[1], torch.full((2, 2), 0.1))
    assert weights[1].grad.tolist() == pytest.approx([0, 0, 1])


@pytest.mark.parametrize(("make", "parts"), [(conv, images), (lstm, sequences)], ids=["convolutions", "recurrent"])
def test_one_that_is_no_number_any_more_ends_and_the_others_do_not_notice(make, parts):
    recipe = Recipe(epochs=2, batch=8, optimizer="sgd", lr=0.01, clip=0.0, ema=0.0, format="float32")
    data = parts(recipe)

    def one_explodes(seed):
        net = make(seed)
        if seed == SEEDS[1]:
            list(net.parameters())[-2].data *= 1e30
        return net

    _, healthy = together(make, data, recipe)
    _, found = together(one_explodes, data, recipe)
    assert [found[0], found[2]] == [healthy[0], healthy[2]]  # bit for bit
    alone = list(fit(one_explodes(SEEDS[1]), *data, recipe, SEEDS[1]))
    assert found[1][-1] == alone[-1]
    assert found[1][-1].reason == "diverged"
    assert len(found[1]) == len(alone) < len(found[0])


def test_a_stack_without_validation_answers_as_its_members_do():
    recipe = named("hello").but(epochs=20)
    only = Examples(np.array([[0, 1, 0, 2, 3, 3]]), np.array([[1, 0, 2, 3, 3, 4]]))  # hihell, ihello
    data = Batches(only, recipe, 0.0, 1.0)
    nets = [build("rnn", seed=seed, hidden=5, output="none", num_symbols=5, num_classes=5) for seed in range(40)]
    stack = packed.Stack(nets, recipe, len(data))
    told = list(stack.steps(data, range(40)))
    assert [one.epoch for one in told] == list(range(1, 21))
    assert told[-1].losses.shape == (40,)
    x, _ = next(data.in_order())
    for k in (0, 39):
        alone = [e for e in fit(nets[k], data, data, recipe, k) if isinstance(e, Step)]
        assert [one.losses[k].item() for one in told] == pytest.approx([step.loss for step in alone], abs=1e-5)
        stack.unstack(k, nets[k])
        assert torch.allclose(stack.answers(x)[k], nets[k](x), atol=1e-5)


def arm_of(tmp_path, net):
    lab = Lab(tmp_path / "lab")
    lab.prepare()
    text = task(tmp_path, n=200)
    (tmp_path / "mine.py").write_text(NETS)
    plan, _ = planned(text, {"net": f"mine.py:{net}"}, RECIPE, lab.root, None)
    return plan, lab, task_row(plan, lab, None)


@pytest.mark.parametrize(
    ("net", "why"),
    [
        ("Norm", ""),  # batch norm keeps its running means member by member
        # Batch norm takes the bias away again: its gradient is nothing but rounding, and AdamW makes whole steps of it.
        ("Norm:bias=true", "packed, the validation loss of epoch 1 is off by "),
        ("Drop", "it draws random numbers as it trains (dropout does), which would not be those of the run alone"),
        ("Looks", "what it does depends on the values of tensors, and packed runs all do the same"),
    ],
)
def test_a_trial_says_which_nets_can_be_packed_and_why_others_cannot(tmp_path, net, why):
    plan, _, about = arm_of(tmp_path, net)
    said = why_apart(about, json.loads(json.dumps(plan.to_dict()["arms"][0])))
    assert said.startswith(why)
    assert bool(said) == bool(why)


def test_a_net_whose_packed_losses_are_others_is_found_out(tmp_path, monkeypatch):
    plan, _, about = arm_of(tmp_path, "Norm")
    monkeypatch.setattr(packed, "make_optimizer", lambda w, recipe: make_optimizer(w, recipe.but(momentum=0.89)))
    assert why_apart(about, plan.to_dict()["arms"][0]).startswith("packed, the loss of step 3 is off by ")


def test_a_pack_that_was_killed_is_done_to_its_end_and_nothing_twice(tmp_path):
    plan, lab, about = arm_of(tmp_path, "Norm")
    whole = [prepare_run(plan, Lab(tmp_path / "whole"), plan.arms[0], seed, about) for seed in SEEDS]
    cut = [prepare_run(plan, lab, plan.arms[0], seed, about) for seed in SEEDS]
    assert [event for _, event in run_packed(whole)].count(Ended("finished", 15)) == 3
    for folder, event in (stopped := run_packed(cut)):
        if isinstance(event, Epoch) and event.epoch == 2 and folder == cut[1]:
            break  # two members stand behind epoch 2, the third behind epoch 1
    stopped.close()
    trained = [(folder.name, event.epoch) for folder, event in run_packed(cut) if isinstance(event, Epoch)]
    assert sorted(trained) == sorted([(cut[2].name, 2), *((folder.name, 3) for folder in cut)])
    for a, b in zip(cut, whole, strict=True):
        mine, wanted = result_of(a), result_of(b)
        assert mine.metrics["loss"] == pytest.approx(wanted.metrics["loss"], abs=1e-5)
        assert (a / "right.bits").read_bytes() == (b / "right.bits").read_bytes()
        assert (a / "model.safetensors").exists()
        assert not (a / "checkpoint.safetensors").exists()
        assert len(read_lines(a / "events.jsonl")[0]) == 15 + 3 + 1
        assert not mine.timed
        assert mine.peak_memory == 0
    assert list(run_packed(cut)) == []


def test_a_study_packs_what_it_can_and_says_so_and_claims_no_seconds(daiving, tmp_path):
    plan, lab, about = arm_of(tmp_path, "Norm")
    arms = ("norm=mine.py:Norm", "drop=mine.py:Drop", "late=mine.py:Late", "--alpha", 0.04)
    rest = ("--max-pairs", 3, "--epochs", 3, "--batch", 32, "--format", "float32", "--pack", 3)
    answer = daiving("compare", *arms, "--task", "arrays:file=blobs.npz", *rest)
    assert answer.code == 0, answer.err
    said = " ".join(answer.out.split())
    assert "The runs of 'drop' are not packed: it draws random numbers" in said
    assert "3 packed runs of 'late' go on alone: RuntimeError: vmap" in said
    assert "6 of 9 runs were packed, several in one process: they have no seconds and no memory of their own" in said
    rows = {line.split()[0]: line.split().count("–") for line in answer.out.splitlines() if "(3)" in line}
    assert rows == {"norm": 2, "late": 2, "drop": 0}  # dashes, for seconds and MiB
    assert "times as long" not in said
    alone = prepare_run(plan, lab, plan.arms[0], 2, about)
    for _ in run(alone):
        pass
    mine = result_of(tmp_path / "daiving-lab" / "runs" / alone.name)  # the same run, and so the same id
    assert mine.metrics["loss"] == pytest.approx(result_of(alone).metrics["loss"], abs=1e-5)
    assert mine.right().tolist() == result_of(alone).right().tolist()
    assert (mine.timed, result_of(alone).timed) == (False, True)
    assert daiving("show", alone.name).out.count("packed") == 3  # in place of an epoch's seconds


def test_packed_runs_share_a_row_while_they_are_at_work(tmp_path):
    plan, out = study(tmp_path, {"plain": [0.9], "jump": [0.9]}).plan, io.StringIO()
    board, ids = Board(plan, 4000), [plan.run_id(plan.arms[0], seed) for seed in range(3)]
    for seed, run_id in enumerate(ids):
        board.take(Started(run_id, plan.arms[0], seed, packed=ids[0]))
        board.take(Told(run_id, Step(94, 2, 2000, 0.25, 0.01, 1.0)))
    Console(file=out, width=80).print(board.display())
    assert out.getvalue().count("epoch 2 of 4  loss 0.250") == 1
    assert "seeds 0 and 2 more" in out.getvalue()


@pytest.mark.parametrize("pack", [0, "ten"])
def test_a_number_of_runs_to_pack_that_is_none_is_explained(daiving, pack):
    answer = daiving("compare", "a=logistic", "b=majority", "--pack", pack)
    assert answer.code == 2
    assert str(pack) in answer.err
    assert "Expected:" in answer.err
    assert "To fix:" in answer.err
    with pytest.raises(FixableError, match="number of runs to pack"):
        Study(task="digits", arms={"a": "logistic", "b": "majority"}).run(pack=pack)
