"""daiving predict, export: what to do with a trained network."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from daiving.commands.flags import arg, parse
from daiving.commands.lab import existing
from daiving.errors import FixableError, unknown
from daiving.files import read_json
from daiving.study.plan import check_seed
from daiving.study.record import DEFAULT_LAB

if TYPE_CHECKING:
    from daiving.use import Trained

TOP = 3  # classes printed for an image or a name
KINDS = {  # what runs read: what predict takes for it, and its own flags
    "images": ("one PNG or JPEG file", ("invert",)),
    "names": ("one name", ()),
    "texts": ("one text", ("length", "temperature", "top_k", "seed")),
}
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
    # None where left out: what is given must fit the run.
    length: Annotated[int | None, arg("a text: how many characters more; 200 if left out")] = None
    temperature: Annotated[
        float | None, arg("a text: below 1 keeps to the likely, 0 takes the likeliest; 1 if left out")
    ] = None
    top_k: Annotated[int | None, arg("a text: draw among the k likeliest characters; among all if left out")] = None
    seed: Annotated[int | None, arg("a text: what the draws begin from; 0 if left out")] = None
    invert: Annotated[
        bool, arg("images: exchange bright and dark, for ink on paper where the net learnt bright on dark")
    ] = False
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
    if flags.seed is not None:
        check_seed(flags.seed)
    folder = existing(flags.lab).find(flags.run, "run")
    kind, example = kind_and_example(folder)
    check_fits(flags, kind, example)
    from daiving.use import trained  # heavy imports wait until the call is known to be good

    {"images": of_images, "names": of_names, "texts": of_texts}[kind](trained(folder), flags)


def kind_and_example(folder: Path) -> tuple[str, str]:
    """What a run's net takes, as its run.json says (of one that is damaged `trained` says more), and one of them."""
    data = (read_json(folder / "run.json") or {}).get("data")
    data = data if isinstance(data, dict) else {}
    symbols = data.get("symbols")
    if not symbols:
        return "images", "image.png"
    kind, usual = ("texts", "The ") if data.get("each_step") else ("names", "Kowalski")
    known = set(usual) <= set(symbols)
    return kind, shlex.quote(usual if known else next(filter(str.isalpha, symbols), symbols[0]))


def check_fits(flags: Predict, kind: str, example: str) -> None:
    """Raises `FixableError` for nothing to read, and for flags of another kind of run."""
    takes, own = KINDS[kind]
    if not flags.inputs:
        raise FixableError(
            f"There are no {kind} to {'go on with' if kind == 'texts' else 'classify'}.",
            expected=f"{takes} or more behind the run's id, for it reads {kind}.",
            fix=f"write: daiving predict {flags.run} {example}.",
        )
    for other, (_, names) in KINDS.items():
        for name in names if other != kind else ():
            value = getattr(flags, name)
            if value is not None and value is not False:  # a 0 is given
                raise FixableError(
                    f"{typed(name)} is about {other}, and the run {flags.run} reads {kind}.",
                    expected=f"flags about {kind}: {', '.join(map(typed, own)) or 'there are none'}.",
                    fix="leave it out.",
                )


def typed(name: str) -> str:
    return "--" + name.replace("_", "-")


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
    from daiving.sampling import following

    given = {name: getattr(flags, name) for name in KINDS["texts"][1]}
    how = {name: value for name, value in given.items() if value is not None}
    for text in flags.inputs:
        for i, letter in enumerate(following(model.net, model.symbols, text, **how, window=model.shape[0])):
            print(letter if i else text + letter, end="", flush=True)  # as it is drawn: a long text takes a while
        print()


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
    if not os.path.isdir(out.parent) or os.path.isdir(out):  # Path.is_dir raises for a name that is too long
        raise FixableError(
            f"'{out}' is a folder." if os.path.isdir(out) else f"There is no folder '{out.parent}' to write into.",
            expected="the name of a file, in a folder that is there.",
            fix="make it first, or choose another --out.",
        )
    from daiving.use import export_onnx, export_safetensors, trained

    model = trained(folder)
    difference = (export_onnx if flags.to == "onnx" else export_safetensors)(model, out)
    checked = "logits of onnxruntime against torch" if flags.to == "onnx" else "weights read back"
    print(f"{out}: {out.stat().st_size:,} bytes; {checked}: largest difference {difference:.2g}")
