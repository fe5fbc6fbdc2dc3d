"""A toy: examples made up by a rule, a net, and what counts as right. How it is learnt, and what most of them share.

Every toy draws its examples anew, for each step and for its score: none is kept. An answer counts as right only as a
whole. Legend: `n` sequences, `t` steps; -1 stands behind a sequence's end.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from daiving.seeds import stream_seed

Batch = tuple[Tensor, Tensor]  # x and y


class Toy(NamedTuple):
    net: nn.Module
    draw: Callable[[Generator, int], Batch]  # so many examples
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor]
    right: Callable[[nn.Module, Tensor, Tensor], Tensor]  # n, whether each answer is right as a whole
    blind: Callable[[Tensor, Tensor], Tensor]  # the same for the best answer that never looks at x


def learnt(make: Callable[[], Toy], steps: int, *, seed: int = 0, n: int = 32, rate: float = 0.01) -> Toy:
    """The toy after so many steps of Adam, each on n new examples. torch's own random numbers are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed("toy", seed))
        toy = make()
    draws = Generator().manual_seed(stream_seed("toy examples", seed))
    optimizer = torch.optim.Adam(toy.net.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        toy.loss(toy.net, *toy.draw(draws, n)).backward()
        nn.utils.clip_grad_norm_(toy.net.parameters(), 1.0)
        optimizer.step()
    toy.net.eval()
    return toy


def number(draws: Generator, low: int, high: int) -> int:
    """From low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=draws))


def padded(sequences: Sequence[Tensor], value: float = -1) -> Tensor:
    return pad_sequence(list(sequences), batch_first=True, padding_value=value)


def same(answer: Tensor, y: Tensor) -> Tensor:
    """Whether each row is y's, padding (-1) included, whichever of the two is the longer."""
    most = max(answer.shape[1], y.shape[1])
    return (F.pad(answer, (0, most - answer.shape[1]), value=-1) == F.pad(y, (0, most - y.shape[1]), value=-1)).all(1)


def commonest(y: Tensor) -> Tensor:
    """Whether each answer is the one that is most frequent among them."""
    _, which, counts = torch.unique(y, dim=0, return_inverse=True, return_counts=True)
    return which == counts.argmax()


def never(_x: Tensor, y: Tensor) -> Tensor:
    return commonest(y)


def by_class(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x), y)


def right_class(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return net(x).argmax(1) == y


def by_step(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x).transpose(1, 2), y)


def right_steps(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (net(x).argmax(2) == y).all(1)
