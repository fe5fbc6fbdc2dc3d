"""`name:key=value,key=value`: how a net, a task or an arm is named with its options."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daiving.errors import FixableError, unknown


@dataclass(frozen=True)
class Option:
    """One named choice of a net or a task. The default's type is the option's type."""

    default: Any
    help: str
    among: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    needs: tuple[str, Any] | None = None  # another option and the value without which this one does nothing


def split(text: str) -> tuple[str, dict[str, str]]:
    """`"net:jump=true,lr=0.02"` as `("net", {"jump": "true", "lr": "0.02"})`.

    A colon belongs to the name unless an option follows it, so `nets.py:MyNet:width=8` works.
    Raises `FixableError` when a part has no `=`, or when a key stands twice.
    """
    name, *rest = re.split(r":(?=[A-Za-z_]\w*=)", text, maxsplit=1)
    options: dict[str, str] = {}
    for part in rest[0].split(",") if rest else []:
        key, equals, value = part.partition("=")
        if not equals or not key or key in options:
            raise FixableError(
                f"'{part}' in '{text}' is no option" + (" of its own: it stands twice." if key in options else "."),
                expected="key=value, with commas between options and no spaces.",
                fix=f"write it like '{name}:{key or 'key'}=value'.",
            )
        options[key] = value
    return name, options


def literal(text: Any) -> Any:
    """Text as the bool, int or float it looks like, else as it is; other values unchanged."""
    if not isinstance(text, str):
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def settle(kind: str, name: str, given: Mapping[str, Any], table: Mapping[str, Option]) -> dict[str, Any]:
    """The value of every option in `table`: the given ones, read and checked, and the defaults.

    Raises `FixableError` for an option that is not there or a value that does not fit.
    """
    settled = {key: option.default for key, option in table.items()}
    for key, value in given.items():
        if key not in table:
            raise unknown(f"option of the {kind} '{name}'", key, table)
        option, value = table[key], literal(value)
        if isinstance(option.default, float) and type(value) is int:
            value = float(value)
        if isinstance(option.default, str) and not isinstance(value, str):
            value = str(given[key])
        if type(value) is not type(option.default) or not legal(option, value):
            raise FixableError(
                f"The {kind} '{name}' cannot have {key}={given[key]}.",
                expected=f"{values(option)}: {option.help}.",
                fix=f"leave {key} out to get {show(option.default)}, or choose one that is legal.",
            )
        settled[key] = value
    for key, value in settled.items():
        needs = table[key].needs
        if needs and value != table[key].default and settled[needs[0]] != needs[1]:
            raise FixableError(
                f"The {kind} '{name}' has {key}={show(value)}, which does nothing with {needs[0]}={settled[needs[0]]}.",
                expected=f"{key} together with {needs[0]}={needs[1]}.",
                fix=f"write {needs[0]}={needs[1]} as well, or leave {key} out.",
            )
    return settled


def legal(option: Option, value: Any) -> bool:
    """Whether a value of the right type is one of those allowed, and within the range."""
    if option.among:
        return value in option.among
    return (option.low is None or value >= option.low) and (option.high is None or value <= option.high)


def show(value: Any) -> str:
    """A value as it is typed on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def values(option: Option) -> str:
    """The legal values of an option in words."""
    if option.among:
        return "one of " + ", ".join(map(show, option.among))
    kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[type(option.default)]
    if option.low is None:
        return kind
    return f"{kind} from {option.low:g} {'on' if option.high is None else f'to {option.high:g}'}"


def joined(name: str, options: Mapping[str, Any]) -> str:
    """The inverse of `split`."""
    return name + (":" + ",".join(f"{k}={show(v)}" for k, v in options.items()) if options else "")
