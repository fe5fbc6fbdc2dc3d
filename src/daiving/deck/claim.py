"""One line of the table of claims. No torch here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    chapter: str
    says: str  # what the deck states, in English
    korean: str  # its own words, where they are Korean
    figure: str  # the number that it prints, or that there is none
    cost: str  # of answering it, measured on two shared server cores
    where: str  # "module:function" of this package, imported only when it is run
    trains: bool = False  # whole networks, as a study: the function is given a `Bench`
    data: bool = False  # looks into the user's data folder: the function is given it, or None


NONE = "no figure"
MOMENT = "about 3 s"
