"""The lecture's smallest sequence task: read "hihell", say at each letter which comes next, "ihello".

Five letters, numbered as the lecture numbers them; one sequence of six steps. (Lessons 12_2 to 12_4 of
hunkim/PyTorchZeroToAll.)
"""

from pathlib import Path

from daiving.tasks.data import Data, Examples, encoded, pack

LETTERS = ("h", "i", "e", "l", "o")
READ, SAY = "hihell", "ihello"


def load(*, data_dir: Path | None = None, cache_dir: Path | None = None) -> Data:
    """One sequence of 6 steps and its 6 labels; train, val and test are the same."""
    train, val, test = (Examples(encoded(READ, LETTERS)[None], encoded(SAY, LETTERS)[None]) for _ in range(3))
    note = (
        "train, val and test are one and the same sequence: what is measured is whether it was learnt by heart, "
        "as in the lecture."
    )
    return pack(train, val, test, LETTERS, (note,), LETTERS)
