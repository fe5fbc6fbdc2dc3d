"""Every mistake of a user's gets three sentences and exit code 2, no traceback, and is known by its text."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

COMPARE = ("compare", "a=logistic", "b=majority", "--lab", "lab")
NET = """
import torch
from torch import nn

class Wide(nn.Module):
    def __init__(self, num_classes=10, width=3):
        super().__init__()
        self.fc = nn.Linear(784, num_classes + width)
    def forward(self, x):
        return self.fc(x.flatten(1))

class Empty(nn.Module):
    def forward(self, x):
        return torch.zeros(len(x), 10)

class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        raise RuntimeError("my own mistake")

class Pair(nn.Linear):
    def __init__(self):
        super().__init__(784, 10)
    def forward(self, x):
        return super().forward(x.flatten(1)), x

class Aux(nn.Linear):
    def __init__(self):
        super().__init__(784, 10)
    def forward(self, x):
        scores = super().forward(x.flatten(1))
        return (scores, scores) if self.training else scores

class Lazy(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.LazyLinear(10))

def text():
    return "no net"
"""


@pytest.fixture(autouse=True)
def _what_the_calls_name(tmp_path):
    (tmp_path / "mine.py").write_text(NET)
    for folder in ("photos/cat", "photos/dog", "empty/cat", "empty/dog", "one/cat", "notes/cat", "notes/dog"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("photos/cat", "photos/dog", "empty/cat", "one/cat"):
        for i in range(4):
            Image.new("L", (8, 8), 10 * i).save(tmp_path / folder / f"{i}.png")
    for folder in ("notes/cat", "notes/dog"):
        (tmp_path / folder / "a.gif").write_bytes(b"GIF89a")
    (tmp_path / "black" / "train" / "a").mkdir(parents=True)
    x, y = np.random.default_rng(0).random((30, 4, 4)), np.arange(30) % 2
    np.savez(tmp_path / "nan.npz", x=np.where(x > 0.9, np.nan, x), y=y)
    np.savez(tmp_path / "flat.npz", x=np.zeros((30, 4, 4), np.uint8), y=y)
    np.savez(tmp_path / "other.npz", z=x)
    np.savez(tmp_path / "gap.npz", x=x, y=y * 2)
    np.savez(tmp_path / "shape.npz", x=x[0], y=y)
    np.savez(tmp_path / "labels.npz", x=x, y=y / 2)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "flat.npz").read_bytes()[:90])
    (tmp_path / "study.toml").write_text('tusk = "digits"')
    (tmp_path / "types.toml").write_text('max_pairs = "x"\n[arms]\na = "logistic"\nb = "majority"')
    (tmp_path / "arms.toml").write_text('arms = ["a=logistic"]')
    (tmp_path / "arm.toml").write_text('[arms]\na = "logistic"\nb = 4')
    (tmp_path / "broken.toml").write_text("task = ")
    (tmp_path / "recipe.toml").write_text("[recipe]\nepoch = 3")


MISTAKES = {
    # what is typed: (what was wrong, what was expected, what to do)
    "nest": ("There is no command called 'nest'", "one of compare, deck", "did you mean 'nets'?"),
    "train mnist_incption": ("There is no net called 'mnist_incption'", "one of bn_inception", "'mnist_inception'?"),
    "train xyz": ("There is no net called 'xyz'", "one of", "see `daiving nets`"),
    "train mnist_inception:jmp=true": ("no option of 'mnist_inception' or recipe field called 'jmp'", "jump", "'jump'?"),
    "train mnist_inception:jump=7": ("cannot have jump=7", "true or false", "leave jump out to get false"),
    "train mnist_inception:activation=tanh": ("cannot have activation=tanh", "one of none, relu", "to get none"),
    "train mnist_inception:jump": ("There is no net called 'mnist_inception:jump'", "one of", "'mnist_inception'?"),
    "train mnist_inception:jump=true,relu": ("'relu' in", "key=value", "write it like 'mnist_inception:relu=value'"),
    "train logistic:lr=0.1,lr=0.2": ("it stands twice", "key=value", "write it like"),
    "train logistic:num_classes=7": ("has num_classes=7, and the task has 10", "num_classes=10", "leave num_classes out"),
    "train logistic --task mnst": ("There is no task called 'mnst'", "one of arrays, digits", "did you mean 'mnist'?"),
    "train logistic --task digits:size=9": ("option of the task 'digits' called 'size'", "no option", "choose one"),
    "train logistic --task no/such": ("There is no folder 'no/such'", "one subfolder a class", "check the path"),
    "train logistic --task images": ("The task 'images' has no folder", "one subfolder a class", "--task path/to/photos"),
    "train logistic --task images:folder=photos,size=2": ("cannot have size=2", "a size of 4 to 1024 pixels", "write --task"),
    "train logistic --task images:folder=gone": ("There is no folder", "one subfolder a class", "check the path"),
    "look gru:embedding=4": ("does nothing with input=one_hot", "together with input=embedding", "input=embedding as well"),
    "train logistic --task empty": ("'dog' has no PNG or JPEG", "at least one image in every", "put images into it"),
    "train logistic --task notes": ("'cat' has no PNG or JPEG", "at least one image", "put images into it"),
    "train logistic --task one": ("has one class only: cat", "two classes or more", "sort the images"),
    "train logistic --task arrays:file=nan.npz": ("has NaN or infinite numbers in", "an .npz file", "mend or drop them"),
    "train logistic --task arrays:file=flat.npz": ("has the same value", "images that differ", "look at the files"),
    "train logistic --task arrays:file=other.npz": ("has the arrays z", "x and labels y", "save x and y"),
    "train logistic --task arrays:file=gap.npz": ("no training example of class 1", "labels y", "without gaps"),
    "train logistic --task arrays:file=shape.npz": ("has x of shape (4, 4)", "images x", "bring the images to"),
    "train logistic --task arrays:file=labels.npz": ("type float64", "labels y", "one whole number an image"),
    "train logistic --task arrays:file=torn.npz": ("cannot be read", "an .npz file", "check the path"),
    "train logistic --task mnist --data gone": ("There is no folder 'gone'", "mnist.npz", "leave it out to download"),
    "train logistic --epocs 3": ("flag of `daiving train` called '--epocs'", "--epochs", "did you mean '--epochs'?"),
    "train logistic --epochs many": ("cannot be read: Error parsing --epochs", "--help` lists", "correct it"),
    "train logistic --epochs 0": ("The recipe's epochs is 0.0", "at least 0.01 (passes)", "to get 4.0"),
    "train logistic --lr nan": ("The recipe's lr is nan", "at least 0", "to get 0.0"),
    "train logistic --optimizer adagrad": ("The recipe's optimizer is 'adagrad'", "one of adamw, adam, sgd", "to get adamw"),
    "train logistic --recipe dekc": ("There is no recipe called 'dekc'", "one of deck, default", "did you mean 'deck'?"),
    "train logistic --log deek": ("There is no form of log called 'deek'", "one of deck", "did you mean 'deck'?"),
    "train": ("cannot be read: Missing", "`daiving train --help` lists", "correct it"),
    "train logistic more": ("does not know what to do with 'more'", "only what", "leave it out"),
    "train gone.py:Net": ("There is no file 'gone.py'", "path/to/file.py:Class", "check the path"),
    "compare a=logistic": ("needs two arms, and there is one", "two arms or more", "write for example"),
    "compare": ("needs two arms, and there is none", "two arms or more", "write for example"),
    "compare logistic b=majority": ("'logistic' is no arm", "NAME=NET", "logistic=logistic"),
    "compare a=logistic b=logistic": ("'a' and 'b' are the same", "differ in something", "change an option"),
    "compare a=logistic a=majority": ("Two arms are called 'a'", "a name of its own", "rename one"),
    "compare a=logistic b=logistic:epoch=3": ("or recipe field called 'epoch'", "epochs", "did you mean 'epochs'?"),
    "compare a=logistic b=majority --metric accurcy": ("no metric called 'accurcy'", "accuracy, loss", "'accuracy'?"),
    "compare a=logistic b=majority --smallest 0.3": ("'0.3', has no unit", "pp or %", "--smallest 0.3pp"),
    "compare a=logistic b=majority --smallest 0.3nats": ("'0.3nats', is none", "pp or %", "--smallest 0.3pp"),
    "compare a=logistic b=majority --smallest 0pp": ("'0pp', is none", "above zero", "--smallest 0.3pp"),
    "compare a=logistic b=majority --max-pairs 2": ("cap of 2 pairs is too small", "from 3 to 50", "to get 20"),
    "compare a=logistic b=majority --max-pairs 51": ("cap of 51 pairs is too large", "from 3 to 50", "to get 20"),
    "compare a=logistic b=majority --alpha 0.5": ("alpha of 0.5", "at most 0.1", "to get 0.05"),
    "compare a=logistic b=majority --jobs 0": ("--jobs is 0", "at least 1", "every core"),
    "compare a=logistic b=mine.py:Wide": ("with shape (2, 13)", "shape (2, 10)", "num_classes"),
    "compare a=logistic b=mine.py:Pair": ("with a tuple", "shape (2, 10)", "num_classes"),
    "compare a=logistic b=mine.py:Empty": ("no parameter that can be trained", "at least one", "num_classes"),
    "compare a=logistic b=mine.py:text": ("is a str", "an nn.Module", "num_classes"),
    "compare a=logistic b=mine.py:Wied": ("no net in mine.py called 'Wied'", "Empty", "did you mean 'Wide'?"),
    "compare a=logistic b=mine.py:Wide:wide=1": ("option of", "num_classes, width", "did you mean 'width'?"),
    "compare a=logistic b=mine.py:Raises": ("RuntimeError: my own mistake", "one score a class", "traceback in"),
    "compare study.toml": ("key of a study file ('study.toml') called 'tusk'", "task", "did you mean 'task'?"),
    "compare broken.toml": ("'broken.toml' cannot be read", "a TOML file", "check the path and the line"),
    "compare gone.toml": ("'gone.toml' cannot be read", "a TOML file", "check the path"),
    "compare recipe.toml": ("recipe field ('recipe.toml') called 'epoch'", "epochs", "did you mean 'epochs'?"),
    "compare a=logistic b=majority --floor 50": ("'50', has no unit", "%", "--floor 50%"),
    "compare a=logistic b=majority --floor 120%": ("floor of the accuracy is 120%", "less than 100%", "--floor 50%"),
    "compare a=logistic b=majority --first-seed -1": ("The seed is -1", "from 0 to 10^12", "begin with 0"),
    "train logistic --seed 99999999999999999999": ("The seed is 99999", "from 0 to 10^12", "begin with 0"),
    "train logistic --batch 99999999": ("The recipe's batch is 99999999", "at most 1000000", "to get 64"),
    "train mine.py:Raises": ("RuntimeError: my own mistake", "one score a class", "traceback in"),
    "train mine.py:Wide": ("with shape (2, 13)", "shape (2, 10)", "num_classes"),
    "train mine.py:Aux": ("with a tuple while it trains", "one tensor of shape (2, 10)", "num_classes"),
    "train mine.py:Lazy": ("has lazy modules", "whole when it is made", "input size"),
    "train logistic --task arrays": ("has no file", "an .npz file", "--task arrays:file=my.npz"),
    "compare types.toml": ("The study's max_pairs is 'x'", "a whole number", "write max_pairs as"),
    "compare arms.toml": ("has arms = ['a=logistic']", "a table: [arms.NAME]", "see the example"),
    "compare arm.toml": ("The study's arm is 4", "a net as text, or a table", "write arm as"),
    "compare =logistic b=majority": ("'=logistic' is no arm", "NAME=NET", "logistic=logistic"),
    "compare a=logistic b=majority --lab mine.py": ("cannot be written to", "may be written", "--lab FOLDER"),
    "look googelnet": ("There is no net called 'googelnet'", "one of bn_inception", "did you mean 'googlenet'?"),
    "look googlenet --vs googelnet": ("There is no net called 'googelnet'", "one of bn_inception", "'googlenet'?"),
    "look resnet50:preset=torchvison": ("no preset of 'resnet50' called 'torchvison'", "paper, timm", "'torchvision'?"),
    "look resnet50:strde_on=3x3": ("no option of 'resnet50' called 'strde_on'", "preset, shortcut", "'stride_on'?"),
    "look resnet50:stride_on=5x5": ("cannot have stride_on=5x5", "one of 1x1, 3x3", "leave stride_on out to get 1x1"),
    "look resnet50:weights=my.pth": ("`daiving look` cannot use weights=my.pth", "options of the net", "leave weights out"),
    "look resnet50:name=x": ("`daiving look` cannot use name=x", "options of the net", "leave name out"),
    "look resnet50:image_size=0": ("image_size is 0", "1 or more", "leave image_size out"),
    "look resnet50 --input nonsense": ("'nonsense' is no shape", "channels x height x width", "--input 3x224x224"),
    "look resnet50 --input 3x0x224": ("'3x0x224' is no shape", "whole numbers", "--input 3x224x224"),
    "look resnet50 --input 3x16x224": ("cannot take images of 16x16 pixels", "at least 17x17", "17 pixels or more"),
    "look googlenet --input 3x78x78": ("cannot take images of 78x78", "31 with aux=false", "a net for small images"),
    "look resnet50:in_channels=1 --input 3x64x64": ("contradicts in_channels=1", "images of one size", "leave in_channels out"),
    "look googlenet:image_size=96 --input 3x224x224": ("contradicts image_size=96", "images of one size", "leave image_size"),
    "look googlenet --out look.pdf": ("'look.pdf' does not end like a table", "ends in .txt or .md", "--out look.txt"),
    "look densenet121:stem_channels=1,stem=deep": ("cannot have 1 channels behind", "2 or more", "leave stem_channels out"),
    "look googlenet --open 3z": ("There is no block of 'googlenet' called '3z'", "one of 3a", "did you mean '3"),
    "look logistic --open fc": ("no block of 'logistic' called 'fc'", "single layers only", "leave --open out"),
    "look googlenet --form tabel": ("There is no form called 'tabel'", "one of diagram, html", "did you mean 'table'?"),
    "look googlenet --out no/net.svg": ("there is no folder 'no'", "in a folder that is there", "make the folder first"),
    "look googlenet --form svg --out photos": ("it is a folder", "the name of a file", "choose another --out"),
    "look googlenet --depth -1": ("--depth is -1", "0 for the stages", "leave it out"),
    "look cifar_resnet:depth=21": ("cannot be 21 layers deep", "6n+2", "take depth=20 or depth=26"),
    "look cifar_preact:depth=21": ("cannot be 21 layers deep", "9n+2", "take depth=20 or depth=29"),
    "look cifar_densenet:depth=41": ("cannot be 41 layers deep", "3n + 4", "take depth=40 or 43"),
    "look densenet121:compression=2": ("cannot have compression=2", "from 0.01 to 1", "to get 0.5"),
    "look densenet121:growth=0": ("cannot have growth=0", "a whole number from 1 on", "to get 32"),
    "look googlenet:dropout=2": ("cannot have dropout=2", "from 0 to 0.99", "to get 0.4"),
    "look gone.py:Net": ("There is no file 'gone.py'", "path/to/file.py:Class", "check the path"),
    "look mine.py:Wied": ("no net in mine.py called 'Wied'", "Empty", "did you mean 'Wide'?"),
    "look mine.py:text": ("is a str", "an nn.Module", "num_classes"),
    "look mine.py:Lazy": ("has lazy modules", "whole when it is made", "input size"),
    "look mine.py:Raises": ("RuntimeError: my own mistake", "of 3x224x224", "mend mine.py, line 19"),
    "look mine.py:Wide": ("cannot be built and run once: RuntimeError: mat1", "of 3x224x224", "--input 1x28x28"),
    "look": ("cannot be read: Missing", "`daiving look --help` lists", "correct it"),
    "train googlenet": ("cannot take images of 28x28 pixels", "at least 79x79", "take a net for small images"),
    "train inception_v3:aux=false": ("cannot take images of 28x28 pixels", "at least 75x75", "a net for small images"),
    "train resnet18:depth=18": ("no option of 'resnet18' or recipe field called 'depth'", "shortcut", "epochs"),
    "nets googelnet": ("There is no net called 'googelnet'", "one of bn_inception", "did you mean 'googlenet'?"),
    "nets xyz": ("There is no net called 'xyz'", "one of bn_inception", "`daiving nets` lists them"),
    "nets --lang kr": ("There is no language called 'kr'", "one of en, ko", "did you mean 'ko'?"),
    "runs --lab gone": ("There is no lab in 'gone'", "has made", "name the right folder"),
    "show abc --lab photos": ("There is no run in the lab", "the id of a run", "run `daiving compare` first"),
    "predict abc --lab photos": ("There is no run in the lab", "the id of a run", "run `daiving compare` first"),
    "export abc --to onx --lab photos": ("no export format called 'onx'", "onnx, safetensors", "did you mean 'onnx'?"),
}  # fmt: skip


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_gets_three_sentences(daiving, typed):
    answer = daiving(*typed.split())
    wrong, expected, fix = MISTAKES[typed]
    said = re.match(r"daiving: (.*?)\n  Expected: (.*?)\n  To fix: (.*?)\n$", answer.err, re.DOTALL)
    assert said, answer
    assert answer.code == 2
    for part, text in zip((wrong, expected, fix), said.groups(), strict=True):
        assert part in text
        assert text.rstrip().endswith((".", "?"))
        assert "Traceback" not in text


def test_a_mistake_leaves_no_lab_behind(daiving, tmp_path):
    daiving("compare", "a=logistic", "b=majorty")
    assert not (tmp_path / "daiving-lab").exists()


def test_a_mistake_in_a_study_loses_no_finished_run(daiving, tmp_path):
    assert daiving("train", "logistic", "--epochs", "0.1").code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "daiving-lab" / "runs").rglob("*.json")}
    daiving("compare", "a=logistic:epochs=0.1", "b=mine.py:Raises")
    assert all(path.read_bytes() == content for path, content in before.items())


def test_the_traceback_of_a_users_net_is_in_the_file_that_the_message_names(daiving):
    answer = daiving("compare", "a=logistic", "b=mine.py:Raises")
    path = re.search(r"traceback in (\S+) and", answer.err)[1]
    with open(path) as file:
        assert 'raise RuntimeError("my own mistake")' in file.read()


def test_python_raises_the_same_three_parts():
    import daiving

    with pytest.raises(daiving.FixableError) as caught:
        daiving.Study(task="digits", arms={"a": "logistic", "b": "majorty"})
    assert caught.value.fix == "did you mean 'majority'?"
    with pytest.raises(daiving.FixableError, match="shape"):
        daiving.Recipe(schedule="shape")
    with pytest.raises(daiving.FixableError, match="There is no recipe field called 'epoch'"):
        daiving.Recipe().but(epoch=3)


def test_a_wrong_module_of_torch_is_named_when_onnx_is_missing(daiving, monkeypatch):
    daiving("train", "logistic", "--epochs", "0.1")
    run = re.search(r"run (\w{12})", daiving("train", "logistic", "--epochs", "0.1").out)[1]
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    answer = daiving("export", run, "--to", "onnx")
    assert answer.code == 2
    assert "pip install 'daiving[onnx]'" in answer.err
