"""What every task hands on: three splits as arrays, class names, and a fingerprint. No torch here."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daiving.errors import FixableError

HELD_OUT = 0.1  # share of each class for val, and again for test; at least one each


@dataclass(frozen=True)
class Examples:
    """One split, of images or of sequences."""

    # Images: n c h w, uint8; float32 where the user's own arrays are not bytes. Sequences: n t, int64, a symbol's
    # number a step, and -1 behind a sequence's end.
    x: np.ndarray
    y: np.ndarray  # n, int64, a class from 0; or n t, a class a step, and -1 for steps that are not scored

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation over all pixels of a split, on the scale 0 to 1; 0 and 1 for sequences.

        Raises `FixableError` when every pixel is alike: there is nothing to learn from.
        """
        if self.x.dtype == np.int64:
            return 0.0, 1.0
        if self.x.dtype != np.uint8:
            return checked(float(self.x.mean(dtype=np.float64)), float(self.x.std(dtype=np.float64)))
        counts = np.bincount(self.x.reshape(-1), minlength=256)  # exact, and needs no copy in float
        level = np.arange(256) / 255
        mean = float((counts * level).sum() / counts.sum())
        return checked(mean, float(np.sqrt((counts * (level - mean) ** 2).sum() / counts.sum())))

    @property
    def scored(self) -> int:
        """How many labels count in the loss and in the accuracy."""
        return int((self.y >= 0).sum())


def checked(mean: float, deviation: float) -> tuple[float, float]:
    if not deviation > 0:
        raise FixableError(
            "Every pixel of the training images has the same value.",
            expected="images that differ from one another.",
            fix="look at the files: a wrong export often gives black images.",
        )
    return mean, deviation


@dataclass(frozen=True)
class Data:
    """A task's examples. `fit` is given `train` and `val`; `test` is read once, when a run is over."""

    train: Examples
    val: Examples
    test: Examples
    classes: tuple[str, ...]
    fingerprint: str  # a hash of every pixel or symbol, label and class name, in order
    notes: tuple[str, ...] = ()  # what a person must know: files skipped, and why
    symbols: tuple[str, ...] = ()  # what sequences are made of, by number; empty for images

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of one image; the steps of the longest sequence."""
        return self.train.x.shape[1:]

    @property
    def each_step(self) -> bool:
        """Whether every step of a sequence has a class of its own."""
        return self.train.y.ndim == 2

    @property
    def facts(self) -> dict[str, int]:
        """What the task decides of a net, by the names of a net's arguments."""
        if self.symbols:
            return {
                "num_symbols": len(self.symbols),
                "num_classes": len(self.classes),
                "each_step": self.each_step,
            }
        return {"num_classes": len(self.classes), "in_channels": self.shape[0], "image_size": self.shape[1]}


def pack(
    train: Examples,
    val: Examples,
    test: Examples,
    classes: tuple[str, ...],
    notes: tuple[str, ...] = (),
    symbols: tuple[str, ...] = (),
) -> Data:
    """`Data` with its fingerprint; raises `FixableError` where a split is empty or not what it says."""
    digest = hashlib.blake2b("\n".join(classes).encode(errors="surrogateescape"), digest_size=16)
    if symbols:
        digest.update(repr(symbols).encode())
    for name, part in (("train", train), ("val", val), ("test", test)):
        if not len(part):
            raise FixableError(
                f"The {name} split has no examples.",
                expected="examples in all three of train, val and test.",
                fix=f"put some into {name}, or give more {'data' if symbols else 'images'}: "
                "each class needs at least three.",
            )
        if symbols:
            check_sequences(name, part, len(symbols))
        elif part.x.dtype not in (np.uint8, np.float32) or len(part.x) != len(part.y) or not (part.y >= 0).all():
            raise ValueError(f"the {name} split is not images with one label each")
        digest.update(repr((name, part.x.shape, str(part.x.dtype))).encode())
        digest.update(part.x.tobytes())
        digest.update(part.y.astype(np.int64).tobytes())
    return Data(train, val, test, classes, digest.hexdigest(), notes, symbols)


def check_sequences(split: str, part: Examples, symbols: int) -> None:
    """Raises ValueError where a split is not sequences of symbols' numbers that end in -1 and in nothing else."""
    x, y = part.x, part.y
    if x.dtype != np.int64 or x.ndim != 2 or y.shape not in ((len(x),), x.shape) or not part.scored:
        raise ValueError(f"the {split} split is not sequences with a label each, or one a step")
    ends = (x >= 0).sum(axis=1)
    if not ((x >= 0) == (np.arange(x.shape[1]) < ends[:, None])).all() or x.min() < -1 or x.max() >= symbols:
        raise ValueError(f"the {split} split has symbols out of range, or behind a sequence's end")
    if not ends.all():
        raise ValueError(f"the {split} split has a sequence of no symbols")


def encoded(text: str, symbols: tuple[str, ...]) -> np.ndarray:
    """The symbols' numbers of a text, int64; -1 for a character that is none of them."""
    letters = np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)
    known = np.array([ord(symbol) for symbol in symbols], dtype=np.uint32)
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], letters), len(known) - 1)
    return np.where(known[order][place] == letters, order[place], -1).astype(np.int64)


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
