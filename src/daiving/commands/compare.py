"""daiving compare: the main job."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional

from daiving.api import KINDS, Study, check_kind, check_pack
from daiving.commands.flags import arg, parse, recipe_name, recipe_of, with_recipe
from daiving.errors import FixableError, unknown
from daiving.recipe import FIELDS, named
from daiving.show.terminal import watch
from daiving.study.record import DEFAULT_LAB


@dataclass(frozen=True)
class Compare:
    """Compare networks over paired seeds, until there is a verdict.

        daiving compare linear=logistic jump=mnist_inception:jump=true
        daiving compare study.toml

    An arm is NAME=NET[:option=value,...]: options of the net or of the recipe.
    """

    arms: Annotated[Positional[tuple[str, ...]], arg("NAME=NET..., or one TOML file")] = ()
    task: Annotated[str, arg("a task of `daiving tasks`, or a folder of images")] = "digits"
    metric: Annotated[str, arg("what decides, on the test split: accuracy or loss")] = "accuracy"
    smallest: Annotated[str | None, arg("smallest difference that matters, with its unit: 0.3pp, 0.01nats")] = None
    max_pairs: Annotated[int, arg("cap on pairs, 3 to 50")] = 20
    alpha: Annotated[float, arg("chance of a false verdict, shared by all comparisons: at most 0.1")] = 0.05
    first_seed: Annotated[int, arg("the seeds are this and the following")] = 0
    floor: Annotated[str | None, arg("a run whose metric is worse counts as diverged: 50%, 2nats")] = None
    jobs: Annotated[int | None, arg("runs at once; as many as there are cores")] = None
    pack: Annotated[int, arg("runs of one arm that share a process: faster for small nets, but not timed")] = 1
    lab: Annotated[Path, arg("folder in which everything is kept")] = DEFAULT_LAB
    data: Annotated[Path | None, arg("folder in which your data sets lie")] = None
    recipe: Annotated[str, arg("a recipe of `daiving recipes`; the flags below change it")] = "default"


STUDY_KEYS = [f.name for f in fields(Compare) if f.name not in ("arms", "recipe", "jobs", "pack")]


def main(arguments: Sequence[str]) -> int:
    file = next((word for word in arguments if word.endswith(".toml") and "=" not in word), None)
    written = read_toml(Path(file)) if file else {}
    table = written.pop("recipe", {})
    chosen = recipe_name(arguments, table.pop("name", "default") if isinstance(table, dict) else table)
    flags = with_recipe(Compare, chosen)
    arms = dict(written.pop("arms", {}))
    default = flags(**written, recipe=chosen, **(table if isinstance(table, dict) else {}))
    given = parse(flags, [word for word in arguments if word != file], "compare", default=default)
    for name, net in map(arm, given.arms):
        if name in arms:
            raise FixableError(
                f"Two arms are called '{name}'.", expected="each arm with a name of its own.", fix="rename one of them."
            )
        arms[name] = net
    check_jobs(given.jobs)
    check_pack(given.pack)
    study = Study(arms=arms, recipe=recipe_of(given), **{key: getattr(given, key) for key in STUDY_KEYS})
    watch(study.steps(given.jobs, given.pack), study.plan, study.loaded)
    outcome = study.outcome()
    print(outcome)
    print(f"\nReport: {os.path.relpath(outcome.report) if outcome.report else 'could not be written'}")
    return 0


def arm(word: str) -> tuple[str, str]:
    name, equals, net = word.partition("=")
    if not equals or not name or not net or ":" in name:
        raise FixableError(
            f"'{word}' is no arm.",
            expected="NAME=NET, for example plain=mnist_inception, or one TOML file.",
            fix=f"give it a name: {Path(word.strip('=').partition(':')[0]).stem or 'plain'}={word.strip('=')}.",
        )
    return name, net


def check_jobs(jobs: int | None) -> None:
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise FixableError(
            f"--jobs is {jobs}.", expected="at least 1 run at once.", fix="leave it out to use every core."
        )


def read_toml(path: Path) -> dict[str, Any]:
    """The study in a TOML file: the flags by name, [recipe] and [arms.NAME]."""
    try:
        written = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FixableError(
            f"The study file '{path}' cannot be read: {error}.",
            expected="a TOML file with the flags by name, [recipe] and one [arms.NAME] for each arm.",
            fix="check the path and the line; the README has an example.",
        ) from None
    for key in ("arms", "recipe"):
        if not isinstance(written.get(key, {}), dict) and not (key == "recipe" and isinstance(written[key], str)):
            raise FixableError(
                f"The study file '{path}' has {key} = {written[key]!r}.",
                expected=f"a table: [{'arms.NAME' if key == 'arms' else 'recipe'}].",
                fix="see the example in the README.",
            )
    known = [*STUDY_KEYS, "jobs", "pack", "recipe", "arms"]
    for key in written:
        if key not in known:
            raise unknown(f"key of a study file ('{path}')", key, known)
    recipe = written.get("recipe", {})
    for key in recipe if isinstance(recipe, Mapping) else ():
        if key != "name" and key not in FIELDS:
            raise unknown(f"recipe field ('{path}')", key, FIELDS)
    for key, value in written.items():
        if key in KINDS and key != "recipe":
            check_kind(key, value, *KINDS[key])
    if isinstance(recipe, dict):  # for the error that says which field and which values are legal
        named(recipe.get("name", "default")).but(**{k: v for k, v in recipe.items() if k != "name"})
    return {k: Path(v) if k in ("lab", "data") and isinstance(v, str) else v for k, v in written.items()}
