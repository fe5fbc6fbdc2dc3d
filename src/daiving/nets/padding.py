"""Sequences of different lengths in one tensor: n x l whole numbers from 0, and -1 behind each sequence's end.

Legend: `n` sequences, `l` places.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from daiving.errors import FixableError
from daiving.nets import axes


def whole(x: Tensor | Sequence, what: str, device: torch.device | None = None) -> Tensor:
    """Sequences as int64: a tensor, or what torch makes one of. `what` names one of them in the mistakes.

    Raises `FixableError` unless they are n x l whole numbers.
    """
    try:
        given = torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError):  # all three are torch's, for lists of different lengths and others
        given = None
    of_no_kind = given is not None and (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
    if given is None or given.dim() != 2 or (of_no_kind and given.numel()):  # an empty list is of floats to torch
        raise FixableError(
            f"The {what}s are {'not one tensor' if given is None else form(given)}.",
            expected=f"n x l whole numbers, a row a {what}, and -1 behind its end.",
            fix="pad rows of different lengths with torch.nn.utils.rnn.pad_sequence(…, batch_first=True, "
            "padding_value=-1), write x[None] for a single one, and x.long() for numbers that are whole.",
        )
    return given.to(device=device, dtype=torch.int64)


def form(x: Tensor) -> str:
    numbers = str(x.dtype).removeprefix("torch.")
    return f"of shape {axes.shape(x)}, {numbers}" if x.dim() else f"a single number, {numbers}"


def known(x: Tensor) -> bool:
    """Whether the values of x can be looked at: not on `meta`, in a compiled program and under torch.func."""
    return not (x.is_meta or axes.transformed() or torch.compiler.is_compiling())


def check_ends(x: Int[Tensor, "n l"], what: str) -> None:
    """Raises `FixableError` where a sequence goes on behind a -1; its values must be known."""
    for row, place in ((x[:, :-1] < 0) & (x[:, 1:] >= 0)).nonzero()[:1].tolist():
        raise FixableError(
            f"A {what} goes on behind a -1: number {row} has {int(x[row, place + 1])} at place {place + 1}.",
            expected=f"-1 only behind a {what}'s end.",
            fix=f"move the padding to the end of each {what}.",
        )


def turned(ends: Int[Tensor, " n"], size: int) -> tuple[Int[Tensor, "n size"], Bool[Tensor, "n size"]]:
    """Places that read each row backwards from its own end, padding left where it is; and which places are padding."""
    place = torch.arange(size, device=ends.device).expand(ends.shape[0], -1)  # len() would fix the number in an export
    behind = place >= ends[:, None]
    return torch.where(behind, place, ends[:, None] - 1 - place), behind
