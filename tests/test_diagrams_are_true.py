"""A diagram shows what is in the net, where it is, and reads in light, in the dark and in a terminal."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
import torch

from daiving.account import account
from daiving.anatomy import look
from daiving.nets import NETS
from daiving.nets.build import build
from daiving.nodes import Node
from daiving.show import palette
from daiving.show.diagrams import block_svg, net_svg, pair_svg
from daiving.show.look_page import page
from daiving.show.look_table import look_text, to_dict
from daiving.show.stages import find, holds_blocks, stages
from daiving.show.text_diagram import text_diagram

EVIL = "<b a=\"1\">&'x'"
SOME = (
    "mnist_inception",
    "googlenet",
    "inception_v3",
    "inception_resnet_v2",
    "resnet50",
    "preact_resnet50",
    "densenet121",
)


@cache
def tree(name: str, **options) -> Node:
    c, size, classes = NETS[name].home
    with torch.device("meta"):
        net = build(name, in_channels=c, num_classes=classes, image_size=size, **options)
    return look(net, (c, size, size))


def leaf(name: str, label: str, role: str, c_in: int = 8, c_out: int = 8) -> Node:
    return Node(name, label, "leaf", role, "Leaf", (c_in, 4, 4), (c_out, 4, 4), c_in * c_out, c_in * c_out * 16, 256)


def over(name: str, kind: str, children: list[Node], type: str = "Block", label: str = "") -> Node:
    cost = [sum(getattr(child, key) for child in children) for key in ("parameters", "macs", "saved")]
    label = label or name.rpartition(".")[2] or type
    return Node(name, label, kind, "block", type, children[0].taken, children[-1].given, *cost, tuple(children))


def dense(count: int, growth: int = 4, c: int = 6) -> Node:
    layers = []
    for i in range(count):
        parts = [
            leaf(f"d.{i + 1}.bn", "batch norm", "norm", c),
            leaf(f"d.{i + 1}.conv", "3x3 conv, 4", "conv", c, growth),
        ]
        layers.append(replace(over(f"d.{i + 1}", "chain", parts), taken=(c, 4, 4)))
        c += growth
    return over("d", "dense", [*layers, leaf("d.concat", "concat", "concat", c, c)])


def residual(name: str = "block", shortcut: str = "identity") -> Node:
    body = over(
        f"{name}.body", "chain", [leaf(f"{name}.a", "3x3 conv, 8", "conv"), leaf(f"{name}.b", "1x1 conv, 8", "conv")]
    )
    short = leaf(f"{name}.shortcut", shortcut, "identity" if shortcut == "identity" else "conv")
    fork = over(name, "residual", [body, short, leaf(f"{name}.add", "add", "add")], type="", label="residual")
    return over(name, "chain", [fork, leaf(f"{name}.relu", "ReLU", "relu")])


def net(*stages: Node) -> Node:
    return over("", "chain", [leaf("input", "input", "input"), *stages], type="Net")


def elements(svg: str, tag: str, **attributes: str) -> Iterator[ET.Element]:
    wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    for element in ET.fromstring(svg).iter():
        if element.tag.rpartition("}")[2] == tag and all(element.get(key) == value for key, value in wanted.items()):
            yield element


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def frame(group: ET.Element) -> tuple[float, float, float, float]:
    rect = next(child for child in group if child.tag.rpartition("}")[2] == "rect")
    x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
    return x, y, x + w, y + h


def points(path: ET.Element) -> list[tuple[float, float]]:
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.get("d"))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def blocks(node: Node) -> list[Node]:
    """One block of each shape, not every repetition; of a stage of blocks, these."""
    found = [stage.node for stage in stages(node) if stage.node.role == "block" and stage.node.children]
    return [one for block in found for one in (blocks(block) if holds_blocks(block) else [block])]


@pytest.mark.parametrize("name", SOME)
def test_every_leaf_of_an_opened_block_is_in_the_picture(name):
    for block in blocks(tree(name)):
        for svg in (block_svg(block), net_svg(tree(name), open=[block.name])):
            shown = Counter(texts(svg))
            if block.kind == "dense" and len(block.children) > 9:
                assert any("more layers" in text for text in shown)
            else:
                wanted = Counter(part.label for part in block.walk() if part.kind == "leaf")
                assert wanted <= shown, block.name


def test_branches_stand_in_the_papers_order_and_meet_in_one_box():
    svg = block_svg(find(tree("googlenet"), "3a"))
    arms = list(elements(svg, "g", class_="arm"))
    assert [arm.get("data-name") for arm in arms] == ["1x1", "3x3", "5x5", "pool"]
    lefts = [min(points(path)[0][0] for path in arm.iter() if path.get("stroke-width")) for arm in arms]
    assert lefts == sorted(lefts)
    concat = frame(next(elements(svg, "g", data_name="body.3a.concat")))
    ends = [points(path)[-1] for path in elements(svg, "path", class_="meets")]
    assert len(ends) == 4
    assert all(concat[0] < x < concat[2] and y == concat[1] for x, y in ends)


def test_a_branch_within_a_branch_has_its_own_concat():
    svg = block_svg(find(tree("inception_v3"), "7b"))
    assert texts(svg).count("concat") == 3
    assert [arm.get("data-name") for arm in elements(svg, "g", class_="arm")] == [
        "1x1", "3x3", "1x3", "3x1", "3x3dbl", "1x3", "3x1", "pool",
    ]  # fmt: skip


@pytest.mark.parametrize("shortcut", ["identity", "1x1 conv, 8 /2"])
def test_the_shortcut_lies_inside_the_frame_of_its_block(shortcut):
    svg = block_svg(residual(shortcut=shortcut))
    left, top, right, bottom = frame(next(elements(svg, "g", class_="frame")))
    lines = list(elements(svg, "path", class_="shortcut"))
    assert len(lines) == 2
    for path in lines:
        assert all(left < x < right and top < y < bottom for x, y in points(path))
    assert shortcut in texts(svg)
    body = frame(next(elements(svg, "g", data_name="block.a")))
    assert max(x for x, _ in points(lines[0])) > body[2]  # beside the body, not through it


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_dense_block_of_l_layers_has_l_times_l_plus_1_halves_connections(count):
    svg = block_svg(dense(count))
    assert len(list(elements(svg, "path", class_="connection"))) == count * (count + 1) // 2
    assert len(list(elements(svg, "path", class_="join"))) == count + 1


def test_the_channels_of_a_dense_block_grow_from_place_to_place():
    shown = texts(block_svg(dense(4)))
    assert [text for text in shown if "channels" in text or "+" in text] == [
        "6 channels", "+4 = 10", "+4 = 14", "+4 = 18", "+4 = 22",
    ]  # fmt: skip


def test_a_long_dense_block_says_what_it_leaves_out():
    svg = block_svg(dense(24))
    assert "19 more layers, 4 to 22" in texts(svg)
    assert len(list(elements(svg, "g", class_="layer"))) == 5
    assert "d · dense, 24 layers" in texts(svg)


def test_no_line_to_a_later_layer_runs_through_a_layer_before_it():
    svg = block_svg(dense(6))
    layers = [frame(layer) for layer in elements(svg, "g", class_="layer")]
    for path in elements(svg, "path", class_="connection"):
        (_, start), *_, (_, end) = route = points(path)
        passed = [left for left, top, _, bottom in layers if start < top and bottom < end]
        between = [x for x, y in route if start + 12 < y < end - 12]
        assert not passed or max(between, default=0) < min(passed)


def test_a_folded_run_says_how_many_there_are_and_an_opened_one_does_not_fold():
    equal = net(*(residual(f"stage.{i}") for i in range(5)))
    shown = texts(net_svg(equal))
    assert "stage.0 … 4 x 5" in shown
    assert any(text.startswith("residual · each") for text in shown)
    opened = texts(net_svg(equal, open=["stage.2"]))
    assert "stage.0 … 1 x 2" in opened
    assert "stage.3 … 4 x 2" in opened
    assert "3x3 conv, 8" in opened


def test_auxiliary_heads_hang_at_the_stage_that_they_read():
    svg = net_svg(tree("googlenet"))
    for name in ("4a", "4d"):
        stage = frame(next(elements(svg, "g", data_name=f"body.{name}")))
        aux = frame(next(elements(svg, "g", data_name=f"aux.{name}")))
        assert stage[2] < aux[0]
        assert stage[1] <= (aux[1] + aux[3]) / 2 <= stage[3]
    assert sum("while it trains" in text for text in texts(svg)) == 2


def test_two_nets_stand_with_equal_blocks_at_one_height_and_differences_tinted():
    paper, other = tree("googlenet"), tree("googlenet", preset="torchvision")
    svg = pair_svg(paper, other, ("paper", "torchvision"))
    places: dict[str, list[tuple[float, str, str]]] = {}
    for group in elements(svg, "g"):
        kind = group.get("class", "")
        if kind.startswith("stage"):
            fill = next(child.get("fill") for child in group if child.tag.endswith("rect"))
            places.setdefault(group.get("data-name"), []).append((frame(group)[1], kind, fill))
    assert len({y for y, _, _ in places["body.4e"]}) == 1
    assert [kind for _, kind, _ in places["body.4e"]] == ["stage unlike"] * 2
    assert {fill for _, _, fill in places["body.4e"]} == {palette.DIFFERS}
    assert {(kind, fill) for _, kind, fill in places["body.pool1"]} == {("stage alike", palette.FRAME)}
    assert len({y for y, _, _ in places["body.conv1"]}) == 1
    assert [(kind, fill) for _, kind, fill in places["body.norm1"]] == [("stage alone", palette.ONLY)]
    shown = texts(svg)  # and a mark, so that colour is not the only sign
    assert "≠ 4e" in shown
    assert "+ local response norm" in shown
    assert "3x3 max pool /2" in shown


def test_a_net_beside_itself_shows_no_difference():
    svg = pair_svg(tree("resnet50"), tree("resnet50"))
    assert not list(elements(svg, "g", class_="stage unlike"))
    assert not list(elements(svg, "g", class_="stage alone"))


def test_a_fork_between_stages_is_drawn_with_its_stages_closed_also_beside_another_net():
    body = over("conv2", "chain", [leaf("conv2", "5x5 conv, 8", "conv"), residual("incept2")], type="", label="body")
    fork = over(
        "",
        "residual",
        [body, leaf("conv3", "9x9 conv, 8", "conv"), leaf("add", "add", "add")],
        type="",
        label="residual",
    )
    jump, plain = net(fork, leaf("fc", "linear, 8", "linear")), net(*body.children, leaf("fc", "linear, 8", "linear"))
    assert {"5x5 conv, 8", "incept2", "9x9 conv, 8", "add"} <= set(texts(net_svg(jump)))
    shown = texts(pair_svg(plain, jump))
    assert {"+ 9x9 conv, 8", "+ add"} <= set(shown)
    assert shown.count("incept2") == 2
    assert "9x9 conv, 8" in text_diagram(jump)


def test_names_are_escaped():
    evil = net(replace(residual(EVIL), label=EVIL), leaf(EVIL, EVIL, "other"))
    for svg in (
        net_svg(evil),
        net_svg(evil, open=[EVIL]),
        block_svg(evil.children[1]),
        pair_svg(evil, tree("resnet50")),
    ):
        assert any(EVIL in text for text in texts(svg))
    shown = page({"nets": [{"name": EVIL, "input": (8, 4, 4), "node": evil, "account": []}]})
    assert EVIL not in shown
    assert "<b " not in shown


def widths(svg: str) -> Iterator[tuple[str, float, float, float, float]]:
    """Each text in a box: its estimated left and right end, and the sides of the box."""
    for group in elements(svg, "g"):
        if group.get("class", "").split(" ")[0] in ("box", "stage", "aux"):
            left, _, right, _ = frame(group)
            for text in group:
                if text.tag.endswith("text"):
                    w = 0.6 * float(text.get("font-size", 13)) * len(text.text)
                    x = float(text.get("x")) - {"end": w, "middle": w / 2}.get(text.get("text-anchor"), 0)
                    yield text.text, x, x + w, left, right


@pytest.mark.parametrize("name", SOME)
def test_no_text_is_wider_than_its_box_and_no_picture_larger_than_a_page_can_bear(name):
    whole = net_svg(tree(name))
    pictures = [whole, *(block_svg(block) for block in blocks(tree(name))), pair_svg(tree(name), tree("googlenet"))]
    for svg in pictures:
        for text, start, end, left, right in widths(svg):
            assert left <= start and end <= right + 0.1, text  # noqa: PT018
    assert len(whole) < 60_000
    assert whole == net_svg(tree(name))


def test_a_picture_says_in_words_what_it_shows_and_names_the_roles_in_it():
    svg = net_svg(tree("googlenet"))
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert "3x224x224 to 1000" in root.get("aria-label")
    assert "4e" in root.get("aria-label")
    legend = [
        text.text
        for text in next(elements(block_svg(find(tree("googlenet"), "3a")), "g", class_="legend"))
        if text.text
    ]
    assert legend == ["Convolution", "MaxPool", "Concat", "Activation"]


@pytest.mark.parametrize("name", SOME)
def test_a_text_diagram_and_the_table_are_at_most_80_columns_wide(name):
    for node in tree(name).walk():
        assert max(map(len, text_diagram(node).splitlines())) <= 80, node.name
    assert max(map(len, look_text(tree(name), depth=3).splitlines())) <= 80


def test_a_text_diagram_is_the_papers_figure():
    assert text_diagram(find(tree("googlenet"), "3a")).splitlines() == [
        "x ─┬─ 1x1 conv, 64 ─ ReLU ────────────────────────┐",
        "   ├─ 1x1 conv, 96 ─ ReLU ─ 3x3 conv, 128 ─ ReLU ─┤",
        "   ├─ 1x1 conv, 16 ─ ReLU ─ 5x5 conv, 32 ─ ReLU ──┼─ concat",
        "   └─ 3x3 max pool ─ 1x1 conv, 32 ─ ReLU ─────────┘",
    ]
    assert text_diagram(residual()).splitlines() == [
        "x ─┬─ 3x3 conv, 8 ─ 1x1 conv, 8 ─┬─ add ─ ReLU",
        "   └─────────────────────────────┘",
    ]


def test_the_table_folds_equal_blocks_and_its_columns_add_up():
    text = look_text(tree("resnet50"), depth=1)
    assert re.search(r"2…3 x 2\s+each residual", text)
    lines = [line for line in look_text(tree("resnet50")).splitlines() if re.search(r"\d\.\d\d$", line)]
    parameters = [int(line.split()[-3].replace(",", "")) for line in lines]
    assert sum(parameters[:-1]) == parameters[-1] == NETS["resnet50"].parameters


def test_the_tree_goes_through_json_with_every_field():
    plain = json.loads(json.dumps(to_dict(tree("googlenet"))))
    assert plain["parameters"] == NETS["googlenet"].parameters
    assert plain["children"][0]["taken"] == [3, 224, 224]
    assert set(plain) == {"name", "label", "kind", "role", "type", "taken", "given", "parameters", "macs", "saved",
                          "children", "aux"}  # fmt: skip


@pytest.mark.parametrize("names", [("googlenet",), ("googlenet", "resnet50")])
def test_the_page_has_no_script_names_no_address_and_shows_every_block_once(names):
    nets = [
        {"name": name, "input": tree(name).taken, "node": tree(name), "account": account(tree(name))} for name in names
    ]
    shown = page({"nets": nets})
    assert "<script" not in shown
    assert not re.search(r"(src|href)=|https?:|//|url\(|@import| on\w+=", re.sub(r"/\*.*?\*/", "", shown, flags=re.S))
    assert shown.count("<details") == shown.count("</details>") >= 12
    assert "13,371,584" in shown
    assert "the 1x1 makes it" in shown
    assert ("Side by side" in shown) == (len(names) == 2)
    for svg in re.findall(r"<svg.*?</svg>", shown, flags=re.S):
        ET.fromstring(svg)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_and_lines_have_enough_contrast(mode):
    colour = {name: pair[mode] for name, pair in palette.COLOURS.items()}
    for name in (*palette.FILLS, *palette.TINTS, "paper", "frame", "block"):
        assert contrast(colour["ink"], colour[name]) >= 4.5, name
    for ground in ("paper", "frame"):
        assert contrast(colour["quiet"], colour[ground]) >= 4.5
        assert contrast(colour["line"], colour[ground]) >= 3


def test_every_colour_of_a_picture_has_a_dark_one_in_its_place():
    light = [pair[0] for pair in palette.COLOURS.values()]
    assert len(set(light)) == len(light)
    for svg in (net_svg(tree("googlenet"), open=["3a"]), pair_svg(tree("googlenet"), tree("resnet50"))):
        body = re.sub(r"<style>.*?</style>", "", svg)
        used = set(re.findall(r'(?:fill|stroke)="(#\w+)"', body))
        assert used <= set(light)


def test_drawing_needs_no_torch():
    code = (
        "import sys; import daiving.show.diagrams, daiving.show.look_page, daiving.show.look_table, "
        "daiving.show.text_diagram; sys.exit('torch' in sys.modules or 'altair' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
