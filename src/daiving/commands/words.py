"""daiving words: word vectors, read from a file or trained on a text, and what is asked of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
from tyro.conf import Positional

from daiving.commands.flags import arg, parse
from daiving.errors import FixableError
from daiving.files import write_atomic
from daiving.skipgram_settings import Settings
from daiving.vector_files import (
    BOM,
    GZIP,
    ZIP,
    check_ending,
    check_place,
    head_of,
    load,
    named_like,
    no_place,
    no_vectors,
    numbers,
    save,
)
from daiving.vectors import Question, Vectors, accuracy, counted, read_questions, reason, row_of, total

SHOWN = 10  # words
Pair = tuple[str, str]


@dataclass(frozen=True)
class Words:
    """Word vectors from a file (word2vec text or binary, .npz), or trained on a text.

    daiving words vectors.npz --nearest queen --analogy "man king woman"
    daiving words vectors.bin --most 100000 --questions questions-words.txt
    daiving words novel.txt --save novel.npz --arrows novel.svg
    """

    file: Annotated[Positional[Path], arg("a file of vectors, or a text in UTF-8, a sentence a line")]
    nearest: Annotated[tuple[str, ...], arg("words whose nearest words are listed")] = ()
    analogy: Annotated[str | None, arg('"man king woman": what is to woman as king is to man')] = None
    questions: Annotated[Path | None, arg("a file of analogy questions: word2vec's questions-words.txt")] = None
    unit: Annotated[bool, arg("bring vectors to length one before they are added, as word2vec's program does")] = False
    ignore_case: Annotated[bool, arg("read the questions without regard to capital letters")] = False
    arrows: Annotated[Path | None, arg("an .svg file to draw pairs of words into")] = None
    pairs: Annotated[str | None, arg('what is drawn: "man woman, king queen"; else the deck\'s three pictures')] = None
    save: Annotated[Path | None, arg("a file for the vectors: .npz, .txt or .bin")] = None
    most: Annotated[int | None, arg("read only so many words of a file of vectors, the first")] = None


SETTINGS = [f.name for f in fields(Settings)]


def with_training() -> type:
    """`Words` with the settings of a training as flags, None where not given: beside vectors they are a mistake."""
    hints = get_type_hints(Settings)
    more: list[Any] = [
        (
            f.name,
            Annotated[hints[f.name] | None, arg(f"for a text: {f.metadata['help']} (if left out, {f.default})")],
            field(default=None),
        )
        for f in fields(Settings)
    ]
    made = make_dataclass("Words", more, bases=(Words,), frozen=True, kw_only=True)
    made.__doc__ = Words.__doc__
    return made


def main(arguments: Sequence[str]) -> int:
    flags: Any = parse(with_training(), arguments, "words")
    check(flags)
    questions = read_questions(flags.questions) if flags.questions else {}
    vectors = vectors_of(flags)
    print(f"{counted(len(vectors.words), 'word')}, {counted(vectors.table.shape[1], 'number')} each")
    if flags.save:  # first: nothing that goes wrong below shall cost a training
        save(vectors, flags.save)
        print(f"{flags.save}: {flags.save.stat().st_size:,} bytes")
    for word in flags.nearest:
        listing(f"nearest to {word}, by cosine", vectors.nearest(word, SHOWN))
    if flags.analogy:
        analogy(vectors, flags.analogy.split(), flags.unit)
    if flags.questions:
        print("\n" + questions_text(vectors, questions, flags))
    if flags.arrows:
        draw(vectors, flags)
    return 0


def check(flags: Any) -> None:
    """All that can be said before a text is trained on."""
    if flags.most is not None and flags.most < 1:
        raise FixableError(f"--most is {flags.most}.", expected="at least 1 word.", fix="leave it out to read all.")
    if flags.analogy is not None and len(flags.analogy.split()) != 3:
        raise FixableError(
            f"The analogy '{flags.analogy}' has {counted(len(flags.analogy.split()), 'word')}.",
            expected="three: `man king woman` asks what is to woman as king is to man.",
            fix='write --analogy "man king woman", with the quotation marks.',
        )
    if flags.pairs is not None and (not flags.arrows or any(len(pair) != 2 for pair in pairs_of(flags.pairs))):
        raise FixableError(
            f"The pairs '{flags.pairs}' cannot be drawn.",
            expected="two words each, commas between the pairs, and --arrows with the file to draw them into.",
            fix='write --pairs "man woman, king queen" --arrows words.svg.',
        )
    if flags.arrows and flags.arrows.suffix != ".svg":
        raise FixableError(
            f"'{flags.arrows}' does not end like a picture.",
            expected="a name that ends in .svg.",
            fix=f"write --arrows {named_like(flags.arrows, '.svg')}.",
        )
    if flags.save:
        check_ending(flags.save)
    for path in (flags.save, flags.arrows):
        if path:
            check_place(path, [one for one in (flags.file, flags.questions) if one])


def vectors_of(flags: Any) -> Vectors:
    """Those in the file; where it is a text, those trained on it."""
    given = {name: getattr(flags, name) for name in SETTINGS if getattr(flags, name) is not None}
    if not is_text(flags.file):
        if given:
            name = next(iter(given)).replace("_", "-")
            raise FixableError(
                f"--{name} is for training on a text, and '{flags.file}' is a file of vectors.",
                expected="a text, or no flags of a training.",
                fix=f"leave --{name} out.",
            )
        vectors = load(flags.file, flags.most)
        check_words(flags, vectors.words, vectors.rows)
        return vectors
    if flags.most is not None:
        raise FixableError(
            f"--most is for a file of vectors, and '{flags.file}' is a text.",
            expected="--min-count, which says what words of a text get a vector.",
            fix="leave --most out.",
        )
    settings = Settings(**given)
    try:
        return trained(flags, settings)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "alloc" not in str(error):  # torch's word for a lack of memory
            raise
        raise FixableError(
            f"Memory does not suffice to train vectors of {counted(settings.dim, 'number')} on '{flags.file}'.",
            expected=f"room for two vectors a word, and for {settings.batch:,} pairs with "
            f"{counted(settings.negatives, 'negative')} each.",
            fix="choose a smaller --dim, --batch or --negatives, a larger --min-count, or a shorter text.",
        ) from None


def check_words(flags: Any, words: Sequence[str], rows: Mapping[str, int]) -> None:
    """Raises `FixableError` for a word asked for that has no vector: before a training, and before a file is kept."""
    pairs = pairs_of(flags.pairs) if flags.pairs else []
    for word in (*flags.nearest, *(flags.analogy or "").split(), *(word for pair in pairs for word in pair)):
        row_of(word, words, rows)
    if flags.arrows:
        drawable(flags, rows)


def is_text(path: Path) -> bool:
    """Whether the file is to be trained on: it is not packed, and its first line is not that of a file of vectors."""
    try:
        with path.open("rb") as file:
            line = file.readline(1 << 16)
    except OSError as error:
        raise no_vectors(path, reason(error)) from None
    if line.startswith((GZIP, ZIP)) or head_of(line, path) is not None:
        return False
    line = line.removeprefix(BOM)
    dim = len(line.split()) - 1
    if dim >= 10 and numbers(line, dim):
        raise FixableError(
            f"'{path}' holds vectors, but lacks the first line of a word2vec file.",
            expected=f"a line with the number of words and of dimensions above them: `400000 {dim}`.",
            fix="put that line there (files of GloVe come without it).",
        )
    return True


def trained(flags: Any, settings: Settings) -> Vectors:
    path = flags.file
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise no_vectors(path, f"and it is no text in UTF-8 to train on either ({reason(error)})") from None
    from daiving.nets import skipgram  # not above: to read vectors needs no torch

    corpus = skipgram.read(text, settings.min_count)
    check_words(flags, corpus.words, {word: row for row, word in enumerate(corpus.words)})
    print(f"{path}: {len(corpus.ids):,} words in the vocabulary of {len(corpus.words):,}")
    net = skipgram.SkipGram(len(corpus.words), settings.dim, settings.seed)
    for epoch in skipgram.train(net, corpus, settings):
        print(f"epoch {epoch.number:>3}/{settings.epochs}   loss {epoch.loss:.4f} nats a pair, {epoch.pairs:,} pairs")
    return skipgram.vectors(net, corpus)


def listing(title: str, found: Sequence[tuple[str, float]]) -> None:
    print(f"\n{title}")
    for word, cosine in found:
        print(f"  {cosine:6.3f}  {word}")


def analogy(vectors: Vectors, words: Sequence[str], unit: bool) -> None:
    """Both ways of asking: the usual one hides that the answer often is one of the words asked with."""
    a, b, c = words
    listing(f"{a} : {b} = {c} : ?   without these three", vectors.analogy(a, b, c, 5, unit=unit))
    listing("with them", vectors.analogy(a, b, c, 5, exclude=False, unit=unit))


def questions_text(vectors: Vectors, questions: Mapping[str, Sequence[Question]], flags: Any) -> str:
    """A line a group: the usual test, the word nearest to c alone, and the test that leaves no word out."""
    how = dict(unit=flags.unit, ignore_case=flags.ignore_case)
    ways = [accuracy(vectors, questions, **how, **more) for more in ({}, {"offset": False}, {"exclude": False})]
    lines = [f"{'questions':<28}{'asked':>7}{'right':>15}{'c alone':>15}{'with a, b, c':>15}"]
    for row in [row for row in zip(*ways, strict=True) if row[0].asked] + [tuple(map(total, ways))]:
        cells = [f"{one.right:,} {one.share:6.1%}" if one.asked else "-" for one in row]
        lines.append(f"{row[0].group[:27]:<28}{row[0].asked:>7,}" + "".join(f"{cell:>15}" for cell in cells))
    left_out = total(ways[0]).left_out
    notes = [
        f"Not asked: {counted(left_out, 'question')} with a word that has no vector." if left_out else "",
        "c alone: the word nearest to the third one, whatever the analogy.",
        "with a, b, c: a question's own words may be the answer, which the usual test excludes.",
    ]
    return "\n".join([*lines, *filter(None, notes)])


def draw(vectors: Vectors, flags: Any) -> None:
    from daiving.show.arrows import arrows_svg, plane

    kinds = drawable(flags, vectors.rows)
    ends = {kind: np.array([[vectors.row(word) for word in pair] for pair in pairs]) for kind, pairs in kinds.items()}
    svg = arrows_svg([plane(kind, pairs, vectors.table[ends[kind]]) for kind, pairs in kinds.items()])
    try:
        write_atomic(flags.arrows, lambda file: file.write(svg.encode()))
    except OSError as error:
        raise no_place(flags.arrows, reason(error)) from None
    drawn = ", ".join(f"{kind} ({counted(len(pairs), 'pair')})" for kind, pairs in kinds.items())
    print(f"\n{flags.arrows}: {drawn}")


def drawable(flags: Any, rows: Mapping[str, int]) -> dict[str, list[Pair]]:
    """The pairs to draw, by the titles of their pictures. Raises `FixableError` where there are none."""
    from daiving.show.arrows import KINDS

    kinds = {"Pairs": pairs_of(flags.pairs)} if flags.pairs else in_capitals(KINDS, rows)
    if not kinds:
        raise FixableError(
            "None of the deck's three pictures can be drawn: of none have two pairs vectors.",
            expected="vectors for words such as man and woman, walking and walked, Spain and Madrid.",
            fix='name pairs of your own: --pairs "man woman, king queen".',
        )
    return kinds


def in_capitals(kinds: Mapping[str, Sequence[Pair]], rows: Mapping[str, int]) -> dict[str, list[Pair]]:
    """The pairs that have vectors, in small letters where the vocabulary has them so; kinds with two such or more."""
    found: dict[str, list[Pair]] = {}
    for kind, pairs in kinds.items():
        either = [one for a, b in pairs for one in ((a, b), (a.lower(), b.lower())) if set(one) <= rows.keys()]
        if len(either) > 1:
            found[kind] = list(dict.fromkeys(either))
    return found


def pairs_of(text: str) -> list[Pair]:
    return [tuple(pair.split()) for pair in text.split(",")]  # type: ignore[misc]
