"""Files of word vectors: word2vec's text and binary forms, each also packed by gzip, and npz (`words`, `vectors`).

text     a line `words dimensions`, then a line for each word: the word, its numbers, single spaces between
binary   the same first line; then for each word: the word, a space, its numbers as little-endian float32, and from
         some programs (word2vec's own, not gensim) a line end
"""

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from daiving.errors import FixableError
from daiving.files import write_atomic
from daiving.vectors import Vectors, reason

CHUNK = 1 << 22  # bytes read at once
LONGEST = 1 << 12  # bytes of a word: without a space in so many, a file is no file of vectors
GZIP, ZIP = b"\x1f\x8b", b"PK"
ENDINGS = (".npz", ".txt", ".vec", ".bin")
SENTENCE = "word2vec's text or binary form (a first line such as `3000000 300`), plain or .gz, or an .npz file"


def load(path: Path, most: int | None = None) -> Vectors:
    """The vectors in a file of any of the forms, told by what is in it; of these the first `most` words.

    Raises `FixableError` for a file that is none of them, is cut off, holds a word twice or a number that is none.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if start == ZIP:
            return read_npz(path, most)
        with gzip.open(path) if start == GZIP else path.open("rb") as file:
            return read_word2vec(file, path, most)
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise no_vectors(path, reason(error)) from None


def read_npz(path: Path, most: int | None) -> Vectors:
    try:
        with np.load(path) as file:
            words, table = file["words"][:most], file["vectors"][:most]
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise no_vectors(path, reason(error).strip("'\"")) from None
    if words.ndim != 1 or words.dtype.kind != "U" or table.dtype.kind != "f":
        raise no_vectors(path, f"its words are of type {words.dtype}, its vectors of type {table.dtype}")
    return Vectors(tuple(words.tolist()), table.astype(np.float32, copy=False))


def read_word2vec(file: Any, path: Path, most: int | None) -> Vectors:
    head = file.readline(LONGEST).split()
    if not is_head(head):
        raise no_vectors(path, "its first line is not two numbers, of words and of dimensions")
    promised, dim = map(int, head)
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
    for row, (word, vector) in zip(range(n), read, strict=False):
        words.append(word.decode("utf-8", "backslashreplace"))
        table[row] = vector
    if len(words) < n:
        raise cut_off(path, promised, f"it ends behind {len(words):,}")
    while packed and n == promised and file.read(CHUNK):
        pass  # gzip's checksum stands behind the last word
    return Vectors(tuple(words), table)


def is_head(parts: Sequence[bytes]) -> bool:
    """Whether a first line is `words dimensions`, of which no file has more than twelve digits."""
    return len(parts) == 2 and all(part.isdigit() and len(part) <= 12 and int(part) for part in parts)


def text_rows(file: IO[bytes], path: Path, dim: int) -> Iterator[tuple[bytes, Any]]:
    for number, line in enumerate(file, 2):
        found = numbers(line, dim)
        if found is None:
            raise no_vectors(path, f"line {number} is not a word and {dim} numbers")
        yield found


def numbers(line: bytes, dim: int) -> tuple[bytes, list[float]] | None:
    """A line's word and its numbers; None where it is no such line."""
    word, *parts = line.rstrip().rsplit(b" ", dim)
    try:
        return (word, list(map(float, parts))) if len(parts) == dim and word else None
    except ValueError:
        return None


def binary_rows(file: IO[bytes], path: Path, dim: int) -> Iterator[tuple[bytes, np.ndarray]]:
    """Rows until the file ends, be it in the middle of one."""
    held, at = b"", 0
    while True:
        space = held.find(b" ", at, at + LONGEST)
        if space < 0 and len(held) - at >= LONGEST:
            raise no_vectors(path, f"{LONGEST:,} bytes hold no space behind a word")
        if space < 0 or len(held) < space + 1 + 4 * dim:
            more = file.read(max(CHUNK, 4 * dim + LONGEST))
            if not more:
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
            fix=f"write {path.stem}.npz, which can hold it.",
        )
    try:
        write_atomic(path, lambda file: write(file, vectors, path.suffix))
    except OSError as error:
        raise FixableError(
            f"'{path}' cannot be written: {reason(error)}.",
            expected="the name of a file, in a folder that is there and may be written.",
            fix="make the folder first, or choose another name.",
        ) from None


def check_ending(path: Path) -> None:
    if path.suffix not in ENDINGS:
        raise FixableError(
            f"'{path}' does not end like a file of vectors.",
            expected=f"a name that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.",
            fix=f"write {path.stem}.npz.",
        )


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


def cut_off(path: Path, promised: int, why: str) -> FixableError:
    return FixableError(
        f"'{path}' is cut off: its first line promises {promised:,} words, and {why}.",
        expected="the whole file.",
        fix="fetch or write it again, or read only the words that are there with --most.",
    )
