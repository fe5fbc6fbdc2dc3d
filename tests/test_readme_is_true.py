"""The README's code runs as it stands, and names every command, net, task and file that it should."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from studies import call

import daiving
from daiving.cli import COMMANDS
from daiving.nets import NETS
from daiving.tasks import TASKS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\S+))?\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, name, text in BLOCKS if language == "python" and not name]
SHELL = [
    line[2:] for language, _, text in BLOCKS if language == "console" for line in text.splitlines() if line[:2] == "$ "
]


@pytest.fixture
def desk(tmp_path):
    """What the README's reader has: a folder of photos of two kinds, and the files that the README shows."""
    random = np.random.default_rng(0)
    for k, kind in enumerate(("cat", "dog")):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(60):
            pixels = random.integers(0, 160, (40, 40, 3), dtype=np.uint8)
            pixels[10 * k : 10 * k + 20, :, k] += 80
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{i}.jpg")
    for _, name, text in BLOCKS:
        if name:
            (tmp_path / name).write_text(text)
    return tmp_path


def test_the_readme_has_code_to_run():
    assert len(PYTHON) >= 2
    assert len(SHELL) >= 5


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_of_the_readme_runs(desk, number):
    import subprocess
    import sys

    (desk / "script.py").write_text(PYTHON[number])  # as a script, without a guard: that is how a reader tries it
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=desk, timeout=200)
    assert done.returncode == 0, done.stderr


def test_commands_of_the_readme_run_in_their_order(desk):
    run = None
    for line in SHELL:
        words = shlex.split(line.partition("  #")[0])
        if words[0] != "daiving":
            assert words[0] in ("git", "cd", "make")
            continue
        done = call(*(run if word == "RUN" else word for word in words[1:]), cwd=desk)
        assert done.returncode == 0, (line, done.stderr)
        if found := re.search(r"^run (\w{12}) in", done.stdout, re.MULTILINE):
            run = found[1]


def test_the_readme_names_every_command_net_and_task():
    for name in (*COMMANDS, *NETS, *TASKS):
        assert f"`{name}`" in README or f"daiving {name}" in README, name


def test_the_readme_shows_pictures_that_are_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    assert all((ROOT / path).is_file() for path in pictures)


def test_the_make_targets_of_the_readme_are_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)", README))
    assert {"demo", "test"} <= named <= targets


def test_the_changelog_has_this_version():
    assert f"## {daiving.__version__}" in (ROOT / "CHANGELOG.md").read_text()
