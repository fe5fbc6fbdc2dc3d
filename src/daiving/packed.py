"""Many small runs of one arm as one: every weight of K nets in one tensor, and one operation where K runs take K.

    loss_k = loss(net(x_k; w_k), y_k)      for each member k, by torch.func.vmap over the stacked weights w
    d(loss_1 + … + loss_K) / dw            is each member's own gradient: no member reads another's weights

What pays is that a small net spends its time on calling operations and not in them. Sums are added up in another order
than in a run of its own, so a member equals that run to rounding and not bit for bit; `study.packing` tries a net
before it is packed. A net that draws random numbers in its forward pass (dropout) cannot be: vmap refuses it, for the
members would not get the numbers that they get alone.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from daiving.events import Ended, Event, Step
from daiving.recipe import Recipe
from daiving.tasks.batches import Batches, layout, tight
from daiving.train import State, average, close, diverged, lay_out, loss_of, make_optimizer, not_finite, rate


@dataclass(frozen=True)
class Stacked:
    """One step of all K members."""

    step: int  # from 1, over the whole run
    epoch: int  # from 1
    seen: int  # training examples shown to each so far in this epoch
    lr: float
    labels: Tensor  # K, how many labels of each one's batch are scored
    losses: Tensor  # K, mean over each one's batch, nats
    grad_norms: Tensor  # K, L2 before clipping
    alive: Tensor  # K, bool: those whose losses and gradients have all been finite; of others nothing here counts


class WithLoss(nn.Module):
    """A net and its loss as one module, which `functional_call` can be given any member's weights for; without labels
    it answers as the net does."""

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.net, self.recipe = net, recipe

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(x) if y is None else loss_of(self.net, x, y, self.recipe)


class Stack:
    """K nets of one make in training: each weight one tensor, the members in its first dimension.

    `examples` is the size of the training split. `states` are where the members stand, all behind the same epoch; none
    means at the beginning. The nets' own weights do not move; `unstack` brings a member's back to its net.
    Raises ValueError, or torch's RuntimeError, where the nets are not of one make.
    """

    def __init__(
        self, nets: Sequence[nn.Module], recipe: Recipe, examples: int, states: Sequence[State] | None = None
    ) -> None:
        self.recipe, self.states = recipe.here(), states if states is not None else [State() for _ in nets]
        if len({(state.step, len(state.history)) for state in self.states}) != 1:
            raise ValueError("the members stand behind different epochs")
        for net, state in zip(nets, self.states, strict=True):
            net.train()
            if state.history:
                net.load_state_dict(state.net)
        self.net = WithLoss(nets[0], self.recipe)
        weights = self.weights = stacked([dict(net.named_parameters()) for net in nets])  # name -> K x its shape
        self.buffers = stacked([dict(net.named_buffers()) for net in nets])
        self.slots = slots(nets[0])
        self.trained = [w for w in weights.values() if w.requires_grad]
        self.optimizer = make_optimizer(self.trained, self.recipe)
        self.step, self.alive = self.states[0].step, torch.ones(len(nets), dtype=torch.bool)
        for number, kept in self.states[0].optimizer.items():
            members = [state.optimizer[number] for state in self.states]
            joined = {
                name: torch.stack([one[name] for one in members])
                for name, t in kept.items()
                if name != "step" and t is not None
            }
            counted = {"step": kept["step"].clone()} if "step" in kept else {}  # the one thing that is not a weight's
            self.optimizer.state[self.trained[number]] = counted | joined
        self.mean = [w.detach().clone() for w in self.trained] if self.recipe.ema else []
        self.names = [name for name, w in weights.items() if w.requires_grad]
        if self.mean and self.states[0].mean:
            self.mean = [torch.stack([state.mean[name] for state in self.states]) for name in self.names]
        self.per_epoch = math.ceil(examples / self.recipe.batch)
        self.total = max(1, round(self.recipe.epochs * self.per_epoch))

    @property
    def epochs(self) -> range:
        """The epochs still to be done, from 1; the last may be a part of one."""
        return range(len(self.states[0].history) + 1, math.ceil(self.total / self.per_epoch) + 1)

    def steps(self, train: Batches, seeds: Sequence[int]) -> Iterator[Stacked]:
        """Train to the end, or until no member is alive; nothing is validated, and nothing stored."""
        for epoch in self.epochs:
            yield from self.epoch(train, seeds, epoch)

    def epoch(self, train: Batches, seeds: Sequence[int], epoch: int) -> Iterator[Stacked]:
        """One pass of every member over its own batches, those that it would get alone with its seed."""
        self.net.train()
        seen = 0
        for x, y in batches(train, seeds, epoch):
            if self.step == self.total or not self.alive.any():
                break
            lr = rate(self.recipe, self.step, self.total, self.per_epoch)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            losses = self.losses(x, y)
            self.optimizer.zero_grad()
            losses.sum().backward()
            norms = clipped(self.trained, self.recipe.clip)
            losses = losses.detach()
            self.alive = self.alive & losses.isfinite() & norms.isfinite()
            self.optimizer.step()
            self.step += 1
            if self.mean:
                average(self.mean, self.trained, self.recipe.ema, self.step)
            seen += y.shape[1]
            labels = (y >= 0).flatten(1).sum(dim=1)
            yield Stacked(self.step, epoch, seen, lr, labels, losses, norms, self.alive)

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Each member's loss on its own batch: x is K n …, y is K n …, the answer K."""

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return functional_call(self.net, self.placed(weights | buffers), (x, y), tie_weights=False)

        return vmap(one)(self.weights, self.buffers, x, y)

    def placed(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """One member's tensors, by every place in which they stand."""
        return {f"net.{place}": tensors[name] for place, name in self.slots.items()}

    @torch.no_grad()
    def answers(self, x: Tensor) -> Tensor:
        """What each member says to the same batch, in evaluation mode, with the averaged weights if there are any:
        K in front of what one net answers."""

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return functional_call(self.net, self.placed(weights | buffers), (x,), tie_weights=False)

        self.net.eval()
        said = vmap(one)(self.weights | self.means(), self.buffers)
        self.net.train()
        return said

    def means(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.mean, strict=True)) if self.mean else {}

    @torch.no_grad()
    def unstack(self, k: int, net: nn.Module) -> None:
        """Put the weights and buffers of member k into `net`."""
        tensors = self.weights | self.buffers
        for name, t in (*net.named_parameters(), *net.named_buffers()):
            t.copy_(tensors[name][k])

    def optimizer_of(self, k: int) -> dict[int, dict[str, Tensor]]:
        """The optimizer's tensors of member k, numbered as in a run of its own."""
        parts = (self.optimizer.state[w] for w in self.trained)
        return {
            number: {name: (t if name == "step" else t[k]).clone() for name, t in part.items() if t is not None}
            for number, part in enumerate(parts)
            if part
        }


def fit(
    nets: Sequence[nn.Module],
    train: Batches,
    val: Batches,
    recipe: Recipe,
    seeds: Sequence[int],
    states: Sequence[State] | None = None,
) -> Iterator[tuple[int, Event]]:
    """Do the runs of K nets at once: each event of `train.fit`, with the number of the member that it is of.

    A member's state holds all that is needed to go on from there when its `Epoch` is yielded. A member whose loss or
    gradient is not finite ends as "diverged", and the others go on without noticing. An epoch has no seconds (0): the
    members share them.
    """
    for net in nets:
        lay_out(net, layout(recipe.here()))
    stack = Stack(nets, recipe, len(train), states)
    states = stack.states
    for k, state in enumerate(states):
        if state.history and not state.best:  # it was stopped between its last epoch and saying so
            stack.alive[k] = False
            yield k, not_finite(state)
    for epoch in stack.epochs:
        loss_sum, labels = torch.zeros(2, len(nets), dtype=torch.float64)
        seen, alive = 0, stack.alive
        for told in stack.epoch(train, seeds, epoch):
            loss_sum += told.losses.double() * told.labels
            labels += told.labels
            seen = told.seen
            losses, norms = told.losses.tolist(), told.grad_norms.tolist()
            for k in alive.nonzero().flatten().tolist():
                if told.alive[k]:
                    states[k].step = told.step
                    yield k, Step(told.step, epoch, seen, losses[k], told.lr, norms[k])
                else:
                    yield k, diverged(told.step - 1, losses[k])
            alive = told.alive
        for k in alive.nonzero().flatten().tolist():
            bring_up(stack, k, nets[k], states[k])
            yield k, close(nets[k], val, states[k], epoch, (loss_sum / labels)[k].item(), 0.0, seen / len(train))
            if not states[k].best:
                stack.alive[k] = False
                yield k, not_finite(states[k])
    for k in stack.alive.nonzero().flatten().tolist():
        nets[k].load_state_dict(states[k].best)
        yield k, Ended("finished", stack.step)


def bring_up(stack: Stack, k: int, net: nn.Module, state: State) -> None:
    """Put member k's weights, means and optimizer where `train.fit` has them behind an epoch."""
    stack.unstack(k, net)
    means, first = stack.means(), {id(p): name for name, p in net.named_parameters()}
    for name, p in net.named_parameters(remove_duplicate=False):  # tied weights have several names
        if first[id(p)] in means:
            state.mean[name] = means[first[id(p)]][k].clone()
    state.optimizer = stack.optimizer_of(k)


def stacked(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors of the same names and shapes, the members in front; what is trained is a leaf of its own.

    (`torch.func.stack_module_state` asks for one class, and a user's file that is read again makes another.)
    """
    if any(one.keys() != members[0].keys() for one in members):
        raise ValueError("the members have not the same weights")
    return {
        name: torch.stack([one[name].detach() for one in members]).contiguous().requires_grad_(t.requires_grad)
        for name, t in members[0].items()
    }


def slots(net: nn.Module) -> dict[str, str]:
    """Every place in which a tensor of the net stands, and its name in `named_parameters` or `named_buffers`: tied
    weights stand in several. (torch's `tie_weights` leaves a member's weights in a module that has two names.)"""
    names = {id(t): name for name, t in (*net.named_parameters(), *net.named_buffers())}
    return {
        f"{prefix}.{name}".removeprefix("."): names[id(t)]
        for prefix, module in net.named_modules()
        for name, t in (*module._parameters.items(), *module._buffers.items())
        if t is not None
    }


def batches(train: Batches, seeds: Sequence[int], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Each seed's own batches side by side: x is K n …, y is K n …."""
    if len(train) == 1 and not train.recipe.shift:  # one example has one order: nothing to shuffle K times
        for x, y in train.shuffled(0, epoch):
            yield x.expand(len(seeds), *x.shape), y.expand(len(seeds), *y.shape)
        return
    for together in zip(*(train.shuffled(seed, epoch) for seed in seeds), strict=True):
        x, y = (torch.cat(side) for side in zip(*together, strict=True))
        x, y = tight(x, y)  # to the longest sequence of all members: padding changes nothing
        yield x.unflatten(0, (len(seeds), -1)), y.unflatten(0, (len(seeds), -1))


@torch.no_grad()
def clipped(weights: list[Tensor], most: float) -> Tensor:
    """`train.clipped` for each member: K norms, and each member's gradient scaled down to `most` by its own."""
    gradients = [w.grad for w in weights if w.grad is not None]
    norms = torch.stack([g.reshape(len(g), -1).norm(dim=1) for g in gradients]).norm(dim=0)
    if most:
        factors = torch.where(norms > most, most / norms, 1.0)
        for g in gradients:
            g.mul_(factors.view(-1, *[1] * (g.dim() - 1)))
    return norms
