"""A trained net, ready to be used: classes of new images or names, more of a text, and files for other programs."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.files import read_json, saved
from daiving.nets.recurrent import Recurrent
from daiving.nets.user import source_hash
from daiving.study.keep import packed, read_tensors
from daiving.study.plan import Arm, arm_from
from daiving.study.record import FINISHED, status_of
from daiving.study.worker import make_net
from daiving.tasks.batches import Batches
from daiving.tasks.data import Examples
from daiving.tasks.images import picture, pixels

AGREE = 1e-4  # largest difference of a logit between torch and an exported file, relative to the largest logit


@dataclass(frozen=True)
class Trained:
    """A finished run's best weights in its net, with what is needed to feed it."""

    net: nn.Module
    arm: Arm
    classes: tuple[str, ...]
    shape: tuple[int, ...]  # channels, height, width of an image; the steps of the longest sequence
    mean: float
    deviation: float
    crop: bool  # images are cropped to a square, as they were for training
    bytes: bool  # it was trained on bytes, as images are
    symbols: tuple[str, ...] = ()  # of sequences, by number
    each_step: bool = False  # a sequence has a class a step, not one in all

    def inputs(self, images: np.ndarray) -> Tensor:
        """uint8 images, n x c x h x w, as this net was trained to see them."""
        examples = Examples(images, np.zeros(len(images), dtype=np.int64))
        return Batches(examples, self.arm.recipe, self.mean, self.deviation).prepared(torch.from_numpy(images))

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray) -> Tensor:
        """Softmax of the logits, n x classes."""
        return self.net(self.inputs(images)).softmax(dim=1)


def trained(folder: Path) -> Trained:
    """The trained net of a run's folder; raises `FixableError` for a run that is not finished or cannot be rebuilt."""
    if (status := status_of(folder)) != FINISHED:
        raise FixableError(
            f"The run {folder.name} is {status}.",
            expected="a finished run: only that has weights to use.",
            fix="start the command that made it again; it goes on where it stopped.",
        )
    about: Any = read_json(folder / "run.json")
    found = read_tensors(folder / "model.safetensors")
    if found is None:
        raise lost(folder, "its model.safetensors is missing or cut short")
    try:
        arm, data = arm_from(about["arm"]), about["data"]
    except (KeyError, TypeError, AttributeError):
        raise lost(folder, "its run.json is missing or damaged") from None
    if source_hash(arm.net) != arm.source:
        raise lost(folder, f"{arm.net} was changed since")
    net = make_net(arm, facts_of(data), about["seed"])
    net.load_state_dict(found[0])
    net.eval()
    crop = about["task"]["options"].get("fit") != "squash"
    return Trained(
        net,
        arm,
        tuple(data["classes"]),
        tuple(data["shape"]),
        data["mean"],
        data["deviation"],
        crop,
        data["dtype"] == "uint8",
        tuple(data.get("symbols", ())),
        data.get("each_step", False),
    )


def facts_of(data: Mapping[str, Any]) -> dict[str, int]:
    """What the task decided of the net, from a run's row: as `Data.facts`."""
    classes = len(data["classes"])
    if symbols := data.get("symbols"):
        return {"num_symbols": len(symbols), "num_classes": classes, "each_step": data["each_step"]}
    return {"num_classes": classes, "in_channels": data["shape"][0], "image_size": data["shape"][1]}


def lost(folder: Path, what: str) -> FixableError:
    return FixableError(
        f"The net of the run {folder.name} cannot be rebuilt: {what}.",
        expected="the weights and the code of the run as they were when it was trained.",
        fix="bring the file back, or delete the run's folder and train it again.",
    )


def read_image(path: Path, model: Trained, *, invert: bool) -> np.ndarray:
    """An image file as this net sees images: uint8, c x h x w. Raises `FixableError` for a file that is none."""
    if not model.bytes:
        raise FixableError(
            f"The run was trained on arrays of floats, so an image file like '{path}' means nothing to it.",
            expected="a run on images, or on an .npz of bytes (uint8).",
            fix="in Python: daiving.use.trained(folder).net takes your arrays.",
        )
    try:
        small = picture(path, model.shape[1], model.crop)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FixableError(
            f"The image '{path}' cannot be read: {error}.",
            expected="a whole PNG or JPEG file.",
            fix="check the path, or save the image again as PNG.",
        ) from None
    array = pixels(small, model.shape[0])
    return 255 - array if invert else array


def export_safetensors(model: Trained, out: Path) -> float:
    """Weights by name, with the classes and the net's name as metadata; read back and equal, so it returns 0.

    Raises `FixableError` for a file that cannot be written.
    """
    about = {"net": model.arm.label, "classes": "\n".join(model.classes)}
    if model.symbols:
        about |= {"classes": json.dumps(model.classes), "symbols": json.dumps(model.symbols)}  # one may be "\n"
    content = packed(model.net.state_dict(), about)
    saved(out, lambda file: file.write(content))
    back = read_tensors(out)
    assert back is not None
    assert all(torch.equal(t, back[0][name]) for name, t in model.net.state_dict().items())
    return 0.0


def export_onnx(model: Trained, out: Path) -> float:
    """The net as ONNX, standardised inputs "images" (n, c, h, w) to "logits" (n, classes), any n; of sequences,
    "symbols" (n, t), int64, to "logits" (n, classes) or (n, t, classes).

    The file is run by onnxruntime on random inputs and held against torch before it gets its name; returns the
    largest difference of a logit. Raises `FixableError` where they disagree, the packages are not installed, or the
    file cannot be written.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch needs it to export
    except ImportError as error:
        raise FixableError(
            f"ONNX needs a package that is not installed: {error.name}.",
            expected="onnx, onnxscript and onnxruntime beside daiving.",
            fix="pip install 'daiving[onnx]'.",
        ) from None
    name = "symbols" if model.symbols else "images"
    for library in ("torch.onnx", "onnxscript"):  # of packages that no net here needs, and what it does not fold
        logging.getLogger(library).setLevel(logging.ERROR)
    with warnings.catch_warnings(), step_by_step(model.net):
        warnings.simplefilter("ignore")  # the exporter warns about its own insides
        try:
            program = torch.onnx.export(
                model.net,
                (made_up(model, 2),),
                input_names=[name],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                dynamo=True,
                verbose=False,
            )
        except Exception as error:  # of its many kinds: some nets cannot be written down
            raise FixableError(
                f"This net cannot be written as ONNX: {str(error).strip().splitlines()[0]}.",
                expected="a net whose computation does not depend on the values of its input.",
                fix="export to safetensors instead.",
            ) from None
    assert program is not None
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst = 0.0
    for n in (1, 7):
        inputs = made_up(model, n)
        with torch.inference_mode():
            ours = model.net(inputs)
        theirs = torch.from_numpy(session.run(None, {name: inputs.numpy()})[0])
        difference = (ours - theirs).abs().max().item()
        if not difference <= AGREE * max(1.0, ours.abs().max().item()):
            raise FixableError(
                f"The exported file does not answer as the net does: a logit differs by {difference:.2g}.",
                expected=f"the same logits within {AGREE:g}.",
                fix="export to safetensors instead, and report the net with this message.",
            )
        worst = max(worst, difference)
    saved(out, lambda file: file.write(content))
    return worst


@contextmanager
def step_by_step(net: nn.Module) -> Iterator[None]:
    """Recurrent nets off their fast path, which an exporter cannot see into; the numbers are the same."""
    found = [m for m in net.modules() if isinstance(m, Recurrent)]
    fast = [m.fast for m in found]
    try:
        for m in found:
            m.fast = False
        yield
    finally:
        for m, was in zip(found, fast, strict=True):
            m.fast = was


def made_up(model: Trained, n: int) -> Tensor:
    """Inputs of the right kind and shape, drawn from n; each sequence but the first shorter than its row."""
    random = torch.Generator().manual_seed(n)
    if not model.symbols:
        return torch.randn(n, *model.shape, generator=random)
    x = torch.randint(len(model.symbols), (n, *model.shape), generator=random)
    ends = model.shape[0] - torch.arange(n) % model.shape[0]
    return x.where(torch.arange(model.shape[0]) < ends[:, None], -1)
