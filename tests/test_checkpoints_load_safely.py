"""Weights from a file: every tensor of torchvision's and timm's nets finds its place, and what does not fit is refused.

facts: checkpoint_keys, the names and shapes of the tensors in their files. Nothing in a file is ever run.
"""

import json
import os
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED
from safetensors.torch import load_file, save_file
from torch import nn

from daiving.errors import FixableError
from daiving.nets import NETS
from daiving.nets.build import build
from daiving.nets.checkpoints import load, read
from daiving.nets.names import TABLES, translated
from daiving.recipe import Recipe
from daiving.study.plan import make_arm

KEYS = SHARED / "facts" / "checkpoint_keys"
NO_FACTS = pytest.mark.skipif(not KEYS.is_dir(), reason="the lists of names are not here: shared/facts/checkpoint_keys")

# file of facts: (net, preset)
FILES = {
    **{f"tv_resnet{depth}": (f"resnet{depth}", "torchvision") for depth in (18, 34, 50, 101, 152)},
    **{f"tv_densenet{depth}": (f"densenet{depth}", "torchvision") for depth in (121, 161, 169, 201)},
    "tv_googlenet": ("googlenet", "torchvision"),
    "tv_inception_v3": ("inception_v3", "torchvision"),
    "timm_inception_v3": ("inception_v3", "timm"),
    "timm_inception_v4": ("inception_v4", "timm"),
    "timm_inception_resnet_v2": ("inception_resnet_v2", "timm"),
    "timm_resnetv2_50": ("preact_resnet50", "timm"),
    "timm_densenet264d": ("densenet264", "timm"),
}
# One of each family, with real numbers
TRIPS = (
    "tv_resnet18",
    "tv_densenet121",
    "tv_googlenet",
    "tv_inception_v3",
    "timm_inception_v4",
    "timm_inception_resnet_v2",
    "timm_resnetv2_50",
)


def listed(file):
    """Their names and shapes; a counter of batches has no axis."""
    rows = (line.partition("\t") for line in (KEYS / f"{file}.tsv").read_text().splitlines())
    return {key: tuple(map(int, shape.split("x"))) if shape else () for key, _, shape in rows}


def meta(name, **options):
    with torch.device("meta"):
        return build(name, **options)


def bare(name, **options):
    """A net whose numbers are whatever memory holds: quicker than drawing them."""
    return meta(name, **options).to_empty(device="cpu")


def filled(name, **options):
    """A net whose tensors all differ."""
    net, start = bare(name, **options), 0
    for t in net.state_dict().values():
        t.copy_(torch.arange(start, start + t.numel(), dtype=torch.float64).reshape(t.shape) % 8191)
        start += t.numel() % 1009 + 1
    return net


def as_theirs(net, file):
    """The tensors of our net by the names and in the shapes that the other library's file has."""
    table, ours = TABLES[FILES[file][0]][FILES[file][1]], net.state_dict()
    return {key: ours[translated(key, table)].reshape(shape) for key, shape in listed(file).items()}


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def assert_three_sentences(error):
    for part in (error.wrong, error.expected, error.fix):
        assert part.endswith((".", "?")), part
        assert not part.endswith(".."), part
        assert "\n" not in part
        assert len(part) <= 300
        assert not re.search(r"weights_only|Traceback|pytorch\.org|add_safe_globals|miniz", part)


def refused(wrong, *, expected="", fix="", net="cifar_resnet", path="w.pth", **options):
    with pytest.raises(FixableError) as raised:
        build(net, weights=path, **options)
    error = raised.value
    assert_three_sentences(error)
    for part, words in ((error.wrong, wrong), (error.expected, expected), (error.fix, fix)):
        assert words in part, part
    return error


# Names


@NO_FACTS
@pytest.mark.parametrize("file", FILES)
def test_every_tensor_of_another_librarys_file_is_one_of_ours_of_the_same_shape_and_none_is_left(file):
    net, preset = FILES[file]
    theirs = listed(file)
    found = {translated(key, TABLES[net][preset]): shape for key, shape in theirs.items()}
    assert len(found) == len(theirs)
    ours = {key: tuple(t.shape) for key, t in meta(net, preset=preset).state_dict().items()}
    assert found.keys() == ours.keys()
    differ = {key: shape for key, shape in found.items() if shape != ours[key]}
    assert differ == ({"head.fc.weight": (1000, 2048, 1, 1)} if file == "timm_resnetv2_50" else {})


@NO_FACTS
def test_every_family_that_has_a_table_of_names_has_a_file_to_hold_it_against():
    tables = {id(table): net for net, presets in TABLES.items() for table in presets.values()}
    assert {id(TABLES[net][preset]) for net, preset in FILES.values()} == tables.keys()
    assert all(preset in NETS[net].presets for net, presets in TABLES.items() for preset in presets)


@NO_FACTS
@pytest.mark.parametrize("file", TRIPS)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_what_is_written_by_their_names_comes_back_tensor_for_tensor(file, suffix):
    net, preset = FILES[file]
    was = filled(net, preset=preset)
    tensors = {key: t.contiguous() for key, t in as_theirs(was, file).items()}
    torch.save(tensors, "w.pth") if suffix == "pth" else save_file(tensors, "w.safetensors")
    if suffix == "pth":
        assert same(was, build(net, weights="w.pth", preset=preset))
    else:  # the same, without drawing weights that are replaced
        now = bare(net, preset=preset)
        load(now, Path("w.safetensors"), net, preset, {"stride_on": "3x3"} if "resnetv2" in file else {})
        assert same(was, now)


@NO_FACTS
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: {"module." + key: t for key, t in tensors.items()},
        lambda tensors: {"state_dict": tensors, "epoch": 90, "best": 0.7},
        lambda tensors: {"model": {"module." + key: t for key, t in tensors.items()}, "args": "--lr 0.1"},
        lambda tensors: {"state_dict_ema": tensors},
        lambda tensors: {"model_state_dict": tensors},
        lambda tensors: {key: t for key, t in tensors.items() if "num_batches_tracked" not in key},
        lambda tensors: {key: t.double() for key, t in tensors.items()},
    ],
    ids=["module.", "state_dict", "model and module.", "ema", "model_state_dict", "without counters", "float64"],
)
def test_the_wrappings_of_others_are_taken_off(wrap):
    was, now = filled("resnet18", preset="timm"), bare("resnet18", preset="timm")
    now.load_state_dict(was.state_dict() | {key: t + 1 for key, t in was.named_parameters()})
    torch.save(wrap(as_theirs(was, "tv_resnet18")), "w.pth")
    load(now, "w.pth", "resnet18", "timm", {})
    assert same(was, now)


@NO_FACTS
def test_a_dense_net_is_read_by_the_names_that_its_old_file_has_on_disk():
    was, now = filled("densenet121"), bare("densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(norm|conv))(\d)", r"\1.\3", key): t
        for key, t in as_theirs(was, "tv_densenet121").items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, "w.pth")
    load(now, "w.pth", "densenet121", "torchvision", {})
    assert same(was, now)


def test_a_file_of_torchs_old_format_is_read_too():
    was = build("cifar_resnet", seed=1)
    torch.save(was.state_dict(), "w.pth", _use_new_zipfile_serialization=False)
    assert same(was, build("cifar_resnet", weights="w.pth"))


def test_what_daiving_exports_loads_without_a_preset(daiving):
    assert daiving("train", "logistic", "--task", "digits", "--epochs", "1", "--lab", "lab").code == 0
    (run,) = (Path("lab") / "runs").iterdir()
    assert daiving("export", run.name, "--to", "safetensors", "--lab", "lab", "--out", "w.safetensors").code == 0
    net = build("logistic", weights="w.safetensors", num_classes=10, in_channels=1, image_size=28)
    assert all(torch.equal(t, net.state_dict()[key]) for key, t in load_file("w.safetensors").items())


# What does not fit


def saved(name="cifar_resnet", path="w.pth", change=lambda tensors: tensors, **options):
    torch.save(change(dict(build(name, **options).state_dict())), path)


def without(*keys):
    return lambda tensors: {key: t for key, t in tensors.items() if key not in keys}


def test_missing_tensors_are_named():
    saved(change=without("body.conv1.conv.weight", "head.fc.bias"))
    refused(
        "The weights in 'w.pth' are not those of 'cifar_resnet': 2 missing (body.conv1.conv.weight, head.fc.bias).",
        expected="its 116 tensors by the names of daiving.",  # 19 convolutions, 5 for each norm, 2 of the last layer
        fix="build it with the options that the file was made with",
    )


def test_tensors_that_are_left_over_are_named_and_many_are_counted():
    saved(depth=26)
    error = refused("36 left over (body.conv2_x.4.body.conv1.conv.weight, ", fix="the options that the file was made")
    assert error.wrong.endswith(", …).")
    assert error.wrong.count("conv2_x") == 3


def test_tensors_of_another_shape_are_named_with_both_shapes():
    saved(in_channels=1)
    refused("1 of another shape (body.conv1.conv.weight 16x1x3x3 for 16x3x3x3)", fix="in_channels")


def test_another_number_of_classes_says_how_many_the_file_has():
    saved(num_classes=7)
    refused("2 of another shape (head.fc.weight 7x64 for 10x64, head.fc.bias 7 for 10)", fix="num_classes=7")
    options = {"preset": "torchvision", "image_size": 79}
    torch.save(bare("googlenet", num_classes=7, **options).state_dict(), "g.pth")
    refused("6 of another shape", fix="num_classes=7", net="googlenet", path="g.pth", num_classes=9, **options)


def test_another_image_size_is_not_taken_for_another_number_of_classes():
    saved("logistic")
    refused(
        "1 of another shape (fc.weight 10x784 for 10x64)", fix="image_size among them", net="logistic", image_size=8
    )


def test_the_file_of_another_net_is_called_that():
    saved("logistic")
    refused("missing (body.conv1", fix="the file of another net, or of another library")


def test_auxiliary_heads_that_the_net_was_built_without_may_be_left_over():
    was = filled("googlenet", num_classes=7, image_size=79)
    torch.save(was.state_dict(), "w.pth")
    now = bare("googlenet", num_classes=7, aux=False)
    load(now, "w.pth", "googlenet", "paper", {})
    assert all(torch.equal(t, was.state_dict()[key]) for key, t in now.state_dict().items())
    torch.save(now.state_dict(), "w.pth")
    refused("12 missing (aux.4a.", fix="aux=False", net="googlenet", num_classes=7)


@NO_FACTS
@pytest.mark.parametrize("file", ["tv_resnet50", "tv_densenet121", "tv_googlenet", "timm_inception_v4"])
def test_another_librarys_file_without_the_preset_says_to_use_it(file):
    net, preset = FILES[file]
    torch.save(dict.fromkeys(listed(file), torch.zeros(1)), "w.pth")
    with pytest.raises(FixableError) as raised:
        load(meta(net), "w.pth", net, "paper", {"stride_on": "1x1"} if "resnet" in net else {})
    assert_three_sentences(raised.value)
    assert raised.value.fix == f"the names look like {preset}'s: build it with preset='{preset}'."
    assert raised.value.expected.endswith("by the names of daiving.")


def test_a_preset_that_is_no_library_is_not_taken_for_one():
    torch.save({"conv1.conv.weight": torch.zeros(1)}, "w.pth")
    with pytest.raises(FixableError, match="by the names of daiving") as raised:
        load(meta("googlenet", preset="caffe"), "w.pth", "googlenet", "caffe", {})
    assert_three_sentences(raised.value)


def test_a_net_of_the_users_own_takes_its_own_names():
    Path("mine.py").write_text("from torch import nn\ndef tiny():\n    return nn.Linear(2, 3)\n")
    was = nn.Linear(2, 3)
    torch.save(was.state_dict(), "w.pth")
    assert same(was, build("mine.py:tiny", weights="w.pth"))
    torch.save({"weight": was.weight.detach()}, "w.pth")
    refused("1 missing (bias)", net="mine.py:tiny")


# The position of the stride, which no tensor shows


@pytest.fixture(scope="module")
def bottlenecks():
    return bare("resnet50", num_classes=2)


def put(net, tensors, path, preset, stride_on, about=None):
    """Into a file, in half of the bytes, and back."""
    tensors = {key: t.half() if t.is_floating_point() else t for key, t in tensors.items()}
    if path.endswith("safetensors"):
        save_file(tensors, path, about)
    else:
        torch.save(tensors, path)
    load(net, path, "resnet50", preset, {"stride_on": stride_on})


def theirs(net):
    """Torchvision's names, as far as a loaded file must have them."""
    ours, table = net.state_dict(), TABLES["resnet50"]["torchvision"]
    return {key: ours[translated(key, table)] for key in listed("tv_resnet50")}


@NO_FACTS
def test_a_file_by_torchvisions_names_is_taken_in_silence_where_the_preset_has_the_stride(bottlenecks):
    put(bottlenecks, theirs(bottlenecks), "w.pth", "torchvision", "3x3")


@NO_FACTS
def test_the_names_of_torchvision_warn_where_the_stride_was_chosen_to_be_elsewhere(bottlenecks):
    with pytest.warns(UserWarning, match="strides on the 3x3, for its tensors have the names of torchvision or timm"):
        put(bottlenecks, theirs(bottlenecks), "w.pth", "torchvision", "1x1")


@pytest.mark.parametrize("path", ["resnet50_caffe.pth", "MSRA-R50.pth"])
def test_a_file_that_says_caffe_is_for_strides_on_the_1x1(bottlenecks, path):
    put(bottlenecks, bottlenecks.state_dict(), path, "paper", "1x1")
    with pytest.raises(FixableError, match="for stride_on=1x1, for its name says that it comes") as raised:
        put(bottlenecks, bottlenecks.state_dict(), path, "paper", "3x3")
    assert_three_sentences(raised.value)
    assert raised.value.fix == "build it with stride_on='1x1'."


@pytest.mark.parametrize(("options", "position"), [({}, "1x1"), ({"shortcut": "C", "preset": "torchvision"}, "3x3")])
@pytest.mark.parametrize("preset", ["paper", "torchvision"])
def test_daivings_own_file_says_where_its_stride_is(bottlenecks, options, position, preset):
    about = {"net": make_arm("a", "resnet50", options, Recipe(), {}).label, "classes": "cat\ndog"}  # as `export` does
    put(bottlenecks, bottlenecks.state_dict(), "w.safetensors", preset, position, about)
    other = {"1x1": "3x3", "3x3": "1x1"}[position]
    with pytest.raises(FixableError, match=f"for stride_on={position}, as it says; this net has") as raised:
        put(bottlenecks, bottlenecks.state_dict(), "w.safetensors", preset, other, about)
    assert_three_sentences(raised.value)
    assert raised.value.fix == f"build it with stride_on='{position}'."


@pytest.mark.parametrize("about", [None, {"format": "pt"}, {"net": "alexnet"}])
def test_where_nothing_is_known_of_the_stride_a_warning_says_so(bottlenecks, about):
    with pytest.warns(UserWarning, match="on the 1x1 or on the 3x3: nothing in it says where; this net has them"):
        put(bottlenecks, bottlenecks.state_dict(), "w.safetensors", "paper", "1x1", about)


def test_a_net_without_bottlenecks_has_no_stride_to_warn_of():
    saved()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build("cifar_resnet", weights="w.pth")


# Files that are none


class Caller:
    """What an attacker puts into a pickle."""

    def __reduce__(self):
        return os.system, ("touch marker",)


ZIPPED = {"weight": torch.ones(9, 9)}


def cut(path, keep):
    data = Path(path).read_bytes()
    Path("w.pth").write_bytes(data[:keep] if keep > 0 else data[: len(data) + keep])


BROKEN = {
    # what is done to w.pth: what the message says
    "a truncated zip": (lambda: (torch.save(ZIPPED, "a"), cut("a", 500)), "a zip archive, cut short"),
    "a zip without its end": (lambda: (torch.save(ZIPPED, "a"), cut("a", -9)), "a zip archive, cut short"),
    "an npz": (lambda: (np.savez("w.npz", x=np.ones(3)), Path("w.npz").rename("w.pth")), "or not of torch.save"),
    "truncated safetensors": (lambda: (save_file(ZIPPED, "a"), cut("a", 100)), "as .safetensors do and does not go on"),
    "safetensors cut in its header": (lambda: (save_file(ZIPPED, "a"), cut("a", 20)), "as .safetensors do and does"),
    "eight bytes": (lambda: Path("w.pth").write_bytes(bytes(8)), "of no kind that is known here"),
    "an empty file": (lambda: Path("w.pth").write_bytes(b""), "it is empty"),
    "a text": (lambda: Path("w.pth").write_text("no weights\nat all"), r"begins with 'no weights\nat all'"),
    "a web page": (lambda: Path("w.pth").write_text("<!DOCTYPE html>"), "begins with '<!DOCTYPE html>'"),
    "JSON": (lambda: Path("w.pth").write_text(json.dumps({"weight": [1, 2]})), "a text that begins with"),
    "a pickle of another program": (
        lambda: Path("w.pth").write_bytes(pickle.dumps({"weight": 1}, protocol=4)),
        "it is a pickle, cut short or not of torch.save",
    ),
    "an old file cut short": (
        lambda: (torch.save(ZIPPED, "a", _use_new_zipfile_serialization=False), cut("a", -30)),
        "it is a pickle, cut short or not of torch.save",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_cannot_be_read_is_called_what_it_is(how):
    make, words = BROKEN[how]
    make()
    refused("The file 'w.pth' cannot be read as weights: ", expected="a whole .safetensors file", fix="get it again")
    refused(words)


def test_no_beginning_of_a_file_gets_past_the_three_sentences():
    torch.save(ZIPPED, "new")
    torch.save(ZIPPED, "old", _use_new_zipfile_serialization=False)
    save_file(ZIPPED, "safe")
    for path in ("new", "old", "safe"):
        length = Path(path).stat().st_size
        for keep in {*range(1, 90), *range(90, length, 37)}:
            cut(path, keep)
            with pytest.raises(FixableError) as raised:
                read(Path("w.pth"))
            assert_three_sentences(raised.value)


def test_a_folder_and_a_file_that_is_not_there_are_told_apart():
    Path("folder").mkdir()
    refused("'folder' is a folder and no file with weights.", fix="check the path", path="folder")
    refused("There is no file 'gone.pth' with weights.", expected=".safetensors", fix="check the path", path="gone.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("hidden", [Caller, lambda: {"weight": Caller()}, lambda: [torch.ones(1), Caller()]])
def test_code_in_a_file_does_not_run_and_is_named(hidden, zipped):
    torch.save(hidden(), "w.pth", _use_new_zipfile_serialization=zipped)
    refused(
        f"The file 'w.pth' wants to run code when it is read: it calls {os.system.__module__}.system.",
        expected="tensors and nothing else; nothing of it was run.",
        fix="only if you trust its origin.",
    )
    assert not Path("marker").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_bare_pickle_does_not_run(protocol):
    Path("w.pth").write_bytes(pickle.dumps({"weight": Caller()}, protocol=protocol))
    refused("The file 'w.pth' ")
    assert not Path("marker").exists()
    pickle.loads(Path("w.pth").read_bytes())
    assert Path("marker").exists()  # it would have


def test_a_whole_net_that_was_pickled_asks_for_its_state_dict():
    torch.save(nn.Sequential(nn.Linear(2, 3)), "w.pth")
    refused("it calls torch.nn.modules.container.Sequential.", fix="ask for its state_dict or a .safetensors file")


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ([torch.ones(3)], "a list"),
        (torch.ones(3), "a Tensor"),
        ({}, "a dict of 0 things"),
        ({"epoch": 3, "loss": 0.1}, "a dict of 2 things"),
        ({"state_dict": {"weight": "none"}}, "a dict of 1 things"),
    ],
)
def test_a_file_that_holds_no_table_of_tensors_says_what_it_holds(held, words):
    torch.save(held, "w.pth")
    refused(f"The file 'w.pth' holds no table of tensors, but {words}.", fix="save net.state_dict() instead")


def test_daivings_own_file_says_every_option_that_changes_its_answers():
    net = meta("googlenet", pool4=2, aux=False)
    tensors = {key: torch.zeros(t.shape, dtype=t.dtype) for key, t in net.state_dict().items()}
    save_file(tensors, "own.safetensors", {"net": "googlenet:pool4=2,aux=false,dropout=0.1"})
    with pytest.raises(FixableError, match="for pool4=2, as it says; this net has pool4=3") as raised:
        build("googlenet", weights="own.safetensors", aux=False)
    assert raised.value.fix == "build it with pool4=2."
    build("googlenet", weights="own.safetensors", aux=False, pool4=2)  # another dropout answers alike
