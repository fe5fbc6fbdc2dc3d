"""Find a file, check it, and only then download it: look locally, verify, rename into place."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from daiving.errors import FixableError

CHUNK = 1 << 20  # bytes read at once


def data_folders(data_dir: Path | None) -> list[Path]:
    """Where the user may keep data sets: `--data`, then the environment's DAIVING_DATA."""
    named = [data_dir, os.environ.get("DAIVING_DATA") or None]
    return [Path(folder).expanduser() for folder in named if folder]


def download_cache() -> Path:
    """The folder of downloaded data sets, one for all labs of this user."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("daiving")) / "data"


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def fetch(name: str, digest: str, homes: Sequence[str], folder: Path) -> Path:
    """The file `name` in `folder`, downloaded from the first of `homes` that has it sound.

    What lies there already is used if its md5 is `digest`. A broken download goes on where it stopped,
    in `name.part`; the file gets its name when, and only when, its md5 is right.
    Raises `FixableError` when no home delivers, or when what came is another file.
    """
    path, part = folder / name, folder / f"{name}.part"
    if path.exists() and md5(path) == digest:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    for home in homes:
        try:
            receive(home + name, part)
            if md5(part) == digest:
                os.replace(part, path)
                return path
        except (OSError, http.client.HTTPException) as error:
            if path.exists() and md5(path) == digest:  # another process was quicker
                return path
            reasons.append(f"{home}: {error or type(error).__name__}")
            continue
        # The next try must start from nothing: what is here can never become the right file.
        part.unlink(missing_ok=True)
        reasons.append(f"{home}: what came has another md5 than {digest}, so it was thrown away")
    raise FixableError(
        f"{name} could not be downloaded ({'; '.join(reasons)}).",
        expected=f"the file with md5 {digest}.",
        fix=f"try again (a broken download goes on), or put the file into a folder and give it: --data FOLDER "
        f"(or into {folder}).",
    )


def receive(url: str, part: Path) -> None:
    """Append to `part` what is still missing of `url`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing; the caller checks what is there
            return
        raise
    # A server that knows no ranges sends the whole file again.
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        length, got = response.headers.get("Content-Length"), 0
        while chunk := response.read(CHUNK):
            file.write(chunk)
            got += len(chunk)
    if length is not None and got < int(length):
        raise OSError(f"the connection broke after {got:,} of {int(length):,} bytes")
