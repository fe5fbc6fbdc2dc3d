"""The loops of `loops_torch.py` for float32, compiled: same names, same arguments, same answers up to rounding.

`loops.cpp` is compiled when daiving is installed, if there is a C++ compiler; without one nothing is missing but speed.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch
from torch import Tensor

from daiving.nets.loops_parts import Kept, at_their_steps, last, over_time, room, states

VERSION = 1  # of loops.cpp


@cache
def library() -> ctypes.CDLL | None:
    """The compiled loops, or None where there are none, or others than these."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name("loops" + suffix)
        if path.exists():
            try:
                found = ctypes.CDLL(str(path))
                return found if found.daiving_version() == VERSION else None
            except (OSError, AttributeError):
                return None
    return None


def can(*given: Tensor) -> bool:
    """Whether these loops can take such tensors: float32, on the processor; and whether they are there."""
    return all(one.dtype == torch.float32 and one.device.type == "cpu" for one in given) and library() is not None


def call(name: str, *given: Tensor | int | None) -> None:
    """A compiled function; tensors go as addresses. All are contiguous: the callers see to it."""
    function = FUNCTIONS.get(name) or declared(name, given)
    function(*[one.data_ptr() if isinstance(one, Tensor) else one for one in given])


FUNCTIONS: dict[str, Callable[..., None]] = {}


def declared(name: str, given: tuple[Tensor | int | None, ...]) -> Callable[..., None]:
    """The function with the kinds of its arguments, the same in every call; ctypes would take them for int."""
    function = getattr(library(), "daiving_" + name)
    function.argtypes = [ctypes.c_long if isinstance(one, int) else ctypes.c_void_p for one in given]
    function.restype = None
    return FUNCTIONS.setdefault(name, function)


def rnn(_: None, kept: Kept | None, xs: Tensor, h: Tensor, U: Tensor) -> tuple[Tensor, Tensor]:
    every, U = states(h, len(xs)), U.contiguous()
    call("rnn", len(xs), *h.shape, xs.contiguous(), every, U)
    if kept is not None:
        kept += [every, U]
    return every[1:], last(every, None)


def rnn_back(_: None, every: Tensor, U: Tensor, d_hs: Tensor | None, d_last: Tensor | None) -> tuple[Tensor, ...]:
    d_a, d_h = torch.empty_like(every[1:]), first(d_last, every)
    call("rnn_back", *d_a.shape, every, U, flat(d_hs), d_h, d_a)
    return d_a, d_h, over_time(d_a, every[:-1])


def lstm(
    lengths: Tensor | None, kept: Kept | None, xs: Tensor, h: Tensor, c: Tensor, U: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    t, n, hid = len(xs), *h.shape
    every, cells, U = states(h, t), states(c, t), U.contiguous()
    gates, squashed = room(kept, xs, n, 4 * hid), room(kept, xs, n, hid)
    call("lstm", t, n, hid, kept is not None, xs.contiguous(), every, cells, gates, squashed, U)
    if kept is not None:
        kept += [every, cells, gates, squashed, U]
    return every[1:], last(every, lengths), last(cells, lengths)


def lstm_back(
    lengths: Tensor | None,
    every: Tensor,
    cells: Tensor,
    gates: Tensor,
    squashed: Tensor,
    U: Tensor,
    d_hs: Tensor | None,
    d_last: Tensor | None,
    d_c_last: Tensor | None,
) -> tuple[Tensor, ...]:
    d_hs, d_last = at_their_steps(d_hs, d_last, lengths, squashed)
    d_cs, d_c_last = at_their_steps(None, d_c_last, lengths, squashed)
    d_a, d_h, d_c = torch.empty_like(gates), first(d_last, every), first(d_c_last, every)
    call("lstm_back", *squashed.shape, cells, gates, squashed, U, flat(d_hs), flat(d_cs), d_h, d_c, d_a)
    return d_a, d_h, d_c, over_time(d_a, every[:-1])


def gru_after(
    new: bool, kept: Kept | None, xs: Tensor, h: Tensor, U: Tensor, late: Tensor | None
) -> tuple[Tensor, Tensor]:
    t, n, hid = len(xs), *h.shape
    every, U = states(h, t), U.contiguous()
    gates, m = room(kept, xs, n, 3 * hid), room(kept, xs, n, hid)
    late = None if late is None else late.contiguous()
    call("gru_after", t, n, hid, kept is not None, new, xs.contiguous(), every, gates, m, U, late)
    if kept is not None:
        kept += [every, gates, m, U, late]
    return every[1:], last(every, None)


def gru_after_back(
    new: bool,
    every: Tensor,
    gates: Tensor,
    m: Tensor,
    U: Tensor,
    late: Tensor | None,
    d_hs: Tensor | None,
    d_last: Tensor | None,
) -> tuple[Tensor | None, ...]:
    t, n, hid = m.shape
    d, d_h = m.new_empty(t, n, 4 * hid), first(d_last, every)
    call("gru_after_back", t, n, hid, new, every, gates, m, U, flat(d_hs), d_h, d)
    d_U = over_time(d[:, :, : 3 * hid], every[:-1])
    d_late = d[:, :, :hid].sum((0, 1)) if late is not None else None
    return d[:, :, hid:], d_h, torch.cat([d_U[hid:], d_U[:hid]]), d_late


def gru_before(new: bool, kept: Kept | None, xs: Tensor, h: Tensor, U: Tensor) -> tuple[Tensor, Tensor]:
    t, n, hid = len(xs), *h.shape
    every, U = states(h, t), U.contiguous()
    gates, shown = room(kept, xs, n, 3 * hid), room(kept, xs, n, hid)
    call("gru_before", t, n, hid, kept is not None, new, xs.contiguous(), every, gates, shown, U)
    if kept is not None:
        kept += [every, gates, shown, U]
    return every[1:], last(every, None)


def gru_before_back(
    new: bool,
    every: Tensor,
    gates: Tensor,
    shown: Tensor,
    U: Tensor,
    d_hs: Tensor | None,
    d_last: Tensor | None,
) -> tuple[Tensor, ...]:
    t, n, hid = shown.shape
    d, d_h = torch.empty_like(gates), first(d_last, every)
    call("gru_before_back", t, n, hid, new, every, gates, U, flat(d_hs), d_h, d)
    d_rz, d_n = d.split([2 * hid, hid], 2)
    return d, d_h, torch.cat([over_time(d_rz, every[:-1]), over_time(d_n, shown)])


def first(d_last: Tensor | None, every: Tensor) -> Tensor:
    """The gradient of the last state, in memory of its own: the loop goes on with it."""
    return torch.zeros_like(every[0]) if d_last is None else d_last.clone(memory_format=torch.contiguous_format)


def flat(grads: Tensor | None) -> Tensor | None:
    return None if grads is None else grads.contiguous()
