"""The command line: finds the command, and turns every mistake into three sentences and exit code 2."""

import importlib
import os
import sys
from collections.abc import Sequence

from daiving import __version__
from daiving.errors import FixableError, unknown

# name: (what it does, where). Each is loaded when it is called, so that help needs none of them.
COMMANDS = {
    "nets": ("the networks there are, with their options and costs", "daiving.commands.tables:nets"),
    "tasks": ("the data sets there are, and how to use your own images", "daiving.commands.tables:tasks"),
    "recipes": ("the named ways to train", "daiving.commands.tables:recipes"),
    "look": ("the inside of a network: shapes, costs, a diagram", "daiving.commands.look:main"),
    "train": ("train one network with one seed", "daiving.commands.train:main"),
    "compare": ("compare networks over paired seeds, until there is a verdict", "daiving.commands.compare:main"),
    "runs": ("the runs and studies of a lab", "daiving.commands.lab:runs"),
    "show": ("one run or study: its verdict, its numbers, its report", "daiving.commands.lab:show"),
    "predict": (
        "classify images or names with a trained network, or go on with a text",
        "daiving.commands.use:predict",
    ),
    "deck": ("the lecture deck's claims: its figure, ours, and a verdict", "daiving.commands.deck:main"),
    "words": (
        "word vectors, from a file or trained on a text: nearest words, analogies",
        "daiving.commands.words:main",
    ),
    "export": ("write a trained network for other programs", "daiving.commands.use:export"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 a run failed, 2 a mistake in the call, 130 stopped by Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return dispatch(arguments)
    except FixableError as error:
        print(f"daiving: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    except KeyboardInterrupt:
        print(f"\ndaiving: stopped. To go on: {again(arguments)}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output, `head` say, has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"daiving {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS, fix="`daiving --help` says what each does.")
    module, function = COMMANDS[name][1].split(":")
    return getattr(importlib.import_module(module), function)(rest) or 0


def help_text() -> str:
    lines = [f"  {name:<9} {help}" for name, (help, _) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: daiving COMMAND [...]",
            "",
            "Classic neural networks, honestly compared.",
            "",
            *lines,
            "",
            "A first comparison, about a minute on a laptop:",
            "  daiving compare logistic=logistic inception=mnist_inception --epochs 1",
            "",
            "`daiving COMMAND --help` has the flags of a command.",
        ]
    )


def again(arguments: list[str]) -> str:
    import shlex

    return shlex.join(["daiving", *arguments]) + "  (finished epochs and runs are kept)"
