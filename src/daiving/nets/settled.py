"""From a net's name and what was asked of it to the value of every option. No torch here."""

from collections.abc import Mapping
from typing import Any

from daiving.errors import FixableError, unknown
from daiving.nets import NETS
from daiving.options import settle


def settled(net: str, given: Mapping[str, Any], also: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every option of a net of the table: those given, then those of its `preset`, then the paper's.

    `also` are further names that the caller knows, for the did-you-mean. Raises `FixableError` for an unknown net,
    option or preset, and for a value that does not fit.
    """
    if net not in NETS:
        raise unknown("net", net, NETS, fix="see `daiving nets`, or name your own: path/to/file.py:Class.")
    entry, given = NETS[net], dict(given)
    preset = str(given.pop("preset", "paper"))
    if preset != "paper" and preset not in entry.presets:
        raise unknown(f"preset of '{net}'", preset, ["paper", *entry.presets])
    for key in given:
        if key not in entry.options:
            raise unknown(
                f"option of '{net}'" + (" or recipe field" if also else ""),
                key,
                [*entry.options, "preset", *(also or ())],
            )
    return settle("net", net, {**entry.presets.get(preset, {}), **given}, entry.options)


def check_takes(net: str, facts: Mapping[str, Any]) -> None:
    """Raises `FixableError` for a net of images that is given the facts of sequences, and the reverse."""
    takes = NETS[net].takes
    for fact, has in (("num_symbols", "sequences"), ("each_step", "sequences"), ("in_channels", "images")):
        if fact in facts and has != takes:
            near = ", ".join([name for name, entry in NETS.items() if entry.takes == has][:5])
            raise FixableError(
                f"The net '{net}' takes {takes}, and it was asked to take {has}.",
                expected=f"a net and a task of one kind: for {has} one of {near}.",
                fix=f"choose such a net, or a task of {takes} from `daiving tasks`.",
            )
