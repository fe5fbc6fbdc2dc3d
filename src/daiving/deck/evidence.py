"""What a claim's function returns, and how a lab keeps it: lab/deck/16.json, and 16.svg where there is a picture.

No torch here: the list of claims reads what is stored.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daiving import __version__
from daiving.errors import FixableError
from daiving.files import read_json, write_atomic, write_json
from daiving.study.record import Lab, unwritable

REPRODUCED = "reproduced"  # our figure is the deck's as printed, or a statement is shown right by computing it
WITHIN_NOISE = "within noise"  # the figures differ, inside an interval that the reason names
NOT_SO = "not so"  # the evidence contradicts the deck; the reason says what is true
CANNOT_TELL = "cannot tell"  # the material does not decide it
VERDICTS = (REPRODUCED, WITHIN_NOISE, NOT_SO, CANNOT_TELL)


@dataclass(frozen=True)
class Figure:
    """Lines over one axis, for a picture. On a log axis what is not above 0 is left out."""

    x: str  # title of the axis, with the unit
    y: str
    lines: dict[str, list[list[float]]]  # name: rows of x, mean, lowest, highest
    log: bool = False  # the y axis
    log_x: bool = False
    floors: dict[str, float] = field(default_factory=dict)  # a line across: a name of its own, or a line's, whose it is


@dataclass(frozen=True)
class Evidence:
    """What was computed for one claim, and what it says."""

    ours: str  # our figure, beside the deck's
    verdict: str  # of VERDICTS
    reason: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()  # of the table, as printed
    notes: tuple[str, ...] = ()  # how it was done, and where that leaves the deck
    figure: Figure | None = None
    drawing: str = ""  # a picture that is no curve, as SVG: stored beside the evidence, not in it


@dataclass(frozen=True)
class Stored:
    """Evidence as a lab has it."""

    evidence: Evidence
    daiving: str  # the version that computed it
    date: str  # UTC, ISO 8601
    seconds: float  # wall, of the computation
    environment: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        row = asdict(self)
        del row["evidence"]["drawing"]
        return row


@dataclass(frozen=True)
class Bench:
    """Where a claim that trains whole networks does it."""

    lab: Path
    data: Path | None = None  # folder in which data sets lie
    jobs: int | None = None  # runs at once; None is as many as cores
    say: Callable[..., None] | None = None  # shows a study while it runs, as `show.terminal.watch` does


def file_of(lab: Path, number: int) -> Path:
    return lab / "deck" / f"{number}.json"


def store(lab: Path, number: int, stored: Stored, picture: str | None = None) -> Path:
    """Keep the evidence, and its picture beside it; raises `FixableError` where the lab cannot be written."""
    Lab(lab).prepare()
    path = file_of(lab, number)
    try:
        path.parent.mkdir(exist_ok=True)
        if picture:
            write_atomic(path.with_suffix(".svg"), lambda file: file.write(picture.encode()))
        write_json(path, {"claim": number, **stored.to_dict()})
    except OSError as error:
        raise unwritable(lab, error) from None
    return path


def stored(lab: Path, number: int) -> Stored | None:
    """The evidence of the claim's last run in this lab; None where there is none that can be read."""
    row = read_json(file_of(lab, number))
    if row is None:
        return None
    try:
        about: dict[str, Any] = row["evidence"]
        about = {**about, "rows": tuple(map(tuple, about["rows"]))}
        about |= {key: tuple(about[key]) for key in ("columns", "notes")}
        about |= {"figure": Figure(**about["figure"]) if about["figure"] else None}
        rest: dict[str, Any] = {key: row[key] for key in ("daiving", "date", "seconds", "environment")}
        return Stored(Evidence(**about), **rest) if about["verdict"] in VERDICTS else None
    except (KeyError, TypeError, AttributeError):
        return None


def stamped(evidence: Evidence, seconds: float, environment: dict[str, Any]) -> Stored:
    """The evidence with when and where it was computed."""
    if evidence.verdict not in VERDICTS:
        raise ValueError(f"no verdict: {evidence.verdict}")
    return Stored(evidence, __version__, datetime.now(UTC).isoformat(timespec="seconds"), seconds, environment)


def no_claim(word: str, known: int) -> FixableError:
    return FixableError(
        f"There is no claim '{word}'.",
        expected=f"numbers of claims, 1 to {known}, or the word cheap for all that take minutes at most.",
        fix="`daiving deck` lists them.",
    )
