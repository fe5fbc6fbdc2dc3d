"""Initial weights that pair: every tensor of a net is drawn from (seed, its name), not from one running stream.

With one stream, a layer added to one arm shifts all draws behind it, and two arms share nothing but their seed. Here
`conv1.weight` starts alike in every net that has a `conv1.weight` of that shape and initialisation, whatever else
the net holds, and whoever wrote it: the net's own initialisation runs unchanged, only the random numbers it is handed
depend on where they end up.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from daiving.seeds import stream_seed


class LightMode(TorchDispatchMode):
    """A mode that does not ask for torch's compiler, whose import alone takes a second."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Trace(LightMode):
    """Follows random numbers to the tensors that they end up in, through copies and arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0  # draws so far
        self.origin: dict[int, set[int]] = {}  # address of a storage -> the draws in it
        self.alive: list[Tensor] = []  # an address means a storage only as long as that lives

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        draws = set().union(*(self.origin.get(address(t), set()) for t in tensors((args, kwargs))))
        if torch.Tag.nondeterministic_seeded in func.tags:
            draws.add(self.count)
            self.count += 1
        if draws:
            for t in tensors(out):
                self.origin.setdefault(address(t), set()).update(draws)
                self.alive.append(t)
        return out

    def names(self, net: nn.Module) -> list[str]:
        """For each draw, the first tensor of the net that it is in, and its number there; no name if it is in none."""
        named = dict(net.named_parameters()) | dict(net.named_buffers())
        owner: dict[int, str] = {}
        for name, t in named.items():
            for draw in sorted(self.origin.get(address(t), ())):
                owner.setdefault(draw, name)
        seen: Counter[str] = Counter()
        names = []
        for draw in range(self.count):
            name = owner.get(draw, "")
            names.append(f"{name}#{seen[name]}")
            seen[name] += 1
        return names


class Redraw(LightMode):
    """Seeds the generator anew before each draw, from (seed, where the draw ends up)."""

    def __init__(self, seed: int, names: list[str]) -> None:
        super().__init__()
        self.seed, self.names = seed, iter(names)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            torch.default_generator.manual_seed(stream_seed(self.seed, next(self.names, "more")))
        return func(*args, **(kwargs or {}))


def tensors(value: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


def address(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()


def drawn(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """The net that `make` builds, each of its tensors drawn from (seed, name).

    `make` is called twice: once to see which random numbers end up in which tensor, once to draw them. The random
    numbers of the caller (torch's, Python's, numpy's) are left as they were.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            seed_all(seed)
            with Trace() as trace:
                names = trace.names(make())
            seed_all(seed)
            with Redraw(seed, names):
                return make()
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def seed_all(seed: int) -> None:
    """One start for whatever else a user's constructor draws from, in both of its calls."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
