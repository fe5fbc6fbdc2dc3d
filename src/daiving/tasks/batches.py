"""From arrays to batches of tensors. Order and augmentation depend on (seed, epoch) alone, never on the net."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from daiving.errors import FixableError
from daiving.recipe import Recipe
from daiving.seeds import stream_seed
from daiving.tasks.data import Examples


class Batches:
    """One split, ready for a net: batches are n x c x h w, float32, and labels n, int64.

    Bytes are brought to the scale 0 to 1. `mean` and `deviation` are of the training split on that scale, one number
    each for all pixels.
    """

    def __init__(self, examples: Examples, recipe: Recipe, mean: float, deviation: float) -> None:
        self.x, self.y = torch.from_numpy(examples.x), torch.from_numpy(examples.y)
        self.recipe, self.mean, self.deviation = recipe, mean, deviation

    def __len__(self) -> int:
        return len(self.y)

    def in_order(self, batch: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
        """Every example once, as it lies, without augmentation."""
        for start in range(0, len(self), batch):
            chosen = slice(start, start + batch)
            yield self.prepared(self.x[chosen]), self.y[chosen]

    def shuffled(self, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every example once, in the order and with the shifts of (seed, epoch); the last batch may be short."""
        order = torch.randperm(len(self), generator=generator(seed, epoch, "order"))
        shifts = generator(seed, epoch, "augmentation")
        for chosen in order.split(self.recipe.batch):
            x = self.x[chosen]
            yield self.prepared(shifted(x, self.recipe.shift, shifts) if self.recipe.shift else x), self.y[chosen]

    def prepared(self, x: Tensor) -> Tensor:
        x = x.float().mul_(1 / 255) if x.dtype == torch.uint8 else x.clone()
        if self.recipe.inputs == "standardised":
            x = x.sub_(self.mean).mul_(1 / self.deviation)
        return x.contiguous(memory_format=layout(self.recipe))


def layout(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.layout == "channels_last" else torch.contiguous_format


def generator(seed: int, epoch: int, what: str) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(seed, epoch, what))


def shifted(x: Tensor, most: int, random: torch.Generator) -> Tensor:
    """Each image moved by -most..most pixels both ways; what comes into view is black."""
    n, _, h, w = x.shape
    wide = torch.nn.functional.pad(x, (most, most, most, most))
    down, right = torch.randint(0, 2 * most + 1, (2, n), generator=random)
    rows = down[:, None] + torch.arange(h)  # n h
    columns = right[:, None] + torch.arange(w)  # n w
    each = torch.arange(n)[:, None, None]
    return wide[each, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)  # indexing put c last


def scale(examples: Examples) -> tuple[float, float]:
    """Mean and standard deviation over all pixels of a split, on the scale 0 to 1.

    Raises `FixableError` when every pixel is alike: there is nothing to learn from.
    """
    if examples.x.dtype != np.uint8:
        mean, deviation = float(examples.x.mean(dtype=np.float64)), float(examples.x.std(dtype=np.float64))
        return checked(mean, deviation)
    counts = np.bincount(examples.x.reshape(-1), minlength=256)  # exact, and needs no copy in float
    level = np.arange(256) / 255
    mean = float((counts * level).sum() / counts.sum())
    deviation = float(np.sqrt((counts * (level - mean) ** 2).sum() / counts.sum()))
    return checked(mean, deviation)


def checked(mean: float, deviation: float) -> tuple[float, float]:
    if not deviation > 0:
        raise FixableError(
            "Every pixel of the training images has the same value.",
            expected="images that differ from one another.",
            fix="look at the files: a wrong export often gives black images.",
        )
    return mean, deviation
