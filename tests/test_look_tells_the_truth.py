"""`look` counts what torch counts, keeps what a backward pass keeps, and leaves the net as it was."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from daiving.account import account
from daiving.anatomy import cost, look
from daiving.errors import FixableError
from daiving.nets import NETS
from daiving.nets.build import build
from daiving.nodes import Node
from daiving.show.text_diagram import text_diagram

IMAGES = [name for name, entry in NETS.items() if entry.takes == "images"]
MIB = 2**20
IMAGE_MIB = 3 * 224 * 224 * 4 / MIB

MINE = """
import torch
import torch.nn.functional as F
from torch import nn

class Plain(nn.Module):
    def __init__(self, num_classes=10, in_channels=3, width=8):
        super().__init__()
        self.last = nn.Linear(width, num_classes)
        self.again = nn.Conv2d(width, width, 3, padding=1)
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.spare = nn.Linear(2, 2)

    def forward(self, x):
        x = F.relu(self.first(x))
        x = F.relu(self.again(x))
        x = F.max_pool2d(F.relu(self.again(x)), 2)
        return self.last(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))

class Answers(Plain):
    def forward(self, x):
        return {"scores": super().forward(x), "mean": x.mean()}

class Reads(Plain):
    def forward(self, x):
        return super().forward(x * 2 if x.sum() > 0 else x) * (1 + x.max().item())
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return lambda name, **options: build(f"{tmp_path / 'mine.py'}:{name}", **options)


@cache
def tree(name: str, **options) -> Node:
    """The tree of a net of the table for the images of its paper."""
    c, size, classes = NETS[name].home
    with torch.device("meta"):
        net = build(name, **{"in_channels": c, "image_size": size, "num_classes": classes} | options)
    return look(net, (c, size, size))


def leaves(node: Node) -> Iterator[Node]:
    return (one for one in node.walk() if not one.children)


class Deep(nn.Module):
    """All that could be moved by a look: running averages, dropout, modes that differ, in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, groups=2),
            nn.BatchNorm2d(6),
        )
        self.head = nn.Linear(6, 10)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        torch.rand(3)
        return self.head(self.body(x).relu().mean((2, 3)))


class Bad(Deep):
    def forward(self, x: Tensor) -> Tensor:
        super().forward(x)
        raise RuntimeError("mine")


# ---- Totals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGES)
def test_the_totals_are_those_of_the_table_and_the_sum_of_the_leaves(name):
    node = tree(name)
    assert (node.parameters, node.macs) == (NETS[name].parameters, NETS[name].macs)
    assert sum(one.parameters for one in leaves(node)) == node.parameters
    assert sum(one.macs for one in leaves(node) if not one.aux) == node.macs
    if name != "mnist_inception":  # whose ReLUs behind the pools are no modules
        assert sum(one.saved for one in leaves(node)) == node.saved


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("googlenet", {"num_classes": 10}, 79),
        ("cifar_resnet", {"depth": 8}, 32),
        ("cifar_preact", {"depth": 11}, 33),
        ("cifar_densenet", {"depth": 10}, 31),
    ],
)
def test_parameters_and_multiply_adds_are_what_torch_counts(name, options, size):
    net = build(name, image_size=size, **options).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 3, size, size))
    node = look(net, (3, size, size))
    assert node.macs == counter.get_total_flops() // 2
    assert node.parameters == sum(p.numel() for p in net.parameters())
    assert cost(net, (3, size, size)) == type(cost(net, (3, size, size)))(node.parameters, node.macs)


def test_the_tree_is_the_same_on_the_meta_device_as_off_it():
    with torch.device("meta"):
        meta = build("cifar_resnet", depth=8)
    assert look(meta, (3, 32, 32)) == look(build("cifar_resnet", depth=8), (3, 32, 32))


def test_tied_weights_count_once():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x.flatten(1)))

    node = look(Tied(), (1, 2, 3))
    assert node.parameters == 36 + 6 + 6
    assert [one.parameters for one in node.children] == [42, 6]
    assert node.macs == 2 * 36


def test_weights_of_parts_that_never_run_are_in_the_total():
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.spare = nn.Linear(6, 2), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x.flatten(1), self.fc.weight)  # a module's weights without the module

    net = Spare()
    assert look(net, (1, 2, 3)).parameters == sum(p.numel() for p in net.parameters()) == 26


def test_a_part_that_a_wiring_leaves_out_costs_what_it_costs():
    plain, active = tree("mnist_inception"), tree("mnist_inception", activation="relu")
    kept = (88 - 24) * (12**2 + 4**2)  # each branch's last map, before the concatenation: what its ReLU gives
    inner = (16 + 16 + 24) * (12**2 + 4**2) + 24 * (12**2 + 4**2)
    assert active.parameters == plain.parameters
    assert plain.saved < active.saved <= plain.saved + 4 * (kept + inner + 24 * 160)


# ---- Nothing is moved ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Deep, Bad])
@pytest.mark.parametrize("see", [look, cost])
def test_a_look_leaves_modes_weights_averages_hooks_and_random_numbers_as_they_were(kind, see):
    torch.manual_seed(0)
    net = kind()
    net.body[1].eval()
    net.body[3].requires_grad_(False)
    net.body[0].weight.grad = torch.ones_like(net.body[0].weight)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    modes, addresses = [m.training for m in net.modules()], [t.data_ptr() for t in net.state_dict().values()]
    stream, threads = torch.get_rng_state(), torch.is_grad_enabled()
    if kind is Bad:
        with pytest.raises(RuntimeError, match="mine"):
            see(net, (3, 8, 8))
    else:
        see(net, (3, 8, 8))
    assert [m.training for m in net.modules()] == modes
    assert [t.data_ptr() for t in net.state_dict().values()] == addresses
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert torch.equal(net.body[0].weight.grad, torch.ones_like(net.body[0].weight))
    assert torch.equal(torch.get_rng_state(), stream)
    assert torch.is_grad_enabled() == threads
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert not nn.modules.module._global_forward_hooks
    assert not nn.modules.module._global_forward_pre_hooks


def test_a_net_that_reads_values_of_its_input_is_seen_too_and_left_as_it_was(mine):
    net = mine("Reads")
    net.register_module("norm", nn.BatchNorm2d(3))
    forward = net.forward
    net.forward = lambda x: forward(net.norm(x))
    before = {name: t.clone() for name, t in net.state_dict().items()}
    node, plain = look(net, (3, 8, 8)), look(mine("Plain"), (3, 8, 8))
    assert node.macs == plain.macs == cost(net, (3, 8, 8)).macs
    assert node.parameters == plain.parameters + 6
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())


def test_a_net_given_images_that_it_cannot_take_says_so_itself():
    with pytest.raises(FixableError, match="was given images of 1 channels"):
        look(build("cifar_resnet", depth=8), (1, 32, 32))
    for net in (Deep(), Deep().to("meta")):
        with pytest.raises(RuntimeError):
            look(net, (5, 8, 8))
        with pytest.raises(RuntimeError):
            look(net, (3, 2, 2))


# ---- Activation memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "mib"),
    [
        ("resnet50", {"preset": "torchvision"}, 82.0),
        ("densenet121", {}, 124.5),
        ("densenet169", {}, 150.3),
        ("densenet201", {}, 194.0),
    ],
)
def test_activation_memory_is_what_was_measured_elsewhere_with_the_image_in_it(name, options, mib):
    node = tree(name, **options)
    assert round(node.saved / MIB, 1) == mib
    assert node.children[0].role == "input"
    assert node.children[0].saved / MIB == IMAGE_MIB


def saved_for_backward(net: nn.Module, shape: tuple[int, ...]) -> float:
    """Bytes an image that autograd keeps of a real forward pass on the CPU, weights and averages aside."""
    own = {t.untyped_storage().data_ptr() for t in (*net.parameters(), *net.buffers())}
    kept, alive = {}, []

    def pack(t: Tensor) -> Tensor:
        alive.append(t)
        kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        alive.append(net.train()(torch.randn(2, *shape)))
    return sum(size for address, size in kept.items() if address not in own) / 2


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("logistic", {}, (1, 28, 28)),
        ("mnist_inception", {}, (1, 28, 28)),
        ("mnist_inception", {"activation": "relu"}, (1, 28, 28)),
        ("googlenet", {"num_classes": 10}, (3, 79, 79)),
        ("cifar_resnet", {"depth": 8}, (3, 32, 32)),
        ("cifar_preact", {"depth": 11}, (3, 17, 17)),
        ("cifar_densenet", {"depth": 10, "dropout": 0.2}, (3, 32, 32)),
        ("cifar_densenet", {"depth": 10, "checkpointed": True}, (3, 32, 32)),
    ],
)
def test_activation_memory_is_what_autograd_keeps_and_the_scores(name, options, shape):
    net = build(name, **{"in_channels": shape[0], "image_size": shape[1]} | options)
    heads = 1 + len(getattr(net, "aux", ()))
    assert look(net, shape).saved == saved_for_backward(net, shape) + heads * 10 * 4


def test_in_evaluation_mode_and_without_gradients_the_answer_is_the_same():
    net = build("cifar_resnet", depth=8)
    trained = look(net.train(), (3, 32, 32))
    with torch.no_grad():
        assert look(net.eval(), (3, 32, 32)) == trained


# ---- Order, shapes, parts for training -------------------------------------------------------------------------------


def test_parts_that_run_in_training_only_are_marked_and_in_no_sum():
    node, without = tree("googlenet"), tree("googlenet", aux=False)
    aux = {one.name: one for one in node.walk() if one.name in ("aux.4a", "aux.4d")}
    assert {name: one.macs for name, one in aux.items()} == {"aux.4a": 4_169_728, "aux.4d": 4_202_496}
    assert all(below.aux for one in aux.values() for below in one.walk())
    assert [one.name for one in node.walk() if one.aux and one.children and one.name.count(".") == 1] == list(aux)
    assert node.macs == without.macs
    assert node.parameters == without.parameters + sum(one.parameters for one in aux.values())
    assert not any(one.aux for one in without.walk())


def test_parts_stand_in_order_of_execution_and_a_part_that_runs_twice_once(mine):
    node = look(mine("Plain"), (3, 8, 10))
    assert [one.name for one in node.children] == ["first", "again", "last"]
    assert [one.label for one in node.children] == ["3x3 conv, 8", "3x3 conv, 8", "linear, 10"]
    assert [(one.taken, one.given) for one in node.children] == [
        ((3, 8, 10), (8, 8, 10)),
        ((8, 8, 10), (8, 8, 10)),
        ((8,), (10,)),
    ]
    assert node.children[1].macs == 2 * 8 * 8 * 9 * 80
    assert node.children[1].parameters == 8 * 8 * 9 + 8
    assert node.macs == 8 * 3 * 9 * 80 + 2 * 8 * 8 * 9 * 80 + 80
    assert node.parameters == sum(p.numel() for p in mine("Plain").parameters())
    assert node.given == (10,)


def test_a_net_that_answers_with_a_dictionary_has_a_tree(mine):
    node = look(mine("Answers"), (3, 8, 8))
    assert node.given == (10,)
    assert node.macs == look(mine("Plain"), (3, 8, 8)).macs
    assert "3x3 conv, 8" in text_diagram(node)


def test_shapes_follow_the_image():
    with torch.device("meta"):
        net = build("resnet18")
    for h, w in ((224, 224), (97, 130)):
        stages = [one.given for one in look(net, (3, h, w)).children if one.name.startswith("body.conv")]
        sizes = [(math.ceil(h / k), math.ceil(w / k)) for k in (2, 4, 8, 16, 32)]
        assert stages == [(c, *size) for c, size in zip((64, 64, 128, 256, 512), sizes, strict=True)]


# ---- What a 1x1 saves ------------------------------------------------------------------------------------------------

# The deck's figures 6 and 7 (3a and 4a), and the other modules: multiply-adds of the 5x5 branch in millions
FIVE = {
    "3a": (120.4, 12.4, "9.7"),
    "3b": (481.7, 66.6, "7.2"),
    "4a": (112.9, 5.3, "21.4"),
    "4b": (160.6, 9.9, "16.2"),
    "4c": (160.6, 9.9, "16.2"),
    "4d": (160.6, 13.2, "12.1"),
    "4e": (331.2, 23.4, "14.2"),
    "5a": (130.5, 6.3, "20.6"),
    "5b": (130.5, 9.5, "13.8"),
}


def test_the_account_has_the_decks_figures_6_and_7():
    found = {(one.block, one.branch): (one.direct, one.reduced) for one in account(tree("googlenet"))}
    assert found["body.3a", "5x5"] == (28 * 28 * 32 * 25 * 192, 28 * 28 * (192 * 16 + 16 * 32 * 25))
    assert found["body.3a", "5x5"] == (120_422_400, 12_443_648)
    assert found["body.4a", "5x5"] == (112_896_000, 5_268_480)


@pytest.mark.parametrize("block", list(FIVE))
def test_the_account_of_every_5x5_of_googlenet(block):
    (saving,) = (one for one in account(tree("googlenet")) if (one.block, one.branch) == (f"body.{block}", "5x5"))
    direct, reduced, times = FIVE[block]
    assert (round(saving.direct / 1e6, 1), round(saving.reduced / 1e6, 1)) == (direct, reduced)
    assert saving.sentence == f"the 1x1 makes it {times} times cheaper"


def test_the_account_tells_where_the_decks_reducers_reduce_nothing():
    said = {(one.block, one.branch): one.sentence for one in account(tree("mnist_inception"))}
    assert said == {
        ("incept1", "5x5"): "the 1x1 is no reducer here: it makes the branch 63% dearer",
        ("incept1", "3x3"): "the 1x1 is no reducer here: it makes the branch 20% dearer",
        ("incept2", "5x5"): "the 1x1 saves 17%",
        ("incept2", "3x3"): "the 1x1 saves 6%",
    }


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "inception_v4"])
def test_what_the_account_says_a_branch_costs_without_its_1x1_is_what_such_a_branch_costs(name):
    with torch.device("meta"):
        net = build(name)
    node = tree(name)
    arms = {(block.name, arm.label): arm for block in node.walk() if block.kind == "branches" for arm in block.children}
    rows = account(node)
    assert any("+" in one.kernel for one in rows) == (name != "googlenet")  # branches that fork behind their 1x1
    for one in rows:
        arm = arms[one.block, one.branch]
        branch = net.get_submodule(arm.name)
        units = list(branch.named_children())
        branch.set_submodule(units[0][0], nn.Identity())
        following = units[1][1]
        # A fork's arms are convolutions that all read the 1x1; else the next one alone does.
        firsts = (
            [following] if isinstance(following, nn.Sequential) else [m for _, m in following.named_children()][:-1]
        )
        for unit in firsts:
            old = unit.conv
            wide = nn.Conv2d(one.channels[0], old.out_channels, old.kernel_size, old.stride, old.padding, bias=False)
            unit.conv = wide.to("meta")
        assert (one.reduced, one.direct) == (arm.macs, cost(branch, arm.taken).macs), (one.block, one.branch)


@pytest.mark.parametrize("name", [name for name, entry in NETS.items() if "inception" in entry.family])
def test_no_number_of_the_account_is_cut_off(daiving, name):
    """Whole, they are those of the JSON; short, they say so with a letter."""
    rows = json.loads(daiving("look", name, "--form", "json").out)["account"]
    known = {f"{row[key]:,}" for row in rows for key in ("reduced", "direct")}
    _, _, told = daiving("look", name).out.partition("saves, or costs:")
    lines = told.splitlines()[2:]
    assert lines
    for line in lines:
        numbers = re.findall(r"(?<= )[\d,]{4,}(?= )|\d[\d.]* [MGTk](?= )", line)
        assert len(numbers) == 2
        assert all(number in known or number[-1] in "kMGT" for number in numbers)
        assert line.endswith(("x cheaper", "% dearer"))


def test_numbers_that_do_not_fit_are_written_short_and_never_cut(daiving):
    out = daiving("look", "googlenet", "--input", "3x99999x99999").out
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"^in all +1000 +1\.14 T +298 T ", out, re.MULTILINE)


# ---- The command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGES)
def test_every_net_of_the_table_is_shown_in_80_columns(daiving, name):
    answer = daiving("look", name, "--depth", 2)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 80
    (total,) = (line for line in lines if line.startswith("in all"))
    assert f"{NETS[name].parameters:,}" in total
    assert f"{NETS[name].macs:,}" in total


def test_the_table_has_a_row_a_stage_and_depth_has_their_parts(daiving):
    flat, deep = (daiving("look", "googlenet", "--depth", n).out.splitlines() for n in (0, 1))
    assert flat[0] == "googlenet, one image of 3x224x224"
    assert [line.split()[0] for line in flat[3:23] if line.split()[0] in FIVE] == list(FIVE)
    assert "3a     4 branches           256x28x28    163,696   128,049,152  3.59" in flat
    assert "  concat concat" not in "\n".join(flat)
    assert len(deep) > len(flat) + 9 * 4
    assert any(line.startswith("  5x5") for line in deep)
    assert [line for line in flat if line.startswith("3a 5x5")] == [
        "3a 5x5  28x28x192 → 16 → 32     12,443,648  120,422,400  9.7x cheaper"
    ]


def test_a_block_is_opened_by_its_name(daiving):
    out = daiving("look", "googlenet", "--open", "3a").out
    assert out.startswith("googlenet 3a, one image of 192x28x28\n")
    assert [line.split()[0] for line in out.splitlines()[3:9]] == ["3a", "1x1", "3x3", "5x5", "pool", "concat"]
    assert "128,049,152" in out
    drawn = daiving("look", "googlenet", "--open", "3a", "--form", "diagram").out
    assert "concat" in drawn
    assert "5x5 conv, 32" in drawn


def test_two_nets_stand_side_by_side(daiving):
    out = daiving("look", "resnet50", "--vs", "resnet50:stride_on=3x3").out
    assert max(map(len, out.splitlines())) <= 80
    assert "5 rows the same, 3 differ (≠), 0 in one only (+)." in out
    assert f"MACs: {4_089_184_256 - 3_857_973_248:+,}." in out
    again = daiving("look", "resnet50", "--vs", "resnet50").out
    assert "8 rows the same, 0 differ (≠), 0 in one only (+)." in again


@pytest.mark.parametrize("name", ["googlenet", "resnet18", "cifar_densenet:preset=BC", "mnist_inception:jump=true"])
def test_json_is_the_whole_tree_and_adds_up(daiving, name):
    net = json.loads(daiving("look", name, "--form", "json").out)

    def total(node: dict, key: str) -> int:
        below = sum(total(child, key) for child in node["children"] if key != "macs" or node["aux"] or not child["aux"])
        assert node[key] >= below
        return node[key]

    def ends(node: dict, key: str) -> int:
        if not node["children"]:
            return 0 if key == "macs" and node["aux"] else node[key]
        return sum(ends(child, key) for child in node["children"])

    assert net["name"] == name
    for key in ("parameters", "macs"):
        assert total(net["node"], key) == ends(net["node"], key)
    total(net["node"], "saved")
    assert all(row["ratio"] == row["direct"] / row["reduced"] for row in net["account"])
    assert len(json.loads(daiving("look", name, "--vs", name, "--form", "json").out)) == 2


@pytest.mark.parametrize(
    ("arguments", "file", "start"),
    [
        (["--form", "svg"], "cifar_resnet-depth=8.svg", "<svg"),
        (["--form", "html"], "cifar_resnet-depth=8.html", "<!doctype html>"),
        (["--form", "svg", "--open", "conv2_x"], "cifar_resnet-depth=8-conv2_x.svg", "<svg"),
        (["--form", "svg", "--vs", "cifar_plain:depth=8"], "cifar_resnet-depth=8-vs-cifar_plain-depth=8.svg", "<svg"),
        (["--form", "html", "--vs", "cifar_plain"], "cifar_resnet-depth=8-vs-cifar_plain.html", "<!doctype html>"),
        (["--out", "net.svg"], "net.svg", "<svg"),
        (["--out", "net.html"], "net.html", "<!doctype html>"),
        (["--out", "net.json"], "net.json", "{"),
        (["--out", "net.txt"], "net.txt", "cifar_resnet:depth=8\n"),
        (["--form", "table", "--out", "net.md"], "net.md", "cifar_resnet:depth=8, one image of 3x32x32\n"),
    ],
)
def test_pictures_and_pages_are_written_to_the_file_that_is_named(daiving, tmp_path, arguments, file, start):
    answer = daiving("look", "cifar_resnet:depth=8", *arguments)
    path = tmp_path / file
    assert answer.out == f"{file}: {path.stat().st_size:,} bytes\n"
    assert path.read_text().lower().startswith(start.lower())
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [file]


@pytest.mark.parametrize("name", ["Plain", "Answers", "Reads"])
def test_a_net_of_your_own_is_shown_by_file_and_class(daiving, mine, name):
    answer = daiving("look", f"mine.py:{name}:width=4,num_classes=3", "--input", "1x12x10")
    assert answer.code == 0, answer.err
    assert "mine.py:" in answer.out
    (total,) = (line for line in answer.out.splitlines() if line.startswith("in all"))
    parameters = sum(p.numel() for p in mine(name, width=4, num_classes=3, in_channels=1).parameters())
    macs = (4 * 9 + 2 * 4 * 4 * 9) * 120 + 12
    assert total.split()[3:5] == [f"{parameters:,}", f"{macs:,}"]
    assert "3x3 conv, 4" in daiving("look", f"mine.py:{name}:width=4", "--form", "diagram").out


def test_channels_and_pixels_can_be_options_or_an_input(daiving):
    by_option = daiving("look", "cifar_resnet:in_channels=1,image_size=28").out.splitlines()[2:]
    by_input = daiving("look", "cifar_resnet", "--input", "1x28x28").out.splitlines()[2:]
    assert by_option == by_input
    assert "16x28x28" in "\n".join(by_input)


@pytest.mark.parametrize("first", ["daiving.anatomy, daiving.faster, daiving.tapping", "daiving.study.worker"])
def test_look_fast_and_taps_are_functions_whatever_was_imported_before(first):
    code = f"import {first}, inspect, daiving as d; assert all(map(inspect.isroutine, (d.look, d.fast, d.taps)))"
    subprocess.run([sys.executable, "-c", code], check=True)
