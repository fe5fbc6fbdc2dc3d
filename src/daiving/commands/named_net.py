"""A net of sequences as a call of `daiving look` names it: its options, sizes and letters."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daiving.commands.look import check_own
from daiving.errors import FixableError
from daiving.nets import NETS
from daiving.nets.entry import HELLO
from daiving.options import literal, split
from daiving.tasks.hello import LETTERS

if TYPE_CHECKING:
    from daiving.use import Trained

LONGEST = 2_000  # steps of --input


@dataclass(frozen=True)
class Named:
    """A net as the call names it, with what it is built for."""

    text: str  # for people
    name: str  # of the net
    given: dict[str, Any]  # options that the call names
    options: dict[str, Any]  # these, and the facts of its sequences
    steps: int
    symbols: tuple[str, ...]  # by number; empty where they have no names
    letters: tuple[str, ...]  # that it reads
    trained: "Trained | None" = None

    @property
    def count(self) -> int:
        return self.options["num_symbols"]


def named(text: str, *, size: str | None, letters: tuple[str, ...], steps: int | None) -> Named:
    """The net that `text` names. How long its sequences are and how many symbols there are is said by its options, by
    `size` (--input), by the letters that it is to read, and else by the lecture's example; `steps` where nobody says.

    Raises `FixableError` for a net of images, and for what contradicts itself.
    """
    name, words = split(text)
    if name in NETS and NETS[name].takes != "sequences":
        raise FixableError(
            f"The net '{name}' takes images, and it is to stand beside one that takes sequences.",
            expected="two nets of one kind.",
            fix=f"choose another, or look at {name} by itself.",
        )
    given: dict[str, Any] = {key: literal(value) for key, value in words.items()}
    check_own(words, "; there is a flag --seed")
    symbols, usual, classes = NETS[name].home if name in NETS else HELLO
    facts = {"num_symbols": given.get("num_symbols", symbols), "num_classes": classes, "each_step": True}
    long = steps or usual
    if size:
        long, facts["num_symbols"] = sizes(size)
        if given.get("num_symbols", facts["num_symbols"]) != facts["num_symbols"]:
            raise FixableError(
                f"--input {size} contradicts num_symbols={words['num_symbols']}.",
                expected="one number of symbols: that of --input is what the net is built for.",
                fix="leave num_symbols out, or leave --input out.",
            )
    alphabet: tuple[str, ...] = ()
    if letters:
        if size and long != len(letters):
            raise FixableError(
                f"--input {size} says {long} steps, and the text has {len(letters)} letters.",
                expected="one letter a step.",
                fix="leave --input out: the text says how many steps there are.",
            )
        fixed = facts["num_symbols"] if size or "num_symbols" in given else None
        long, alphabet = len(letters), alphabet_of(letters, fixed)
        facts["num_symbols"] = fixed or len(alphabet)
    return Named(text, name, given, facts | given, long, alphabet, letters)


def alphabet_of(letters: tuple[str, ...], most: int | None) -> tuple[str, ...]:
    """The symbols by number: the lecture's five where the text has no others, so that the net is the one of the task
    `hello`; else those of the text as they come. Raises `FixableError` where there are more than `most`."""
    if set(letters) <= set(LETTERS) and (most is None or most >= len(LETTERS)):
        return LETTERS
    found = tuple(dict.fromkeys(letters))
    if most is not None and len(found) > most:
        strange = ", ".join(map(repr, found[most:]))
        raise FixableError(
            f"The text has {len(found)} different letters, and the net knows {most}: not {strange}.",
            expected=f"at most {most} different ones.",
            fix="write another text, or leave the number of symbols out to have as many as the text has.",
        )
    return found


def sizes(text: str) -> tuple[int, int]:
    """Steps and symbols of --input."""
    found = re.fullmatch(r"([1-9]\d*)[x×,]([1-9]\d*)", text.strip())
    if not found:
        raise FixableError(
            f"The input '{text}' is no size of sequences.",
            expected="steps x symbols, whole numbers: how long a sequence is, and how many letters there are.",
            fix="write for example --input 6x5.",
        )
    steps, symbols = int(found[1]), int(found[2])
    if steps > LONGEST:
        raise FixableError(
            f"A sequence of {steps:,} steps is too long to look at.",
            expected=f"at most {LONGEST:,}: each is gone through, and all have the same weights and cost.",
            fix="take fewer: costs grow by the step.",
        )
    return steps, symbols


def of_run(folder: Path, text: str, letters: tuple[str, ...]) -> Named:
    """The trained net of a run, which must be the one that the call names; it reads `letters`, if there are any.

    Raises `FixableError` for a run on images or of another net, and for letters that its task did not have.
    """
    from daiving.sampling import numbers
    from daiving.use import trained

    model = trained(folder)
    if not model.symbols:
        raise FixableError(
            f"The run {folder.name} was trained on images.",
            expected="a run on sequences: of the task hello, text or names.",
            fix="`daiving runs` lists the runs of the lab with their tasks.",
        )
    name, options = split(text)
    if name != model.arm.net or options:
        raise FixableError(
            f"The run {folder.name} has the net {model.arm.label}, and the call names {text}.",
            expected="the run's net, which has its options from the run.",
            fix=f"write {model.arm.net} and no options.",
        )
    if letters:
        numbers("".join(letters), model.symbols)  # which says which of them it does not know
    facts = {"num_symbols": len(model.symbols), "num_classes": len(model.classes), "each_step": model.each_step}
    about = f"{model.arm.label}, run {folder.name[:8]}"
    given = dict(model.arm.options)
    return Named(about, name, given, facts | given, len(letters) or model.shape[0], model.symbols, letters, model)
