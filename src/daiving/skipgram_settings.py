"""How word vectors are trained. The command line reads it without torch; `nets/skipgram.py` does what it says."""

from dataclasses import dataclass, field, fields
from typing import Any

from daiving.errors import FixableError


def opt(default: Any, help: str, low: float, high: float | None = None) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How vectors are trained. Raises `FixableError` for a value out of range; the upper ends are for memory's sake."""

    dim: int = opt(100, "numbers in a vector", 1, 10_000)
    window: int = opt(5, "how many words away a neighbour may be", 1, 1_000)
    negatives: int = opt(5, "random words for each true neighbour", 1, 1_000)
    epochs: int = opt(20, "passes over the text; word2vec's program makes 5, of texts a thousand times as long", 1)
    min_count: int = opt(5, "a rarer word gets no vector", 1)
    subsample: float = opt(1e-3, "t of equation (5); 0 keeps all words", 0)
    lr: float = opt(0.025, "learning rate at the start", 0)
    batch: int = opt(256, "pairs in one step", 1, 1_000_000)
    seed: int = opt(0, "fixes start, windows, order and negatives", 0)

    def __post_init__(self) -> None:
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata["low"], f.metadata["high"]
            if not low <= value < float("inf") or (high and value > high):
                raise FixableError(
                    f"{f.name} is {value}.",
                    expected=f"{f'from {low} to {high:,}' if high else f'at least {low}'} ({f.metadata['help']}).",
                    fix=f"leave it out to get {f.default}.",
                )
