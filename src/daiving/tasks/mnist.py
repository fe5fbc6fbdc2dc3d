"""MNIST, whole: 60,000 training and 10,000 test images (LeCun, Cortes & Burges; CC BY-SA 3.0).

Looked for as `mnist.npz` or as the four IDX files, plain or .gz, in --data, in the environment's DAIVING_DATA, in
the cache; then downloaded. Every form is held against the same hash of pixels and labels.
"""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daiving.errors import FixableError
from daiving.tasks.data import Data, Examples, hashed_order, pack
from daiving.tasks.sources import data_folders, download_cache, fetch

HOMES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FILES = {  # name: (md5 of the .gz, key in mnist.npz, shape)
    "train-images-idx3-ubyte": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "x_train", (60000, 28, 28)),
    "train-labels-idx1-ubyte": ("d53e105ee54ea40749a09fcbcd1e9432", "y_train", (60000,)),
    "t10k-images-idx3-ubyte": ("9fb629c4189551a2d022fa330f9573f3", "x_test", (10000, 28, 28)),
    "t10k-labels-idx1-ubyte": ("ec29112dd5afa0611ce80d1b7f02629c", "y_test", (10000,)),
}
BLAKE2B = "a24db530c2b55d279a0b1acd50711887"  # of the four arrays, in that order
VAL = 5000  # of the 60,000, held out by a fixed order


def load(*, data_dir: Path | None = None, cache_dir: Path | None = None, homes: Sequence[str] = HOMES) -> Data:
    """MNIST, n x 1 x 28 x 28, split 55,000 / 5,000 / 10,000; the last is MNIST's own test set.

    Raises `FixableError` when a file is truncated or changed, or when it is nowhere to be had.
    """
    x_train, y_train, x_test, y_test = checked(find(data_dir, homes))
    order = np.array(hashed_order([str(i) for i in range(len(y_train))], seed="mnist"))
    x, y = x_train[:, None], y_train.astype(np.int64)
    train, val = np.split(order, [len(y) - VAL])
    test = Examples(x_test[:, None], y_test.astype(np.int64))
    return pack(Examples(x[train], y[train]), Examples(x[val], y[val]), test, classes=tuple("0123456789"))


def find(data_dir: Path | None, homes: Sequence[str]) -> tuple[Path, list[np.ndarray]]:
    """The four arrays, and the place that they came from."""
    folders = data_folders(data_dir)
    for folder in [*folders, *(folder / "mnist" for folder in folders)]:
        if (npz := folder / "mnist.npz").exists():
            return npz, read_npz(npz)
        found = [path for name in FILES for path in (folder / name, folder / f"{name}.gz") if path.exists()]
        if len({path.name.removesuffix(".gz") for path in found}) == len(FILES):
            by_name = {path.name.removesuffix(".gz"): path for path in found}
            return folder, [read_idx(by_name[name], FILES[name][2]) for name in FILES]
    if data_dir and not Path(data_dir).expanduser().is_dir():
        raise FixableError(
            f"There is no folder '{data_dir}'.",
            expected="the folder in which mnist.npz or MNIST's four IDX files lie.",
            fix="check the path given with --data, or leave it out to download MNIST.",
        )
    cache = download_cache() / "mnist"
    paths = [fetch(f"{name}.gz", digest, homes, cache) for name, (digest, _, _) in FILES.items()]
    return cache, [read_idx(path, FILES[name][2]) for path, name in zip(paths, FILES, strict=True)]


def read_npz(path: Path) -> list[np.ndarray]:
    try:
        with np.load(path) as file:
            return [file[key] for _, key, _ in FILES.values()]
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise damaged(path, str(error)) from None


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An IDX file: two zeros, type 8 (uint8), the number of axes, each axis as a big-endian int32, the bytes."""
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, str(error)) from None
    head = bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">i4").tobytes()
    if not raw.startswith(head) or len(raw) != len(head) + np.prod(shape):
        raise damaged(path, f"it is not an IDX file of {' x '.join(map(str, shape))} bytes")
    return np.frombuffer(raw, dtype=np.uint8, offset=len(head)).reshape(shape)


def checked(found: tuple[Path, list[np.ndarray]]) -> list[np.ndarray]:
    path, arrays = found
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(array.tobytes())
    if digest.hexdigest() != BLAKE2B:
        raise damaged(path, "its pixels or labels are not MNIST's")
    return arrays


def damaged(path: Path, why: str) -> FixableError:
    return FixableError(
        f"{path} is damaged or is another data set: {why}.",
        expected="MNIST as published, whole and in its original order.",
        fix="delete that file and let daiving download MNIST again, or name another folder with --data.",
    )
