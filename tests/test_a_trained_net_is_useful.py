"""Predict and export: the same answers as the run gave, in files that other programs read."""

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

from daiving.errors import FixableError
from daiving.files import saved
from daiving.study.record import Lab
from daiving.use import trained


@pytest.fixture
def run(daiving, digits, tmp_path):
    """A trained net on digits, and three test digits as files."""
    for i in range(3):
        Image.fromarray(digits.test.x[i, 0]).save(tmp_path / f"{i}.png")
    Image.fromarray(255 - digits.test.x[0, 0]).save(tmp_path / "ink.png")
    Image.fromarray(digits.test.x[1, 0]).convert("RGB").resize((56, 56)).save(tmp_path / "large.jpg")
    answer = daiving("train", "mnist_inception", "--epochs", "0.5")
    return re.search(r"run (\w{12}) in", answer.out)[1]


def test_predict_names_the_classes_with_their_probabilities(daiving, run, digits):
    answer = daiving("predict", run[:6], "0.png", "1.png", "2.png", "large.jpg")
    assert answer.code == 0
    lines = answer.out.splitlines()
    right = [re.match(r"(\S+): (\d) (\d+\.\d)%   \d ", line) for line in lines]
    assert [m[2] for m in right] == [str(digits.test.y[i]) for i in (0, 1, 2, 1)]
    assert all(30 < float(m[3]) <= 100 for m in right)


def test_predict_gives_what_the_test_split_gave(run, digits, tmp_path):
    folder = Lab(tmp_path / "daiving-lab").find(run, "run")
    model = trained(folder)
    from daiving.study.record import result_of

    right = model.probabilities(digits.test.x).argmax(1).numpy() == digits.test.y
    assert np.array_equal(right, result_of(folder).right())


def test_ink_on_paper_is_noticed_and_can_be_turned_round_and_what_does_not_fit_images_is_said(daiving, run, digits):
    plain, turned = daiving("predict", run, "ink.png"), daiving("predict", run, "ink.png", "--invert")
    assert "try --invert" in plain.out
    assert turned.out.startswith(f"ink.png: {digits.test.y[0]} ")
    for more, said in (
        ((), ("There are no images to classify", "PNG or JPEG", f"daiving predict {run} image.png")),
        (("0.png", "--seed", 0), ("--seed is about texts", "about images: --invert")),
    ):
        answer = daiving("predict", run, *more)
        assert answer.code == 2
        assert all(part in answer.err for part in said), answer.err


def test_safetensors_hold_every_weight_and_the_classes(daiving, run, tmp_path):
    from safetensors import safe_open

    answer = daiving("export", run, "--out", "net.safetensors")
    assert "largest difference 0" in answer.out
    model = trained(Lab(tmp_path / "daiving-lab").find(run, "run"))
    with safe_open(tmp_path / "net.safetensors", "pt") as file:
        assert file.metadata()["classes"].split("\n") == list("0123456789")
        assert all(torch.equal(file.get_tensor(name), t) for name, t in model.net.state_dict().items())


def test_onnx_answers_as_torch_does_for_any_number_of_images(daiving, run, digits, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    answer = daiving("export", run, "--to", "onnx", "--out", "net.onnx")
    assert answer.code == 0, answer.err
    model = trained(Lab(tmp_path / "daiving-lab").find(run, "run"))
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for n in (1, 5):
        images = model.inputs(digits.test.x[:n])
        with torch.inference_mode():
            assert np.allclose(session.run(None, {"images": images.numpy()})[0], model.net(images), atol=1e-4)


def test_a_file_that_cannot_be_written_is_said_and_leaves_nothing(daiving, run, tmp_path):
    before = sorted(tmp_path.iterdir())
    for out in ("/proc/net.safetensors", "n" * 300):
        answer = daiving("export", run, "--out", out)
        assert answer.code == 2
        three = rf"daiving: '{out}' cannot be written \(.+\)\.\n  Expected: .+\.\n  To fix: .+\.\n"
        assert re.fullmatch(three, answer.err), answer.err
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("pipe", "no ordinary file"), (".", "a folder")):
        with pytest.raises(FixableError, match=why):
            saved(tmp_path / name, lambda file: file.write(b"x"))
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("damage", "said"),
    [("unfinished", "is unfinished"), ("no weights", "is missing or cut short"), ("torn weights", "cut short")],
)
def test_what_cannot_be_used_is_said(daiving, run, tmp_path, damage, said):
    folder = tmp_path / "daiving-lab" / "runs" / run
    if damage == "unfinished":
        (folder / "result.json").unlink()
    elif damage == "no weights":
        (folder / "model.safetensors").unlink()
    else:
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    answer = daiving("predict", run, "0.png")
    assert answer.code == 2
    assert said in answer.err


def test_an_image_that_cannot_be_read_is_said(daiving, run, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    for name in ("bad.png", "gone.png"):
        answer = daiving("predict", run, name)
        assert answer.code == 2
        assert f"The image '{name}' cannot be read" in answer.err


def test_a_net_whose_file_was_changed_is_not_rebuilt(daiving, tmp_path):
    code = "from torch import nn\nclass Net(nn.Sequential):\n    def __init__(self):\n"
    (tmp_path / "net.py").write_text(code + "        super().__init__(nn.Flatten(), nn.Linear(784, 10))\n")
    run = re.search(r"run (\w{12}) in", daiving("train", "net.py:Net", "--epochs", "0.1").out)[1]
    assert daiving("export", run).code == 0
    with (tmp_path / "net.py").open("a") as file:
        file.write("# changed\n")
    answer = daiving("export", run)
    assert answer.code == 2
    assert "was changed since" in answer.err
