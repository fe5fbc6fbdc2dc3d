"""Weights from a file into a net: daiving's own, torchvision's and timm's. Nothing in a file is ever run."""

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets.names import TABLES, translated
from daiving.nets.settled import settled
from daiving.options import show, split

WRAPPERS = ("state_dict", "model_state_dict", "state_dict_ema", "model")  # keys under which others keep the tensors
SAME_ANSWER = ("dropout", "aux", "checkpointed")  # options that change nothing in evaluation
SHOWN = 3  # names printed of a list of them
CLASSES = ("fc.weight", "fc.bias", "fc2.weight", "fc2.bias")  # ends of the names whose first axis is the classes


def load(net: nn.Module, path: Path | str, name: str, preset: str, options: Mapping[str, Any]) -> None:
    """Put the tensors of a file into `net`, which is `name` of the table built with these `options`.

    Every tensor of the net must be there under the name that the preset's library gives it, in its shape, and nothing
    else; auxiliary heads that the net was built without may be left over, and counters of batches that old files lack
    may be missing. Raises `FixableError` with what is missing, left over or of another shape, for a file of another
    net or library, one for another form of the net, one that cannot be read, and one that wants to run code. Warns
    where nothing is known of the strides, or only what the names of its tensors let one guess.
    """
    found, about = read(Path(path))
    table = TABLES.get(name, {}).get(preset, ())
    wanted = net.state_dict()
    given = {translated(key, table): t for key, t in found.items()}
    for key, t in given.items():
        if key in wanted and t.dim() == 4 and t.shape[2:] == (1, 1) and wanted[key].shape == t.shape[:2]:
            given[key] = t[:, :, 0, 0]  # a linear layer that was written as a 1x1 convolution
    if error := mismatch(Path(path), name, preset, given, wanted):
        raise error
    check_form(found, about, Path(path), name, options)
    net.load_state_dict({key: given.get(key, t) for key, t in wanted.items()})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by its own names, and its metadata: safetensors, or what `torch.save` wrote.

    Raises `FixableError` for a file that is not there, is cut short, holds anything but tensors, or code.
    """
    if not path.is_file():
        raise FixableError(
            f"'{path}' is a folder and no file with weights."
            if path.is_dir()
            else f"There is no file '{path}' with weights.",
            expected="a .safetensors file, or a .pth or .pt file of torch.save.",
            fix="check the path; it is looked up from the folder you are in.",
        )
    start = b""
    try:
        with path.open("rb") as file:
            start = file.read(64)
        if start[8:9] == b"{":  # a length of eight bytes, then JSON
            with safe_open(path, framework="pt") as tensors:
                return {key: tensors.get_tensor(key) for key in tensors.keys()}, tensors.metadata() or {}  # noqa: SIM118
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that it may not understand: then it says so
            held = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise unreadable(path, error.strerror or type(error).__name__) from None
    except Exception as error:  # of many kinds: whatever stands in a file is interpreted
        if wanted := re.search(r"GLOBAL (\w+(?:\.\w+)*)", str(error)):
            raise FixableError(
                f"The file '{path}' wants to run code when it is read: it calls {wanted[1]}.",
                expected="tensors and nothing else; nothing of it was run.",
                fix="ask for its state_dict or a .safetensors file; load it elsewhere only if you trust its origin.",
            ) from None
        raise unreadable(path, kind(start)) from None
    for key in WRAPPERS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping) or not held or not all(isinstance(t, Tensor) for t in held.values()):
        raise FixableError(
            f"The file '{path}' holds no table of tensors, but {described(held)}.",
            expected="what net.state_dict() gives: names and tensors.",
            fix="save net.state_dict() instead, or name the right file.",
        )
    # Saved from DataParallel, every name has this in front.
    return {str(key).removeprefix("module."): t for key, t in held.items()}, {}


def described(value: Any) -> str:
    return f"a {type(value).__name__}" + (f" of {len(value)} things" if isinstance(value, Mapping) else "")


def kind(start: bytes) -> str:
    """What a file that is none of weights seems to be, from its first bytes; torch's words for it are a riddle."""
    if not start:
        return "it is empty"
    if start[8:9] == b"{":
        return "it begins as .safetensors do and does not go on so"
    if start.startswith(b"PK"):
        return "it is a zip archive, cut short or not of torch.save"
    if start.startswith(b"\x80"):
        return "it is a pickle, cut short or not of torch.save"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start):
        return f"it is a text that begins with {start[:24].decode()!r}"
    return "it is of no kind that is known here"


def unreadable(path: Path, why: str) -> FixableError:
    return FixableError(
        f"The file '{path}' cannot be read as weights: {why}.",
        expected="a whole .safetensors file, or a whole .pth or .pt file of torch.save.",
        fix="compare its size and kind with the source's, and get it again.",
    )


def check_form(
    found: Iterable[str], about: Mapping[str, str], path: Path, name: str, options: Mapping[str, Any]
) -> None:
    """The same tensors fit several forms of a net, which compute different functions: who made the file, and for which?

    Our own files say it of every option. Of others it matters for the position of a bottleneck's stride.
    """
    if split(about.get("net", ""))[0] == name:
        theirs = settled(name, split(about["net"])[1])
        differ = [key for key in theirs if key not in SAME_ANSWER and theirs[key] != options.get(key, theirs[key])]
        if differ:
            raise other_form(path, differ[0], theirs[differ[0]], options[differ[0]], "as it says")
    elif "stride_on" in options:
        mine, libraries = options["stride_on"], TABLES.get(name, {})
        if any(word in path.name.lower() for word in ("caffe", "msra")):
            if mine != "1x1":
                raise other_form(path, "stride_on", "1x1", mine, "for its name says that it comes from Caffe")
            return
        source = "on the 1x1 or on the 3x3: nothing in it says where"
        if any(foreign(found, name, library) for library in libraries):
            if mine == "3x3":
                return
            # These fit by a preset, beside which the person chose the position; names alone do not prove them wrong.
            source = f"on the 3x3, for its tensors have the names of {' or '.join(libraries)}"
        warnings.warn(
            f"The file '{path}' may have its strides {source}; this net has them on the {mine}. A wrong position loads "
            "without an error and answers wrongly.",
            stacklevel=4,
        )


def other_form(path: Path, key: str, theirs: Any, mine: Any, source: str) -> FixableError:
    return FixableError(
        f"The weights in '{path}' are for {key}={show(theirs)}, {source}; this net has {key}={show(mine)}.",
        expected="the same form: the tensors fit both, and the answers would be wrong in silence.",
        fix=f"build it with {key}={theirs!r}.",
    )


def foreign(found: Iterable[str], name: str, preset: str) -> bool:
    """Whether most of the names in a file are those that the preset's library gives to this net."""
    names, table = list(found), TABLES[name][preset]
    return sum(translated(key, table) != key for key in names) > len(names) / 2


def mismatch(
    path: Path, name: str, preset: str, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> FixableError | None:
    """What does not fit between the tensors of a file, under our names, and those of the net; None where all does."""
    missing = [key for key in wanted if key not in given and not key.endswith("num_batches_tracked")]
    no_aux = not any(key.startswith("aux.") for key in wanted)
    over = [key for key in given if key not in wanted and not (no_aux and key.startswith("aux."))]
    shapes = [key for key in wanted if key in given and given[key].shape != wanted[key].shape]
    if not (missing or over or shapes):
        return None
    parts = [f"{len(keys)} {what} ({few(keys)})" for what, keys in (("missing", missing), ("left over", over)) if keys]
    if shapes:
        sizes = [f"{key} {size(given[key])} for {size(wanted[key])}" for key in shapes]
        parts.append(f"{len(shapes)} of another shape ({few(sizes)})")
    whose = preset if preset in TABLES.get(name, {}) else "daiving"
    return FixableError(
        f"The weights in '{path}' are not those of '{name}': {', '.join(parts)}.",
        expected=f"its {len(wanted)} tensors by the names of {whose}.",
        fix=advice(name, preset, given, wanted, missing, over, shapes),
    )


def advice(
    name: str,
    preset: str,
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    missing: list[str],
    over: list[str],
    shapes: list[str],
) -> str:
    for other in TABLES.get(name, {}):
        if other != preset and foreign(given, name, other):
            return f"the names look like {other}'s: build it with preset='{other}'."
    if missing and all(key.startswith("aux.") for key in missing) and not over and not shapes:
        return "the file has no auxiliary heads: build it with aux=False."
    classes = [key for key in shapes if key.endswith(CLASSES) and given[key].shape[1:] == wanted[key].shape[1:]]
    if shapes and classes == shapes and not missing and not over:
        return f"build it with num_classes={len(given[shapes[-1]])}, as the file has, and put your own head on it then."
    if len(missing) > len(given) / 2:
        return (
            "it is the file of another net, or of another library: choose the net and the preset that it was made with."
        )
    return "build it with the options that the file was made with, in_channels and image_size among them."


def few(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def size(t: Tensor) -> str:
    return "x".join(map(str, t.shape)) or "a number"
