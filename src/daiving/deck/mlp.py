"""Deep nets small enough to train by the dozen: layers 48 wide on digits pooled to 7x7, many nets stacked as one.

    49 ─ layer ─ … ─ layer ─ 10        `depth` layers of 48 units, then one linear layer to the scores

    sigmoid   sigmoid(W x + b)                        no batch norm, Xavier's weights
    plain     relu(bn(W x))                           He's weights, as in all below
    after     x + relu(bn(W x))                       a shortcut that only ever grows
    original  relu(x + bn(W' relu(bn(W x))))          He et al., 2015, a block of two layers
    before    x + W relu(bn(x))                       He et al., 2016, "pre-activation"

All but the first have the same parameters at the same depth, and at one seed the same initial weights and batches.
The nets of all seeds and learning rates stand in one tensor, first axis `k`: nine train in the time of one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daiving.seeds import stream_seed
from daiving.tasks import load

KINDS = ("sigmoid", "plain", "after", "original", "before")
WIDTH, EXAMPLES, BATCH, MOMENTUM = 48, 3000, 50, 0.9


def digits() -> tuple[Tensor, Tensor]:
    """The first 3,000 training digits, n x 49, each pixel the mean of 4x4, with mean 0 and s.d. 1; their classes."""
    train = load("digits", {}, data_dir=None, cache_dir=None).train
    x = F.avg_pool2d(torch.from_numpy(train.x[:EXAMPLES]).float(), 4).flatten(1)
    return (x - x.mean()) / x.std(), torch.from_numpy(train.y[:EXAMPLES])


class Stack(nn.Module):
    """`len(seeds)` nets of one kind and depth; a seed that comes again gives the same weights again."""

    def __init__(self, kind: str, depth: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.kind = kind
        sizes = [49, *[WIDTH] * depth]
        gain = 1.0 if kind == "sigmoid" else 2.0
        self.weights = nn.ParameterList(
            drawn(seeds, i, a, b, math.sqrt(gain / (a if gain == 2 else (a + b) / 2)))
            for i, (a, b) in enumerate(pairwise(sizes))
        )
        k = len(seeds)
        self.scales = nn.ParameterList(torch.ones(k, 1, WIDTH) for _ in range(0 if kind == "sigmoid" else depth))
        self.shifts = nn.ParameterList(torch.zeros(k, 1, WIDTH) for _ in range(depth))
        self.out = drawn(seeds, "out", WIDTH, 10, math.sqrt(1 / WIDTH))
        self.bias = nn.Parameter(torch.zeros(k, 1, 10))

    def forward(self, x: Tensor) -> Tensor:
        """k x batch x 49 to k x batch x 10."""
        x = self.entry(x)
        i = 1
        while i < len(self.weights):
            if self.kind == "original" and i + 1 < len(self.weights):
                x = (x + self.norm(i + 1, self.norm(i, x @ self.weights[i]).relu() @ self.weights[i + 1])).relu()
                i += 2
            else:
                x = self.layer(i, x)
                i += 1
        return x @ self.out + self.bias

    def entry(self, x: Tensor) -> Tensor:
        """From 49 to 48 numbers: nothing can be added to that."""
        h = x @ self.weights[0]
        return (h + self.shifts[0]).sigmoid() if self.kind == "sigmoid" else self.norm(0, h).relu()

    def layer(self, i: int, x: Tensor) -> Tensor:
        match self.kind:
            case "sigmoid":
                return (x @ self.weights[i] + self.shifts[i]).sigmoid()
            case "after":
                return x + self.norm(i, x @ self.weights[i]).relu()
            case "before":
                return x + self.norm(i, x).relu() @ self.weights[i]
        return self.norm(i, x @ self.weights[i]).relu()

    def norm(self, i: int, x: Tensor) -> Tensor:
        """Batch norm, each net by itself, with the statistics of the batch at hand: k times 48 channels in one call."""
        k, batch, _ = x.shape
        rows = x.transpose(0, 1).reshape(batch, -1)
        y = F.batch_norm(rows, None, None, self.scales[i].flatten(), self.shifts[i].flatten(), training=True)
        return y.view(batch, k, WIDTH).transpose(0, 1)


def drawn(seeds: Sequence[int], name: object, a: int, b: int, deviation: float) -> nn.Parameter:
    """k x a x b normal weights, each net's from its seed and the layer's name alone."""
    draws = [torch.randn(a, b, generator=torch.Generator().manual_seed(stream_seed(s, name))) for s in seeds]
    return nn.Parameter(deviation * torch.stack(draws))


@dataclass(frozen=True)
class Trained:
    """What became of one kind at one depth, a value a seed."""

    parameters: int  # of one net
    rate: float  # the learning rate with the best mean accuracy
    accuracy: tuple[float, ...]  # on the training digits, 0 to 1, after the last epoch
    start: tuple[float, ...]  # gradient norm of the first layer before the first step
    end: tuple[float, ...]  # and behind the last


def train(kind: str, depth: int, seeds: Sequence[int], rates: Sequence[float], epochs: int) -> Trained:
    """SGD with momentum at each of the rates; the best of them is taken, so that none can be called badly chosen."""
    x, y = digits()
    every = [seed for _ in rates for seed in seeds]
    k = len(every)
    net = Stack(kind, depth, every)
    step = torch.tensor([rate for rate in rates for _ in seeds]).view(k, 1, 1)
    weights = list(net.parameters())
    velocity = [torch.zeros_like(w) for w in weights]
    start = first_layer(net, x, y)
    for epoch in range(epochs):
        orders = [
            torch.randperm(len(y), generator=torch.Generator().manual_seed(stream_seed(s, "epoch", epoch)))
            for s in seeds
        ]
        for rows in torch.stack(orders * len(rates)).split(BATCH, dim=1):
            loss = F.cross_entropy(net(x[rows]).flatten(0, 1), y[rows].flatten(), reduction="sum") / rows.shape[1]
            slopes = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for w, v, slope in zip(weights, velocity, slopes, strict=True):
                    w.sub_(step * v.mul_(MOMENTUM).add_(slope))
    with torch.no_grad():
        accuracy = (net(x.expand(k, -1, -1)).argmax(2) == y).float().mean(1).view(len(rates), len(seeds))
    best = int(accuracy.mean(1).argmax())
    mine = slice(best * len(seeds), (best + 1) * len(seeds))
    end = first_layer(net, x, y)
    parameters = sum(p.numel() for p in net.parameters()) // k
    return Trained(parameters, rates[best], tuple(accuracy[best].tolist()), start[mine], end[mine])


def gradients(net: Stack, x: Tensor, y: Tensor) -> Tensor:
    """L2 norm of each weight matrix's gradient on all examples, k x depth."""
    k = len(net.out)
    scores = net(x.expand(k, -1, -1))
    loss = F.cross_entropy(scores.flatten(0, 1), y.repeat(k), reduction="sum") / len(y)
    found = torch.autograd.grad(loss, list(net.weights))
    return torch.stack([g.flatten(1).norm(dim=1) for g in found], dim=1)


def first_layer(net: Stack, x: Tensor, y: Tensor) -> tuple[float, ...]:
    return tuple(gradients(net, x, y)[:, 0].tolist())
