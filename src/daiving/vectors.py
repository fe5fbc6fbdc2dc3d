"""Word vectors and what is asked of them: the nearest words, analogies, and word2vec's file of analogy questions.

An analogy "a is to b as c is to ?" is answered by the word whose vector has the largest cosine with b − a + c (Mikolov
et al., 2013, arXiv 1301.3781, section 4). Two things are left open there, and both change the score:

    which words may be the answer   The usual test leaves out a, b and c themselves. Mostly it needs to: without it the
                                    answer is c more often than not (Drozd, Gladkova & Matsuoka, 2016). And it can be
                                    passed without any analogy, where the two words of a pair are neighbours: how often,
                                    the word nearest to c alone tells (Linzen, 2016). `exclude`, `offset`
    how long the vectors are        The paper's text adds them as they are; word2vec's own program, and gensim, bring
                                    each to length one before they add. `unit`
"""

import difflib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from daiving.errors import FixableError

SCORES = 1 << 24  # numbers in one block of a product with the whole vocabulary: 64 MiB
SEARCHED = 100_000  # words that a misspelt one is compared with: files have the most frequent first
Question = tuple[str, str, str, str]


@dataclass(frozen=True)
class Vectors:
    """Words with a vector each. Raises `FixableError` for a word that is there twice and for a number that is none."""

    words: tuple[str, ...]  # the most frequent first, as files have them
    table: np.ndarray  # float32, words x dimensions

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or len(self.table) != len(self.words) or not self.table.size:
            raise FixableError(
                f"{counted(len(self.words), 'word')} and vectors of shape {'x'.join(map(str, self.table.shape))}: "
                "these do not fit one another.",
                expected="one vector for each word, at least one word, and at least one number in a vector.",
                fix="write words and vectors again, from the same list.",
            )
        if len(self.rows) != len(self.words):
            row, word = next((i, word) for i, word in enumerate(self.words) if self.rows[word] != i)
            raise FixableError(
                f"The word '{word}' has two vectors, in rows {row + 1} and {self.rows[word] + 1}.",
                expected="each word once.",
                fix="delete one of the two.",
            )
        if not np.isfinite(self.lengths).all():
            row = int(np.flatnonzero(~np.isfinite(self.lengths))[0])
            raise FixableError(
                f"The vector of '{self.words[row]}' (row {row + 1}) holds a number that is not finite.",
                expected="finite numbers only.",
                fix="train again with a smaller learning rate, or delete the word.",
            )

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Where each word stands."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def lengths(self) -> np.ndarray:
        """L2 norm of each vector, float64: no float32 overflows in it, so what is not finite was not finite before."""
        return np.sqrt(np.einsum("ij,ij->i", self.table, self.table, dtype=np.float64))

    @cached_property
    def shares(self) -> np.ndarray:
        """1 / length, float64, and 0 for a vector of zeros, which is in no direction."""
        return np.divide(1, self.lengths, out=np.zeros(len(self.words)), where=self.lengths > 0)

    @cached_property
    def scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """What cosines are taken of, float32: rows along the vectors, words x dimensions, and 1 / the rows' lengths.

        The rows are the table itself. Only where float32 could not hold a product with it, with 1e38 or 1e-40 in it, is
        each row brought near length one, by a power of two, which changes no digit.
        """
        known = self.lengths[self.lengths > 0]
        if not known.size or (known.min() > 1e-15 and known.max() < 1e15):
            return self.table, self.shares.astype(np.float32)
        powers = np.frexp(self.lengths)[1]
        return np.ldexp(self.table, -powers[:, None]), np.ldexp(self.shares, powers).astype(np.float32)

    def row(self, word: str) -> int:
        """Raises `FixableError`, with the nearest spellings, where the word has no vector."""
        return row_of(word, self.words, self.rows)

    def nearest(self, word: str, n: int = 10) -> tuple[tuple[str, float], ...]:
        """The n words with the largest cosine (−1 to 1), the largest first, without the word itself."""
        row = self.directed(word)
        return self.best(to_length_one(self.table[[row]])[0], n, (row,))

    def analogy(
        self, a: str, b: str, c: str, n: int = 10, *, exclude: bool = True, unit: bool = False
    ) -> tuple[tuple[str, float], ...]:
        """The n words with the largest cosine to b − a + c: what is to c as b is to a, the best first."""
        rows = np.array([[self.directed(word) for word in (a, b, c)]])
        return self.best(self.targets(rows, unit)[0], n, tuple(rows[0]) if exclude else ())

    def targets(self, rows: np.ndarray, unit: bool = False, offset: bool = True) -> np.ndarray:
        """The direction of b − a + c for rows of (a, b, c, …), or of c alone: questions x dimensions, float32."""
        a, b, c = (self.table[rows[:, i]].astype(np.float64) for i in range(3))  # a sum may be too large for float32
        if unit:
            a, b, c = (part * self.shares[rows[:, i], None] for i, part in enumerate((a, b, c)))
        return to_length_one(b - a + c if offset else c)

    def best(self, target: np.ndarray, n: int, without: Sequence[int]) -> tuple[tuple[str, float], ...]:
        table, shares = self.scaled
        scores = table @ target * shares
        scores[list(without)] = -np.inf
        n = max(0, min(n, len(scores) - len(set(without))))
        found = np.argpartition(-scores, max(n - 1, 0))[:n]
        found = found[np.lexsort((found, -scores[found]))]  # of equal ones the first
        return tuple((self.words[row], float(scores[row])) for row in found)

    def directed(self, word: str) -> int:
        row = self.row(word)
        if self.lengths[row] == 0:
            raise FixableError(
                f"The vector of '{word}' is all zeros.",
                expected="a vector with a direction: a cosine is the angle between two.",
                fix="choose another word, or train the vectors again.",
            )
        return row


@dataclass(frozen=True)
class Score:
    """How the analogy questions of one group went."""

    group: str
    asked: int  # questions whose four words all have vectors
    right: int
    echoed: int  # answered with one of their own three words; 0 where these are left out
    left_out: int  # questions with a word that has no vector

    @property
    def share(self) -> float:
        """Right of those asked, 0 to 1; nan where none was."""
        return self.right / self.asked if self.asked else float("nan")


def accuracy(
    vectors: Vectors,
    questions: Mapping[str, Sequence[Question]],
    *,
    exclude: bool = True,
    unit: bool = False,
    offset: bool = True,
    ignore_case: bool = False,
) -> tuple[Score, ...]:
    """A `Score` for each group. A question that stands there twice is asked twice, as word2vec's program does it.

    `ignore_case` takes for each word the first in the file that differs in capital letters at most.
    """
    known = folded(vectors) if ignore_case else vectors.rows
    found = []
    for group, asked in questions.items():
        words = [[word.casefold() for word in question] if ignore_case else question for question in asked]
        places = [[found_row(word, known) for word in question] for question in words]
        rows = np.array([four for four in places if None not in four], np.int64).reshape(-1, 4)
        answers = answer(vectors, rows, exclude=exclude, unit=unit, offset=offset)
        right, echoed = (answers == rows[:, 3]).sum(), (answers[:, None] == rows[:, :3]).any(1).sum()
        found.append(Score(group, len(rows), int(right), int(echoed), len(asked) - len(rows)))
    return tuple(found)


def answer(vectors: Vectors, rows: np.ndarray, *, exclude: bool, unit: bool, offset: bool) -> np.ndarray:
    """The row of the best word for each (a, b, c, …), questions; block by block, so that memory stays bounded."""
    answers = np.empty(len(rows), np.int64)
    block = max(1, SCORES // len(vectors.words))
    table, shares = vectors.scaled
    for start in range(0, len(rows), block):
        some = rows[start : start + block]
        scores = vectors.targets(some, unit, offset) @ table.T * shares
        if exclude:
            np.put_along_axis(scores, some[:, :3], -np.inf, axis=1)
        answers[start : start + block] = scores.argmax(axis=1)
    return answers


def total(scores: Sequence[Score], group: str = "all") -> Score:
    return Score(group, *(sum(getattr(s, key) for s in scores) for key in ("asked", "right", "echoed", "left_out")))


def read_questions(path: Path) -> dict[str, list[Question]]:
    """word2vec's questions-words.txt: `: group`, then a question of four words a line. Raises `FixableError`."""
    groups: dict[str, list[Question]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise FixableError(
            f"The questions '{path}' cannot be read: {reason(error)}.",
            expected="a text file in UTF-8, such as word2vec's questions-words.txt.",
            fix="check the path.",
        ) from None
    group = "questions"
    for number, line in enumerate(lines, 1):
        if line.startswith(":"):
            group = line[1:].strip()
        elif words := line.split():
            if len(words) != 4:
                raise FixableError(
                    f"Line {number} of '{path}' has {counted(len(words), 'word')}.",
                    expected="four, as in `man king woman queen`, or a line like `: family` above a group.",
                    fix="mend the line, or give another file.",
                )
            groups.setdefault(group, []).append((words[0], words[1], words[2], words[3]))
    if not groups:
        raise FixableError(
            f"'{path}' holds no questions.",
            expected="lines of four words, as in `man king woman queen`.",
            fix="give word2vec's questions-words.txt, or write your own.",
        )
    return groups


def folded(vectors: Vectors) -> dict[str, int]:
    """The first row of each word, capital letters aside."""
    return {word.casefold(): row for row, word in reversed(list(enumerate(vectors.words)))}


def row_of(word: str, words: Sequence[str], rows: Mapping[str, int]) -> int:
    """The word's row. Raises `FixableError`, with the nearest spellings, where it is none of the words."""
    row = found_row(word, rows)
    if row is not None:
        return row
    near = spellings(word, words[:SEARCHED])
    raise FixableError(
        f"The word '{word}' has no vector.",
        expected=f"one of the {counted(len(words), 'word')} of the vocabulary, capital letters as they are there.",
        fix=f"did you mean {' or '.join(repr(one) for one in near)}?"
        if near
        else "choose another word; a longer text, or a smaller --min-count, gives more of them.",
    )


def found_row(word: str, rows: Mapping[str, int]) -> int | None:
    """The row of a word as it is written, or else with its letters composed (é as one sign), or decomposed (as two)."""
    if word in rows:
        return rows[word]
    forms = (unicodedata.normalize(form, word) for form in ("NFC", "NFD"))
    return next((rows[form] for form in forms if form in rows), None)


def spellings(word: str, words: Sequence[str]) -> list[str]:
    """At most three words that are spelt nearly like it, first those that differ in capital letters alone.

    Letters are compared decomposed: a Korean syllable is one sign, and of two or three letters.
    """

    def letters(word: str) -> str:
        return unicodedata.normalize("NFD", word.casefold())

    low = letters(word)
    near = {form: w for w in reversed(words) if abs(len(form := letters(w)) - len(low)) <= 3}
    return [near[found] for found in difflib.get_close_matches(low, near, n=3, cutoff=0.7)]


def to_length_one(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one, float32, whatever length they had; a row of zeros stays one."""
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0).astype(np.float32)


def counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0].rstrip(".")
