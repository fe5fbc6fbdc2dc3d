"""daiving nets, tasks, recipes: what there is. None of them needs torch."""

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from daiving.commands.flags import arg, parse
from daiving.errors import unknown
from daiving.nets import NETS
from daiving.nets.entry import Entry
from daiving.nets.ideas import IDEAS, Idea
from daiving.options import Option, joined, show, values
from daiving.recipe import RECIPES, Recipe
from daiving.tasks import TASKS

WIDTH = 80


@dataclass(frozen=True)
class Nets:
    """The networks by their ideas, each with what it costs for one image or sequence.

    daiving nets
    daiving nets resnet50     options and presets of one
    daiving nets --lang ko    the ideas in Korean
    """

    name: Annotated[Positional[str], arg("a network, for all that is known of it")] = ""
    lang: Annotated[str, arg("language of the ideas: en or ko")] = "en"


@dataclass(frozen=True)
class Tasks:
    """The data sets, with their splits (train / val / test) and options."""


@dataclass(frozen=True)
class Recipes:
    """The named ways to train; every field can be changed by its own flag."""


def nets(arguments: Sequence[str]) -> None:
    flags = parse(Nets, arguments, "nets")
    if flags.lang not in Idea._fields:
        raise unknown("language", flags.lang, Idea._fields)
    if flags.name:
        if flags.name not in NETS:
            raise unknown("net", flags.name, NETS, fix="`daiving nets` lists them.")
        print_net(flags.name, flags.lang)
        return
    family = ""
    for name, entry in NETS.items():
        if entry.family != family:
            family = entry.family
            print("\n".join(wrapped(getattr(IDEAS[family], flags.lang))))
        print(f"  {name:<20} {entry.parameters:>11,} parameters {entry.macs:>15,} MACs  {size_of(entry)}")
        print(f"      {entry.about}")
    own = "your own: path/to/file.py:Class, an nn.Module; it is given num_classes, in_channels and image_size, or for"
    print("\n".join(wrapped(f"{own} sequences num_symbols, num_classes and each_step, where it has such arguments")))
    print("`daiving nets NAME` has options and presets, `daiving look NAME` the inside.")


def print_net(name: str, lang: str) -> None:
    entry = NETS[name]
    print(f"{name}\n    {entry.about}")
    print("\n".join(wrapped(getattr(IDEAS[entry.family], lang), "    ")))
    if entry.takes == "sequences":
        symbols, _, classes = entry.home
        what, least = (
            f"{size_of(entry)} of {symbols} symbols, {classes} classes at each",
            "sequences of symbols, any length",
        )
    else:
        what = f"{size_of(entry)} in {entry.home[2]} classes"
        least = f"images from {entry.smallest}x{entry.smallest} on"
    print(f"    {entry.parameters:,} parameters, {entry.macs:,} MACs for {what}")
    print("\n".join(wrapped(f"{least}; source: {entry.source}", "    ")))
    print_options(entry.options)
    if entry.presets:
        print("    presets (preset=...): paper, as above")
    for preset, values_ in entry.presets.items():
        changes = joined("", values_).removeprefix(":") or "the same net"
        print("\n".join(wrapped(f"{preset}: {changes.replace(',', ', ')}", "        ")))


def size_of(entry: Entry) -> str:
    """What the net's costs are for: the size of an image, or the steps of a sequence."""
    first, size, _ = entry.home
    return f"{size} steps" if entry.takes == "sequences" else f"{first}x{size}x{size}"


def wrapped(text: str, indent: str = "") -> list[str]:
    """Lines of at most 80 columns."""
    lines = [indent]
    for word in text.split():
        if lines[-1].strip() and columns(lines[-1]) + columns(word) > WIDTH:
            lines.append(indent + "    ")
        lines[-1] += word + " "
    return [line.rstrip() for line in lines]


def columns(text: str) -> int:
    """How wide a terminal shows it. A Korean character takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def tasks(arguments: Sequence[str]) -> None:
    parse(Tasks, arguments, "tasks")
    for name, entry in TASKS.items():
        print("\n".join([name, *wrapped(entry.about, "    "), f"    {entry.examples}"]))
        print_options(entry.options)
    print("With options: --task images:folder=photos,size=32, --task text:file=my.txt")
    print("A folder of images alone: --task path/to/photos")


def recipes(arguments: Sequence[str]) -> None:
    parse(Recipes, arguments, "recipes")
    plain = Recipe().to_dict()
    for name, (recipe, about) in RECIPES.items():
        mine = recipe.to_dict()
        changes = {key: value for key, value in mine.items() if name == "default" or value != plain[key]}
        print(f"{name}\n    {about}")
        print("    " + ", ".join(f"{key} {show(value)}" for key, value in changes.items()))


def print_options(options: Mapping[str, Option]) -> None:
    for key, option in options.items():
        default = joined("", {key: option.default}).removeprefix(":")
        lines = textwrap.wrap(f"{option.help} ({values(option)})", 55)
        print(f"    {default:<20} {lines[0]}")
        print("".join(f"    {'':<20} {line}\n" for line in lines[1:]), end="")
