"""Claims 9 to 13: the legend of the block diagram, and the deck's table of Inception versions, held against the nets.

What a graph cannot show, a date or an optimizer, is taken from the papers and said to be.
"""

from collections import Counter

import torch

from daiving.anatomy import look
from daiving.deck.evidence import NOT_SO, REPRODUCED, Evidence
from daiving.nets import NETS
from daiving.nets.build import build
from daiving.nodes import ROLES, Node

# The deck's seven symbols by our roles. Softmax is no module of ours: it is a part of the loss.
LEGEND = {
    "conv": "Convolution",
    "mean": "AvgPool",
    "max": "MaxPool",
    "concat": "Concat",
    "dropout": "Dropout",
    "linear": "Fully connected",
}
SOFTMAX = "Softmax"


def seen(name: str) -> Node:
    """A net of the table at the paper's size, without memory for its weights."""
    c, size, _ = NETS[name].home
    with torch.device("meta"):
        net = build(name)
    return look(net, (c, size, size))


def boxes(node: Node) -> Counter[str]:
    """How many boxes of each role a diagram has; a convolution with its norm and activation is one."""
    if node.role != "block" or not node.children:
        return Counter([node.role])
    return sum((boxes(child) for child in node.children), Counter())


def kernels(node: Node) -> Counter[str]:
    """How many convolutions of each kernel, auxiliary heads left out."""
    if node.aux:
        return Counter()
    if node.role == "conv" and not node.children:
        return Counter([node.label.split()[0]])
    return sum((kernels(child) for child in node.children), Counter())


def blocks(node: Node) -> Counter[str]:
    """How many blocks of each kind: told by the kernels of their branches in any order, the outermost ones only."""
    if node.kind in ("branches", "residual"):
        return Counter([" | ".join(paths(node))])
    return sum((blocks(child) for child in node.children if not child.aux), Counter())


def paths(block: Node) -> list[str]:
    """The branches of a block, sorted: the order in which papers draw them means nothing."""
    return sorted("-".join(steps(arm)) or "identity" for arm in block.children if arm.role not in ("concat", "add"))


def steps(arm: Node) -> list[str]:
    """The kernels and pools along one branch, `1x1`, `3x3/2`, `max`; where it forks, `(1x3+3x1)`."""
    if arm.kind in ("branches", "residual"):
        return [f"({'+'.join(paths(arm))})"]
    if not arm.children:
        stride = "/2" if arm.label.endswith("/2") else ""
        return [arm.label.split()[0] + stride] if arm.role == "conv" else [arm.role] * (arm.role in ("mean", "max"))
    return [step for child in arm.children for step in steps(child)]


def residuals(node: Node) -> int:
    return sum(one.kind == "residual" for one in node.walk())


def in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())


def legend() -> Evidence:
    """Claim 9: what a diagram of Inception v3 needs, against the deck's seven symbols."""
    found = {name: boxes(seen(name)) for name in ("inception_v3", "googlenet")}
    drawn = {role for role in found["inception_v3"] if role not in ("input", "other")}  # flatten changes no number
    missing, unused = drawn - LEGEND.keys(), LEGEND.keys() - drawn
    rows = [
        (LEGEND.get(role, f"({ROLES[role]})"), *(str(found[name][role]) for name in found))
        for role in [*LEGEND, *sorted({"norm", "add"} & (found["googlenet"].keys() | found["inception_v3"].keys()))]
    ]
    fits = not missing and not unused
    return Evidence(
        f"{len(drawn)} of the 7 symbols are in the graph of inception_v3, none is missing from the legend"
        if fits
        else f"missing from the legend: {', '.join(sorted(missing)) or 'none'}; not in the net: {', '.join(unused)}",
        REPRODUCED if fits else NOT_SO,
        f"The legend {'is complete' if fits else 'does not fit the graph'} for Inception v3: the seventh, softmax, "
        "stands behind the scores, with us in the loss. Norm and ReLU are in the box of their convolution. It has no "
        "name for the auxiliary head, and GoogLeNet would need an eighth symbol, its local response norm.",
        ("symbol", "inception_v3", "googlenet"),
        (*rows, (SOFTMAX, "in the loss", "in the loss")),
        ("Boxes of the graph, auxiliary heads included.",),
    )


def version_1() -> Evidence:
    """Claim 10: the first with the module."""
    tree = seen("googlenet")
    kinds = blocks(tree)
    return Evidence(
        f"GoogLeNet: {sum(kinds.values())} modules of {len(kinds)} kind, {tree.macs / 1e9:.2f} G MACs",
        REPRODUCED if sum(kinds.values()) == 9 and len(kinds) == 1 else NOT_SO,
        f"{sum(kinds.values())} modules of {len(kinds)} kind make the net; its paper (arXiv 1409.4842, September 2014) "
        "presents the module. What is computed is the net; that it was the first is taken from the paper.",
        ("module, branch by branch", "times"),
        tuple((kind, str(n)) for kind, n in kinds.items()),
    )


def version_2() -> Evidence:
    """Claim 11: kernels limited to 3x3."""
    names = ("inception_v2", "bn_inception")
    found = {name: kernels(seen(name)) for name in names}
    others = {name: Counter({k: n for k, n in found[name].items() if k not in ("1x1", "3x3")}) for name in names}
    asymmetric = {k: n for k, n in others["inception_v2"].items() if len(set(k.split("x"))) == 2}
    wrong = bool(asymmetric)
    return Evidence(
        f"inception_v2: {in_words(found['inception_v2'])}",
        NOT_SO if wrong else REPRODUCED,
        f"v2 puts two 3x3 for a 5x5, but {sum(asymmetric.values())} of its convolutions are rows and columns "
        f"({', '.join(asymmetric)}), and {found['inception_v2']['1x1']} of {found['inception_v2'].total()} are 1x1 "
        f"(arXiv 1512.00567, section 3). The name stands for two nets: "
        f"BN-Inception (1502.03167) is nearer to the sentence, with one 7x7 in its stem."
        if wrong
        else "No kernel but 1x1 and 3x3.",
        ("net", "convolutions by kernel (auxiliary heads left out)"),
        tuple((name, in_words(found[name])) for name in names),
    )


def version_3() -> Evidence:
    """Claim 12: the structure of v2, with another optimizer and other arguments."""
    names = ("bn_inception", "inception_v2", "inception_v3")
    trees = {name: seen(name) for name in names}
    kinds = {name: blocks(tree) for name, tree in trees.items()}
    # Whether the row or the column comes first is no difference to speak of.
    forms = {name: {kind.replace("7x1", "1x7") for kind in counts} for name, counts in kinds.items()}
    new = {name: forms["inception_v3"] - forms[name] for name in names[:2]}
    wrong = all(new.values())
    return Evidence(
        f"of {len(kinds['inception_v3'])} block kinds of v3, {len(new['inception_v2'])} are not in inception_v2 and "
        f"{len(new['bn_inception'])} not in bn_inception",
        NOT_SO if wrong else REPRODUCED,
        "The structure did change: v3 has 7x7 kernels split into rows and columns (where v2 is BN-Inception) and 5x5 "
        "branches (where v2 is Table 1 of 1512.00567). By that paper's Table 3, v3 is v2 with RMSProp, label "
        "smoothing, a factorised 7x7 and batch norm in the auxiliary head: an optimizer, a regulariser, two changes of "
        "the net."
        if wrong
        else "Every kind of block of v3 is in v2.",
        ("net", "blocks", "kinds", "convolutions by kernel"),
        tuple(
            (name, str(sum(kinds[name].values())), str(len(kinds[name])), in_words(kernels(tree)))
            for name, tree in trees.items()
        ),
        (
            "Kinds of blocks are told by the kernels and strides of their branches; widths, and whether the row or the "
            "column comes first, are left out.",
        ),
    )


def version_4() -> Evidence:
    """Claim 13: v4 adds residual connections, and three new modules A, B, C."""
    names = ("inception_v4", "inception_resnet_v1", "inception_resnet_v2")
    trees = {name: seen(name) for name in names}
    counts = {name: residuals(tree) for name, tree in trees.items()}
    repeated = {kind: n for kind, n in blocks(trees["inception_v4"]).items() if n > 1 and "/2" not in kind}
    wrong = counts["inception_v4"] == 0 and all(counts[name] for name in names[1:])
    return Evidence(
        f"residual blocks: {', '.join(f'{name} {n}' for name, n in counts.items())}",
        NOT_SO if wrong else REPRODUCED,
        f"v4 is the net without residual connections; those that have them are Inception-ResNet-v1 and v2, of the same "
        f"paper (arXiv 1602.07261, February 2016, not 2015). Right that it has {len(repeated)} modules of its own (A, "
        f"B, C), beside a stem and two reductions."
        if wrong
        else "v4 has residual connections.",
        ("net", "residual blocks", "parameters", "MACs"),
        tuple((name, str(counts[name]), f"{tree.parameters:,}", f"{tree.macs:,}") for name, tree in trees.items()),
        tuple(f"v4, {n} times: {kind}" for kind, n in repeated.items()),
    )
