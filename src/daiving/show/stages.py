"""A net as its stages: which parts are a row of a table or a box of a picture, and how they are named there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from daiving.nodes import Node
from daiving.show.numbers import amount, mib, shape

FORKS = ("branches", "residual", "dense")


@dataclass(frozen=True)
class Stage:
    """Equal neighbours, mostly just one, and what hangs at their side in training."""

    nodes: tuple[Node, ...]
    aux: tuple[Node, ...] = ()

    @property
    def node(self) -> Node:
        return self.nodes[0]

    @property
    def title(self) -> str:
        first, last, many = title(self.node), self.nodes[-1].label, len(self.nodes)
        if many == 1:
            return first
        return f"{first if last == self.node.label else f'{first} … {last}'} x {many}"


def stages(node: Node, opened: Collection[str] = ()) -> list[Stage]:
    """The parts of a node, equal neighbours folded; none is folded that is opened, or has an opened part."""
    parts = node.children if node.kind == "chain" and node.children else (node,)
    hanging = [one for part in parts if part.aux and not node.aux for one in unpacked(part)]
    found: list[Stage] = []
    for part in parts:
        if part.aux and not node.aux:
            continue
        last = found[-1] if found else None
        if last and same(last.node, part) and not is_open(last.node, opened) and not is_open(part, opened):
            found[-1] = Stage((*last.nodes, part))
        else:
            found.append(Stage((part,)))
    for aux in hanging:
        at = behind(aux, found)
        found[at] = Stage(found[at].nodes, (*found[at].aux, aux))
    return found


def unpacked(aux: Node) -> Sequence[Node]:
    return aux.children if aux.type in ("ModuleDict", "ModuleList") else (aux,)


def behind(aux: Node, found: Sequence[Stage]) -> int:
    """The stage that an auxiliary head reads: that of its name, or the first of its shape, or the last."""
    for i, stage in enumerate(found):
        if last_name(stage.nodes[-1]) == last_name(aux):
            return i
    return next((i for i, stage in enumerate(found) if stage.nodes[-1].given == aux.taken), len(found) - 1)


def same(a: Node, b: Node) -> bool:
    return fingerprint(a) == fingerprint(b)


def fingerprint(node: Node) -> tuple:
    label = node.label if node.role != "block" else ""
    return (
        (label, node.kind, node.role, node.given, node.parameters, node.macs, node.saved, node.aux),
        tuple(fingerprint(child) for child in node.children),
    )


def find(net: Node, name: str) -> Node | None:
    """The module of that name; the end of the name is enough: "3a" for "body.3a"."""
    return next((node for node in net.walk() if named(node, name)), None)


def named(node: Node, name: str) -> bool:
    return bool(node.type) and (node.name == name or node.name.endswith(f".{name}"))


def is_open(node: Node, opened: Collection[str]) -> bool:
    """Whether it, or something in it, is to be opened."""
    return any(named(one, name) for name in opened for one in node.walk())


def is_path(node: Node) -> bool:
    """A fork that is no module of its own."""
    return node.kind in FORKS and not node.type


def holds_blocks(node: Node) -> bool:
    """A stage in the papers' sense: nothing but modules that are blocks themselves, one after the other."""
    return (
        node.kind == "chain"
        and bool(node.children)
        and all(part.role == "block" and part.type for part in node.children)
    )


def arms_and_join(node: Node) -> tuple[tuple[Node, ...], Node | None]:
    last = node.children[-1]
    joins = last.kind == "leaf" and last.role in ("concat", "add") and len(node.children) > 1
    return (node.children[:-1], last) if joins else (node.children, None)


def last_name(node: Node) -> str:
    return node.name.rpartition(".")[2]


def arm_name(arm: Node) -> str:
    return last_name(arm) if arm.type else arm.label


def title(node: Node) -> str:
    """What stands in its box: what a leaf does, and the name of anything larger."""
    if node.aux and node.role == "block" and not node.label.startswith("aux"):
        return f"aux {node.label}"
    if node.label.isdigit():  # "0" says nothing, "stage1.0" does
        return ".".join(node.name.split(".")[-2:])
    return node.label


def what(node: Node) -> str:
    """What a block is made of, in words: "4 branches"."""
    if node.role != "block":
        return node.label
    if node.kind == "chain":
        forks = [part for part in node.children if is_path(part)]
        if len(forks) == 1:
            return what(forks[0])
        count, word = len(node.children), "part"
        if holds_blocks(node):
            added = all(any(one.kind == "residual" for one in (part, *part.children)) for part in node.children)
            word = "residual block" if added else "block"
        return f"{count} {word}{'s' * (count != 1)}"
    arms, _ = arms_and_join(node)
    if node.kind == "residual":
        return "residual" if any(arm.role == "identity" for arm in arms) else "residual, projected"
    return f"{len(arms)} branches" if node.kind == "branches" else f"dense, {len(arms)} layers"


def cost(node: Node) -> str:
    return f"{amount(node.parameters)} parameters · {amount(node.macs)} MACs"


def about(node: Node) -> str:
    """All that is known of it, in a sentence."""
    kind = f" ({node.type})" if node.type else ""
    return (
        f"{node.name or title(node)}{kind}: {what(node)}; {shape(node.taken)} to {shape(node.given)}; "
        f"{node.parameters:,} parameters, {node.macs:,} MACs, {mib(node.saved)} MiB kept for the backward pass"
        f"{'; in training only' if node.aux else ''}"
    )


@dataclass(frozen=True)
class Lane:
    """A stage, and which arm of a fork around it it stands on."""

    stage: Stage
    lane: int = 0
    splits: bool = False  # the fork is right before it
    meets: bool = False  # the arms come together in it
    hangs: bool = False  # an auxiliary head beside the stage before it

    def like(self, other: "Lane") -> bool:
        """Whether the two may stand opposite: they are of one kind or have one name."""
        one_name = last_name(self.stage.node) == last_name(other.stage.node)
        return self.key[1:] == other.key[1:] or (one_name and self.key[3:] == other.key[3:])

    @property
    def key(self) -> tuple:
        node = self.stage.node
        return node.label, node.kind, node.role, self.lane, self.hangs


def in_lanes(node: Node) -> list[Lane]:
    """The stages of a net in one row; a fork that is no module is unrolled, each of its arms on a lane."""
    out: list[Lane] = []
    for stage in stages(node):
        if not is_path(stage.node):
            out += [Lane(stage), *(Lane(Stage((aux,)), hangs=True) for aux in stage.aux)]
            continue
        arms, join = arms_and_join(stage.node)
        for lane, arm in enumerate(arms):
            parts = [Stage((arm,))] if arm.type or not arm.children else stages(arm)
            out += [Lane(part, lane, splits=lane == i == 0) for i, part in enumerate(parts)]
        if join:
            out.append(Lane(Stage((join,)), meets=True))
    return out


def aligned(a: Sequence[Lane], b: Sequence[Lane]) -> list[tuple[Lane | None, Lane | None]]:
    """Rows of two nets side by side, what does the same on one row; None where there is nothing opposite."""
    rows: list[tuple[Lane | None, Lane | None]] = []
    matcher = SequenceMatcher(None, [at.key for at in a], [at.key for at in b], autojunk=False)
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        left, right = list(a[i1:i2]), list(b[j1:j2])
        while left or right:
            # The next two of one kind stand opposite; what lies before them stands alone.
            pairs = ((i, j) for i, x in enumerate(left) for j, y in enumerate(right) if x.like(y))
            i, j = next(pairs, (len(left), len(right)))
            rows += [(x, None) for x in left[:i]] + [(None, y) for y in right[:j]]
            if i < len(left):
                rows.append((left[i], right[j]))
            left, right = left[i + 1 :], right[j + 1 :]
    return rows


def difference(a: Lane | None, b: Lane | None) -> str:
    """`alike`, `unlike`, or `alone` where it is in one of the two."""
    if a is None or b is None:
        return "alone"
    one, other = a.stage, b.stage
    equal = same(one.node, other.node) and len(one.nodes) == len(other.nodes)
    return "alike" if equal and (one.node.label, one.node.taken) == (other.node.label, other.node.taken) else "unlike"
