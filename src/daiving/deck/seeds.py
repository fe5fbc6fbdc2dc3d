"""How often a net of the deck spells ihello, over 2,000 initialisations: seed 777 is one of them.

The nets of all seeds stand in one stack (`packed.py`) and train in the time of a few; seed s is what
torch.manual_seed(s) draws, as in the deck.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import torch
from torch import Tensor

from daiving.deck.evidence import Figure
from daiving.deck.floor import floor
from daiving.deck.hello import ALL, EPOCHS, RATE, SEED, Run, build, spelled
from daiving.packed import Stack
from daiving.recipe import named
from daiving.show.numbers import percent
from daiving.tasks import load
from daiving.tasks.batches import Batches
from daiving.tasks.hello import LETTERS, SAY

MANY = 2000
SPREAD = (0.1, 0.5, 0.9)
AXIS = ("epoch", "loss [nats]")


@dataclass(frozen=True)
class Seeds:
    """One variant with seeds 0, 1, 2, … What is said of an epoch is from before its step."""

    losses: Tensor  # epochs x seeds, nats
    strings: tuple[str, ...]  # at the last epoch, a seed each

    @property
    def right(self) -> int:
        return self.strings.count(SAY)

    @property
    def share(self) -> float:
        return self.right / len(self.strings)

    def quantiles(self, epoch: int = -1) -> tuple[float, ...]:
        """The losses below which 10, 50 and 90 % of the seeds lie, at the last epoch or another (an index)."""
        return tuple(torch.quantile(self.losses[epoch], torch.tensor(SPREAD)).tolist())

    def wrong(self, most: int = 3) -> list[tuple[str, int]]:
        """The commonest wrong strings, and how many seeds spell them."""
        counts = Counter(string for string in self.strings if string != SAY)
        return counts.most_common(most)

    def rank(self, loss: float) -> float:
        """The share of seeds whose loss at the last epoch is lower than this one."""
        return (self.losses[-1] < loss).double().mean().item()

    def curve(self) -> list[list[float]]:
        """For a picture, an epoch each: its number from 1, the median, and the losses that 10 and 90 % lie below."""
        low, middle, high = torch.quantile(self.losses, torch.tensor(SPREAD), dim=1)
        return torch.stack([torch.arange(1, len(middle) + 1), middle, low, high], dim=1).tolist()

    def __str__(self) -> str:
        low, high = wilson(self.right, len(self.strings))
        return f"{percent(self.share)} ({percent(low)} to {percent(high)})"


@cache
def count(name: str, seeds: int = MANY, epochs: int = EPOCHS) -> Seeds:
    """Train a variant of `hello.ALL` from each of the seeds; the same call again costs nothing."""
    recipe = named("hello").but(epochs=epochs, lr=RATE)
    words = Batches(load("hello", {}, data_dir=None, cache_dir=None).train, recipe, 0.0, 1.0)
    stack = Stack([build(name, seed) for seed in range(seeds)], recipe, len(words))
    x, _ = next(words.in_order())
    losses, answers = [], None
    for epoch in stack.epochs:
        if epoch == stack.epochs[-1]:
            answers = stack.answers(x)[:, 0]  # seeds x letters x classes
        losses += [told.losses for told in stack.epoch(words, range(seeds), epoch)]
    assert answers is not None
    return Seeds(torch.stack(losses), tuple(map(spelled, answers)))


def wilson(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share that was counted (Wilson, 1927): it stays inside 0 to 1, also near the ends."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, z2 = right / n, z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z2 / (4 * n))
    return (p + z2 / 2 - half) / (1 + z2), (p + z2 / 2 + half) / (1 + z2)


def said(name: str, found: Seeds, most: int = 3) -> str:
    """One variant's seeds in a sentence."""
    low, middle, high = found.quantiles()
    wrong = ", ".join(f"{string} ({times})" for string, times in found.wrong(most))
    return (
        f"{name}, {len(found.strings):,} seeds: {found} spell {SAY}; loss {middle:.4f} in the median, 10 % below "
        f"{low:.4f} and 10 % above {high:.4f}{f'; commonest wrong: {wrong}' if wrong else ''}."
    )


def alone(run: Run) -> list[list[float]]:
    """A run's losses as a line of a picture."""
    return [[epoch, loss, loss, loss] for epoch, loss in enumerate(run.losses, 1)]


def picture(run: Run, name: str, log: bool = False) -> Figure:
    """The deck's seed among all seeds, over the floor."""
    variant, many = ALL[name], count(name)
    middle = f"{len(many.strings):,} seeds: median, and band from 10 to 90 %"
    least = floor(variant.output, len(LETTERS), variant.scale)
    floors = {"floor, for any weights": least} if least else {}
    return Figure(*AXIS, {f"{variant.words}, seed {SEED}": alone(run), middle: many.curve()}, log, floors=floors)
