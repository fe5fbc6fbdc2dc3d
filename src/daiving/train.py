"""One training loop for every net. `fit` yields plain events; it prints nothing, stores nothing and never sees test."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daiving.events import Ended, Epoch, Event, Step
from daiving.nets.layers import Scores
from daiving.recipe import Recipe
from daiving.seeds import stream_seed
from daiving.tasks.batches import Batches, layout, tight

Weights = dict[str, Tensor]


@dataclass
class State:
    """Where a run stands after a finished epoch. Given back to `fit`, it goes on bit for bit as if never stopped."""

    step: int = 0
    net: Weights = field(default_factory=dict)
    optimizer: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # parameter's number -> its tensors
    mean: Weights = field(default_factory=dict)  # running mean of the parameters; empty without `ema`
    best: Weights = field(default_factory=dict)  # what was best on the validation split
    history: list[Epoch] = field(default_factory=list)


@dataclass(frozen=True)
class Score:
    """A net's answers on one split. An example has one label, but for sequences with a label a step."""

    loss: float  # mean over the labels that are scored, nats
    right: Tensor  # one bool a label that is scored, flat, in order: whether the net got it right

    @property
    def accuracy(self) -> float:
        return self.right.double().mean().item()


def fit(
    net: nn.Module, train: Batches, val: Batches, recipe: Recipe, seed: int, state: State | None = None
) -> Iterator[Event]:
    """Train `net` on `train`, and after each epoch score it on `val`.

    Yields a `Step` for each step of the optimizer, with its gradients still in place; an `Epoch` for each pass,
    when `state` holds all that is needed to go on from there; and one `Ended`. A loss or a gradient that is not
    finite ends the run as "diverged". At the end the net holds the best weights by validation loss.
    """
    state, recipe = state if state is not None else State(), recipe.here()
    lay_out(net, layout(recipe))
    weights: list[Tensor] = [p for p in net.parameters() if p.requires_grad]
    optimizer = make_optimizer(weights, recipe)
    if state.history:
        net.load_state_dict(state.net)
        restore(optimizer, weights, state.optimizer)
    if state.history and not state.best:
        yield not_finite(state)  # it was stopped between its last epoch and saying so
        return
    names: dict[int, list[str]] = {}  # tied weights have several, and all of them must get the mean
    for name, p in net.named_parameters(remove_duplicate=False):
        names.setdefault(id(p), []).append(name)
    mean = [like(state.mean.get(names[id(p)][0], p.detach()), p.detach()) for p in weights] if recipe.ema else []
    per_epoch = math.ceil(len(train) / recipe.batch)
    total = max(1, round(recipe.epochs * per_epoch))

    for epoch in range(len(state.history) + 1, math.ceil(total / per_epoch) + 1):
        # Dropout depends on (seed, epoch) alone, as order and augmentation do: a run resumed here needs no state of
        # any generator, and an arm with dropout leaves the other's batches as they are.
        torch.manual_seed(stream_seed(seed, epoch, "dropout"))
        net.train()
        began, seen, labels, loss_sum, paused = time.perf_counter(), 0, 0, 0.0, 0.0
        for x, y in train.shuffled(seed, epoch):
            if state.step == total:
                break
            lr = rate(recipe, state.step, total, per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = lr
            loss = loss_of(net, *tight(x, y), recipe)
            optimizer.zero_grad()
            loss.backward()
            norm = clipped(weights, recipe.clip)
            value = loss.item()
            if not (math.isfinite(norm) and math.isfinite(value)):
                yield diverged(state.step, value)
                return
            optimizer.step()
            state.step += 1
            if mean:
                average(mean, weights, recipe.ema, state.step)
            seen += len(y)
            count = scored(y)
            labels += count
            loss_sum += value * count
            asked = time.perf_counter()
            yield Step(state.step, epoch, seen, value, lr, norm)
            paused += time.perf_counter() - asked  # the consumer's time is not the net's
        seconds = time.perf_counter() - began - paused

        state.mean = {name: m for p, m in zip(weights, mean, strict=True) for name in names[id(p)]} if mean else {}
        state.optimizer = optimizer.state_dict()["state"]
        yield close(net, val, state, epoch, loss_sum / labels, seconds, seen / len(train))
        if not state.best:
            yield not_finite(state)
            return
    net.load_state_dict(state.best)
    yield Ended("finished", state.step)


def close(
    net: nn.Module, val: Batches, state: State, epoch: int, train_loss: float, seconds: float, share: float
) -> Epoch:
    """Score the net behind an epoch, with its averaged weights if it has any, and bring its state up to date; the net
    itself goes on as it was."""
    live = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(live | state.mean)
    score = evaluate(net, val)
    best = math.isfinite(score.loss) and score.loss < min((e.val_loss for e in state.history), default=math.inf)
    if best:
        state.best = live | {name: m.clone() for name, m in state.mean.items()}
    net.load_state_dict(live)
    state.net = live
    done = Epoch(epoch, state.step, train_loss, score.loss, score.accuracy, seconds, share, best)
    state.history.append(done)
    return done


def loss_of(net: nn.Module, x: Tensor, y: Tensor, recipe: Recipe) -> Tensor:
    """Mean cross-entropy over the labels of a batch that are scored; y is n, or n t with -1 for those that are not.

    It asks nothing of a tensor's values, so that it can be stacked under `torch.func.vmap`.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.format == "bfloat16"):
        answer = net(x)
    if not isinstance(answer, Scores):
        return cross_entropy(answer, y, recipe)
    main, *aux = (cross_entropy(logits, y, recipe) for logits in (answer.logits, *answer.aux))
    return main + answer.weight * sum(aux)


def cross_entropy(logits: Tensor, y: Tensor, recipe: Recipe) -> Tensor:
    flat = logits.float().flatten(0, -2)  # n classes, or n t classes
    return F.cross_entropy(flat, y.flatten(), ignore_index=-1, label_smoothing=recipe.label_smoothing)


def scored(y: Tensor) -> int:
    """How many labels count: all of n, or of n t those that are not -1."""
    return len(y) if y.dim() == 1 else int((y >= 0).sum())


@torch.inference_mode()
def evaluate(net: nn.Module, split: Batches) -> Score:
    """Loss and right answers over a whole split, in float32 and in evaluation mode; every scored label counts alike."""
    training = net.training
    net.eval()
    loss, right = 0.0, []
    for x, y in split.in_order():
        x, y = tight(x, y)
        logits, labels = net(x).flatten(0, -2), y.flatten()
        loss += F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum").item()
        hit = logits.argmax(dim=1) == labels
        right.append(hit if y.dim() == 1 else hit[labels >= 0])
    net.train(training)
    found = torch.cat(right)
    return Score(loss / len(found), found)


def diverged(steps: int, loss: float) -> Ended:
    """The end of a run behind so many steps, where the loss of the next one, or else its gradient, is not finite."""
    what = "loss" if not math.isfinite(loss) else "gradient"
    return Ended("diverged", steps, f"the {what} of step {steps + 1} is not finite")


def not_finite(state: State) -> Ended:
    return Ended("diverged", state.step, f"the validation loss of epoch {len(state.history)} is not finite")


def lay_out(net: nn.Module, form: torch.memory_format) -> None:
    """Image weights in that order in memory; others have no such order."""
    for p in net.parameters():
        if p.dim() == 4:
            p.data = p.data.contiguous(memory_format=form)


def make_optimizer(weights: list[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adamw":
        betas, decay = (recipe.momentum, 0.99), recipe.weight_decay  # 0.99: short runs need a short memory
        eps = recipe.epsilon
        return torch.optim.AdamW(weights, recipe.lr, betas=betas, eps=eps, weight_decay=decay, fused=True)
    if recipe.optimizer == "adam":  # as torch's own: what `momentum` is not, is its default
        betas, eps = (recipe.momentum, 0.999), recipe.epsilon
        return torch.optim.Adam(weights, recipe.lr, betas=betas, eps=eps, weight_decay=recipe.weight_decay)
    if recipe.optimizer == "rmsprop":
        more = dict(momentum=recipe.momentum, weight_decay=recipe.weight_decay, foreach=True)
        return torch.optim.RMSprop(weights, recipe.lr, alpha=0.9, eps=recipe.epsilon, **more)
    return torch.optim.SGD(weights, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, fused=True)


def restore(optimizer: torch.optim.Optimizer, weights: list[Tensor], kept: dict[int, dict[str, Tensor]]) -> None:
    for number, tensors in kept.items():
        w = weights[number]
        optimizer.state[w] = {name: like(t, w) if t.shape == w.shape else t.clone() for name, t in tensors.items()}


def like(t: Tensor, weight: Tensor) -> Tensor:
    """A copy of `t` laid out in memory as the weight is: the fused optimizers walk through both side by side."""
    return torch.empty_like(weight).copy_(t)


def rate(recipe: Recipe, step: int, total: int, per_epoch: int) -> float:
    """Learning rate of a step (from 0): constant; in stairs, each `stair_factor` times the one before; or one cycle:
    linear up to `lr`, then half a cosine down to zero."""
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "stairs":
        return recipe.lr * recipe.stair_factor ** (step // max(1, round(recipe.stair * per_epoch)))
    done = (step + 0.5) / total
    if done < recipe.warmup:
        return recipe.lr * done / recipe.warmup
    return recipe.lr * (1 + math.cos(math.pi * (done - recipe.warmup) / (1 - recipe.warmup))) / 2


@torch.no_grad()
def clipped(weights: list[Tensor], most: float) -> float:
    """L2 norm of the whole gradient, which is then scaled down to `most` if it is larger; 0 leaves it alone.

    What `clip_grad_norm_` computes, without sorting the tensors by device and without a product that changes nothing:
    half the time, 58 against 121 microseconds for the deck's net.
    """
    gradients = [w.grad for w in weights if w.grad is not None]
    norm = torch.stack(torch._foreach_norm(gradients)).norm().item() if gradients else 0.0
    if most and norm > most:
        torch._foreach_mul_(gradients, most / norm)
    return norm


@torch.no_grad()
def average(mean: list[Tensor], weights: list[Tensor], decay: float, step: int) -> None:
    """One step of the running mean. It starts short, or the first weights would weigh for hundreds of steps."""
    torch._foreach_lerp_(mean, weights, 1 - min(decay, step / (step + 9)))
