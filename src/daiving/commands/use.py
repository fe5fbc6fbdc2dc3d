"""daiving predict, export: what to do with a trained network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from daiving.commands.flags import arg, parse
from daiving.commands.lab import existing
from daiving.errors import FixableError, unknown
from daiving.study.record import DEFAULT_LAB

TOP = 3  # classes printed for an image
BRIGHT = 0.6  # mean brightness from which an image is not what a net for bright strokes on black has seen


@dataclass(frozen=True)
class Predict:
    """Classify images with a trained network."""

    run: Annotated[Positional[str], arg("the id of a finished run, or the beginning of one")]
    images: Annotated[Positional[tuple[Path, ...]], arg("PNG or JPEG files")]
    invert: Annotated[bool, arg("exchange bright and dark, for ink on paper where the net learnt bright on dark")] = (
        False
    )
    lab: Annotated[Path, arg("the lab's folder")] = DEFAULT_LAB


@dataclass(frozen=True)
class Export:
    """Write a trained network for other programs, and check the file against torch."""

    run: Annotated[Positional[str], arg("the id of a finished run, or the beginning of one")]
    to: Annotated[str, arg("safetensors (weights by name) or onnx (the whole net)")] = "safetensors"
    out: Annotated[Path | None, arg("the file to write; by default it is named after the run")] = None
    lab: Annotated[Path, arg("the lab's folder")] = DEFAULT_LAB


def predict(arguments: Sequence[str]) -> None:
    flags = parse(Predict, arguments, "predict")
    if not flags.images:
        raise FixableError(
            "There is no image to classify.",
            expected="one PNG or JPEG file or more behind the run's id.",
            fix=f"write: daiving predict {flags.run} image.png.",
        )
    folder = existing(flags.lab).find(flags.run, "run")
    import numpy as np  # heavy imports wait until the call is known to be good

    from daiving.use import read_image, trained

    model = trained(folder)
    arrays = np.stack([read_image(path, model, invert=flags.invert) for path in flags.images])
    for path, array, row in zip(flags.images, arrays, model.probabilities(arrays), strict=True):
        best = row.argsort(descending=True)[:TOP].tolist()
        print(f"{path}: " + "   ".join(f"{model.classes[i]} {row[i].item():.1%}" for i in best))
        if model.mean < 0.5 * BRIGHT and array.mean() / 255 > BRIGHT:
            print("    (much brighter than what this net was trained on: try --invert)")


def export(arguments: Sequence[str]) -> None:
    flags = parse(Export, arguments, "export")
    if flags.to not in ("safetensors", "onnx"):
        raise unknown("export format", flags.to, ("safetensors", "onnx"))
    folder = existing(flags.lab).find(flags.run, "run")
    out = flags.out or Path(f"{folder.name}.{flags.to}")
    if not out.parent.is_dir() or out.is_dir():
        raise FixableError(
            f"'{out}' is a folder." if out.is_dir() else f"There is no folder '{out.parent}' to write into.",
            expected="the name of a file, in a folder that is there.",
            fix="make it first, or choose another --out.",
        )
    from daiving.use import export_onnx, export_safetensors, trained

    model = trained(folder)
    difference = (export_onnx if flags.to == "onnx" else export_safetensors)(model, out)
    checked = "logits of onnxruntime against torch" if flags.to == "onnx" else "weights read back"
    print(f"{out}: {out.stat().st_size:,} bytes; {checked}: largest difference {difference:.2g}")
