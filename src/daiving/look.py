"""What a net is made of and what it costs: shapes, parameters, multiply-adds and activation memory of every module.

It runs on the `meta` device, where tensors have shapes and no contents: no memory is used, and the largest net takes
well under a second.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from daiving.nets.draw import LightMode
from daiving.nets.layers import Add, Concat, Fork, Input
from daiving.nodes import Node

BATCH = 2  # batch norm trains on one number a channel from two images up


@dataclass(frozen=True)
class Cost:
    """What does not depend on the machine."""

    parameters: int
    macs: int  # multiply-adds of convolutions and matrix products for one example


def cost(net: nn.Module, shape: Sequence[int]) -> Cost:
    """The cost of one example of that shape (without the batch axis). The net's mode and buffers are left alone."""
    try:
        run = passed(net, shape, training=False)
    except (RuntimeError, NotImplementedError, TypeError, ValueError):  # some nets look at the values of their input
        run = passed(net, shape, training=False, device="cpu")
    return Cost(sum(p.numel() for p in net.parameters()), sum(run.macs.values()))


def look(net: nn.Module, shape: Sequence[int]) -> Node:
    """The tree of a net's modules as one image of `shape` (c, h, w) goes through it.

    The net may be on any device, `meta` included; its mode, weights and buffers are left alone. Multiply-adds are
    counted in evaluation mode, activation memory (alive between a forward pass and its backward pass, per image) in
    training mode. Raises what the net itself raises for a shape that it cannot take.
    """
    quiet, busy = passed(net, shape, training=False), passed(net, shape, training=True)
    return Tree(quiet, busy).node("", net)


@dataclass
class Passed:
    """What was seen in one forward pass, by the dotted name of the module that was innermost at the time."""

    order: dict[str, None] = field(default_factory=dict)  # modules in the order in which they first ran
    taken: dict[str, tuple[int, ...]] = field(default_factory=dict)
    given: dict[str, tuple[int, ...]] = field(default_factory=dict)
    macs: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)  # bytes that outlive the pass, an image


# On the meta device torch takes batch norm apart into a dozen steps, nine tenths of a deep net's time; its answer has
# the shape of its input, beside a mean and a deviation a channel.
NORMS = (torch.ops.aten.native_batch_norm.default, torch.ops.aten._native_batch_norm_legit.default)


def normed(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


class Watch(LightMode):
    """Counts the multiply-adds of every operation, and remembers which memory it made."""

    def __init__(self, run: Passed, inside: list[str]) -> None:
        super().__init__()
        self.run, self.inside = run, inside
        self.made: dict[StorageWeakRef, tuple[str, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = normed(args[0]) if func in NORMS and args[0].is_meta else func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.run.macs[self.inside[-1]] += count(*args, **(kwargs or {}), out_val=out) // 2
        for t in (out,) if isinstance(out, Tensor) else tree_leaves(out):
            if isinstance(t, Tensor):
                storage = t.untyped_storage()
                self.made.setdefault(StorageWeakRef(storage), (self.inside[-1], storage.nbytes()))
        return out


def passed(net: nn.Module, shape: Sequence[int], *, training: bool, device: str = "meta") -> Passed:
    """One forward pass of zeros of `shape`."""
    batch = BATCH if training else 1
    run, inside = Passed(), [""]
    watch = Watch(run, inside)
    names = {m: name for name, m in reversed(list(net.named_modules()))}

    def enter(m: nn.Module, args: tuple[Any, ...]) -> None:
        inside.append(names[m])
        run.order.setdefault(names[m])
        run.taken.setdefault(names[m], joint_shape(args))

    def leave(m: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        run.given.setdefault(inside.pop(), joint_shape(out))

    # For every module there is, which costs less than a hook for each of some thousand.
    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    tensors = {
        name: t if t.device.type == device == "meta" else t.detach().to(device).requires_grad_(t.requires_grad)
        for name, t in (*net.named_parameters(), *net.named_buffers())
    }
    away = any(t.device.type != "meta" for t in (*net.parameters(), *net.buffers()))
    was = {m: m.training for m in names}
    try:
        net.train(training)
        with watch, torch.set_grad_enabled(training):
            x = torch.zeros(batch, *shape, device=device)
            answer = torch.func.functional_call(net, tensors, (x,)) if away else net(x)
    finally:
        for hook in hooks:
            hook.remove()
        for m, mode in was.items():
            m.training = mode
    own = {StorageWeakRef(t.untyped_storage()) for t in tensors.values()}
    for ref, (name, size) in watch.made.items():
        if not ref.expired() and ref not in own:
            run.kept[name] += size // batch
    del answer  # which held on to the graph, as a loss would
    return run


def joint_shape(value: Any) -> tuple[int, ...]:
    """The shape of a tensor without its batch axis; of several that are stacked or summed, that of the first."""
    first = value[0] if isinstance(value, tuple) and value else value  # pytree's way is slow for a thousand layers
    t = first if isinstance(first, Tensor) else next((x for x in tree_leaves(value) if isinstance(x, Tensor)), None)
    return tuple(t.shape[1:]) if t is not None else ()


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
        parameters = sum(p.numel() for p in own)
        kept = self.busy.kept[name]
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
