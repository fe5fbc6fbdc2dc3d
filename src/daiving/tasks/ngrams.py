"""What a character costs that counting alone foretells: the baseline of every language model. Numpy, no training.

An n-gram model with modified Kneser-Ney smoothing, interpolated (Chen & Goodman, "An empirical study of smoothing
techniques for language modeling", 1998, section 3.2):

    P(s | h) = (c(h s) - D(c(h s)) + R(h) · P(s | h')) / c(h)        R(h): all that was discounted behind h

h' is h without its oldest symbol, and below the empty context every symbol is as probable as another. At the highest
order c counts in the training text; below, it is in how many different places a gram stands: behind how many different
symbols. A gram seen once, twice, or more often is discounted by a D of its own, which the number of such grams decides.
A context that was never seen leaves all to the shorter one; the probabilities over all symbols sum to one.
"""

import math
from dataclasses import dataclass

import numpy as np

AT_ONCE = 0.5  # discount where there are too few rare grams to estimate one


@dataclass(frozen=True)
class Grams:
    """All n-grams of one order in the training text, sorted; a context is a gram of the order below, by its number."""

    keys: np.ndarray  # context x symbols + symbol
    kept: np.ndarray  # of each gram: its count, less the discount
    given: np.ndarray  # of each context: what was discounted behind it
    total: np.ndarray  # of each context: the counts of all grams that it begins


class NGrams:
    """Counts of a training text, a 1-D array of symbols' numbers; `order` 5 looks four symbols back."""

    def __init__(self, train: np.ndarray, symbols: int, order: int) -> None:
        if order < 1 or len(train) < 1 or train.min() < 0 or train.max() >= symbols:
            raise ValueError("n-grams need an order from 1, and a text of symbols' numbers")
        self.symbols, self.grams = symbols, []
        number = np.zeros(len(train), dtype=np.int64)  # of the gram that ends at a symbol, -1 where none does
        keys, counts, contexts = np.zeros(1, dtype=np.int64), np.zeros(1), 1
        for k in range(min(order, len(train))):  # a text has no gram longer than itself
            shorter, context = number, np.concatenate([[-1], number[:-1]]) if k else number
            spelt = np.flatnonzero(context >= 0)
            longer, first, place, often = np.unique(
                context[spelt] * symbols + train[spelt], return_index=True, return_inverse=True, return_counts=True
            )
            if k:  # in how many different places each shorter gram stands
                places = np.bincount(shorter[spelt[first]], minlength=len(keys))
                self.grams.append(discounted(keys, places, symbols, contexts))
                contexts = len(keys)
            keys, counts, number = longer, often, np.full(len(train), -1)
            number[spelt] = place
        self.grams.append(discounted(keys, counts, symbols, contexts))

    def probabilities(self, text: np.ndarray) -> np.ndarray:
        """Of each symbol of a text, given those in front of it (as far as the order reaches): n, float64."""
        p = np.full(len(text), 1 / self.symbols)
        context = np.zeros(len(text), dtype=np.int64)
        for grams in self.grams:
            known, keys = context >= 0, context * self.symbols + text
            place = np.minimum(np.searchsorted(grams.keys, keys), len(grams.keys) - 1)
            seen = known & (grams.keys[place] == keys)
            kept = np.where(seen, grams.kept[place], 0)
            given, total = (np.where(known, t[context], 0) for t in (grams.given, grams.total))
            p = np.where(total > 0, (kept + given * p) / np.maximum(total, 1), p)
            context = np.concatenate([[-1], np.where(seen, place, -1)[:-1]])
        return p

    def bits(self, text: np.ndarray) -> float:
        """Mean -log2 of the probabilities, of every symbol but the first: bits a symbol.

        Raises `ValueError` for a text of fewer than two symbols.
        """
        if len(text) < 2:
            raise ValueError(f"a text of two symbols or more has bits a symbol, and this one has {len(text)}")
        return float(-np.log2(self.probabilities(text)[1:]).mean())


def discounted(keys: np.ndarray, counts: np.ndarray, symbols: int, contexts: int) -> Grams:
    off = np.minimum(discounts(counts)[np.minimum(counts, 3)], counts)
    context = keys // symbols
    given = np.bincount(context, weights=off, minlength=contexts)
    return Grams(keys, counts - off, given, np.bincount(context, weights=counts, minlength=contexts))


def discounts(counts: np.ndarray) -> np.ndarray:
    """D of a count of 0, 1, 2, and 3 or more: Chen & Goodman, equation 26, where the counts allow it."""
    one, two, three, four = (int((counts == i).sum()) for i in (1, 2, 3, 4))
    D = np.array([0, AT_ONCE, AT_ONCE, AT_ONCE])
    if one and two:
        share = one / (one + 2 * two)
        estimates = (1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / max(three, 1))
        for i, D_i in enumerate(estimates, start=1):
            if 0 < D_i <= i:  # else the text is too short to tell
                D[i] = D_i
    return D


def to_bits(nats: float) -> float:
    return nats / math.log(2)
