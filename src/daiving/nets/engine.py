"""Backpropagation through time, written by hand: RNN, GRU and LSTM over a whole sequence as single differentiable
functions.

Autograd would record some ten small operations a step and run each backwards. Here the chain rule is done on paper, as
in the lecture, and three things follow from it:

1. What x adds to each step, W x + b, does not depend on the state: one product for all steps, ahead of the loop.
   Likewise the gradients of W, U and b are one product each, behind it, over all steps at once.
2. What is left in the loop is a product with U and a dozen operations on numbers that lie in the cache.
3. Without autograd nothing is kept.

The loops stand in `loops_torch.py`, with their derivation, and once more in `loops_kernels.h` for float32, compiled
when daiving is installed where there is a C++ compiler. Second derivatives are not here: the plain path of
`recurrent.py` has them.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.nets import loops_compiled, loops_torch
from daiving.nets.axes import transformed
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.loops_parts import Kept, at_end, over_time


def runs(cell: nn.Module, x: Tensor, state: tuple[Tensor, ...]) -> bool:
    """Whether a cell has its fast twin here: the three families, without peepholes and without layer norm. Not where
    somebody follows the operations: under torch.func, in a tracer, on `meta`, with a tensor that is not plain. Nor
    where a cell is no longer what was made: with hooks (pruning, weight norm), or with weights of other shapes."""
    if not isinstance(cell, RNN | GRU | LSTM) or type(cell) not in (RNN, GRU, LSTM):
        return False
    if isinstance(cell, LSTM) and not (cell.p is None and cell.norms is None):
        return False
    plain = type(x) in (Tensor, nn.Parameter) and x.device.type != "meta" and not transformed()
    return plain and not hooked(cell) and as_made(cell, x.shape[1], state)


def hooked(cell: nn.Module) -> bool:
    return bool(
        cell._forward_pre_hooks
        or cell._forward_hooks
        or cell._backward_pre_hooks
        or cell._backward_hooks
        or "forward" in cell.__dict__
    )


def as_made(cell: RNN | GRU | LSTM, n: int, state: tuple[Tensor, ...]) -> bool:
    """Whether all shapes are those of the cell: the compiled loops take them at their word."""
    rows = cell.gates * cell.n_hid
    sizes = cell.U.shape == (rows, cell.n_hid) and cell.W.shape == (rows, cell.n_in)
    biased = all(b is None or b.shape == (rows,) for b in (cell.b, cell.b_U))
    return sizes and biased and len(state) == cell.states and all(one.shape == (n, cell.n_hid) for one in state)


@torch.compiler.disable
def through_time(
    cell: RNN | GRU | LSTM, x: Tensor, state: tuple[Tensor, ...], lengths: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """h of every step, t x n x hid, of a cell over x, t x n x in; and the state behind each sequence's last step.

    Equal to calling the cell step by step, up to rounding. What comes behind a sequence's end is not zeroed here.
    """
    loops = loops_compiled if loops_compiled.can(x, cell.W, cell.U, *state) else loops_torch
    bias, late = biases(cell)
    if type(cell) is LSTM:
        hs, h, c = differentiable(loops.lstm, loops.lstm_back, lengths, x, cell.W, bias, *state, cell.U)
        return hs, (h, c)
    if type(cell) is RNN:
        hs, h = differentiable(loops.rnn, loops.rnn_back, None, x, cell.W, bias, *state, cell.U)
    else:
        before, new = cell.reset == "before", cell.update == "new"
        loop, back = (loops.gru_before, loops.gru_before_back) if before else (loops.gru_after, loops.gru_after_back)
        hs, h = differentiable(loop, back, new, x, cell.W, bias, *state, cell.U, *(() if before else (late,)))
    return hs, (h if lengths is None else at_end(hs, lengths),)


def differentiable(
    loop: Callable, back: Callable, how: Any, x: Tensor, W: Tensor | None, bias: Tensor | None, *rest: Tensor | None
) -> tuple[Tensor, ...]:
    if torch.is_autocast_enabled("cpu"):  # the product for all steps in bfloat16; what is carried stays in full
        assert W is not None
        x, W, bias = F.linear(x, W, bias).to(W.dtype), None, None
        with torch.autocast("cpu", enabled=False):
            return differentiable(loop, back, how, x, W, bias, *rest)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, W, bias, *rest)):
        return ThroughTime.apply(loop, back, how, x, W, bias, *rest)
    return loop(how, None, x if W is None else F.linear(x, W, bias), *rest)


class ThroughTime(torch.autograd.Function):
    """W x + b of all steps, the loop, and the way back, as one function of autograd. Without W, x is the product."""

    @staticmethod
    def forward(
        ctx: Any, loop: Callable, back: Callable, how: Any, x: Tensor, W: Tensor | None, bias: Tensor | None, *rest: Any
    ) -> tuple[Tensor, ...]:
        kept: Kept = []
        answer = loop(how, kept, x if W is None else F.linear(x, W, bias), *rest)
        lengths = how if isinstance(how, Tensor) else None
        ctx.save_for_backward(x if W is not None else None, W, lengths, *kept)
        ctx.back, ctx.how, ctx.bias = back, how if lengths is None else None, bias is not None
        ctx.set_materialize_grads(False)
        return answer

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        if torch.is_grad_enabled():  # torch's own once_differentiable lets some pass, with wrong numbers
            raise FixableError(
                "A second derivative was asked for through the fast path of a recurrent net.",
                expected="first derivatives only: its way back is written by hand, and has none of its own.",
                fix="build the net with fast=False, which runs step by step and can be differentiated again.",
            )
        if transformed() or any(batched(grad) for grad in grad_outputs):
            raise FixableError(
                "The gradients of a recurrent net's fast path were asked for in batches, or under a transform.",
                expected="one gradient at a time: its way back is written by hand.",
                fix="build the net with fast=False, which runs step by step.",
            )
        x, W, lengths, *kept = ctx.saved_tensors
        with torch.autocast("cpu", enabled=False) if torch.is_autocast_enabled("cpu") else nullcontext():
            d_xs, *rest = ctx.back(ctx.how if lengths is None else lengths, *kept, *grad_outputs)
            if W is None:
                return None, None, None, d_xs, None, None, *rest
            d_x = torch.matmul(d_xs, W) if ctx.needs_input_grad[3] else None
            return None, None, None, d_x, over_time(d_xs, x), d_xs.sum((0, 1)) if ctx.bias else None, *rest


def batched(grad: Tensor | None) -> bool:
    """Whether torch.autograd hands over many gradients as one (is_grads_batched, vectorize)."""
    asked = getattr(torch._C._functorch, "is_legacy_batchedtensor", None)
    return grad is not None and asked is not None and asked(grad)


def biases(cell: RNN | GRU | LSTM) -> tuple[Tensor | None, Tensor | None]:
    """What is added to W x at once, and what only behind the product with h: the second bias of a GRU's candidate,
    where r multiplies it."""
    if cell.b is None or cell.b_U is None:
        return cell.b, None
    if type(cell) is GRU and cell.reset == "after":
        both = 2 * cell.n_hid
        return torch.cat([cell.b[:both] + cell.b_U[:both], cell.b[both:]]), cell.b_U[both:]
    return cell.b + cell.b_U, None
