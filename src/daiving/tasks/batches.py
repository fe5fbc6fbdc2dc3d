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
    """One split, ready for a net: batches are n x c x h x w, float32, and labels n, int64.

    Bytes are brought to the scale 0 to 1. `mean` and `deviation` are of the training split on that scale, one number
    each for all pixels. Sequences are n x t and their labels n or n x t, int64, as the task has them: -1 behind a
    sequence's end and for a step that is not scored. Raises `FixableError` for a recipe that shifts sequences.
    """

    def __init__(self, examples: Examples, recipe: Recipe, mean: float, deviation: float) -> None:
        if recipe.shift and examples.x.dtype == np.int64:
            raise FixableError(
                f"The recipe shifts each image by up to {recipe.shift} pixels, and these are sequences.",
                expected="shift 0 for a task of sequences.",
                fix="leave shift out.",
            )
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
        if x.dtype == torch.int64:
            return x
        x = x.float().mul_(1 / 255) if x.dtype == torch.uint8 else x.clone()
        if self.recipe.inputs == "standardised":
            x = x.sub_(self.mean).mul_(1 / self.deviation)
        return x.contiguous(memory_format=layout(self.recipe))


def layout(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.layout == "channels_last" else torch.contiguous_format


def generator(seed: int, epoch: int, what: str) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(seed, epoch, what))


def tight(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Sequences without the columns that are padding in all of them; images as they are."""
    if x.dtype != torch.int64 or bool((x[:, -1] >= 0).any()):
        return x, y
    longest = int((x >= 0).sum(dim=1).max())
    return x[:, :longest], y[:, :longest] if y.dim() == 2 else y


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
    """`Examples.scale`."""
    return examples.scale
