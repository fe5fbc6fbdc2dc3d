"""The user's own arrays in an .npz file: `x` and `y`, or `x_train`, `y_train`, `x_val`, `y_val`, `x_test`, `y_test`."""

import zipfile
from pathlib import Path

import numpy as np

from daiving.errors import FixableError
from daiving.tasks.data import Data, Examples, held_out, pack

SPLITS = ("train", "val", "test")


def load(*, file: str, split_seed: int, data_dir: Path | None = None, cache_dir: Path | None = None) -> Data:
    """Images, n x h x w or n x c x h x w, square, of whole numbers 0..255 (uint8) or of floats; labels from 0.

    With `x` and `y` alone, a tenth of each class is held out for val and a tenth for test.
    Raises `FixableError` for a file that cannot be learnt from, NaN included.
    """
    if not file:
        raise FixableError(
            "The task 'arrays' has no file.",
            expected="an .npz file with images x and labels y.",
            fix="write --task arrays:file=my.npz.",
        )
    path = Path(file).expanduser()
    found = read(path)
    if {"x", "y"} <= found.keys():
        whole = examples(path, "", found["x"], found["y"])
        names = [str(i) for i in range(len(whole))]
        train, val, test = held_out(whole, names, split_seed, times=2)
    elif all(f"{axis}_{split}" in found for axis in "xy" for split in SPLITS):
        train, val, test = (examples(path, f"_{s}", found[f"x_{s}"], found[f"y_{s}"]) for s in SPLITS)
    else:
        raise wrong(path, f"has the arrays {', '.join(sorted(found)) or 'of nothing'}", "save x and y with numpy.savez")
    if not train.x.shape[1:] == val.x.shape[1:] == test.x.shape[1:]:
        raise wrong(path, "has images of different shapes in its splits", "bring them to one shape")
    count = int(max(part.y.max() for part in (train, val, test))) + 1
    if missing := sorted(set(range(count)) - set(train.y.tolist())):
        raise wrong(path, f"has no training example of class {missing[0]}", "number the classes from 0 without gaps")
    if count < 2:
        raise wrong(path, "has one class only", "give examples of two classes or more")
    return pack(train, val, test, classes=tuple(map(str, range(count))))


def read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:  # never unpickles: an .npz from elsewhere may not run code here
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise wrong(path, f"cannot be read ({error})", "check the path, or save it again with numpy.savez") from None


def examples(path: Path, split: str, x: np.ndarray, y: np.ndarray) -> Examples:
    x = x[:, None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[2] != x.shape[3] or x.shape[1] not in (1, 2, 3, 4):
        raise wrong(path, f"has x{split} of shape {x.shape}", "bring the images to n x h x h or n x channels x h x h")
    if y.ndim != 1 or len(y) != len(x) or y.dtype.kind not in "iu" or not len(y) or y.min() < 0:
        raise wrong(path, f"has y{split} of shape {y.shape} and type {y.dtype}", "give one whole number an image")
    if x.dtype != np.uint8:
        x = x.astype(np.float32)
        if bad := int((~np.isfinite(x)).any(axis=(1, 2, 3)).sum()):
            raise wrong(
                path, f"has NaN or infinite numbers in {bad} of {len(x)} images of x{split}", "mend or drop them"
            )
    return Examples(x, y.astype(np.int64))


def wrong(path: Path, what: str, fix: str) -> FixableError:
    return FixableError(
        f"The file '{path}' {what}.",
        expected="an .npz file with images x and labels y, or x_train, y_train, x_val, y_val, x_test, y_test.",
        fix=f"{fix}.",
    )
