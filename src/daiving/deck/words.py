"""Claims 46 to 48: the embedding slide's three pictures, male-female, verb tense and country-capital.

Vectors that could show them come from a large text, and the deck's own embedding (five letters, six steps) has none of
these words. So each claim is answered from a file of vectors in the user's data folder. Beside it stands what skip-gram
makes of a text generated here, into which the very structure was put, and of a second one without it. They show what
the method finds, and what the usual test cannot see; they show nothing about any language.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from daiving.deck.evidence import CANNOT_TELL, NOT_SO, REPRODUCED, Evidence
from daiving.nets import skipgram
from daiving.seeds import stream_seed
from daiving.show.arrows import KINDS, Pairs, Plane, arrows_svg, plane
from daiving.skipgram_settings import Settings
from daiving.tasks.sources import data_folders
from daiving.vector_files import load
from daiving.vectors import Question, Score, Vectors, accuracy, read_questions, total

# Looked for in this order: whoever has the whole file of Google's news vectors is answered from it.
FILES = ("GoogleNews-vectors-negative300.bin", "GoogleNews-vectors-negative300.bin.gz", "googlenews_subset.npz")
QUESTIONS = "questions-words.txt"
MOST = 200_000  # of a file's words, the most frequent
GROUPS = {
    "Male-Female": ("family",),
    "Verb tense": ("gram7-past-tense",),
    "Country-Capital": ("capital-common-countries", "capital-world"),
}
REPAIRINGS = 999  # random ones, that a mean cosine of offsets is held against
SEEDS = (0, 1, 2)
SENTENCES = 9000
TOY = Settings(dim=24, window=6, epochs=5, lr=0.05, batch=64)


def male_female(data: Path | None = None) -> Evidence:
    """Claim 46: man is to woman as king is to queen."""
    return answered("Male-Female", data)


def verb_tense(data: Path | None = None) -> Evidence:
    """Claim 47: walking is to walked as swimming is to swam."""
    return answered("Verb tense", data)


def country_capital(data: Path | None = None) -> Evidence:
    """Claim 48: Spain is to Madrid as Italy is to Rome."""
    return answered("Country-Capital", data)


@dataclass(frozen=True)
class Asked:
    """One set of vectors under the questions of one kind."""

    name: str
    usual: Score  # the three words of the question may not be the answer
    open: Score  # they may
    alone: Score  # as `usual`, but the word nearest to the third one: right here owes nothing to the analogy
    unit: Score  # as `usual`, each vector brought to length one before it is added
    parallel: float  # mean cosine between the offsets of two pairs
    chance: float  # the same, second words dealt out anew, mean
    p: float  # share of the dealings that are as parallel
    plane: Plane | None = None  # the slide's picture, where these vectors have its words

    def row(self) -> tuple[str, ...]:
        return (
            self.name,
            *(f"{one.right:,} of {one.asked:,} ({one.share:.1%})" for one in (self.usual, self.alone, self.open)),
            f"{self.parallel:.2f} ({self.chance:.2f})",
        )


def answered(kind: str, data: Path | None) -> Evidence:
    toys = [toy(kind, seed, structured) for structured in (True, False) for seed in SEEDS]
    put_in, without = (pooled(name, toys[i : i + len(SEEDS)]) for name, i in (("put in", 0), ("left out", len(SEEDS))))
    real, missing = measured(kind, data)
    rows = [asked.row() for asked in (*([real] if real else []), put_in, without)]
    columns = ("vectors", "right", "nearest to the third word", "own words may answer", "parallel (re-paired)")
    notes = (
        f"Generated texts: each sentence has a word of the pairs, one that goes with its pair, one that goes with its "
        f"side, and filling. Put in: skip-gram finds it, {put_in.open.share:.0%} right even if a question's own words "
        f"may be the answer. Left out (the side's word at random): {without.open.share:.0%}; but the usual test still "
        f"has {without.usual.share:.0%} right. The words of a pair are neighbours, and with three words excluded the "
        f"fourth is next: the usual test alone does not show that arrows are parallel.",
        "Parallel: mean cosine between the offsets of two pairs; re-paired: the second words dealt out anew.",
    )
    if real is None:
        return Evidence(
            f"no vectors with such words; in a generated text {put_in.usual.share:.0%} right, because it was put in",
            CANNOT_TELL,
            f"{missing} A text made by us can show how the method works, and nothing about words.",
            columns,
            tuple(rows),
            notes,
        )
    shown = real.usual.share > max(real.alone.share, 0.5) and real.p < 0.05
    return Evidence(
        f"{real.usual.right:,} of {real.usual.asked:,} questions right, {real.usual.share:.1%}; "
        f"{real.open.share:.1%} where the question's own words may be the answer",
        REPRODUCED if shown else NOT_SO,
        f"The offsets {'do point' if shown else 'hardly point'} one way (mean cosine {real.parallel:.2f}, re-paired "
        f"{real.chance:.2f}, p = {real.p:.3f}); the word nearest to the third one alone is right in "
        f"{real.alone.share:.0%}. But no parallelogram closes of itself: unless the question's words are left out, "
        f"{real.open.echoed:,} of {real.open.asked:,} answers are one of them. And the deck's own embedding "
        f"(5 letters, 6 steps) can show none of it.",
        columns,
        tuple(rows),
        (
            f"The vectors are added as they are. Brought to length one before, as by word2vec's own program: "
            f"{real.unit.right:,} of {real.unit.asked:,}, {real.unit.share:.1%}.",
            *notes,
        ),
        drawing=arrows_svg([real.plane]) if real.plane else "",
    )


def measured(kind: str, data: Path | None) -> tuple[Asked | None, str]:
    """The kind's questions put to the vectors of the data folder; or None, and what is missing."""
    folders = data_folders(data)
    file = next((folder / name for name in FILES for folder in folders if (folder / name).is_file()), None)
    if file is None:
        where = " or ".join(f"'{folder}'" for folder in folders) or "any data folder: none is given"
        return None, f"There is no {' or '.join(FILES)} in {where} (--data FOLDER, or DAIVING_DATA)."
    vectors = load(file, MOST)
    groups, source = questions_of(kind, folders)
    found = asked(f"{file.name}, {len(vectors.words):,} words", vectors, groups)
    if found is None:
        return None, f"{file.name} has vectors for none of the questions of {source}."
    return replace(found, plane=drawn(kind, vectors)), ""


def questions_of(kind: str, folders: Sequence[Path]) -> tuple[Mapping[str, Sequence[Question]], str]:
    """word2vec's own where the folder has them, else each of the picture's pairs asked of each other."""
    for folder in folders:
        if (folder / QUESTIONS).is_file():
            groups = read_questions(folder / QUESTIONS)
            return {name: groups[name] for name in GROUPS[kind] if name in groups}, ", ".join(GROUPS[kind])
    return {kind: crossed(KINDS[kind])}, f"the picture ({QUESTIONS} is not in the data folder)"


def crossed(pairs: Pairs) -> list[Question]:
    return [(*one, *other) for one in pairs for other in pairs if one != other]


def asked(name: str, vectors: Vectors, groups: Mapping[str, Sequence[Question]]) -> Asked | None:
    """None where no question has all its words in the vocabulary."""
    usual = total(accuracy(vectors, groups))
    if not usual.asked:
        return None
    free = total(accuracy(vectors, groups, exclude=False))
    alone, unit = total(accuracy(vectors, groups, offset=False)), total(accuracy(vectors, groups, unit=True))
    questions = [q for group in groups.values() for q in group]
    pairs = sorted({pair for q in questions for pair in ((q[0], q[1]), (q[2], q[3]))})
    known = [pair for pair in pairs if all(word in vectors.rows for word in pair)]
    return Asked(name, usual, free, alone, unit, *parallel(ends(vectors, known)))


def ends(vectors: Vectors, pairs: Pairs) -> np.ndarray:
    """pairs x 2 x dimensions."""
    return vectors.table[np.array([[vectors.row(word) for word in pair] for pair in pairs])]


def parallel(ends: np.ndarray) -> tuple[float, float, float]:
    """Mean cosine between the offsets of two pairs; its mean over random re-pairings; the share of these as large."""
    draw = np.random.default_rng(stream_seed("re-pairings"))
    ours = mean_cosine(ends[:, 0], ends[:, 1])
    others = [mean_cosine(ends[:, 0], ends[draw.permutation(len(ends)), 1]) for _ in range(REPAIRINGS)]
    as_large = sum(other >= ours - 1e-6 for other in others)
    return ours, float(np.mean(others)), (1 + as_large) / (1 + REPAIRINGS)


def mean_cosine(a: np.ndarray, b: np.ndarray) -> float:
    offsets = b - a
    units = offsets / np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-12)
    n = len(units)
    return float((np.square(units.sum(0)).sum() - n) / max(n * (n - 1), 1))


def drawn(kind: str, vectors: Vectors) -> Plane | None:
    """The claim's picture; None where fewer than two of its pairs have vectors."""
    known = [pair for pair in KINDS[kind] if all(word in vectors.rows for word in pair)]
    return plane(kind, known, ends(vectors, known)) if len(known) > 1 else None


def toy(kind: str, seed: int, structured: bool) -> Asked:
    """Skip-gram on a generated text."""
    pairs = [(a.lower(), b.lower()) for a, b in KINDS[kind]]
    corpus = skipgram.read(generated(pairs, seed, structured))
    net = skipgram.SkipGram(len(corpus.words), TOY.dim, seed)
    for _ in skipgram.train(net, corpus, replace(TOY, seed=seed)):
        pass
    found = asked("generated", skipgram.vectors(net, corpus), {kind: crossed(pairs)})
    assert found is not None  # each word of the pairs stands in the text
    return found


def generated(pairs: Pairs, seed: int, structured: bool) -> str:
    """A text of one sentence a line. The neighbours are invented words: `topic3b` goes with pair 3, `side1a` with the
    second words. Without structure the side's word is that of either side, at random.
    """
    draw = np.random.default_rng(stream_seed("generated text", seed))
    filling = np.array([f"filling{i}" for i in range(60)])
    often = 1 / np.arange(1, len(filling) + 1)
    lines = []
    for i in range(SENTENCES):
        pair, side = (i // 2) % len(pairs), i % 2
        marked = side if structured else int(draw.integers(2))
        topic, mark = draw.choice(list("abc"), 2)
        words = [pairs[pair][side], f"topic{pair}{topic}", f"side{marked}{mark}"]
        words += draw.choice(filling, 3, p=often / often.sum()).tolist()
        lines.append(" ".join(draw.permutation(words).tolist()))
    return "\n".join(lines)


def pooled(name: str, toys: Sequence[Asked]) -> Asked:
    """Several seeds as one row: counts added, means taken."""
    usual, free, alone, unit = (total([getattr(t, key) for t in toys]) for key in ("usual", "open", "alone", "unit"))
    parallel, chance, p = (float(np.mean([getattr(t, key) for t in toys])) for key in ("parallel", "chance", "p"))
    name = f"generated text, structure {name}, {len(toys)} seeds"
    return Asked(name, usual, free, alone, unit, parallel, chance, p)
