"""daiving deck: the deck's claims, what we get, and the verdict. The list needs no torch."""

import importlib
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional

from daiving.commands.compare import check_jobs
from daiving.commands.flags import arg, parse
from daiving.deck.claim import Claim
from daiving.deck.claims import CHEAP, CLAIMS
from daiving.deck.evidence import (
    CANNOT_TELL,
    NOT_SO,
    REPRODUCED,
    VERDICTS,
    WITHIN_NOISE,
    Bench,
    Stored,
    file_of,
    no_claim,
    stamped,
    store,
    stored,
)
from daiving.errors import unknown
from daiving.study.record import DEFAULT_LAB

WIDTH = 80
STYLES = {REPRODUCED: "bold green", WITHIN_NOISE: "bold green", NOT_SO: "bold red", CANNOT_TELL: "bold yellow"}


@dataclass(frozen=True)
class Deck:
    """The lecture deck's claims: its figure, ours, and a verdict.

        daiving deck            what is known in this lab
        daiving deck 16         compute one, or several: 1 5 18
        daiving deck cheap      all that take minutes at most

    Finished claims are kept in the lab; stopped studies go on where they were.
    """

    which: Annotated[Positional[tuple[str, ...]], arg("numbers of claims, or cheap; none lists them all")] = ()
    lang: Annotated[str, arg("en, or ko for the deck's own Korean where it has some")] = "en"
    json: Annotated[bool, arg("print as JSON, and nothing else")] = False
    jobs: Annotated[int | None, arg("runs at once where networks are trained; as many as there are cores")] = None
    lab: Annotated[Path, arg("folder in which everything is kept")] = DEFAULT_LAB
    data: Annotated[Path | None, arg("folder in which your data sets lie")] = None


def main(arguments: Sequence[str]) -> int:
    flags = parse(Deck, arguments, "deck")
    if flags.lang not in ("en", "ko"):
        raise unknown("language of the deck", flags.lang, ("en", "ko"))
    check_jobs(flags.jobs)
    numbers = chosen(flags.which)
    lab = flags.lab.expanduser().resolve()
    if not numbers:
        listing(lab, flags)
        return 0
    console = Console(highlight=False, width=WIDTH, stderr=flags.json)  # what it costs is said in any case
    found = []
    for number in numbers:
        before(console, number, flags.lang)
        answer = answered(number, lab, flags)
        found.append(as_row(number, answer))
        if not flags.json:
            after(console, answer, file_of(lab, number))
    if flags.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    return 0


def chosen(words: Sequence[str]) -> list[int]:
    """The numbers asked for, each once, in the order given."""
    numbers: dict[int, None] = {}
    for word in words:
        if word == "cheap":
            numbers.update(dict.fromkeys(CHEAP))
        elif word.isascii() and word.isdigit() and int(word) in CLAIMS:
            numbers[int(word)] = None
        else:
            raise no_claim(word, len(CLAIMS))
    return list(numbers)


def answered(number: int, lab: Path, flags: Deck) -> Stored:
    """Compute the evidence of one claim and keep it."""
    claim, began = CLAIMS[number], time.perf_counter()
    module, name = claim.where.split(":")
    function = getattr(importlib.import_module(f"daiving.deck.{module}"), name)
    if claim.trains:
        from daiving.show.terminal import watch

        evidence = function(Bench(lab, flags.data, flags.jobs, None if flags.json else watch))
    else:
        evidence = function(flags.data) if claim.data else function()
    # By name, as the claim itself: it imports torch, which the list does without.
    environment = importlib.import_module("daiving.study.worker").environment
    picture = evidence.drawing or None
    if evidence.figure:
        from daiving.deck.picture import picture as drawn

        picture = drawn(evidence.figure, f"Claim {number}: {claim.says.partition(':')[0].rstrip('.')}")
    answer = stamped(evidence, time.perf_counter() - began, environment())
    store(lab, number, answer, picture)
    return answer


def put(console: Console, what: RenderableType) -> None:
    """Print it without the spaces with which rich fills its lines up."""
    for parts in console.render_lines(what, pad=False):
        line = Text.assemble(*((part.text, part.style or "") for part in parts))
        line.rstrip()
        console.print(line, no_wrap=True)


def says(claim: Claim, lang: str) -> str:
    return claim.korean if lang == "ko" and claim.korean else claim.says


def listing(lab: Path, flags: Deck) -> None:
    known = {number: stored(lab, number) for number in CLAIMS}
    if flags.json:
        print(json.dumps([as_row(number, answer) for number, answer in known.items()], indent=1, ensure_ascii=False))
        return
    console = Console(highlight=False, width=WIDTH)
    chapter = ""
    for number, answer in known.items():
        if CLAIMS[number].chapter != chapter:
            chapter = CLAIMS[number].chapter
            put(console, Text(f"{chapter}\n", style="bold underline"))
        put(console, block(number, CLAIMS[number], answer, flags.lang))
    counts = Counter(answer.evidence.verdict if answer else "not run yet" for answer in known.values())
    put(console, Text(", ".join(f"{counts[w]} {w}" for w in (*VERDICTS, "not run yet") if counts[w]) + "."))
    put(console, Text("`daiving deck NUMBER` runs one, `daiving deck cheap` all that take minutes at most."))


def block(number: int, claim: Claim, answer: Stored | None, lang: str) -> Table:
    """One claim: what the deck says, its figure, ours, the verdict with its reason."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=3, justify="right")
    table.add_column(width=5)
    table.add_column(overflow="fold")
    table.add_row(Text(f"{number}", style="bold"), "", Text(says(claim, lang), style="bold"))
    table.add_row("", "deck", Text(claim.figure))
    if answer is None:
        table.add_row("", "ours", Text(f"not run yet ({claim.cost})", style="dim"))
    else:
        table.add_row("", "ours", Text(answer.evidence.ours))
        table.add_row("", "", said(answer))
        table.add_row("", "", Text(f"computed on {answer.date[:10]} with daiving {answer.daiving}", style="dim"))
    table.add_row("")
    return table


def said(answer: Stored) -> Text:
    return Text.assemble(
        (answer.evidence.verdict.upper(), STYLES[answer.evidence.verdict]), " ", answer.evidence.reason
    )


def before(console: Console, number: int, lang: str) -> None:
    """The claim and what it costs, before anything is computed."""
    claim = CLAIMS[number]
    put(console, Text(f"Claim {number} ({claim.chapter}): {says(claim, lang)}", style="bold"))
    put(console, Text(f"The deck: {claim.figure}."))
    put(console, Text(f"Cost: {claim.cost}."))


def after(console: Console, answer: Stored, path: Path) -> None:
    evidence = answer.evidence
    if evidence.rows:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in evidence.columns:
            table.add_column(name, overflow="fold")
        for row in evidence.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print()
        put(console, table)
    for note in evidence.notes:
        put(console, Padding(Text(note, style="dim"), (0, 0, 0, 2)))
    console.print()
    put(console, Text(f"Ours: {evidence.ours}."))
    put(console, said(answer))
    # A path is not broken into lines: somebody will want to copy it.
    console.print(f"Stored in {os.path.relpath(path)}, {answer.seconds:.0f} s", markup=False, soft_wrap=True)
    if evidence.figure or evidence.drawing:
        console.print(f"Picture: {os.path.relpath(path.with_suffix('.svg'))}", markup=False, soft_wrap=True)
    console.print()


def as_row(number: int, answer: Stored | None) -> dict[str, Any]:
    claim = CLAIMS[number]
    about = {"claim": number, "chapter": claim.chapter, "says": claim.says, "korean": claim.korean or None}
    rest = answer.to_dict() if answer else {"evidence": None}
    return {**about, "figure": claim.figure, "cost": claim.cost, **rest}
