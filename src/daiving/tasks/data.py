"""What every task hands on: three splits as arrays, class names, and a fingerprint. No torch here."""

import hashlib
from dataclasses import dataclass

import numpy as np

from daiving.errors import FixableError

HELD_OUT = 0.1  # share of each class for val, and again for test; at least one each


@dataclass(frozen=True)
class Examples:
    """One split."""

    x: np.ndarray  # n c h w, uint8; float32 where the user's own arrays are not bytes
    y: np.ndarray  # n, int64, a class from 0

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """A task's examples. `fit` is given `train` and `val`; `test` is read once, when a run is over."""

    train: Examples
    val: Examples
    test: Examples
    classes: tuple[str, ...]
    fingerprint: str  # a hash of every pixel, label and class name, in order
    notes: tuple[str, ...] = ()  # what a person must know: files skipped, and why

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one example."""
        return self.train.x.shape[1:]


def pack(train: Examples, val: Examples, test: Examples, classes: tuple[str, ...], notes: tuple[str, ...] = ()) -> Data:
    """`Data` with its fingerprint; raises `FixableError` where a split is empty or not what it says."""
    digest = hashlib.blake2b("\n".join(classes).encode(errors="surrogateescape"), digest_size=16)
    for name, part in (("train", train), ("val", val), ("test", test)):
        if not len(part):
            raise FixableError(
                f"The {name} split has no examples.",
                expected="examples in all three of train, val and test.",
                fix=f"put some into {name}, or give more images: each class needs at least three.",
            )
        if part.x.dtype not in (np.uint8, np.float32) or len(part.x) != len(part.y) or not (part.y >= 0).all():
            raise ValueError(f"the {name} split is not images with one label each")
        digest.update(repr((name, part.x.shape, str(part.x.dtype))).encode())
        digest.update(part.x.tobytes())
        digest.update(part.y.astype(np.int64).tobytes())
    return Data(train, val, test, classes, digest.hexdigest(), notes)


def hashed_order(names: list[str], seed: object) -> list[int]:
    """The indices of `names` in an order that only the names and the seed decide, for ever and on any machine."""

    def key(i: int) -> bytes:
        return hashlib.blake2b(f"{seed}\0{names[i]}".encode(), digest_size=16).digest()

    return sorted(range(len(names)), key=key)


def held_out(part: Examples, names: list[str], seed: int, times: int) -> list[Examples]:
    """The part less one or two shares held out of every class: which files, only their names and the seed decide."""
    taken: list[list[int]] = [[] for _ in range(times + 1)]
    for label in np.unique(part.y):
        mine = np.flatnonzero(part.y == label)
        order = mine[hashed_order([names[i] for i in mine], seed)]
        share = max(1, round(len(mine) * HELD_OUT))
        for k in range(times):
            taken[k + 1] += order[k * share : (k + 1) * share].tolist()
        taken[0] += order[times * share :].tolist()
    return [Examples(part.x[sorted(chosen)], part.y[sorted(chosen)]) for chosen in taken]
