"""Vanishing through time: how much of a sequence's end still depends on its beginning.

The loss of the last step alone is taken, and its gradient with respect to each step's input; its norm by the distance
from the end says how far back learning can reach. In a simple recurrent net each step multiplies it with the state's
weights and a slope below 1 (Hochreiter, 1991; Bengio, Simard & Frasconi, 1994); gates can let it pass.

Legend: `n` sequences, `t` steps.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.rolled import Fading


def fading(name: str, nets: Sequence[nn.Module], x: Tensor, y: Tensor) -> Fading:
    """How the gradient fades over `x`, n x t, in each of `nets`, all of one kind, when each sequence's last step should
    say `y`, n. Raises what `by_distance` does."""
    rows = torch.stack([by_distance(net, x, y).nanmean(dim=0) for net in nets])  # nets x t
    mean, low, high = (tuple(row.tolist()) for row in (rows.mean(0), rows.amin(0), rows.amax(0)))
    return Fading(name, mean, low, high, len(x), len(nets))


def by_distance(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Norm of the last step's loss's gradient with respect to each step's input, n x t: column d is d steps before each
    sequence's own end, NaN before its beginning.

    `x` is int64, -1 behind a sequence's end; `y` one class a sequence. A step's input is what the net's first part
    makes of its symbol, a row of a table or a one among zeros. The net's mode and weights are left as they were.
    Raises `FixableError` for a net that has no such part, and for a loss that is not finite.
    """
    lengths = (x >= 0).sum(dim=1)
    heard: list[Tensor] = []

    def listen(m: nn.Module, _: object, out: object) -> Tensor | None:
        if heard or m is net or not isinstance(out, Tensor) or not out.is_floating_point():
            return None
        if out.dim() != 3 or out.shape[:2] != x.shape:
            return None
        heard.append(out.detach().requires_grad_())
        return heard[0]

    hooks = [m.register_forward_hook(listen) for m in net.modules()]
    mode = net.training
    try:
        with torch.enable_grad():
            answer = net.eval()(x)
            last = answer[torch.arange(len(x)), lengths - 1] if answer.dim() == 3 else answer  # n classes
            loss = F.cross_entropy(last, y, reduction="sum")  # a sum, so that each sequence has its own gradient
            if not heard:
                raise no_input(net)
            if not loss.isfinite():
                raise not_finite()
            (gradient,) = torch.autograd.grad(loss, heard)
    finally:
        net.train(mode)
        for hook in hooks:
            hook.remove()
    places = lengths[:, None] - 1 - torch.arange(x.shape[1])  # n t: which step is d before the end
    norms = gradient.double().norm(dim=2)  # in float32 the squares would be 0 first
    norms = norms.gather(1, places.clamp(min=0))
    return norms.masked_fill(places < 0, math.nan)


def random_sequences(n: int, steps: int, symbols: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """n sequences of symbols with nothing in them to learn, and a class for the last step of each."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randint(symbols, (n, steps), generator=random)
    return x, torch.randint(classes, (n,), generator=random)


def last_labels(x: Tensor, y: Tensor) -> Tensor:
    """What the last step of each sequence should say: y itself, n, or of n x t its end; -1 where that is not scored."""
    return y if y.dim() == 1 else y.gather(1, (x >= 0).sum(dim=1, keepdim=True) - 1).squeeze(1)


def no_input(net: nn.Module) -> FixableError:
    return FixableError(
        f"The net {type(net).__name__} has no part that turns each step into numbers, so no gradient can be asked for.",
        expected="a net whose first part (an nn.Embedding, say) answers with sequences x steps x numbers.",
        fix="make the encoding of symbols a module of its own.",
    )


def not_finite() -> FixableError:
    return FixableError(
        "The loss of the last step is not finite: the net's weights hold NaN or infinity.",
        expected="a net whose answers are finite.",
        fix="take a run that did not diverge, or train it again with a smaller lr.",
    )
