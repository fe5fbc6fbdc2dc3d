"""The recurrent part of a net: what it is made of, as plain values, and what it computes at every step of a sequence.

Any net with a `Recurrent` somewhere in it can be looked at, a user's own too.
"""

from typing import Any

import torch
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets.recurrent import Recurrent, Through
from daiving.nodes import Node
from daiving.rolled import CellNode, Rolled, Seen


def recurrent_of(net: nn.Module) -> tuple[str, Recurrent] | None:
    """The first `Recurrent` of a net, and its dotted name; None where there is none."""
    return next(((name, m) for name, m in net.named_modules() if isinstance(m, Recurrent)), None)


def rolled(net: nn.Module, node: Node, letters: tuple[str, ...] = ()) -> Rolled | None:
    """The net's recurrent part as plain values; `node` is what `look` saw of it. None where it has no such part."""
    found = recurrent_of(net)
    if found is None:
        return None
    name, part = found
    nodes, steps = {one.name: one for one in node.walk()}, node.taken[0]
    cells = []
    for i, cell in enumerate(part.cells):
        layer, direction = divmod(i, part.directions)
        n_in = part.n_in if layer == 0 else part.n_hid * part.directions
        weights = tuple((key, tuple(p.shape)) for key, p in cell.named_parameters())
        seen = nodes.get(f"{name}.cells.{i}".removeprefix("."))
        cells.append(CellNode(layer, direction, n_in, part.n_hid, weights, seen.macs // steps if seen else 0))
    first: Any = part.cells[0]
    return Rolled(
        family=type(first).__name__,
        cells=tuple(cells),
        layers=part.layers,
        directions=part.directions,
        steps=steps,
        front=front_of(getattr(net, "front", None), part.n_in),
        head=head_of(net),
        each_step=len(node.given) == 2 and node.given[0] == steps,
        letters=letters,
        dropout=part.dropout,
        biases=sum(getattr(first, key, None) is not None for key in ("b", "b_U")),
        reset=getattr(first, "reset", "before"),
        update=getattr(first, "update", "new"),
        peepholes=getattr(first, "p", None) is not None,
        layer_norm=getattr(first, "norms", None) is not None,
    )


def front_of(front: nn.Module | None, n_in: int) -> str:
    if front is None:
        return ""
    return f"{'embedding' if isinstance(front, nn.Embedding) else 'one-hot'}, {n_in}"


def head_of(net: nn.Module) -> str:
    head = getattr(net, "head", None)
    words = [f"linear, {head.out_features}"] if isinstance(head, nn.Linear) else []
    return " + ".join(words + ["softmax"] * bool(getattr(net, "softmax", False)))


@torch.no_grad()
def steps_of(net: nn.Module, x: Tensor) -> tuple[Tensor, tuple[Seen, ...]]:
    """The answer for one sequence, x 1 x t, and the states and gates of every cell at every step.

    The net computes what it always does, in evaluation mode; its mode is left as it was. Raises `FixableError` for a
    net without a recurrent part.
    """
    found = recurrent_of(net)
    if found is None:
        raise no_part(type(net).__name__)
    part, heard = found[1], []

    def ask(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, {**kwargs, "gates": True}

    def listen(_: nn.Module, __: tuple[Any, ...], out: Through) -> None:
        heard.append(out)

    hooks = [part.register_forward_pre_hook(ask, with_kwargs=True), part.register_forward_hook(listen)]
    mode = net.training
    try:
        answer = net.eval()(x)
    finally:
        net.train(mode)
        for hook in hooks:
            hook.remove()
    seen = []
    for i, step in enumerate(heard[0].steps):
        layer, direction = divmod(i, part.directions)
        names = getattr(step, "_fields", [f"value {k}" for k in range(len(step))])
        for name, field in zip(names, step, strict=True):
            values = (field if part.batch_first else field.transpose(0, 1))[0]  # t hid
            seen.append(Seen(name, layer, direction, tuple(map(tuple, values.tolist()))))
    return answer[0], tuple(seen)


def no_part(net: str) -> FixableError:
    return FixableError(
        f"The net {net} has no recurrent part that could be looked into.",
        expected="a net with a `daiving.nets.recurrent.Recurrent` in it: rnn, gru, lstm, or one of your own.",
        fix="look at it with --form table, or run your cell through time with `Recurrent`.",
    )
