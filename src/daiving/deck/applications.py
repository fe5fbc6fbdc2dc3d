"""Claims 22 to 28: the deck's table of applications, read as a table of types, each type with a toy that is learnt now.

What tells the seven apart is not their subject but their type: what x and y are, which of them are sequences, and
whether the steps of the two belong to one another. The type decides which head and which loss a net needs.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from daiving.deck import toys
from daiving.deck.evidence import CANNOT_TELL, REPRODUCED, Evidence
from daiving.deck.toy import Toy, learnt
from daiving.seeds import stream_seed

SCORED = 500  # new examples that a toy is scored on
COLUMNS = ("", "application", "x", "y", "steps of x → y", "net in daiving")


class Application(NamedTuple):
    name: str
    x: str
    y: str
    steps: str
    net: str


# In the deck's order; x and y are its own, as types.
CHART: dict[int, Application] = {
    22: Application("Speech recognition", "sound", "letters", "many → fewer, not aligned", "CTCNet"),
    23: Application("Music generation", "∅", "notes", "∅ → many", "gru, each step, sampled"),
    24: Application("Sentiment classification", "words", "a class", "many → 1", "lstm, last state"),
    25: Application("DNA sequence analysis", "letters", "labels", "many → as many", "lstm both ways, each step"),
    26: Application("Machine translation", "words", "words", "many → many, behind x", "RNNsearch"),
    27: Application("Video activity recognition", "images", "a class", "many → 1", "Recurrent, last state"),
    28: Application("Named entity recognition", "words", "labels", "many → as many", "lstm both ways, each step"),
}
HEADS = (
    "Each step: the head answers at every step, cross-entropy a step. Last state: once, from the state behind the last "
    "step. CTCNet and its loss: nets/ctc.py. RNNsearch, attention over all of x: nets/seq2seq.py."
)


class Score(NamedTuple):
    toy: Toy
    x: Tensor
    y: Tensor
    right: float  # share of answers that are right as a whole, 0 to 1
    blind: float  # the same for the best answer that does not look at x

    @property
    def shapes(self) -> str:
        n = len(self.x)
        x, y = (" x ".join(["n", *map(str, one.shape[1:])]) for one in (self.x, self.y))
        return f"x: {x}; y: {y}; n = {n}"


@torch.no_grad()
def scored(toy: Toy, n: int = SCORED) -> Score:
    x, y = toy.draw(Generator().manual_seed(stream_seed("toy score")), n)
    right, blind = (float(one.double().mean()) for one in (toy.right(toy.net, x, y), toy.blind(x, y)))
    return Score(toy, x, y, right, blind)


def answered(
    number: int, found: Score, reason: str, against: dict[str, float], notes: tuple[str, ...] = ()
) -> Evidence:
    """The chart with its own row marked, and what the toy of that row reaches beside what must do worse."""
    against = {"without a look at x": found.blind, **against}
    clear = found.right - max(against.values()) > 4 * math.sqrt(0.25 / len(found.y))  # standard errors, at most
    one, rows = CHART[number], tuple((f"{'▶' if n == number else ' '} {n}", *row) for n, row in CHART.items())
    others = ", ".join(f"{share:.0%} {name}" for name, share in against.items())
    return Evidence(
        f"a toy of this type ({one.steps}): {found.right:.0%} of {len(found.y)} new answers wholly right, {others}",
        REPRODUCED if clear else CANNOT_TELL,
        reason if clear else "The toy did not learn its rule, so the type is not shown to work.",
        COLUMNS,
        rows,
        (f"The toy: {one_line(found.toy, number)}", f"In and out: {found.shapes}.", *notes, HEADS),
    )


def one_line(toy: Toy, number: int) -> str:
    said = " ".join((MAKERS[number].__doc__ or "").split())
    parameters = sum(p.numel() for p in toy.net.parameters())
    return f"{said} {type(toy.net).__name__}, {parameters:,} parameters. Made up here: it shows a type, and no more."


MAKERS: dict[int, Callable[..., Toy]] = {
    22: toys.speech, 23: toys.music, 24: toys.sentiment, 25: toys.dna, 26: toys.translation, 27: toys.video,
    28: toys.entities,
}  # fmt: skip


def speech_recognition(*, steps: int = 60) -> Evidence:
    """Claim 22."""
    found = scored(learnt(toys.speech, steps))
    return answered(
        22,
        found,
        "Nobody says at which frame a letter begins, so no label belongs to a frame: CTC sums over all ways to lay the "
        "letters along the frames. It also bounds the type: an answer cannot be longer than what was heard.",
        {},
        ("The slide's text has lost x, a sound wave.",),
    )


def music_generation(*, steps: int = 400) -> Evidence:
    """Claim 23."""
    found = scored(learnt(toys.music, steps))
    assert isinstance(found.toy.net, toys.SequenceNet)
    with torch.no_grad():
        melodies = toys.composed(found.toy.net, SCORED)
    different = len(torch.unique(melodies, dim=0))
    return answered(
        23,
        found,
        f"From nothing a net gives one answer only, unless chance is put in: each note is drawn with the probability "
        f"that it has, and fed back as the next x. {SCORED} melodies are {different} different ones; always taking the "
        f"most probable note would make them one.",
        {},
        ("∅ may also be a genre or a first few notes; the type stays.", "“Without a look at x”: notes drawn evenly."),
    )


def sentiment_classification(*, steps: int = 150) -> Evidence:
    """Claim 24."""
    found = scored(learnt(toys.sentiment, steps))
    return answered(
        24,
        found,
        "One answer for a whole sequence: the head reads the state behind the last word, which must have kept what "
        "matters. In the toy the words alone say nothing, only their order: a bag of words stays at one half.",
        {},
    )


def dna_analysis(*, steps: int = 400) -> Evidence:
    """Claim 25."""
    found, one_way = two_ways(25, steps)
    return answered(
        25,
        found,
        "A label a letter. What a letter is can depend on letters behind it, so the net reads both ways; reading "
        f"forwards only it reaches {one_way:.0%}. On the slide y is x again, letter by letter: what was marked in it, "
        "which is the output, is lost in its text. As printed the task would need no net.",
        {"reading forwards only": one_way},
    )


def machine_translation(*, steps: int = 150) -> Evidence:
    """Claim 26."""
    found = scored(learnt(toys.translation, steps))
    return answered(
        26,
        found,
        "All of x is read before y begins, since its first word may stand last there; how long y is, the net says "
        "itself, by an end symbol. CTC (22) could do neither: it keeps the order, and y no longer than x.",
        {},
        ("Symbols one at a time, the most probable each (greedy); beam search is in nets/seq2seq_search.py.",),
    )


def video_recognition(*, steps: int = 250) -> Evidence:
    """Claim 27."""
    found = scored(learnt(toys.video, steps))
    x, y, (net, right) = found.x, found.y, (found.toy.net, found.toy.right)
    with torch.no_grad():
        last = float(right(net, x[:, -1:], y).double().mean())
        order = torch.randperm(x.shape[1], generator=Generator().manual_seed(1))
        shuffled = float(right(net, x[:, order], y).double().mean())
    return answered(
        27,
        found,
        "The type of sentiment (24) with images for words: each frame goes through a net of its own (here it is only "
        "laid flat; a net of `daiving nets` would do), and what these say, in its order, through the recurrent one. In "
        "the toy no single frame knows the answer, so what counts is the order.",
        {"from the last frame alone": last, "with its frames in another order": shuffled},
        ("The slide's text has lost x, a film; y is “Running”.",),
    )


def entity_recognition(*, steps: int = 100) -> Evidence:
    """Claim 28."""
    found, one_way = two_ways(28, steps)
    return answered(
        28,
        found,
        "The type of DNA (25): a label a word, read both ways (“X says”: that X is a person stands behind it; forwards "
        f"only {one_way:.0%}). On the slide y is x again: the marks on the names, which are the output, are lost in "
        "its text, and it says “Name entity” for named entity.",
        {"reading forwards only": one_way},
    )


def two_ways(number: int, steps: int) -> tuple[Score, float]:
    """The toy as it is; and the share of right answers of the same net reading in one direction."""
    one_way = partial(MAKERS[number], bidirectional=False)
    return scored(learnt(MAKERS[number], steps)), scored(learnt(one_way, steps)).right
