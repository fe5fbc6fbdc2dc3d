"""Distributed Representations of Words and Phrases and their Compositionality, Mikolov et al., 2013.
https://arxiv.org/abs/1310.4546

    text ─ words ─ subsampling ─ windows ─ pairs (w_I, w_O) ─┐
                                 P_n(w) ─ k negatives ───────┴─ equation (4) ─ SGD

The skip-gram model learns vectors from which a word's neighbours can be told; negative sampling makes that a choice
between the true neighbour and k words drawn at random. What is kept is v, the "input" vectors; v', the "output" ones,
are thrown away.

Where this leaves the paper
    Subsampling has t = 1e-3 by default and not 1e-5, which is for a billion words: of a small text it leaves nothing
    (word2vec's own program has 1e-3 too). Phrases (section 4) are left out. The paper names neither the start nor the
    learning rate: both are those of the program, v uniform in ±1/(2 dim), v' zero, .025 falling in a line to 1e-4 of
    it. The window's size is drawn anew for each word, from 1 to `window` (arXiv 1301.3781, section 3.2). Pairs are
    taken `batch` at a time, in random order, and see the same weights, where the program takes one after the other.
    A negative that happens to be the true neighbour counts, as in equation (4); the program skips it. A sentence is a
    line of the text, as for the program; words are in small letters, and what is neither letter nor digit parts them;
    letters are composed (é is one sign, NFC).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from daiving.errors import FixableError
from daiving.seeds import stream_seed
from daiving.skipgram_settings import Settings
from daiving.vectors import Vectors

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
POWER = 0.75  # of the unigram distribution that negatives are drawn from (section 2.2)
LAST_LR = 1e-4  # of the first
STRETCH = 1 << 18  # words of the text whose pairs are in memory at once


class Corpus(NamedTuple):
    """A text as numbers."""

    words: tuple[str, ...]  # the vocabulary, the most frequent first
    counts: Int[Tensor, "words"]
    ids: Int[Tensor, "t"]  # the text, without words that are not in the vocabulary
    sentence: Int[Tensor, "t"]  # the line that each stands in


class Epoch(NamedTuple):
    number: int  # from 1
    loss: float  # nats a pair, mean over the epoch
    pairs: int


def read(text: str, min_count: int = 1) -> Corpus:
    """Raises `FixableError` where the text has not two distinct words that are frequent enough."""
    lines = [WORD.findall(line.lower()) for line in unicodedata.normalize("NFC", text).splitlines()]
    counts = Counter(word for line in lines for word in line)
    words = sorted((w for w, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
    if len(words) < 2:
        raise too_few(counts, len(words), min_count)
    rows = {word: row for row, word in enumerate(words)}
    kept = [(rows[word], i) for i, line in enumerate(lines) for word in line if word in rows]
    ids, sentence = torch.tensor(kept).T.contiguous()
    return Corpus(tuple(words), torch.tensor([counts[word] for word in words]), ids, sentence)


class SkipGram(nn.Module):
    """Two vectors a word: v for the word in the middle, v' for it as somebody's neighbour."""

    def __init__(self, num_words: int, dim: int, seed: int = 0) -> None:
        super().__init__()
        start = torch.rand(num_words, dim, generator=generator(seed, "start"))
        self.v = nn.Parameter((start - 0.5) / dim)
        self.v_out = nn.Parameter(torch.zeros(num_words, dim))

    def forward(
        self, middle: Int[Tensor, "n"], neighbour: Int[Tensor, "n"], negatives: Int[Tensor, "n k"]
    ) -> Float[Tensor, "n"]:
        """Minus equation (4), in nats: −log σ(v'_O · v_I) − Σ_i log σ(−v'_i · v_I)."""
        v_i = self.v[middle]
        true = (self.v_out[neighbour] * v_i).sum(1)
        noise = (self.v_out[negatives] @ v_i[:, :, None]).squeeze(2)
        return -F.logsigmoid(true) - F.logsigmoid(-noise).sum(1)

    @torch.no_grad()
    def step(self, middle: Tensor, neighbour: Tensor, negatives: Tensor, lr: float) -> Tensor:
        """One step of SGD on the sum of `forward`; returns that, taken before the step.

        The gradients by hand, because autograd makes one for every word, and a batch has few. With s = v' · v_I and
        y = 1 for the neighbour, 0 for the negatives:  ∂/∂v_I = Σ (σ(s) − y) v'    ∂/∂v' = (σ(s) − y) v_I
        """
        words = torch.cat([neighbour[:, None], negatives], dim=1)  # n x 1+k
        v_i, v_out = self.v[middle], self.v_out[words]
        s = (v_out @ v_i[:, :, None]).squeeze(2)
        loss = F.softplus(s).sum() - s[:, 0].sum()  # −log σ(s) = softplus(s) − s
        error = s.sigmoid()
        error[:, 0] -= 1
        self.v.index_add_(0, middle, (error[:, None] @ v_out).squeeze(1), alpha=-lr)
        self.v_out.index_add_(0, words.flatten(), (error[:, :, None] * v_i[:, None]).flatten(0, 1), alpha=-lr)
        return loss


def train(net: SkipGram, corpus: Corpus, settings: Settings) -> Iterator[Epoch]:
    """Train in place; yields after each epoch. Raises `FixableError` where there are no pairs, or no finite loss."""
    cumulated = noise(corpus.counts).cumsum(0)
    share = kept_share(corpus.counts, settings.subsample)[corpus.ids]
    for number in range(1, settings.epochs + 1):
        draw = generator(settings.seed, "epoch", number)
        keep = torch.rand(len(corpus.ids), generator=draw) < share
        ids, sentence = corpus.ids[keep], corpus.sentence[keep]
        losses, count = torch.zeros((), dtype=torch.float64), 0
        for start in range(0, len(ids), STRETCH):
            stretch = slice(start, start + STRETCH)
            middle, neighbour = pairs(ids[stretch], sentence[stretch], settings.window, draw)
            order = torch.randperm(len(middle), generator=draw)
            for i in range(0, len(order), settings.batch):
                rows = order[i : i + settings.batch]
                in_epoch = (start + len(ids[stretch]) * i / len(order)) / len(ids)
                lr = settings.lr * max(1 - (number - 1 + in_epoch) / settings.epochs, LAST_LR)
                negatives = drawn(cumulated, (len(rows), settings.negatives), draw)
                losses += net.step(middle[rows], neighbour[rows], negatives, lr)
            count += len(order)
        if not count:
            raise no_pairs(corpus, settings)
        if not losses.isfinite():
            raise FixableError(
                f"The loss is not finite any more in epoch {number}.",
                expected="a loss that falls.",
                fix="choose a smaller learning rate, or smaller batches.",
            )
        yield Epoch(number, float(losses) / count, count)


def vectors(net: SkipGram, corpus: Corpus) -> Vectors:
    return Vectors(corpus.words, net.v.detach().numpy())


def pairs(ids: Tensor, sentence: Tensor, window: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """All (w_I, w_O): w_O at most R words away in the same sentence, R drawn for each w_I from 1 to `window`."""
    reach = torch.randint(1, window + 1, (len(ids),), generator=draw)
    middles, neighbours = [], []
    for far in range(1, min(window, len(ids) - 1) + 1):
        near = sentence[far:] == sentence[:-far]
        for middle, neighbour in ((slice(None, -far), slice(far, None)), (slice(far, None), slice(None, -far))):
            take = near & (reach[middle] >= far)
            middles.append(ids[middle][take])
            neighbours.append(ids[neighbour][take])
    return torch.cat(middles or [ids[:0]]), torch.cat(neighbours or [ids[:0]])


def kept_share(counts: Tensor, t: float) -> Tensor:
    """1 − equation (5): of a word whose share of the text is f, √(t / f) stay, and of a rare one all."""
    return ((t * counts.sum() / counts).sqrt() if t else torch.ones(len(counts))).clamp(max=1)


def noise(counts: Tensor) -> Tensor:
    """P_n(w) = U(w)^¾ / Z, section 2.2; float64, so that the rarest of a million words keeps its share."""
    raised = counts.double() ** POWER
    return raised / raised.sum()


def drawn(cumulated: Tensor, size: tuple[int, ...], draw: torch.Generator) -> Tensor:
    """Words from the distribution with these cumulated shares."""
    at = torch.rand(size, dtype=torch.float64, generator=draw) * cumulated[-1]
    return torch.searchsorted(cumulated, at, right=True)


def generator(*parts: object) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed("skipgram", *parts))


def too_few(counts: Counter[str], enough: int, min_count: int) -> FixableError:
    if len(counts) < 2:
        return FixableError(
            "The text is empty: there is no word in it."
            if not counts
            else f"The text has a single distinct word, '{next(iter(counts))}'.",
            expected="a text of many words: a word's vector is made from its neighbours.",
            fix="give a longer text.",
        )
    (_, most), *_ = counts.most_common(1)
    return FixableError(
        f"{enough or 'None'} of the text's {len(counts):,} distinct words stands there {min_count} times.",
        expected="two words at least, or there is nothing to tell apart.",
        fix=f"choose a smaller min_count (the most frequent word stands there {most} times), or a longer text.",
    )


def no_pairs(corpus: Corpus, settings: Settings) -> FixableError:
    if (corpus.sentence[1:] == corpus.sentence[:-1]).any():
        return FixableError(
            f"With subsample {settings.subsample:g} no two neighbours are left of a text of {len(corpus.ids):,} words.",
            expected="a long text, in which frequent words may be dropped, or a larger subsample.",
            fix="choose subsample 0, which keeps all words.",
        )
    return FixableError(
        "No two words of the text are neighbours.",
        expected="lines of several words; each line is a sentence, and no pair goes over its end.",
        fix="put more words on a line.",
    )
