"""A net of the user's own: `path/to/file.py:Class`. Found and hashed here, without torch; built in build.py."""

import hashlib
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
    """A hash of the user's file, which is a part of a run's identity; None for a net of the table."""
    if not is_user_net(net):
        return None
    return hashlib.blake2b(user_file(net)[0].read_bytes(), digest_size=8).hexdigest()
