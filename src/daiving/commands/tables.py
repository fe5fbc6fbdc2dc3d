"""daiving nets, tasks, recipes: what there is. None of them needs torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daiving.commands.flags import parse
from daiving.nets import NETS
from daiving.options import Option, joined, show, values
from daiving.recipe import RECIPES, Recipe
from daiving.tasks import TASKS


@dataclass(frozen=True)
class Nets:
    """The networks, with their cost for one 28x28 image in 10 classes."""


@dataclass(frozen=True)
class Tasks:
    """The data sets, with their splits (train / val / test) and options."""


@dataclass(frozen=True)
class Recipes:
    """The named ways to train; every field can be changed by its own flag."""


def nets(arguments: Sequence[str]) -> None:
    parse(Nets, arguments, "nets")
    for name, entry in NETS.items():
        print(f"{name}\n    {entry.about}")
        print(f"    {entry.parameters:,} parameters, {entry.macs:,} MACs; source: {entry.source}")
        print_options(entry.options)
    print("your own: path/to/file.py:Class, an nn.Module; it is given num_classes, in_channels and\n"
          "    image_size where it has such arguments")  # fmt: skip


def tasks(arguments: Sequence[str]) -> None:
    parse(Tasks, arguments, "tasks")
    for name, entry in TASKS.items():
        print(f"{name}\n    {entry.about}\n    {entry.examples}")
        print_options(entry.options)
    print("With options: --task images:folder=photos,size=32    A folder alone: --task path/to/photos")


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
        print(f"    {default:<20} {option.help} ({values(option)})")
