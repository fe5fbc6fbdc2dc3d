"""The seven applications of the deck's table in small: sequences made up here by a rule, and a net of the right type.

They show types: what x is, what y is, which of the two has how many steps, and that a net of such a type finds the
rule which was put in. About speech, music or genes they show nothing. Legend: `n` sequences, `t` steps; -1 stands
behind a sequence's end.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from daiving.deck.toy import Batch, Toy, by_class, by_step, never, number, padded, right_class, right_steps, same
from daiving.nets.cells import LSTM
from daiving.nets.ctc import CTCNet, ctc_loss
from daiving.nets.ctc_decode import best_path
from daiving.nets.recurrent import Recurrent
from daiving.nets.seq2seq import RNNsearch, score
from daiving.nets.seq2seq_search import greedy
from daiving.nets.sequence import SequenceNet

# ---- many → many, unequal and not aligned

SOUNDS, WIDE = 6, 8  # labels, and numbers in a frame


def speech() -> Toy:
    """2 to 4 sounds, each held for 2 to 4 noisy frames, a silent frame between: which sounds, never when."""
    voices = torch.randn(SOUNDS, WIDE, generator=Generator().manual_seed(1))

    def draw(draws: Generator, n: int) -> Batch:
        said, heard = [], []
        for _ in range(n):
            labels = torch.randint(SOUNDS, (number(draws, 2, 4),), generator=draws)
            held = torch.randint(2, 5, (len(labels),), generator=draws)
            parts = [
                F.pad(voices[label].expand(int(k), -1), (0, 0, 0, 1)) for label, k in zip(labels, held, strict=True)
            ]
            frames = torch.cat(parts)
            heard.append(frames + 0.3 * torch.randn(frames.shape, generator=draws))
            said.append(labels)
        return padded(heard, torch.nan), padded(said)

    def lengths(x: Tensor) -> Tensor:
        return (~x[:, :, 0].isnan()).sum(1)

    def loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return ctc_loss(net(x, lengths(x)), y, lengths(x)).mean()

    def right(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return same(best_path(net(x, lengths(x)), lengths(x)), y)

    return Toy(CTCNet(WIDE, 24, layers=1, num_labels=SOUNDS), draw, loss, right, never)


# ---- nothing → many

NOTES, BARS = 7, 12


def music() -> Toy:
    """Melodies of 12 notes from the lowest one on, in pairs of equal steps, up up or down down, round a ring of 7."""

    def draw(draws: Generator, n: int) -> Batch:
        steps = (2 * torch.randint(2, (n, BARS // 2), generator=draws) - 1).repeat_interleave(2, dim=1)[:, : BARS - 1]
        notes = F.pad(steps.cumsum(1), (1, 0)) % NOTES
        return F.pad(notes[:, :-1], (1, 0), value=NOTES), notes  # NOTES: nothing yet

    return Toy(
        SequenceNet(cell="gru", hidden=32, num_symbols=NOTES + 1, num_classes=NOTES, each_step=True),
        draw,
        by_step,
        lambda net, _x, y: allowed(composed(net, len(y))),
        lambda _x, y: allowed(torch.randint(NOTES, y.shape, generator=Generator().manual_seed(0))),
    )


def composed(net: nn.Module, n: int, seed: int = 0) -> Tensor:
    """Melodies from nothing: each note is drawn with the probability that the net gives it, and fed back."""
    assert isinstance(net, SequenceNet)
    draws, state, last, notes = Generator().manual_seed(seed), None, torch.full((n, 1), NOTES), []
    for _ in range(BARS):
        logits, state = net.forward_from(last, state)
        last = torch.multinomial(logits[:, 0].softmax(1), 1, generator=draws)
        notes.append(last)
    return torch.cat(notes, dim=1)


def allowed(notes: Tensor) -> Tensor:
    steps = notes.diff(dim=1) % NOTES
    pairs = steps[:, 0:-1:2] == steps[:, 1::2]
    return (notes[:, 0] == 0) & ((steps == 1) | (steps == NOTES - 1)).all(1) & pairs.all(1)


# ---- many → 1

GOOD, BAD, NOT, WORDS = 0, 1, 2, 8


def sentiment() -> Toy:
    """Filling words, and somewhere good or bad with a not in front of it, which turns it round, or behind it, which
    does not: the same words in both classes."""

    def draw(draws: Generator, n: int) -> Batch:
        x, y = torch.randint(NOT + 1, WORDS, (n, 9), generator=draws), torch.randint(2, (n,), generator=draws)
        places, before = torch.randint(1, 8, (n,), generator=draws), torch.randint(2, (n,), generator=draws)
        rows = torch.arange(n)
        x[rows, places] = y ^ before  # good is 0: where not stands before it the class is 1
        x[rows, places + 1 - 2 * before] = NOT
        return x, y

    net = SequenceNet(cell="lstm", hidden=24, num_symbols=WORDS, num_classes=2, each_step=False)
    return Toy(net, draw, by_class, right_class, never)


DIRECTIONS, SIDE, FRAMES = 4, 6, 5


class Film(nn.Module):
    """n x t x 1 x 6 x 6 images to a class a film: an LSTM over the frames, a linear layer on what it remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = Recurrent(LSTM, SIDE * SIDE, 32)
        self.head = nn.Linear(32, DIRECTIONS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x.flatten(2)).state[0][-1])


def video() -> Toy:
    """A dot in noise that goes left, right, up or down across a torus: no single frame says which."""

    def draw(draws: Generator, n: int) -> Batch:
        y, start = torch.randint(DIRECTIONS, (n,), generator=draws), torch.randint(SIDE, (n, 2), generator=draws)
        way = torch.tensor([(0, -1), (0, 1), (-1, 0), (1, 0)])[y]
        at = (start[:, None] + way[:, None] * torch.arange(FRAMES)[:, None]) % SIDE  # n t 2
        frames = F.one_hot(at[..., 0] * SIDE + at[..., 1], SIDE**2).view(n, FRAMES, 1, SIDE, SIDE)
        return frames + 0.1 * torch.randn(frames.shape, generator=draws), y

    return Toy(Film(), draw, by_class, right_class, never)


# ---- a label a step

A, C, G, T = range(4)
BASES = 24


def dna(bidirectional: bool = True) -> Toy:
    """ATG, three bases, TAA: all nine are marked. With another end none is: the first base depends on the ninth."""

    def draw(draws: Generator, n: int) -> Batch:
        x = torch.randint(4, (n, BASES), generator=draws)
        places = torch.randint(0, BASES - 9, (n, 1), generator=draws) + torch.arange(9)
        x.scatter_(1, places[:, :3], torch.tensor([A, T, G]).expand(n, -1))
        ends = torch.tensor([[T, A, A], [C, A, A]])[torch.randint(2, (n,), generator=draws)]
        x.scatter_(1, places[:, 6:], ends)
        nine = x.unfold(1, 9, 1)  # n places 9
        found = ((nine == torch.tensor([A, T, G, -1, -1, -1, T, A, A])).sum(2) == 6).float()
        return x, (F.conv1d(F.pad(found, (8, 8))[:, None], torch.ones(1, 1, 9))[:, 0] > 0).long()

    net = SequenceNet(cell="lstm", hidden=32, bidirectional=bidirectional, num_symbols=4, num_classes=2)
    return Toy(net, draw, by_step, right_steps, never)


SAYS, IN, NAMES = 0, 1, 10  # whatever stands before "says" is a person, whatever stands after "in" a place


def entities(bidirectional: bool = True) -> Toy:
    """Seven words; any word may be a name, and only its neighbours say whether it is, and of what."""

    def draw(draws: Generator, n: int) -> Batch:
        x = torch.randint(IN + 1, NAMES, (n, 7), generator=draws)
        marks = torch.randint(3, (n, 7), generator=draws)
        for place in range(1, 6, 2):  # every other place at most: no mark touches another
            x[:, place] = torch.where(marks[:, place] < 2, marks[:, place], x[:, place])
        before, after = F.pad(x, (1, 0), value=-1)[:, :-1], F.pad(x, (0, 1), value=-1)[:, 1:]
        names = x > IN
        y = torch.where(names & (after == SAYS), 1, torch.where(names & (before == IN), 2, 0))
        return x, y

    net = SequenceNet(cell="lstm", hidden=24, bidirectional=bidirectional, num_symbols=NAMES, num_classes=3)
    return Toy(net, draw, by_step, right_steps, never)


# ---- sequence to sequence

SOURCE, TARGET, LONG = 8, 12, 6  # words there, symbols here, and the words from which on one becomes two


def translation() -> Toy:
    """2 to 5 words, said the other way round; words 6 and 7 become two symbols each, so lengths differ."""

    def draw(draws: Generator, n: int) -> Batch:
        said, meant = [], []
        for _ in range(n):
            words = torch.randint(SOURCE, (number(draws, 2, 5),), generator=draws)
            said.append(words)
            meant.append(torch.tensor([s for w in words.flip(0).tolist() for s in ([w, w + 2] if w >= LONG else [w])]))
        return padded(said), padded(meant)

    net = RNNsearch(SOURCE, TARGET + 1, n_emb=16, n_hid=32, n_align=24, n_maxout=24, init="torch")
    return Toy(
        net,
        draw,
        lambda _, x, y: -score(net, x, y).mean(),
        lambda _, x, y: same(greedy(net, x, longest=12).symbols, y),
        never,
    )
