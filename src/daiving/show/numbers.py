"""Sizes and counts as people read them."""

from collections.abc import Iterable


def shape(sizes: Iterable[int]) -> str:
    return "x".join(map(str, sizes))


def amount(count: float) -> str:
    """A large number in short: `6.02 M`."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:#.3g}".rstrip(".") + f" {letter}"
    return f"{count}"


def percent(share: float, digits: int = 1) -> str:
    """A share of 1: `73.1 %`."""
    return f"{100 * share:.{digits}f} %"


def mib(count: float) -> str:
    return f"{count / 2**20:.2f}"
