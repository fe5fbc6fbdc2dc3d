"""Files of word vectors: word2vec's text and binary forms, each also packed by gzip, and npz (`words`, `vectors`).

text     a line `words dimensions`, then a line for each word: the word, its numbers, spaces (or tabs) between
binary   the same first line; then for each word: the word, a space, its numbers as little-endian float32, and from
         some programs (word2vec's own, not gensim) a line end
"""

import codecs
import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from daiving.errors import FixableError
from daiving.files import misplaced, write_atomic
from daiving.vectors import Vectors, counted, reason

CHUNK = 1 << 22  # bytes read at once
LONGEST = 1 << 12  # bytes of a word: without a space in so many, a file is no file of vectors
GZIP, ZIP, BOM = b"\x1f\x8b", b"PK\x03\x04", codecs.BOM_UTF8
ENDINGS = (".npz", ".txt", ".vec", ".bin")
SENTENCE = "word2vec's text or binary form (a first line such as `3000000 300`), plain or .gz, or an .npz file"


def load(path: Path, most: int | None = None) -> Vectors:
    """The vectors in a file of any of the forms, told by what is in it; of these the first `most` words.

    Raises `FixableError` for a file that is none of them, is cut off, holds a word twice or a number that is none.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == ZIP:
            return read_npz(path, most)
        with gzip.open(path) if start[:2] == GZIP else path.open("rb") as file:
            return read_word2vec(file, path, most)
    except (OSError, EOFError, zlib.error) as error:
        raise no_vectors(path, reason(error)) from None
    except MemoryError:
        raise FixableError(
            f"The vectors of '{path}' do not fit into memory.",
            expected="room for all the numbers that are read, 4 bytes each.",
            fix="read fewer words with --most (of an .npz file all are read first), or use a larger machine.",
        ) from None


def read_npz(path: Path, most: int | None) -> Vectors:
    try:
        with np.load(path) as file:
            words, table = file["words"][:most], file["vectors"][:most]
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise no_vectors(path, reason(error).strip("'\"")) from None
    if words.ndim != 1 or words.dtype.kind != "U" or table.dtype.kind != "f":
        raise no_vectors(path, f"its words are of type {words.dtype}, its vectors of type {table.dtype}")
    with np.errstate(over="ignore"):  # what is too large for float32 is told below
        small = table.astype(np.float32, copy=False)
    if small is not table and small.shape[:1] == words.shape:
        for row in np.flatnonzero(~np.isfinite(small).reshape(len(words), -1).all(1)).tolist():
            check_size(words[row], row, table[row])
    return Vectors(tuple(words.tolist()), small)


def read_word2vec(file: Any, path: Path, most: int | None) -> Vectors:
    head = head_of(file.readline(LONGEST), path)
    if head is None:
        raise no_vectors(path, "its first line is not two numbers, of words and of dimensions")
    promised, dim = head
    n = min(promised, most or promised)
    here = file.tell()
    line = file.readline(LONGEST + 40 * dim)
    file.seek(here)
    text = numbers(line, dim) is not None
    # Before memory is taken: a number and a space have two bytes at least, and a float32 four.
    packed = isinstance(file, gzip.GzipFile)
    size = path.stat().st_size * (1032 if packed else 1)  # more than that gzip cannot pack into one byte
    if size < n * dim * (2 if text else 4):
        raise cut_off(path, promised, f"{path.stat().st_size:,} bytes cannot hold so many of {dim} numbers")
    table, words = np.empty((n, dim), np.float32), []
    read = text_rows(file, path, dim) if text else binary_rows(file, path, dim)
    with np.errstate(over="ignore"):
        for row, (word, vector) in zip(range(n), read, strict=False):
            if vector is None:
                break
            words.append(word.decode("utf-8", "backslashreplace"))
            table[row] = vector
            if text and not np.isfinite(table[row]).all():
                check_size(words[-1], row, vector)
    if len(words) < n:
        raise cut_off(path, promised, f"it ends behind {len(words):,}")
    if n == promised != most and next(read, None) is not None:
        raise FixableError(
            f"'{path}' goes on behind the {counted(promised, 'word')} that its first line promises.",
            expected="as many words as it says there.",
            fix=f"write the right number there, or read the first {promised:,} with --most {promised}.",
        )
    while packed and n == promised and file.read(CHUNK):
        pass  # gzip's checksum stands behind the last word
    return Vectors(tuple(words), table)


def head_of(line: bytes, path: Path) -> tuple[int, int] | None:
    """The two numbers of a first line `words dimensions`, of which no file has more than twelve digits; None where it
    is no such line. Raises `FixableError` where one of them is 0."""
    parts = line.removeprefix(BOM).split()
    if len(parts) != 2 or not all(part.isdigit() and len(part) <= 12 for part in parts):
        return None
    n, dim = map(int, parts)
    if not n or not dim:
        raise FixableError(
            f"The first line of '{path}' promises {counted(n, 'word')} with {counted(dim, 'number')} each.",
            expected="one word or more, and one number or more in a vector.",
            fix="fetch or write the file again; if it is a text to train on, let its first line be another one.",
        )
    return n, dim


def check_size(word: str, row: int, vector: Any) -> None:
    """Raises `FixableError` where a number was finite in the file, and is not as float32."""
    largest = np.finfo(np.float32).max
    for number in vector:
        if largest < abs(number) < np.inf:
            raise FixableError(
                f"The vector of '{word}' (row {row + 1}) holds {number:g}, which is too large for float32.",
                expected=f"numbers up to {largest:g}.",
                fix="divide all vectors by one large number: no cosine changes.",
            )


def text_rows(file: IO[bytes], path: Path, dim: int) -> Iterator[tuple[bytes, Any]]:
    for number, line in enumerate(file, 2):
        if not line.strip():
            continue  # such as an empty last one
        found = numbers(line, dim)
        if found is None:
            raise no_vectors(path, f"line {number} is not a word and {counted(dim, 'number')}")
        yield found


def numbers(line: bytes, dim: int) -> tuple[bytes, list[float]] | None:
    """A line's word and its numbers; None where it is no such line."""
    word, *parts = line.rsplit(None, dim) or [b""]
    try:
        return (word, list(map(float, parts))) if len(parts) == dim else None
    except ValueError:
        return None


def binary_rows(file: IO[bytes], path: Path, dim: int) -> Iterator[tuple[bytes, np.ndarray | None]]:
    """Rows until the file ends; where that is in the middle of one, what there is of it, with None."""
    held, at = b"", 0
    while True:
        space = held.find(b" ", at, at + LONGEST)
        if space < 0 and len(held) - at >= LONGEST:
            raise no_vectors(path, f"{LONGEST:,} bytes hold no space behind a word")
        if space < 0 or len(held) < space + 1 + 4 * dim:
            more = file.read(max(CHUNK, 4 * dim + LONGEST))
            if not more:
                if held[at:].strip():
                    yield held[at:], None
                return
            held, at = held[at:] + more, 0
            continue
        yield held[at:space].lstrip(b"\n"), np.frombuffer(held, "<f4", dim, space + 1)
        at = space + 1 + 4 * dim


def save(vectors: Vectors, path: Path) -> None:
    """Write .npz, word2vec text (.txt, .vec) or word2vec binary (.bin), by the ending; float32 survives each exactly.

    Raises `FixableError` for another ending, a place that cannot be written, and a word with a blank in it.
    """
    check_ending(path)
    blank = next((word for word in vectors.words if word.split() != [word]), None)
    if blank is not None and path.suffix != ".npz":
        raise FixableError(
            f"The word '{blank}' has a blank in it.",
            expected="words without: in word2vec's files a space ends the word.",
            fix=f"write {named_like(path, '.npz')}, which can hold it.",
        )
    try:
        write_atomic(path, lambda file: write(file, vectors, path.suffix))
    except OSError as error:
        raise no_place(path, reason(error)) from None


def check_ending(path: Path) -> None:
    if path.suffix not in ENDINGS:
        raise FixableError(
            f"'{path}' does not end like a file of vectors.",
            expected=f"a name that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.",
            fix=f"write {named_like(path, '.npz')}.",
        )


def check_place(path: Path, read: Sequence[Path]) -> None:
    """Whether a file can be written there, by trying, and without loss: not over what is read, nor over a text."""
    if why := misplaced(path):
        raise no_place(path, why)
    for one in read:
        if os.path.exists(path) and os.path.exists(one) and os.path.samefile(path, one):
            raise FixableError(
                f"'{path}' would be written over '{one}', which is read.",
                expected="another file than those that are read.",
                fix="choose another name for what is written.",
            )
    kind = "picture" if path.suffix == ".svg" else "file of vectors"
    if os.path.exists(path) and not is_made(path):
        raise FixableError(
            f"'{path}' is there already, and is no {kind}.",
            expected=f"a new name, or an older {kind}, which is written over.",
            fix="choose another name, or delete or move that file first.",
        )
    trial = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # as long a name as writing needs
    try:
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise no_place(path, reason(error)) from None


def is_made(path: Path) -> bool:
    """Whether a file is what this command writes, or is empty: it may be written over."""
    try:
        with path.open("rb") as file:
            start = file.read(1 << 12)
        head = head_of(start.partition(b"\n")[0], path)
    except OSError as error:
        raise no_place(path, reason(error)) from None
    except FixableError:
        return False  # `8 0`
    if path.suffix == ".svg":
        return not start or b"<svg" in start
    return not start or start.startswith((GZIP, ZIP)) or head is not None


def named_like(path: Path, ending: str) -> Path:
    """A name with this ending, beside the path."""
    return path.parent / ((path.name.split(".")[0] or "words") + ending)


def write(file: IO[bytes], vectors: Vectors, ending: str) -> None:
    n, dim = vectors.table.shape
    if ending == ".npz":
        np.savez(file, words=np.array(vectors.words), vectors=vectors.table)
        return
    file.write(f"{n} {dim}\n".encode())
    form = " ".join(["%.9g"] * dim)  # nine digits tell any two float32 apart
    for word, vector in zip(vectors.words, vectors.table, strict=True):
        numbers = vector.astype("<f4").tobytes() if ending == ".bin" else (form % tuple(vector)).encode()
        file.write(word.encode() + b" " + numbers + b"\n")


def no_vectors(path: Path, why: str) -> FixableError:
    return FixableError(
        f"'{path}' is no file of word vectors: {why}.",
        expected=f"{SENTENCE}.",
        fix="check the path, or fetch the file again.",
    )


def no_place(path: Path, why: str) -> FixableError:
    return FixableError(
        f"'{path}' cannot be written: {why}.",
        expected="the name of a file, in a folder that is there and may be written.",
        fix="make the folder first, or choose another name.",
    )


def cut_off(path: Path, promised: int, why: str) -> FixableError:
    return FixableError(
        f"'{path}' is cut off: its first line promises {counted(promised, 'word')}, and {why}.",
        expected="the whole file.",
        fix="fetch or write it again, or read only the words that are there with --most.",
    )
