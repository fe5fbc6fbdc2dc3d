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
    softmax, so that its gradient is eq. 16 as printed. The net's default is CTC-3l-250h of Graves, Mohamed & Hinton,
    2013 (https://arxiv.org/abs/1303.5778): 3,787,562 weights; `CTCNet(26, 100, layers=1)` is the one of 2006: 114,662.
    Their training noise (on inputs in 2006, on weights in 2013) is no part of the net.

Where torch differs
    `F.ctc_loss` has the blank first where the paper (and this file) has it last, takes t x n x k log-probabilities,
    takes raw outputs for them without a word, and its gradient is right only behind a log_softmax.

Legend: `n` sequences, `t` steps, `k` labels and blank, `l` labels of a target, `s` = 2 l + 1 places of l', the target
with blanks between and around; -1 stands behind a target's end. α and β are logarithms throughout.
"""

import math
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from daiving.errors import FixableError, unknown
from daiving.nets import axes
from daiving.nets.cells import LSTM
from daiving.nets.recurrent import Recurrent

Logits = Float[Tensor, "n t k"]
Labels = Int[Tensor, "_ l"]
Lengths = Int[Tensor, " _"]


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

    def forward(self, x: Float[Tensor, "n t in"], lengths: Lengths | None = None) -> Logits:
        return self.head(self.body(x, lengths=lengths).outputs)


def ctc_loss(
    logits: Logits,
    targets: Labels,
    lengths: Lengths | None = None,
    *,
    blank: int | None = None,
    impossible: str = "inf",
) -> Float[Tensor, " n"]:
    """-ln p(target | x) of each sequence, in nats (eq. 12); the batch's loss is your `.mean()` of it.

    `logits` are the outputs before the softmax (log-probabilities do as well), `targets` labels with -1 behind a
    target's end, `lengths` the steps of each sequence (all by default), `blank` the blank's unit (the last by default).
    A target may be empty. One that needs more steps than there are costs inf and has no gradient (NaN); with
    impossible="error" it is a mistake.

    Raises `FixableError` for lengths outside 1..t, for a blank or an unknown label in a target, and for a label
    behind a -1.
    """
    blank = check(logits, lengths, blank)
    check_targets(targets, logits, blank)
    if impossible not in ("inf", "error"):
        raise unknown("way with impossible targets", impossible, ("inf", "error"))
    if lengths is None:
        lengths = targets.new_full((len(logits),), logits.shape[1])
    if impossible == "error":
        check_possible(targets, lengths)
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return ForwardBackward.apply(wide, targets, lengths, blank)


class ForwardBackward(torch.autograd.Function):
    """Sections 4.1 and 4.2: α forwards for p(target | x), α and β together for its gradient."""

    @staticmethod
    def forward(ctx, u: Logits, targets: Labels, lengths: Lengths, blank: int) -> Float[Tensor, " n"]:
        log_y = u.log_softmax(2)
        symbols, ends = with_blanks(targets, blank)
        log_y_s = at(log_y, symbols)
        alphas = forward_variables(log_y_s, symbols, blank)
        rows = torch.arange(len(u), device=u.device)
        last, before = alphas[rows, lengths - 1, ends - 1], alphas[rows, lengths - 1, (ends - 2).clamp(min=0)]
        log_p = torch.logaddexp(last, before.masked_fill(ends == 1, -math.inf))  # eq. 8
        ctx.blank = blank
        ctx.save_for_backward(log_y, alphas, log_p, symbols, ends, lengths)
        return -log_p

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[override]  # the decorator hides the names
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
        return d_u * grad[:, None, None], None, None, None


def forward_variables(
    log_y_s: Float[Tensor, "n t s"], symbols: Int[Tensor, "n s"], blank: int
) -> Float[Tensor, "n t s"]:
    """α_t(s): ln of the probability of all ways to have come to place s of l' at step t (eq. 5 to 7)."""
    nothing = log_y_s.new_full((len(log_y_s), 2), -math.inf)
    leaps = torch.zeros_like(symbols, dtype=torch.bool)  # from s - 2: over a blank, between two labels that differ
    leaps[:, 2:] = (symbols[:, 2:] != blank) & (symbols[:, 2:] != symbols[:, :-2])
    alpha = log_y_s[:, 0].clone()
    alpha[:, 2:] = -math.inf  # a path begins with a blank or with the first label
    alphas = [alpha]
    for log_y in log_y_s.unbind(1)[1:]:
        padded = torch.cat([nothing, alpha], dim=1)
        stay_or_step = torch.logaddexp(alpha, padded[:, 1:-1])  # eq. 7
        leap = padded[:, :-2].masked_fill(~leaps, -math.inf)
        alpha = torch.logaddexp(stay_or_step, leap) + log_y  # eq. 6
        alphas.append(alpha)
    return torch.stack(alphas, dim=1)


def with_blanks(targets: Labels, blank: int) -> tuple[Int[Tensor, "n s"], Int[Tensor, " n"]]:
    """l': a blank around every label; and how many places of it are each target's own."""
    symbols = targets.new_full((targets.shape[0], 2 * targets.shape[1] + 1), blank)
    symbols[:, 1::2] = torch.where(targets < 0, blank, targets)
    return symbols, 2 * (targets >= 0).sum(1) + 1


def at(log_y: Logits, symbols: Int[Tensor, "n s"]) -> Float[Tensor, "n t s"]:
    return log_y.gather(2, symbols[:, None].expand(-1, log_y.shape[1], -1))


def turned(ends: Lengths, size: int) -> tuple[Int[Tensor, "n size"], Bool[Tensor, "n size"]]:
    """Places that read each row backwards from its own end, padding left where it is; and which places are padding."""
    place = torch.arange(size, device=ends.device).expand(len(ends), -1)
    behind = place >= ends[:, None]
    return torch.where(behind, place, ends[:, None] - 1 - place), behind


def check(logits: Logits, lengths: Lengths | None, blank: int | None) -> int:
    """The blank's number, when all of this fits."""
    n, t, k = logits.shape
    if 0 in (n, t) or k < 2:
        raise FixableError(
            f"CTC was given outputs of shape {axes.shape(logits)}.",
            expected="n x t x k: one sequence, one step, and one label besides the blank, or more of each.",
            fix="leave out empty sequences, and give the net a unit more than there are labels.",
        )
    if blank is not None and not 0 <= blank < k:
        raise FixableError(
            f"The blank is unit {blank}, and there are {k} units.",
            expected=f"a whole number from 0 to {k - 1}.",
            fix="leave it out to take the last unit.",
        )
    if lengths is not None:
        axes.check_lengths(lengths, t, n, batch_first=True)
    return k - 1 if blank is None else blank


def check_targets(targets: Labels, logits: Logits, blank: int) -> None:
    n, _, k = logits.shape
    if len(targets) != n:
        raise FixableError(
            f"There are {len(targets)} targets for {n} sequences.",
            expected="a target a sequence: n x l labels, with -1 behind a target's end.",
            fix="pad the targets with -1 to one length; an empty target is a row of -1.",
        )
    wrong = (targets < -1) | (targets >= k) | (targets == blank)
    late = (targets[:, 1:] >= 0) & (targets[:, :-1] < 0)
    for row, place in wrong.nonzero()[:1].tolist():
        label = int(targets[row, place])
        what = "the blank, which no target has" if label == blank else f"no unit of the {k}"
        raise FixableError(
            f"Target {row} has {label} at place {place}: {what}.",
            expected=f"labels from 0 to {k - 1} without the blank {blank}, and -1 behind the target's end.",
            fix="number the labels so that the blank's unit is free, or say which unit it is with blank=….",
        )
    for row, place in late.nonzero()[:1].tolist():
        raise FixableError(
            f"Target {row} has a label at place {place + 1}, behind a -1 at place {place}.",
            expected="-1 only behind a target's end.",
            fix="move each target's labels to the front.",
        )


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
