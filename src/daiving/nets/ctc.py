"""Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks,
Graves, Fernández, Gomez & Schmidhuber, ICML 2006. https://www.cs.toronto.edu/~graves/icml_2006.pdf

    x ── bidirectional LSTM ── linear to labels + blank ── softmax y ─┬─ ctc_loss: -ln p(labelling | x)
         1 layer of 100 in 2006, 3 of 250 in 2013                     └─ best_path, prefix_search: `ctc_decode.py`

A path names a label or blank at every step; collapsing it (repeats become one, then blanks fall) gives a labelling.
p(labelling | x) is the sum over all paths that collapse to it, which the forward-backward recursion takes in one sweep.

Where this leaves the paper
    The recursion runs in log space; the paper rescales α and β at each step (C_t, D_t), which comes to the same. Where
    no path collapses to the target the loss is infinite, as the definition says; the paper is silent. β is not a
    second recursion: it is α of the sequence and the labelling read backwards. The loss takes the outputs before the
    softmax, so that its gradient is eq. 16 as printed. Under torch.func (vmap, hessian, …) that gradient is not used:
    autograd follows α. The net's default is CTC-3l-250h of Graves, Mohamed & Hinton, 2013
    (https://arxiv.org/abs/1303.5778): 3,787,562 weights; `CTCNet(26, 100, layers=1)` is the one of 2006: 114,662.
    Their training noise (on inputs in 2006, on weights in 2013) is no part of the net.

Where torch differs
    `F.ctc_loss` has the blank first where the paper (and this file) has it last, takes t x n x k log-probabilities,
    takes raw outputs for them without a word, and its gradient is right only behind a log_softmax.

Legend: `n` sequences, `t` steps, `k` labels and blank, `l` labels of a target, `s` = 2 l + 1 places of l', the target
with blanks between and around; -1 stands behind a target's end. α and β are logarithms throughout.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from daiving.errors import FixableError, unknown
from daiving.nets import axes, padding
from daiving.nets.cells import LSTM
from daiving.nets.padding import turned
from daiving.nets.recurrent import Recurrent

Logits = Float[Tensor, "n t k"]
Labels = Int[Tensor, "n l"]
Lengths = Int[Tensor, " n"]
NEVER = -1e30  # ln of 0 where autograd follows: the gradient of a sum of two -inf is NaN


class CTCNet(nn.Module):
    """Bidirectional LSTM layers with peepholes, and a linear layer to the labels and the blank, which is the last.

    Takes n x t x n_in features and the sequences' lengths; gives n x t x (num_labels + 1) outputs before the softmax.
    All weights from U(-0.1, 0.1), as in both papers. Raises `FixableError` for shapes and lengths that do not fit.
    """

    def __init__(self, n_in: int = 123, n_hid: int = 250, *, layers: int = 3, num_labels: int = 61) -> None:
        super().__init__()
        cell = partial(LSTM, peepholes=True, forget_bias=None)
        self.body = Recurrent(cell, n_in, n_hid, layers=layers, bidirectional=True)
        self.head = nn.Linear(2 * n_hid, num_labels + 1)
        for p in self.parameters():
            nn.init.uniform_(p, -0.1, 0.1)

    def forward(
        self, x: Float[Tensor, "n t in"], lengths: Integer[Tensor, " _"] | Sequence[int] | None = None
    ) -> Logits:
        return self.head(self.body(x, lengths=lengths).outputs)


def ctc_loss(
    logits: Logits,
    targets: Integer[Tensor, "_ l"] | Sequence,
    lengths: Integer[Tensor, " _"] | Sequence[int] | None = None,
    *,
    blank: int | None = None,
    impossible: str = "inf",
) -> Float[Tensor, " n"]:
    """-ln p(target | x) of each sequence, in nats (eq. 12); the batch's loss is your `.mean()` of it.

    `logits` are the outputs before the softmax (log-probabilities do as well), `targets` labels with -1 behind a
    target's end, `lengths` the steps of each sequence (all by default), `blank` the blank's unit (the
    last by default). A target may be empty. One that needs more steps than there are costs inf and has no gradient
    (NaN); with impossible="error" it is a mistake.

    Raises `FixableError` for shapes and types that do not fit, for lengths outside 1..t, for outputs that are NaN or
    inf, for a blank or an unknown label in a target, and for a label behind a -1; for values only where they can be
    looked at, which is not so under torch.func. Its backward raises where a second derivative is asked for.
    """
    lengths, blank = check(logits, lengths, blank)
    targets = checked_targets(targets, logits, blank)
    if impossible not in ("inf", "error"):
        raise unknown("way with impossible targets", str(impossible), ("inf", "error"))
    if impossible == "error" and padding.known(targets):
        check_possible(targets, lengths)
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    if axes.transformed():
        return followed(wide, targets, lengths, blank)
    return ForwardBackward.apply(wide, targets, lengths, blank)


class ForwardBackward(torch.autograd.Function):
    """Sections 4.1 and 4.2: α forwards for p(target | x), α and β together for its gradient."""

    @staticmethod
    def forward(ctx: Any, u: Logits, targets: Labels, lengths: Lengths, blank: int) -> Float[Tensor, " n"]:
        log_y = u.log_softmax(2)
        symbols, ends = with_blanks(targets, blank)
        alphas = forward_variables(at(log_y, symbols), symbols, blank)
        log_p = at_the_end(alphas, lengths, ends)
        ctx.blank = blank
        ctx.save_for_backward(log_y, alphas, log_p, symbols, ends, lengths)
        return -log_p

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        if torch.is_grad_enabled():  # torch's own once_differentiable lets some pass, with a derivative of zero
            raise FixableError(
                "A second derivative was asked for through the loss of CTC.",
                expected="first derivatives only: its way back is written by hand, and has none of its own.",
                fix="leave create_graph out, or take torch.func.hessian, under which autograd follows each step.",
            )
        log_y, alphas, log_p, symbols, ends, lengths = ctx.saved_tensors
        log_y_s = at(log_y, symbols)
        t, behind = turned(lengths, log_y.shape[1])
        s, outside = turned(ends, symbols.shape[1])
        there = torch.arange(len(t), device=t.device)[:, None, None], t[:, :, None], s[:, None, :]
        betas = forward_variables(log_y_s[there], symbols.gather(1, s), ctx.blank)[there]  # eq. 10 and 11
        # α_t(s) β_t(s) / y_t(l'_s) over p: how probable it is, given the target, that the path stands at s at step t
        share = (alphas + betas - log_y_s - log_p[:, None, None]).exp()
        nowhere = behind[:, :, None] | outside[:, None, :] | log_y_s.isneginf()
        share = share.masked_fill(nowhere, 0)
        label_share = torch.zeros_like(log_y).scatter_add(2, symbols[:, None].expand_as(share), share)
        d_u = (log_y.exp() - label_share).masked_fill(behind[:, :, None], 0)  # eq. 16
        return d_u * grad_outputs[0][:, None, None], None, None, None


def followed(u: Logits, targets: Labels, lengths: Lengths, blank: int) -> Float[Tensor, " n"]:
    """The same loss in operations that autograd can follow, any number of times and under every transform."""
    behind = torch.arange(u.shape[1], device=u.device) >= lengths[:, None]
    log_y = u.masked_fill(behind[:, :, None], 0).log_softmax(2)
    symbols, ends = with_blanks(targets, blank)
    alphas = forward_variables(at(log_y, symbols).clamp(min=NEVER), symbols, blank, NEVER, added)
    log_p = at_the_end(alphas, lengths, ends, NEVER, added)
    impossible = log_p <= NEVER / 2
    return (-log_p * torch.where(impossible, math.nan, 1.0)).masked_fill(impossible, math.inf)  # NaN is the gradient


def added(a: Tensor, b: Tensor) -> Tensor:
    """ln(exp a + exp b) with derivatives of every order; those of logaddexp, which is faster, can overflow."""
    return torch.stack([a, b]).logsumexp(0)


def at_the_end(
    alphas: Float[Tensor, "n t s"],
    lengths: Lengths,
    ends: Lengths,
    never: float = -math.inf,
    add: Callable[[Tensor, Tensor], Tensor] = torch.logaddexp,
) -> Float[Tensor, " n"]:
    """ln p: all paths end in the last blank or in the last label (eq. 8)."""
    rows = torch.arange(len(alphas), device=alphas.device)
    last, before = alphas[rows, lengths - 1, ends - 1], alphas[rows, lengths - 1, (ends - 2).clamp(min=0)]
    return add(last, before.masked_fill(ends == 1, never))


def forward_variables(
    log_y_s: Float[Tensor, "n t s"],
    symbols: Int[Tensor, "n s"],
    blank: int,
    never: float = -math.inf,
    add: Callable[[Tensor, Tensor], Tensor] = torch.logaddexp,
) -> Float[Tensor, "n t s"]:
    """α_t(s): ln of the probability of all ways to have come to place s of l' at step t (eq. 5 to 7). `never` is
    ln 0, and `add` gives ln(exp a + exp b)."""
    nothing = log_y_s.new_full((len(log_y_s), 2), never)
    leaps = torch.zeros_like(symbols, dtype=torch.bool)  # from s - 2: over a blank, between two labels that differ
    leaps[:, 2:] = (symbols[:, 2:] != blank) & (symbols[:, 2:] != symbols[:, :-2])
    alpha = log_y_s[:, 0].clone()
    alpha[:, 2:] = never  # a path begins with a blank or with the first label
    alphas = [alpha]
    for log_y in log_y_s.unbind(1)[1:]:
        padded = torch.cat([nothing, alpha], dim=1)
        stay_or_step = add(alpha, padded[:, 1:-1])  # eq. 7
        leap = padded[:, :-2].masked_fill(~leaps, never)
        alpha = add(stay_or_step, leap) + log_y  # eq. 6
        alphas.append(alpha)
    return torch.stack(alphas, dim=1)


def with_blanks(targets: Labels, blank: int) -> tuple[Int[Tensor, "n s"], Int[Tensor, " n"]]:
    """l': a blank around every label; and how many places of it are each target's own."""
    symbols = targets.new_full((targets.shape[0], 2 * targets.shape[1] + 1), blank)
    symbols[:, 1::2] = torch.where(targets < 0, blank, targets)
    return symbols, 2 * (targets >= 0).sum(1) + 1


def at(log_y: Logits, symbols: Int[Tensor, "n s"]) -> Float[Tensor, "n t s"]:
    return log_y.gather(2, symbols[:, None].expand(-1, log_y.shape[1], -1))


def check(logits: Tensor, lengths: Tensor | Sequence[int] | None, blank: int | None) -> tuple[Lengths, int]:
    """The sequences' lengths and the blank's number, when all of this fits."""
    real = isinstance(logits, Tensor) and logits.is_floating_point()
    if not real or logits.dim() != 3 or 0 in logits.shape or logits.shape[2] < 2:
        given = padding.form(logits) if isinstance(logits, Tensor) else f"in a {type(logits).__name__}"
        raise FixableError(
            f"CTC was given outputs {given}.",
            expected="floats, n x t x k: one sequence, one step, and one label besides the blank, or more of each.",
            fix="give a single sequence as logits[None], leave out empty ones, and give the net a unit more than there "
            "are labels.",
        )
    n, t, k = logits.shape
    if blank is not None and (isinstance(blank, bool) or not isinstance(blank, Integral) or not 0 <= blank < k):
        raise FixableError(
            f"The blank is unit {blank}, and there are {k} units.",
            expected=f"a whole number from 0 to {k - 1}.",
            fix="leave it out to take the last unit.",
        )
    if lengths is None:
        lengths = torch.full((n,), t, device=logits.device)
    lengths = axes.check_lengths(lengths, t, n, batch_first=True).to(logits.device)
    if padding.known(logits):
        check_numbers(logits, lengths)
    return lengths, k - 1 if blank is None else int(blank)


def check_numbers(logits: Logits, lengths: Lengths) -> None:
    """Raises `FixableError` for NaN and inf within the sequences, and for a step at which each output is -inf."""
    wrong = logits.isnan() | logits.isposinf() | logits.isneginf().all(2, keepdim=True)
    wrong &= (torch.arange(logits.shape[1], device=logits.device) < lengths[:, None])[:, :, None]
    for row, step, unit in wrong.nonzero()[:1].tolist():
        value = float(logits[row, step, unit])
        raise FixableError(
            f"{int(wrong.sum())} of the {wrong.numel()} outputs are of no use: sequence {row} has {value} at step "
            f"{step}{', for every unit' if value == -math.inf else ''}.",
            expected="numbers, or -inf for a unit that is ruled out beside one that is not.",
            fix="look where the training diverged: a smaller learning rate, or a limit on the gradient's norm.",
        )


def checked_targets(targets: Tensor | Sequence, logits: Logits, blank: int) -> Labels:
    """The targets as int64, when they fit."""
    targets = padding.whole(targets, "target", logits.device)
    n, _, k = logits.shape
    if len(targets) != n:
        raise FixableError(
            f"There are {len(targets)} targets for {n} sequences.",
            expected="a target a sequence: n x l labels, with -1 behind a target's end.",
            fix="pad the targets with -1 to one length; an empty target is a row of -1.",
        )
    if not padding.known(targets):
        return targets
    wrong = (targets < -1) | (targets >= k) | (targets == blank)
    for row, place in wrong.nonzero()[:1].tolist():
        label = int(targets[row, place])
        what = "the blank, which no target has" if label == blank else f"no unit of the {k}"
        raise FixableError(
            f"Target {row} has {label} at place {place}: {what}.",
            expected=f"labels from 0 to {k - 1} without the blank {blank}, and -1 behind the target's end.",
            fix="number the labels so that the blank's unit is free, or say which unit it is with blank=….",
        )
    padding.check_ends(targets, "target")
    return targets


def check_possible(targets: Labels, lengths: Lengths) -> None:
    """Raises `FixableError` where a target needs more steps than there are."""
    repeats = (targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] >= 0)
    needed = (targets >= 0).sum(1) + repeats.sum(1)
    for row in (needed > lengths).nonzero()[:1, 0].tolist():
        raise FixableError(
            f"Target {row} needs {int(needed[row])} steps, and its sequence has {int(lengths[row])}.",
            expected="a step for each label, and one more between two labels that are the same.",
            fix="leave the sequence out, shorten its target, or let the net answer more often.",
        )
