"""What a trained net of characters can be asked: to go on with a text, and which class a name has.

A text is continued letter by letter: the net's answer for the last letter is a probability for each symbol, one is
drawn, and it is the next input. The state is carried from letter to letter, for as long as one likes; the net was
trained on sequences of one length, each from an empty state.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.tasks.data import encoded
from daiving.tasks.symbols import UNKNOWN

Reader = Callable[[Tensor], Tensor]  # from the next symbols, t, to the logits of what comes behind them


def continued(net: nn.Module, symbols: Sequence[str], text: str, **how: Any) -> str:
    """All that `following` draws, as one text."""
    return "".join(following(net, symbols, text, **how))


@torch.inference_mode()
def following(
    net: nn.Module,
    symbols: Sequence[str],
    text: str,
    *,
    length: int = 200,
    temperature: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    window: int = 64,
) -> Iterator[str]:
    """`length` more characters behind `text`, one by one, drawn from the net's probabilities; a seed fixes them.

    The logits are divided by `temperature`: below 1 the likely becomes likelier, 0 takes the likeliest always. `top_k`
    draws among the k likeliest alone, 0 among all. A net that cannot carry its state (no `forward_from`) reads the last
    `window` characters anew for each. Raises `FixableError` for characters that the net does not know, for values out
    of range, and for a net whose answer is not finite, when the first character is asked for.
    """
    check_drawing(length, temperature, top_k, seed)
    read, random = reader(net, window), torch.Generator().manual_seed(seed)
    # What stands for characters that training never showed is none that could be written.
    barred = torch.tensor([i for i, symbol in enumerate(symbols) if symbol == UNKNOWN], dtype=torch.int64)
    logits = read(numbers(text, symbols))
    for left in range(length, 0, -1):
        if not logits.isfinite().all():
            raise not_finite()
        place = drawn(logits.index_fill(0, barred, -math.inf), temperature, top_k, random)
        yield symbols[place]
        if left > 1:
            logits = read(torch.tensor([place]))


@torch.inference_mode()
def class_probabilities(net: nn.Module, symbols: Sequence[str], texts: Sequence[str]) -> Tensor:
    """Of each class for each text, n x classes, from a net with one class a sequence.

    Raises `FixableError` for characters that the net does not know, and for a net whose answer is not finite.
    """
    rows = [numbers(text, symbols) for text in texts]
    logits = net(nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1))
    if not logits.isfinite().all():
        raise not_finite()
    return logits.softmax(dim=1)


def reader(net: Any, window: int) -> Reader:
    """The net as a function that remembers what it has read."""
    if hasattr(net, "forward_from"):
        state = None

        def carried(x: Tensor) -> Tensor:
            nonlocal state
            logits, state = net.forward_from(x[None], state)
            return logits[0, -1]

        return carried
    seen = torch.empty(0, dtype=torch.int64)

    def anew(x: Tensor) -> Tensor:
        nonlocal seen
        seen = torch.cat([seen, x])[-window:]
        return net(seen[None])[0, -1]

    return anew


def drawn(logits: Tensor, temperature: float, top_k: int, random: torch.Generator) -> int:
    """The number of one symbol."""
    if temperature == 0:
        return int(logits.argmax())
    if 0 < top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -math.inf)
    # From the largest down, so that dividing by a small temperature cannot overflow.
    p = ((logits - logits.max()).double() / temperature).softmax(dim=0)
    return int(torch.multinomial(p, 1, generator=random))


def numbers(text: str, symbols: Sequence[str]) -> Tensor:
    """The symbols' numbers of a text, int64; raises `FixableError` for an empty one and for characters unknown."""
    if not text:
        raise FixableError(
            "The text is empty.",
            expected="one character or more for the net to read.",
            fix='write one, in quotes: daiving predict RUN "The ".',
        )
    if strange := sorted(set(text) - (set(symbols) - {UNKNOWN})):
        some = ", ".join(map(repr, strange[:10])) + (", …" if len(strange) > 10 else "")
        known = "".join(symbol for symbol in symbols if symbol != UNKNOWN)
        some_known = repr(known[:60]) + (" and more" if len(known) > 60 else "")
        raise FixableError(
            f"{some} {'is a character' if len(strange) == 1 else 'are characters'} that the net does not know.",
            expected=f"those of its training data: {some_known}.",
            fix="leave them out or write others, or train a net on data that has them.",
        )
    return torch.from_numpy(encoded(text, tuple(symbols)))


def check_drawing(length: int, temperature: float, top_k: int, seed: int) -> None:
    for flag, value, kind, low, high, right in (
        ("length", length, Integral, 1, 1_000_000, "a whole number from 1 to 1,000,000."),
        ("temperature", temperature, Real, 0, sys.float_info.max, "a number from 0, which takes the likeliest always."),
        ("top-k", top_k, Integral, 0, math.inf, "a whole number from 0, which draws among all."),
        ("seed", seed, Integral, 0, 10**12, "a whole number from 0 to 10^12."),
    ):
        if not isinstance(value, kind) or isinstance(value, bool) or not low <= value <= high:
            raise FixableError(
                f"A text cannot be continued with a {flag} of {value!r}.",
                expected=right,
                fix=f"leave --{flag} out, or give another.",
            )


def not_finite() -> FixableError:
    return FixableError(
        "The net answers with numbers that are not finite: its weights hold NaN or infinity, or grow without bound.",
        expected="finite scores, from which probabilities can be had.",
        fix="take the weights of a run that did not diverge, or train it again with a smaller lr.",
    )
