"""daiving predict, export: what to do with a trained network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from daiving.commands.flags import arg, parse
from daiving.commands.lab import existing
from daiving.errors import FixableError, unknown
from daiving.study.plan import check_seed
from daiving.study.record import DEFAULT_LAB

if TYPE_CHECKING:
    from daiving.use import Trained

TOP = 3  # classes printed for an image or a name
BRIGHT = 0.6  # mean brightness from which an image is not what a net for bright strokes on black has seen


@dataclass(frozen=True)
class Predict:
    """Classify images or names with a trained network, or let it go on with a text.

    daiving predict RUN image.png
    daiving predict RUN Kowalski O\'Brien          a run on the task names
    daiving predict RUN "The king " --length 300   a run on the task text
    """

    run: Annotated[Positional[str], arg("the id of a finished run, or the beginning of one")]
    inputs: Annotated[Positional[tuple[str, ...]], arg("PNG or JPEG files, names, or texts to go on with")]
    length: Annotated[int, arg("a text: how many characters more")] = 200
    temperature: Annotated[float, arg("a text: below 1 keeps to the likely, 0 takes the likeliest")] = 1.0
    top_k: Annotated[int, arg("a text: draw among the k likeliest characters; 0 among all")] = 0
    seed: Annotated[int, arg("a text: what the draws begin from")] = 0
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
    if not flags.inputs:
        raise FixableError(
            "There is no image to classify, no name, and no text to go on with.",
            expected="one PNG or JPEG file or more behind the run's id; for a run on characters, a name or a text.",
            fix=f"write: daiving predict {flags.run} image.png.",
        )
    check_seed(flags.seed)
    folder = existing(flags.lab).find(flags.run, "run")
    from daiving.use import trained  # heavy imports wait until the call is known to be good

    model = trained(folder)
    (of_images if not model.symbols else of_texts if model.each_step else of_names)(model, flags)


def of_images(model: "Trained", flags: Predict) -> None:
    import numpy as np

    from daiving.use import read_image

    arrays = np.stack([read_image(Path(path), model, invert=flags.invert) for path in flags.inputs])
    for path, array, row in zip(flags.inputs, arrays, model.probabilities(arrays), strict=True):
        print(f"{path}: {likeliest(model.classes, row.tolist())}")
        if model.mean < 0.5 * BRIGHT and array.mean() / 255 > BRIGHT:
            print("    (much brighter than what this net was trained on: try --invert)")


def of_names(model: "Trained", flags: Predict) -> None:
    from daiving.sampling import class_probabilities

    rows = class_probabilities(model.net, model.symbols, flags.inputs)
    for name, row in zip(flags.inputs, rows, strict=True):
        print(f"{name}: {likeliest(model.classes, row.tolist())}")


def of_texts(model: "Trained", flags: Predict) -> None:
    from daiving.sampling import continued

    how = dict(length=flags.length, temperature=flags.temperature, top_k=flags.top_k, seed=flags.seed)
    for text in flags.inputs:
        print(text + continued(model.net, model.symbols, text, **how, window=model.shape[0]))


def likeliest(classes: Sequence[str], row: Sequence[float]) -> str:
    """The first classes by their probability."""
    best = sorted(range(len(row)), key=lambda i: -row[i])[:TOP]
    return "   ".join(f"{classes[i]} {row[i]:.1%}" for i in best)


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
