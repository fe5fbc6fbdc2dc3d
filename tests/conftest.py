"""What all tests stand on: one torch thread, a clean environment, and the command line called in this process."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

os.environ["OMP_NUM_THREADS"] = "1"
SHARED = Path(__file__).parents[2] / "shared"


class Answer(NamedTuple):
    code: int
    out: str
    err: str


# The files that take longest, first: with a file a worker, the last one should not be left alone at the end.
LONGEST = (
    "test_record_survives.py",
    "test_studies_run.py",
    "test_readme_is_true.py",
    "test_every_net_keeps_the_contract.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def _one_thread_and_a_clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    torch.set_num_threads(1)
    monkeypatch.delenv("DAIVING_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def types_unchecked() -> Iterator[None]:
    """Annotations are not checked, as for a user."""
    from unchecked import unchecked

    with unchecked():
        yield


@pytest.fixture
def daiving(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`daiving("nets")` as typed in a terminal: exit code and what was printed."""
    from daiving.cli import main

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return call


@pytest.fixture(scope="session")
def digits():
    from daiving.tasks import load

    return load("digits", {}, data_dir=None, cache_dir=None)


def batches(data, recipe):
    """The three splits of a task as `fit` and `evaluate` take them."""
    from daiving.tasks.batches import Batches, scale

    mean, deviation = scale(data.train)
    return [Batches(part, recipe, mean, deviation) for part in (data.train, data.val, data.test)]


def small(data, train=256, val=64):
    """The first examples of a task, for trainings that take a moment."""
    from daiving.tasks.data import Examples, pack

    def cut(part, n):
        return Examples(part.x[:n], part.y[:n])

    return pack(cut(data.train, train), cut(data.val, val), cut(data.test, val), data.classes)
