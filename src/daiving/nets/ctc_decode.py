"""Reading a labelling off a net that was trained with CTC: the two ways of section 3.2 of its paper.

Graves, Fernández, Gomez & Schmidhuber, ICML 2006; `ctc.py` has the loss, and the legend of the shapes.

Where this leaves the paper
    `prefix_search` is exact unless `split` is given: then it is the paper's heuristic, cut where the blank is more
    probable than that. It gives up, and says so, rather than run for ever.
"""

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from daiving.errors import FixableError
from daiving.nets import padding
from daiving.nets.ctc import check, ctc_loss


def best_path(
    logits: Float[Tensor, "n t k"],
    lengths: Integer[Tensor, " _"] | Sequence[int] | None = None,
    *,
    blank: int | None = None,
) -> Int[Tensor, "n l"]:
    """The labelling of the most probable path (section 3.2): the largest output of every step, collapsed.

    Not always the most probable labelling, which many lesser paths can share. -1 stands behind a labelling's end.
    Raises what `ctc_loss` raises for them and for lengths.
    """
    lengths, blank = check(logits, lengths, blank)
    path = logits.argmax(2)
    kept = path != blank
    kept[:, 1:] &= path[:, 1:] != path[:, :-1]
    kept &= torch.arange(path.shape[1], device=path.device) < lengths[:, None]
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)  # the kept ones to the front, in their order
    labels = path.masked_fill(~kept, -1).gather(1, order)
    return labels[:, : int(kept.sum(1).max())]


class Labelling(NamedTuple):
    labels: tuple[int, ...]
    log_p: float  # ln p(labels | x), nats


def prefix_search(
    logits: Float[Tensor, "t k"], *, blank: int | None = None, split: float | None = None, most: int = 20_000
) -> Labelling:
    """The most probable labelling of one sequence (section 3.2, figure 2).

    The prefix whose continuations are together the most probable is continued by each label, until a labelling found
    is more probable than all continuations of any prefix left. That is exact, and can take exponentially long; `split`,
    in the paper 0.9999, cuts the sequence wherever the blank is more probable than that and joins the parts' answers.

    Raises `FixableError` when more than `most` prefixes were continued in one part, and for outputs that do not fit,
    or are NaN or inf.
    """
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        given = padding.form(logits) if isinstance(logits, Tensor) else f"in a {type(logits).__name__}"
        raise FixableError(
            f"Prefix search was given outputs {given}.",
            expected="the outputs of one sequence, a tensor t x k.",
            fix="search sequence by sequence: prefix_search(logits[i, : lengths[i]]).",
        )
    _, blank = check(logits[None], None, blank)
    log_y = logits.detach().double().log_softmax(1)
    cuts = [] if split is None else [i for i in np.flatnonzero(log_y[:, blank].exp().cpu().numpy() > split) if i]
    labels: tuple[int, ...] = ()
    for part in np.split(log_y.cpu().numpy(), cuts):
        labels += search(part, blank, most)
    target = torch.tensor([labels], dtype=torch.int64, device=log_y.device)
    return Labelling(labels, -float(ctc_loss(log_y[None], target, blank=blank)))


def search(log_y: np.ndarray, blank: int, most: int) -> tuple[int, ...]:
    """t x k log-probabilities to labels. For each prefix and step: ln of the probability to have said just the prefix
    so far, ending in its last label (`on_label`) or in a blank (`on_blank`)."""
    labels = [k for k in range(log_y.shape[1]) if k != blank]
    y, y_blank = log_y[:, labels], log_y[:, blank]
    on_label, on_blank = np.full(len(y), -np.inf), y_blank.cumsum()
    best, best_p = (), float(on_blank[-1])
    # The largest first: minus ln of the probability of all continuations, the prefix, its two curves.
    left: list[tuple[float, tuple[int, ...], np.ndarray, np.ndarray]] = [(0.0, best, on_label, on_blank)]
    continued = 0
    while left and -left[0][0] > best_p:
        _, prefix, on_label, on_blank = heapq.heappop(left)
        if (continued := continued + 1) > most:
            raise FixableError(
                f"Prefix search has continued {most} prefixes and cannot tell yet which labelling is best.",
                expected="outputs that are sure of most steps, as a trained net's are.",
                fix="give split=0.9999 to cut at blanks, a larger `most`, or take best_path.",
            )
        enter = np.full(y.shape, -np.inf)  # ln of the probability to be where the next label may begin
        enter[0] = -np.inf if prefix else 0.0
        enter[1:] = np.logaddexp(on_label, on_blank)[:-1, None]
        if prefix:
            enter[1:, labels.index(prefix[-1])] = on_blank[:-1]  # twice the same label needs a blank between
        begins = enter + y
        said, silent = begins.copy(), np.full(y.shape, -np.inf)
        for t in range(1, len(y)):
            said[t] = np.logaddexp(begins[t], said[t - 1] + y[t])
            silent[t] = np.logaddexp(said[t - 1], silent[t - 1]) + y_blank[t]
        whole = np.logaddexp.reduce(begins, axis=0)  # the prefix and all its continuations
        alone = np.minimum(np.logaddexp(said[-1], silent[-1]), whole)
        for i in np.flatnonzero(whole > best_p):
            longer = (*prefix, labels[i])
            if alone[i] > best_p:
                best, best_p = longer, float(alone[i])
            rest = -math.expm1(alone[i] - whole[i])
            if rest > 0:
                heapq.heappush(left, (-float(whole[i]) - math.log(rest), longer, said[:, i], silent[:, i]))
    return best
