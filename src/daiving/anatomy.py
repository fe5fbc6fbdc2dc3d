"""What a net is made of and what it costs: shapes, parameters, multiply-adds and activation memory of every module.

It runs on the `meta` device, where tensors have shapes and no contents: no memory is used, and time goes with the
number of modules alone: NOTEBOOK.md has how much.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from daiving.errors import FixableError
from daiving.forward import BATCH, Passed, passed
from daiving.nets.layers import Add, Concat, Fork, Input, Scores
from daiving.nodes import Node


@dataclass(frozen=True)
class Cost:
    """What does not depend on the machine."""

    parameters: int
    macs: int  # multiply-adds of convolutions and matrix products for one example


def cost(net: nn.Module, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Cost:
    """The cost of one example of that shape (without the batch axis): c h w of an image, or, with int64, the steps of
    a sequence. The net is left alone, as by `look`."""
    (run,) = passes(net, shape, [False], dtype)
    return Cost(sum(p.numel() for p in net.parameters()), sum(run.macs.values()))


def look(net: nn.Module, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Node:
    """The tree of a net's modules as one image of `shape` (c, h, w) goes through it, or, with int64, one sequence (t,).

    The net may be on any device, `meta` included; its mode, weights and buffers are left alone. Multiply-adds are
    counted in evaluation mode, activation memory (alive between a forward pass and its backward pass, per image) in
    training mode. Raises what the net itself raises for a shape that it cannot take.
    """
    (busy,) = passes(net, shape, [True], dtype)
    # Of torch's modules and ours none runs other parts while it trains, but for auxiliary heads, which show in the
    # answer; a user's own module may do anything.
    known = all(type(m).__module__.startswith(("torch.nn.", "daiving.nets.")) for m in net.modules())
    quiet = busy.one_image() if known and busy.answer is not Scores else passes(net, shape, [False], dtype)[0]
    return Tree(quiet, busy).node("", net)


def passes(
    net: nn.Module, shape: Sequence[int], training: Sequence[bool], dtype: torch.dtype = torch.float32
) -> list[Passed]:
    """A pass in each mode: of shapes alone, or, for a net that reads values of its input, of zeros."""
    try:
        return [passed(net, shape, training=one, dtype=dtype) for one in training]
    except FixableError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        if any(t.is_meta for t in (*net.parameters(), *net.buffers())):
            raise  # it has no values that it could run on
        return [passed(net, shape, training=one, device="cpu", dtype=dtype) for one in training]


class Tree:
    """Puts what two passes saw into the shape of the net."""

    def __init__(self, quiet: Passed, busy: Passed) -> None:
        self.quiet, self.busy = quiet, busy
        # When each module first ran; a container that is never called itself, when its first part did.
        self.place: dict[str, int] = {}
        for i, name in enumerate(busy.order):
            for parent in parents(name):
                self.place.setdefault(parent, i)
        self.seen: set[int] = set()  # parameters that are counted already: tied ones count once

    def node(self, name: str, m: nn.Module) -> Node:
        own = [p for p in m.parameters(recurse=False) if id(p) not in self.seen]
        self.seen |= {id(p) for p in own}
        parts = {key: child for key, child in m.named_children() if join(name, key) in self.place}
        in_order = sorted(parts, key=lambda key: self.place[join(name, key)])
        wiring: Any = getattr(m, "wiring", None)
        items: Sequence[str | Fork] = wiring() if wiring else in_order
        children = tuple(node for item in items for node in self.item(name, parts, item))
        if not name:  # the parts of a net's body are stages of the net
            children = tuple(stage for node in children for stage in (node.children if node.name == "body" else [node]))
        kind = "chain" if children else "leaf"
        if len(children) == 1 and isinstance(items[0], Fork):
            kind, children = children[0].kind, children[0].children  # the module is its fork and nothing else
        label, role = described(name, m, children)
        aux = all(child.aux for child in children) if children else name not in self.quiet.order
        macs = self.busy.macs[name] // BATCH if aux else self.quiet.macs[name]
        taken, given = self.busy.taken.get(name), self.busy.given.get(name)
        if taken is None or given is None:
            taken, given = children[0].taken, children[-1].given
        kept, wired = self.busy.kept[name], keys(items)
        for key, child in m.named_children():
            if key not in parts:  # it does not run, but who holds it may use its weights
                own += [p for p in child.parameters() if id(p) not in self.seen]
                self.seen |= {id(p) for p in own}
            elif key not in wired:  # a part that the wiring leaves out, an activation that several share
                hidden = self.node(join(name, key), child)
                macs, kept = macs + hidden.macs, kept + hidden.saved
        parameters = sum(p.numel() for p in own)
        return summed(
            Node(name, label, kind, role, type(m).__name__, taken, given, parameters, macs, kept, children, aux)
        )

    def item(self, name: str, parts: Mapping[str, nn.Module], item: str | Fork) -> list[Node]:
        """The node of a child, none if it did not run, or that of a fork."""
        if isinstance(item, str):
            return [self.node(join(name, item), parts[item])] if item in parts else []
        arms = [
            path(label, [node for one in arm for node in self.item(name, parts, one)])
            for label, arm in item.arms.items()
        ]
        end = self.item(name, parts, item.join) if item.join else []
        taken, given = arms[0].taken, (end or arms)[-1].given
        return [summed(Node(name, item.kind, item.kind, "block", "", taken, given, 0, 0, 0, (*arms, *end)))]


def keys(items: Iterable[str | Fork]) -> set[str]:
    """The children that a wiring names."""
    found: set[str] = set()
    for item in items:
        found |= {item} if isinstance(item, str) else {item.join or ""}.union(*map(keys, item.arms.values()))
    return found


def path(label: str, nodes: list[Node]) -> Node:
    """Several nodes one behind the other as one arm of a fork; a single one is the arm itself."""
    if len(nodes) == 1:
        return nodes[0]
    if not nodes:
        return Node("", "identity", "leaf", "identity", "", (), (), 0, 0, 0)
    first, last = nodes[0], nodes[-1]
    return summed(Node(first.name, label, "chain", "block", "", first.taken, last.given, 0, 0, 0, tuple(nodes)))


def summed(node: Node) -> Node:
    """The node with the costs of its children added to its own; the MACs above leave out what runs in training only."""
    return replace(
        node,
        parameters=node.parameters + sum(child.parameters for child in node.children),
        macs=node.macs + sum(child.macs for child in node.children if node.aux or not child.aux),
        saved=node.saved + sum(child.saved for child in node.children),
    )


def parents(name: str) -> list[str]:
    """The module itself and all that it is a part of."""
    words = name.split(".")
    return [".".join(words[:i]) for i in range(len(words), 0, -1)]


def join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def described(name: str, m: nn.Module, children: Sequence[Node]) -> tuple[str, str]:
    """Label and role. Convolution, norm and activation one behind the other are one convolution to a reader."""
    roles = [child.role for child in children]
    if roles.count("conv") == 1 and len(roles) > 1 and set(roles) <= {"conv", "norm", "relu"}:
        return next(child.label for child in children if child.role == "conv"), "conv"
    if children:
        return name.rpartition(".")[2] or type(m).__name__, "block"
    return leaf_of(m)


def leaf_of(m: nn.Module) -> tuple[str, str]:
    """Label and role of a module without parts."""
    match m:
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            kind = "conv" if m.groups == 1 else "depthwise" if m.groups == m.in_channels else "grouped conv"
            return f"{window(m.kernel_size)} {kind}, {m.out_channels}{by(m.stride)}", "conv"
        case nn.Linear():
            return f"linear, {m.out_features}", "linear"
        case nn.MaxPool2d():
            return f"{window(m.kernel_size)} max pool{by(m.stride)}", "max"
        case nn.AvgPool2d():
            return f"{window(m.kernel_size)} mean pool{by(m.stride)}", "mean"
        case nn.AdaptiveAvgPool2d():
            whole = m.output_size in (1, (1, 1))
            return "mean over the map" if whole else f"mean pool to {window(m.output_size)}", "mean"
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            return "batch norm", "norm"
        case nn.LocalResponseNorm():
            return "local response norm", "norm"
        case nn.ReLU():
            return "ReLU", "relu"
        case nn.Dropout():
            return f"dropout {m.p:.0%}", "dropout"
        case nn.Identity():
            return "identity", "identity"
        case Concat():
            return "concat", "concat"
        case Add():
            return "add" if m.scale == 1 else f"add {m.scale:g} times", "add"
        case Input():
            return "input", "input"
    return type(m).__name__, "other"


def window(size: Any) -> str:
    return "x".join(map(str, size)) if isinstance(size, tuple) else f"{size}x{size}"


def by(stride: Any) -> str:
    """The stride, where there is one."""
    stride = stride[0] if isinstance(stride, tuple) else stride
    return f" /{stride}" if stride != 1 else ""
