"""A net of the user's own: `path/to/file.py:Class`. Found and hashed here, without torch; built in build.py."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from daiving.errors import FixableError


def is_user_net(net: str) -> bool:
    return ".py:" in net


def user_file(net: str) -> tuple[Path, str]:
    """The file of `path/to/file.py:Class`, absolute, and the name in it; raises `FixableError` where there is none."""
    path, _, attribute = net.rpartition(":")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise FixableError(
            f"There is no file '{path}' for the net '{net}'.",
            expected="path/to/file.py:Class, where Class is an nn.Module or a function that returns one.",
            fix="check the path; it is looked up from the folder you are in.",
        )
    return file, attribute


def source_hash(net: str) -> str | None:
    """A hash of the user's file and of the neighbours that it imports, which is a part of a run's identity.

    None for a net of the table. Installed packages are not followed; their versions are in the run's environment.
    """
    if not is_user_net(net):
        return None
    file = user_file(net)[0]
    digest = hashlib.blake2b(digest_size=8)
    for path in [file, *neighbours(file)]:
        digest.update(f"{path.relative_to(file.parent)}\0".encode() if path != file else b"")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def neighbours(file: Path) -> list[Path]:
    """The modules beside a file that it imports, and those that they import, by name."""
    found: set[Path] = set()
    todo = [file]
    while todo:
        path = todo.pop()
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue  # what is wrong with it is said when it is run
        for name in imported(tree):
            for one in modules(file.parent, name):
                if one not in found and one != file:
                    found.add(one)
                    todo.append(one)
    return sorted(found)


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names that may be modules: of `from a import b` both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def modules(folder: Path, name: str) -> Iterator[Path]:
    """The files that importing a dotted name from that folder runs."""
    parts = name.split(".") if name else []
    for depth in range(1, len(parts) + 1):
        path = folder.joinpath(*parts[:depth])
        yield from (one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file())
