"""The house itself: files that one can read in one go, and nothing that points at one machine."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_source_file_is_one_idea_of_at_most_300_lines_with_a_docstring(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert text.startswith('"""')


def test_nothing_committed_names_a_path_of_a_machine_or_a_registrys_host():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() if listed.returncode == 0 else [str(p.relative_to(ROOT)) for p in SOURCES]
    hosts = "|".join(("pypi" + r"\.org", "python" + "hosted", "npm" + r"js\.", "deb" + r"\.debian"))
    for name in names:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".txt", ".html", ".css", "") and path.is_file():
            assert not re.search(rf"/(home|root|work)/\w|{hosts}", path.read_text(errors="ignore")), name


def test_every_make_target_that_a_person_may_call_is_in_its_help():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    for target in ("demo", "test", "test-slow", "check", "format", "bench", "clean"):
        assert f"make {target} " in shown
