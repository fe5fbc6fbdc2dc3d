"""The loss that no training can beat, known before training from what stands between the state and the loss.

k classes; z are the logits, s their scale; the right class has index y.

    none         z = s h with h inside (-1, 1): p_y < p = e^2s / (e^2s + k - 1)     ln(1 + (k - 1) e^-2s)
    softmax      p goes into the loss as logits, the others have q, the rest        ln(1 + (k - 1) e^-(p - q))
    fc           z is anything                                                      0
    fc_softmax   p is anything from 0 to 1, and goes in as logits                   ln(1 + (k - 1) / e)

All are infima, approached and never reached. They hold for every step, so for the mean over steps as well, and for
GRU and LSTM, whose states too lie inside (-1, 1).

Why the second: with p_y given, the others share 1 - p_y, and the sum of e^p_j is least where they are equal (e^x is
convex); and then the larger p_y the better. Both are so at h_y = 1 and all other h = -1.

A floor is not the whole story: without an output layer the state has to be the answer and the memory at once.
`conflicts` finds where one cannot be both.
"""

import math


def floor(output: str, k: int, scale: float = 1.0) -> float:
    """The infimum of the cross-entropy, in nats, of one letter out of k; raises KeyError for an unknown output."""
    p = bound(k, scale)
    q = (1 - p) / (k - 1)
    gaps = {"none": 2 * scale, "softmax": p - q, "fc": math.inf, "fc_softmax": 1.0}  # largest logit less the others
    return math.log1p((k - 1) * math.exp(-gaps[output]))


def bound(k: int, scale: float = 1.0) -> float:
    """The probability that a state inside (-1, 1), times `scale`, cannot reach: e^2s / (e^2s + k - 1)."""
    return 1 / (1 + (k - 1) * math.exp(-2 * scale))


def why(output: str, k: int, scale: float = 1.0) -> str:
    """The reason for the floor, in a few words."""
    p, s = bound(k, scale), f", times {scale:g}" * (scale != 1)
    return {
        "none": f"logits are tanh{s}: p < {p:.4f}",
        "softmax": f"p < {p:.4f} goes in as logits",
        "fc": "logits have no bound",
        "fc_softmax": "p < 1 goes in as logits",
    }[output]


def conflicts(read: str, say: str) -> list[tuple[int, int]]:
    """Pairs of steps (from 1) whose states must say the same letter and yet be told apart: the letter read next is the
    same, and what must be said to it is not. A net whose state is its answer can only do both by halves."""
    steps = range(len(say) - 1)
    return [
        (a + 1, b + 1)
        for a in steps
        for b in steps
        if a < b and say[a] == say[b] and read[a + 1] == read[b + 1] and say[a + 1] != say[b + 1]
    ]
