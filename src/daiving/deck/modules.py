"""Claims 1 to 4, 6 and 20: what modules are made of and what they cost, counted on the nets themselves."""

from torch import nn

from daiving.account import account
from daiving.anatomy import look
from daiving.deck.evidence import NOT_SO, REPRODUCED, Evidence
from daiving.nets.build import build
from daiving.nets.densenet import DenseBlock
from daiving.nets.googlenet import TABLE_1, InceptionNaive, InceptionReduced
from daiving.nodes import Node

# What stands in front of two of GoogLeNet's modules: channels, height = width
BEFORE = {"3a": (192, 28), "4a": (480, 14)}


def naive_module() -> Evidence:
    """Claim 1: figure (a) with the widths of GoogLeNet's rows; its max pool passes all channels on."""
    rows, right = [], True
    for name, (c, size) in BEFORE.items():
        node = look(InceptionNaive(c, TABLE_1[name]), (c, size, size))
        kinds = [arm.label.split(",")[0] for arm in node.children[:-1]]
        n1, _, n3, _, n5, _ = TABLE_1[name]
        right &= kinds == ["1x1 conv", "3x3 conv", "5x5 conv", "3x3 max pool"] and node.given[0] == n1 + n3 + n5 + c
        rows.append((name, " + ".join(kinds), f"{c} → {node.given[0]}", f"{node.macs:,}"))
    wide = rows[0][2].split()[-1]
    return Evidence(
        f"3a: 192 channels in, {wide} out",
        REPRODUCED if right else NOT_SO,
        "The module builds as drawn. It cannot be stacked for long: the pool passes all channels on, so every module "
        "is wider than what it reads.",
        ("module", "branches", "channels", "MACs"),
        tuple(rows),
    )


def reduced_module() -> Evidence:
    """Claim 2: figure (b) beside figure (a)."""
    rows, cheaper = [], []
    for name, (c, size) in BEFORE.items():
        naive = look(InceptionNaive(c, TABLE_1[name]), (c, size, size))
        reduced = look(InceptionReduced(c, TABLE_1[name]), (c, size, size))
        cheaper.append(naive.macs / reduced.macs)
        for figure, node in (("(a)", naive), ("(b)", reduced)):
            rows.append((name, figure, str(node.given[0]), f"{node.parameters:,}", f"{node.macs:,}"))
    return Evidence(
        f"(b) takes {1 / cheaper[0]:.0%} of the MACs of (a) in 3a, {1 / cheaper[1]:.0%} in 4a",
        REPRODUCED if min(cheaper) > 1 else NOT_SO,
        "Both figures build; the 1x1 convolutions make (b) cheaper and keep its width in hand.",
        ("module", "figure", "channels out", "parameters", "MACs"),
        tuple(rows),
    )


def naive_five() -> Evidence:
    """Claim 3: the 5x5 branch of figure (a), by its formula and by counting."""
    rows, right = [], True
    for name, (c, size) in BEFORE.items():
        counted, n5 = five(InceptionNaive, name).macs, TABLE_1[name][4]
        formula = size * size * n5 * 25 * c
        right &= counted == formula
        rows.append((name, f"{size}·{size}·{n5}·25·{c}", f"{formula:,}", f"{counted:,}"))
    return Evidence(
        f"{rows[0][3]} MACs (3a), {rows[1][3]} (4a)",
        REPRODUCED if right else NOT_SO,
        "A 5x5 on all channels costs h·w·out·25·in multiply-adds, and the built branch does. The slide's own numbers "
        "are lost, so these are GoogLeNet's two worked examples.",
        ("module", "h·w·out·25·in", "formula", "counted"),
        tuple(rows),
    )


def reducers() -> Evidence:
    """Claim 4: what the 1x1 in front saves, in GoogLeNet and in the deck's own net."""
    rows = []
    for name in BEFORE:
        direct, reduced = five(InceptionNaive, name).macs, five(InceptionReduced, name).macs
        row = (f"GoogLeNet {name}", "5x5", f"{BEFORE[name][0]} → {TABLE_1[name][3]}", f"{direct:,}", f"{reduced:,}")
        rows.append((*row, f"{direct / reduced:.1f} times cheaper"))
    worst = 0.0
    for saving in account(look(build("mnist_inception"), (1, 28, 28))):
        change = saving.reduced / saving.direct - 1
        row = (f"deck {saving.block}", saving.branch, "{} → {}".format(*saving.channels))
        rows.append((*row, f"{saving.direct:,}", f"{saving.reduced:,}", f"{change:+.0%}".replace("-", "−")))
        worst = max(worst, change)
    return Evidence(
        f"{rows[0][4]} (3a), {rows[1][4]} (4a); in the deck's incept1 {worst:+.0%}",
        NOT_SO if worst > 0 else REPRODUCED,
        f"Right in GoogLeNet, where the 1x1 makes 16 channels of 192. In the deck's own incept1 it makes 16 of 10: it "
        f"expands, and the branch becomes {worst:.0%} dearer. In incept2 (20 → 16) it saves a little."
        if worst > 0
        else "The 1x1 saves in every branch.",
        ("where", "branch", "1x1", "MACs without", "with", "so"),
        tuple(rows),
    )


def five(module: type, name: str) -> Node:
    """The 5x5 branch of a module of GoogLeNet."""
    c, size = BEFORE[name]
    return look(module(c, TABLE_1[name]), (c, size, size)).children[2]


def mnist_net() -> Evidence:
    """Claim 6: the deck's net in full."""
    net = build("mnist_inception")
    tree = look(net, (1, 28, 28))
    rows = [
        (node.label, "x".join(map(str, node.given)), f"{node.parameters:,}", f"{node.macs:,}")
        for node in tree.children
        if node.macs
    ]
    names = [name for name, child in net.named_children() if name in ("conv1", "incept1", "conv2", "incept2", "fc")]
    rows = [(name, *row[1:]) for name, row in zip(names, rows, strict=True)]
    sizes = net.get_submodule("conv2").in_channels, net.get_submodule("fc").in_features
    return Evidence(
        f"88 channels and 1408 numbers fit; {tree.parameters:,} parameters, {tree.macs:,} MACs"
        if sizes == (88, 1408)
        else f"{sizes[0]} channels, {sizes[1]} numbers",
        REPRODUCED if sizes == (88, 1408) else NOT_SO,
        "16 + 24 + 24 + 24 = 88 channels leave each module, and 88 x 4 x 4 = 1408 numbers reach the last layer, as the "
        "deck's code has them.",
        ("layer", "out", "parameters", "MACs"),
        (*rows, ("all", "10", f"{tree.parameters:,}", f"{tree.macs:,}")),
    )


def dense_block() -> Evidence:
    """Claim 20: DenseNet's figure 1, with k = 4 and 6 channels in."""
    blocks = {layers: DenseBlock(6, layers, 4, False) for layers in range(1, 6)}
    found = {layers: look(block, (6, 8, 8)) for layers, block in blocks.items()}
    drawn = next(layers for layers, node in found.items() if node.given[0] == 22)
    rows = []
    for layers, node in found.items():
        reads = [m.num_features for m in blocks[layers].modules() if isinstance(m, nn.BatchNorm2d)]
        # A layer that reads 6 + 4 i channels is connected to the input and to i layers before it.
        connections = sum((channels - 6) // 4 + 1 for channels in reads)
        rows.append((str(layers), str(node.given[0]), str(connections), "6"))
    return Evidence(
        f"the drawn block (6 → 22 channels) has {drawn} layers; 5 layers give {found[5].given[0]}",
        REPRODUCED if drawn == 5 else NOT_SO,
        f"Right that each layer reads all maps before it: L layers have L(L+1)/2 connections inside and add k = 4 "
        f"channels each, where an addition would leave 6. But the picture has {drawn} layers (H1 to H{drawn}) and a "
        f"transition; the caption, which is the paper's own, counts one too many.",
        ("layers", "channels, joined", "connections", "channels, added"),
        tuple(rows),
    )
