"""A folder of the user's images: one subfolder a class, PNG or JPEG, grey or colour.

    photos/cat/1.png              or, already split:    photos/train/cat/1.png
    photos/dog/2.jpg                                    photos/val/…  photos/test/…

What cannot be used is named and counted in the notes, never dropped in silence.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from daiving.errors import FixableError
from daiving.files import write_atomic
from daiving.tasks.data import Data, Examples, held_out, pack

ENDINGS = {".png", ".jpg", ".jpeg"}
SPLITS = ("train", "val", "test")
LARGEST = 1024  # pixels; every image of the folder is held in memory at this size
NAMED = 5  # files that a note names before it only counts
Picture = tuple[Path, Image.Image]


@dataclass(frozen=True)
class Listed:
    """What lies in the folder, before any file is opened."""

    files: dict[str, list[Path]]  # split ("" where the folder is not split yet) -> images, by class and name
    classes: tuple[str, ...]
    skipped: list[str]


def load(
    *,
    folder: str,
    size: int,
    channels: int,
    fit: str,
    split_seed: int,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
) -> Data:
    """The images, n x (1 or 3) x size x size, and the notes on what was skipped.

    Decoded images are kept in `cache_dir` under a hash of all file names, sizes and dates, so that the next
    run does not decode them again. Raises `FixableError` for a folder that cannot be learnt from.
    """
    if not folder or not 4 <= size <= LARGEST:
        raise FixableError(
            "The task 'images' has no folder." if not folder else f"The task 'images' cannot have size={size}.",
            expected=f"a folder with one subfolder a class, and a size of 4 to {LARGEST} pixels.",
            fix="write --task images:folder=path/to/photos, or --task path/to/photos.",
        )
    root = Path(folder).expanduser().resolve()
    listed = listing(root)
    choices = repr((size, channels, fit, split_seed))
    kept = cache_dir and cache_dir / f"{listing_hash(root, listed, choices)}.npz"
    if kept and (data := read(kept)):
        return data
    data = decode(root, listed, size=size, channels=channels, crop=fit == "crop", seed=split_seed)
    if kept:
        with suppress(OSError):  # a convenience; whether the lab can be written is said elsewhere
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(kept, lambda file: save(file, data))
    return data


def listing(root: Path) -> Listed:
    if not root.is_dir():
        raise FixableError(
            f"There is no folder '{root}'.",
            expected="a folder with one subfolder a class, each with PNG or JPEG files.",
            fix="check the path; it is looked up from the folder you are in.",
        )
    folders = {path.name for path in children(root) if path.is_dir()}
    split = "train" in folders and bool({"val", "test"} & folders)
    if split and "test" not in folders:
        raise FixableError(
            f"'{root}' has train/ and val/ but no test/.",
            expected="train/ and test/ (val/ is taken from train/ where it is missing), or no such folders at all.",
            fix="put images that no training will see into test/; the verdict is read on them.",
        )
    parts = {name: root / name for name in SPLITS if name in folders} if split else {"": root}
    classes = tuple(sorted({path.name for part in parts.values() for path in children(part) if path.is_dir()}))
    skipped: list[str] = []
    files: dict[str, list[Path]] = {}
    for name, part in parts.items():
        files[name] = []
        for label in classes:
            good = images_in(part / label, root, skipped)
            if not good:
                raise FixableError(
                    f"The class folder '{(part / label).relative_to(root)}' has no PNG or JPEG file.",
                    expected="at least one image in every class folder, in each split.",
                    fix="put images into it, or remove the folder if it is no class.",
                )
            files[name] += good
        skipped += [f"{path.relative_to(root)} (not in a class folder)" for path in children(part) if path.is_file()]
    if len(classes) < 2:
        raise FixableError(
            f"'{root}' has {'one class only: ' + classes[0] if classes else 'no subfolder'}.",
            expected="two classes or more, each a subfolder with its images.",
            fix="sort the images into one subfolder a class and name the folder that holds them all.",
        )
    return Listed(files, classes, skipped)


def children(folder: Path) -> list[Path]:
    """What lies in a folder, by name; names that begin with a dot are the system's, not the user's."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def images_in(folder: Path, root: Path, skipped: list[str]) -> list[Path]:
    good = []
    for path in children(folder):
        if path.is_file() and path.suffix.lower() in ENDINGS:
            good.append(path)
        else:
            why = "a folder inside a class folder" if path.is_dir() else "neither PNG nor JPEG"
            skipped.append(f"{path.relative_to(root)} ({why})")
    return good


def listing_hash(root: Path, listed: Listed, choices: str) -> str:
    digest = hashlib.blake2b(choices.encode(), digest_size=12)
    for name, paths in listed.files.items():
        for path in paths:
            stat = path.stat()
            digest.update(
                f"{name}\0{path.relative_to(root)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(
                    errors="surrogateescape"
                )
            )
    digest.update("\n".join(listed.skipped).encode(errors="surrogateescape"))
    return digest.hexdigest()


def decode(root: Path, listed: Listed, *, size: int, channels: int, crop: bool, seed: int) -> Data:
    skipped = list(listed.skipped)
    opened = {name: list(pictures(paths, root, size, crop, skipped)) for name, paths in listed.files.items()}
    if not channels:
        channels = 1 if all(image.mode == "L" for part in opened.values() for _, image in part) else 3
    parts = {name: arrays(part, listed.classes, channels) for name, part in opened.items()}
    paths = {name: [str(path.relative_to(root)) for path, _ in part] for name, part in opened.items()}
    if "" in parts:
        train, val, test = held_out(parts[""], paths[""], seed, times=2)
    elif "val" not in parts:
        (train, val), test = held_out(parts["train"], paths["train"], seed, times=1), parts["test"]
    else:
        train, val, test = (parts[name] for name in SPLITS)
    for i, label in enumerate(listed.classes):
        lacking = [name for name, part in zip(SPLITS, (train, val, test), strict=True) if not (part.y == i).any()]
        if lacking:
            raise FixableError(
                f"The class '{label}' has too few images that can be read: none is left for {' and '.join(lacking)}.",
                expected="at least three images in every class, one each for train, val and test.",
                fix="add images to it, or remove the folder.",
            )
    return pack(train, val, test, listed.classes, note(skipped))


def pictures(paths: list[Path], root: Path, size: int, crop: bool, skipped: list[str]) -> Iterator[Picture]:
    """Each image that can be decoded to its last pixel, already small, with its path; the others go to `skipped`."""
    for path in paths:
        try:
            yield path, picture(path, size, crop)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            why = str(error).replace(str(path), "the file")
            skipped.append(f"{path.relative_to(root)} (cannot be read: {why})")


def picture(path: Path, size: int, crop: bool) -> Image.Image:
    """One file as a size x size image, mode L if it is grey and RGB if it is not."""
    with Image.open(path, formats=("PNG", "JPEG")) as file:
        file.load()
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I"):  # 16 bits a pixel: the upper eight
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    elif image.mode in ("P", "LA", "RGBA"):
        # A palette or a transparent ground has no pixel value of its own: lay it on black.
        grey = image.mode == "LA"
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
        image = image.convert("L") if grey else image
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    way = Image.Resampling.BILINEAR
    return ImageOps.fit(image, (size, size), way) if crop else image.resize((size, size), way)


def pixels(image: Image.Image, channels: int) -> np.ndarray:
    """An image as uint8, channels x height x width."""
    array = np.asarray(image.convert("L" if channels == 1 else "RGB"), dtype=np.uint8)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def arrays(part: list[Picture], classes: tuple[str, ...], channels: int) -> Examples:
    x = np.stack([pixels(image, channels) for _, image in part]) if part else np.empty((0, 1), np.uint8)
    number = {label: i for i, label in enumerate(classes)}
    return Examples(x, np.array([number[path.parent.name] for path, _ in part], dtype=np.int64))


def note(skipped: list[str]) -> tuple[str, ...]:
    if not skipped:
        return ()
    more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
    count = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
    return (f"{count} skipped: {', '.join(skipped[:NAMED])}{more}",)


def save(file, data: Data) -> None:
    about = json.dumps({"classes": data.classes, "notes": data.notes, "fingerprint": data.fingerprint})
    splits = {f"{name}_{axis}": getattr(getattr(data, name), axis) for name in SPLITS for axis in "xy"}
    np.savez(file, about=np.array(about), **splits)


def read(path: Path) -> Data | None:
    """What `save` wrote, or None where it is not there or damaged: the images themselves are the truth."""
    try:
        with np.load(path) as file:
            about = json.loads(str(file["about"]))
            splits = [Examples(file[f"{name}_x"], file[f"{name}_y"]) for name in SPLITS]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    train, val, test = splits
    return Data(train, val, test, tuple(about["classes"]), about["fingerprint"], tuple(about["notes"]))
