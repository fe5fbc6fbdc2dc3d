"""daiving: classic neural networks, honestly compared.

    import daiving
    outcome = daiving.Study(
        task="digits",
        arms={"plain": "mnist_inception", "jump": "mnist_inception:jump=true"},
        recipe=daiving.Recipe(epochs=2),
        smallest="0.3pp",
    ).run()
    print(outcome)

The names below are loaded on first use, so that importing daiving costs nothing and needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daiving.anatomy import look as look
    from daiving.api import Outcome as Outcome
    from daiving.api import Study as Study
    from daiving.errors import FixableError as FixableError
    from daiving.faster import fast as fast
    from daiving.nets import NETS as NETS
    from daiving.nets.build import build as build
    from daiving.recipe import RECIPES as RECIPES
    from daiving.recipe import Recipe as Recipe
    from daiving.tapping import taps as taps
    from daiving.tasks import TASKS as TASKS

__version__ = "0.1.0"

WHERE = {
    "Study": "daiving.api",
    "Outcome": "daiving.api",
    "Recipe": "daiving.recipe",
    "RECIPES": "daiving.recipe",
    "NETS": "daiving.nets",
    "TASKS": "daiving.tasks",
    "build": "daiving.nets.build",
    "look": "daiving.anatomy",
    "taps": "daiving.tapping",
    "fast": "daiving.faster",
    "FixableError": "daiving.errors",
}
__all__ = ["NETS", "RECIPES", "TASKS", "FixableError", "Outcome", "Recipe", "Study", "build", "fast", "look", "taps"]


def __getattr__(name: str) -> Any:
    if name not in WHERE:
        raise AttributeError(f"module 'daiving' has no attribute '{name}'")
    value = getattr(importlib.import_module(WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *WHERE])
