"""From typed fields to flags by tyro, and from its complaints to our three sentences."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, get_type_hints

import tyro

from daiving.errors import FixableError, unknown
from daiving.recipe import FIELDS, Recipe, legal, named

T = TypeVar("T")


def arg(help: str) -> Any:
    """How a field's help is written: `Annotated[int, arg("…")]`."""
    return tyro.conf.arg(help=help)


def parse(flags: type[T], arguments: Sequence[str], command: str, *, default: Any = tyro.MISSING) -> T:
    """`arguments` as an instance of the dataclass `flags`; its docstring heads `--help`.

    Raises `FixableError` for an unknown flag, a missing or a wrong value.
    """
    call: dict[str, Any] = dict(prog=f"daiving {command}", args=list(arguments), description=flags.__doc__)
    if default is not tyro.MISSING:
        call["default"] = default
    if "-h" in arguments or "--help" in arguments:
        return tyro.cli(flags, **call)
    known = ["--" + f.name.replace("_", "-") for f in dataclasses.fields(flags)]  # type: ignore[arg-type]
    for word in (word.partition("=")[0].replace("_", "-") for word in arguments if word.startswith("--")):
        if word not in known:  # found here, before tyro takes its value for a positional argument
            raise unknown(f"flag of `daiving {command}`", word, known)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parsed, rest = tyro.cli(flags, return_unknown_args=True, **call)
    except SystemExit:
        raise complaint(said.getvalue(), command) from None
    if rest:
        raise FixableError(
            f"`daiving {command}` does not know what to do with '{rest[0]}'.",
            expected=f"only what `daiving {command} --help` lists.",
            fix="leave it out, or put the flag that it belongs to in front of it.",
        )
    return parsed


def complaint(said: str, command: str) -> FixableError:
    """tyro's framed message as one sentence; the frame is for wide terminals, the sentence for people."""
    lines = [line.strip(" \n│╭╮╰╯─-") for line in said.splitlines()]
    lines = [re.sub(r"\s+", " ", line) for line in lines if line]
    end = next((i for i, line in enumerate(lines) if line.startswith(("Argument helptext", "For full helptext"))), None)
    what = " ".join(lines[1:end]) or " ".join(lines)
    return FixableError(
        f"The flags of `daiving {command}` cannot be read: {what.rstrip('.')}.",
        expected=f"what `daiving {command} --help` lists, each flag with one value.",
        fix="correct it; a flag that is left out has its default.",
    )


def with_recipe(flags: type, name: str) -> type:
    """The dataclass `flags` with every field of `Recipe` as a flag of its own, defaults from the recipe `name`."""
    base, hints = named(name), get_type_hints(Recipe)
    fields = []
    for key, f in FIELDS.items():
        unit = f" [{f.metadata['unit']}]" if f.metadata["unit"] else ""
        help = f"{f.metadata['help']}{unit}; {legal(f)}"
        fields.append((key, Annotated[hints[key], arg(help)], dataclasses.field(default=getattr(base, key))))
    made = dataclasses.make_dataclass(flags.__name__, fields, bases=(flags,), frozen=True, kw_only=True)
    made.__doc__ = flags.__doc__
    return made


def recipe_name(arguments: Sequence[str], default: str = "default") -> str:
    """The value of `--recipe`, which decides the defaults of all recipe flags and so must be known before them."""
    for i, word in enumerate(arguments):
        if word == "--recipe" and i + 1 < len(arguments):
            return arguments[i + 1]
        if word.startswith("--recipe="):
            return word.removeprefix("--recipe=")
    return default


def recipe_of(flags: Any) -> Recipe:
    """The recipe in the fields of such an instance."""
    return Recipe(**{key: getattr(flags, key) for key in FIELDS})
