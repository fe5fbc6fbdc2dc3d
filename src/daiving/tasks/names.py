"""Surnames: of which nation is a name? 18 nations from names_by_nationality.tar.gz, or files of your own.

A folder (or an archive) holds one text file a nation, NATION.txt, one name a line, in UTF-8. Letters stay as they
are: ł, ß and ñ say much about a name's nation, and a net that is given plain ASCII cannot see them. (PyTorch's tutorial
folds them away.)
"""

import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from daiving.errors import FixableError
from daiving.tasks.data import Data, Examples, encoded, held_out, pack
from daiving.tasks.sources import data_folders
from daiving.tasks.symbols import alphabet, read_text, stand_in, strange_note

ARCHIVE = "names_by_nationality.tar.gz"


def load(*, folder: str, split_seed: int, data_dir: Path | None = None, cache_dir: Path | None = None) -> Data:
    """Names as n x t, t the letters of the longest, and their nations, n.

    A name counts once for each nation that has it. All its entries go into one split, so that no test name was trained
    on; a tenth of the names of each nation is held out for val and a tenth for test.
    Raises `FixableError` where there are no such files, and for a nation of fewer than three names.
    """
    files = found(folder, data_dir)
    nations, names, labels, again = gathered(files)
    # A name that several nations have is held out with the first of them.
    home = dict(zip(reversed(names), reversed(labels), strict=True))
    each, first = list(home), np.array(list(home.values()), dtype=np.int64)
    groups = [
        {each[i] for i in part.x} for part in held_out(Examples(np.arange(len(each)), first), each, split_seed, times=2)
    ]
    check_nations(nations, names, labels, groups[0])
    symbols, strange = alphabet("".join(groups[0]), "".join(home))
    width = max(map(len, home))
    train, val, test = (
        Examples(padded([stand_in(name, strange) for name in chosen], symbols, width), np.array(where, dtype=np.int64))
        for chosen, where in (
            zip(*((name, label) for name, label in zip(names, labels, strict=True) if name in group), strict=True)
            for group in groups
        )
    )
    shared = len(names) - len(home)
    notes = (*counts_note(len(names), len(nations), again, shared), *strange_note(strange))
    return pack(train, val, test, nations, notes, symbols)


def counts_note(names: int, nations: int, again: int, shared: int) -> tuple[str, ...]:
    """What a person must know of the files; nothing of what does not occur."""
    more = "1 more line says" if again == 1 else f"{again:,} more lines say"
    times = "1 time" if shared == 1 else f"{shared:,} times"
    return (
        f"{names:,} names of {nations} nations" + (f"; {more} what another says: left out." if again else "."),
        *([f"{times} a name belongs to a further nation: no net can get all of those right."] if shared else []),
    )


def padded(names: list[str], symbols: tuple[str, ...], width: int) -> np.ndarray:
    """Names one below the other, n x width, -1 behind each."""
    lengths = np.array([len(name) for name in names])
    x = np.full((len(names), width), -1, dtype=np.int64)
    x[np.arange(width) < lengths[:, None]] = encoded("".join(names), symbols)
    return x


def gathered(files: Mapping[str, str]) -> tuple[tuple[str, ...], list[str], list[int], int]:
    """Nations, names, the nation's number of each, and how many lines were the same once more."""
    nations = tuple(sorted(files))
    pairs = [(line.strip(), label) for label, nation in enumerate(nations) for line in files[nation].splitlines()]
    pairs = [(name, label) for name, label in pairs if name]
    distinct = list(dict.fromkeys(pairs))
    return nations, [name for name, _ in distinct], [label for _, label in distinct], len(pairs) - len(distinct)


def check_nations(nations: tuple[str, ...], names: list[str], labels: list[int], train: set[str]) -> None:
    if len(nations) < 2:
        raise missing(f"There {'is one file' if nations else 'is no file'} of names to tell apart.")
    learnt = {label for name, label in zip(names, labels, strict=True) if name in train}
    for label, nation in enumerate(nations):
        if label not in learnt or labels.count(label) < 3:
            raise missing(f"The file {nation}.txt has {labels.count(label)} names, too few to hold some out.")


def found(folder: str, data_dir: Path | None) -> dict[str, str]:
    """The text of each nation's file."""
    if folder:
        path = Path(folder).expanduser()
        if not path.is_dir():
            raise missing(f"There is no folder '{folder}'.")
        return {file.stem: read_text(file.read_bytes(), file.name) for file in sorted(path.glob("*.txt"))}
    for place in data_folders(data_dir):
        if (place / ARCHIVE).is_file():
            return unpacked(place / ARCHIVE)
    raise missing(f"The task 'names' has no files: {ARCHIVE} is not in the data folder.")


def unpacked(archive: Path) -> dict[str, str]:
    """The same from an archive, read in memory: nothing is written."""
    try:
        with tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if m.isfile() and m.name.endswith(".txt")]
            files = {Path(m.name).stem: file.read() for m in members if (file := tar.extractfile(m))}
    except (OSError, EOFError, tarfile.TarError) as error:
        raise missing(f"The archive '{archive}' cannot be read: {str(error).splitlines()[0]}.") from None
    return {nation: read_text(content, f"{nation}.txt") for nation, content in files.items()}


def missing(wrong: str) -> FixableError:
    return FixableError(
        wrong,
        expected=f"two files or more, NATION.txt, one name a line and three names or more, or {ARCHIVE}: "
        "data/names/*.txt of the data of PyTorch's tutorial on name classification.",
        fix="give a folder of such files, --task names:folder=FOLDER, or that of the archive: --data FOLDER.",
    )
