"""Writing that a crash cannot tear, and reading that does not believe a torn file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from daiving.errors import FixableError


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file, put it on the disk, and only then give it its name.

    Whoever reads `path`, at any moment and after any crash, sees the old file or the new one, whole.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def misplaced(path: Path) -> str:
    """Why no file can stand there, or "". Not by Path.is_dir, which raises for a name that is too long."""
    if os.path.isdir(path):
        return "it is a folder"
    return "" if os.path.isdir(path.parent) else f"there is no folder '{path.parent}'"


def saved(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """`write_atomic` for a file that a person asked for: what the disk refuses is a `FixableError`."""
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is a folder" if path.is_dir() else "it is no ordinary file")  # a device would be replaced
        write_atomic(path, write)
    except OSError as error:
        raise FixableError(
            f"'{path}' cannot be written ({error.strerror or error}).",
            expected="the name of a file, in a folder that is there and may be written.",
            fix="make the folder first, or choose another place.",
        ) from None


def write_json(path: Path, value: Any) -> None:
    """`value` as readable JSON, atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> Any:
    """The JSON object in `path`, a dict, or None where there is no such file or none that can be read whole."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
