"""Errors that a person can act on: what was wrong, what was expected, what to do."""

import difflib
from collections.abc import Iterable


class FixableError(ValueError):
    """A mistake of the user's, in three sentences that tests and pages read by name.

    `wrong` says what was wrong, `expected` what would have been right, `fix` what to do now.
    The command line prints the three and exits with 2; no traceback is shown.
    """

    def __init__(self, wrong: str, *, expected: str, fix: str) -> None:
        super().__init__(f"{wrong}\n  Expected: {expected}\n  To fix: {fix}")
        self.wrong, self.expected, self.fix = wrong, expected, fix


def unknown(kind: str, name: str, known: Iterable[str], *, fix: str | None = None) -> FixableError:
    """The error for a name that is in no table, with the nearest names that are."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return FixableError(
        f"There is no {kind} called '{name}'.",
        expected=f"one of {', '.join(known)}." if known else f"no {kind} at all.",
        fix=f"did you mean '{near[0]}'?" if near else fix or "choose one of these.",
    )
