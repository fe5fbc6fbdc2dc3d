"""A text, character by character: at each one, which comes next? Any text file, or one that is at hand.

Without a file: tinyshakespeare.txt where --data or DAIVING_DATA has it, else the documentation topics of Python's own
standard library, which are there on every machine (and differ a little from one version of Python to the next).
"""

import platform
from pathlib import Path

import numpy as np

from daiving.errors import FixableError
from daiving.tasks.data import Data, Examples, encoded, pack
from daiving.tasks.sources import data_folders
from daiving.tasks.symbols import alphabet, read_text, stand_in, strange_note

DEFAULT = "tinyshakespeare.txt"
SHARES = (0.8, 0.9)  # where val and test begin: the three are consecutive parts of the text


def load(*, file: str, steps: int, data_dir: Path | None = None, cache_dir: Path | None = None) -> Data:
    """Sequences of `steps` characters, each with the character behind it as its label: n x steps both.

    80 % of the text is train, the next 10 % val, the last 10 % test; each is cut into sequences one behind the other,
    and the last one may be shorter. Raises `FixableError` for a text that nothing can be learnt from.
    """
    text, name, said = found(file, data_dir)
    check(text, name, steps)
    begin_val, begin_test = (round(len(text) * share) for share in SHARES)
    parts = text[:begin_val], text[begin_val:begin_test], text[begin_test:]
    symbols, strange = alphabet(parts[0], parts[1] + parts[2])
    train, val, test = (sequences(encoded(stand_in(part, strange), symbols), steps) for part in parts)
    return pack(train, val, test, symbols, (said, *strange_note(strange)), symbols)


def found(file: str, data_dir: Path | None) -> tuple[str, str, str]:
    """The text, its name, and a note that says which it is."""
    places = [Path(file).expanduser()] if file else [folder / DEFAULT for folder in data_folders(data_dir)]
    for path in places:
        if path.is_file():
            text = read_text(path.read_bytes(), str(path))
            return text, str(path), f"the text is {path.name}: {len(text):,} characters."
    if file:
        raise FixableError(
            f"There is no text file '{file}'.",
            expected="a plain text file, in UTF-8.",
            fix="check the path; it is looked up from the folder you are in.",
        )
    from pydoc_data.topics import topics

    text = "\n".join(topics[key] for key in sorted(topics))
    python = f"Python {platform.python_version()}"
    return (
        text,
        f"the topics of {python}",
        f"the text is the documentation topics of {python}: {len(text):,} characters.",
    )


def check(text: str, name: str, steps: int) -> None:
    """Raises `FixableError` for no text, for one distinct character, and for less than one sequence to train on."""
    if not text:
        raise FixableError(
            f"The text '{name}' is empty.",
            expected="some thousand characters or more to learn from.",
            fix="give a text file that has a text in it: --task text:file=my.txt.",
        )
    if len(set(text)) == 1:
        raise FixableError(
            f"The text '{name}' has one distinct character, {text[0]!r}, {len(text):,} times.",
            expected="a text of two characters or more: with one there is nothing to predict.",
            fix="give another text: --task text:file=my.txt.",
        )
    least = round((steps + 2) / SHARES[0])
    least = max(least, 20)  # so that val and test have two characters, of which one is predicted
    if len(text) < least:
        raise FixableError(
            f"The text '{name}' has {len(text):,} characters, too few for sequences of {steps} steps.",
            expected=f"at least {least:,} characters: the training part, 80 %, must fill one sequence.",
            fix="give a longer text, or fewer steps: --task text:file=my.txt,steps=16.",
        )


def sequences(numbers: np.ndarray, steps: int) -> Examples:
    """A stream of symbols in rows of `steps`, each with what comes next; behind its end the last row has -1."""
    count = len(numbers) - 1
    rows = -(-count // steps)
    x, y = (np.full(rows * steps, -1, dtype=np.int64) for _ in range(2))
    x[:count], y[:count] = numbers[:-1], numbers[1:]
    return Examples(x.reshape(rows, steps), y.reshape(rows, steps))


def stream(part: Examples) -> np.ndarray:
    """The inverse of `sequences`: the symbols one behind the other."""
    return np.concatenate([part.x[0, :1], part.y[part.y >= 0]])
