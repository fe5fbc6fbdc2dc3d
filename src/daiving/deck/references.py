"""Claim 52: the deck's list of references, eight links without a word beside them, against what its claims rest on."""

import re
from typing import NamedTuple

from daiving.deck.claims import CLAIMS
from daiving.deck.evidence import CANNOT_TELL, NOT_SO, REPRODUCED, Evidence

# As on the last slide.
LINKS = (
    "https://excelsior-cjh.tistory.com/185",
    "https://towardsdatascience.com/word-embeddings-and-the-chamber-of-secrets-lstm-gru-tf-keras-de3f5c21bf16",
    "https://hoya012.github.io/blog/DenseNet-Tutorial-1/",
    "https://curaai00.tistory.com/1",
    "https://arxiv.org/pdf/1512.03385v1.pdf",
    "https://sotudy.tistory.com/13",
    "https://blueskyvision.tistory.com/539",
    "https://ikkison.tistory.com/86",
)


class Source(NamedTuple):
    what: str
    address: str  # what a link to it would hold
    claims: tuple[int, ...]  # of the deck, that rest on it


# What the claims are held against here: by their figures, equations and code, not by any word of the deck.
SOURCES = (
    Source("GoogLeNet", "1409.4842", (1, 2, 3, 4, 10)),
    Source("BN-Inception", "1502.03167", (11,)),
    Source("Inception v2 and v3", "1512.00567", (9, 11, 12)),
    Source("Inception v4, Inception-ResNet", "1602.07261", (13,)),
    Source("ResNet", "1512.03385", (14, 15, 16, 17, 18)),
    Source("DenseNet (a tutorial of it)", "DenseNet-Tutorial", (20,)),
    Source("PyTorchZeroToAll, the code", "PyTorchZeroToAll", (5, 6, 8, *range(29, 46))),
    Source("word embeddings, LSTM, GRU (a blog)", "word-embeddings", (45, 46, 47, 48, 50, 51)),
    Source("word2vec", "1301.3781", (46, 47, 48)),
    Source("Deep Learning, the book, section 10.2", "deeplearningbook", (49,)),
    Source("GRU, Cho et al.", "1406.1078", (50,)),
    Source("LSTM, Hochreiter & Schmidhuber 1997", "neco.1997", (51,)),
)


def references() -> Evidence:
    """Claim 52."""
    rows, taken, unlisted = [], set(), []
    for source in SOURCES:
        link = next((n for n, link in enumerate(LINKS, 1) if source.address in link), None)
        taken |= {link} if link else set()
        unlisted += [] if link else [source]
        rows.append((source.what, source.address, runs(source.claims), f"link {link}" if link else "not in the list"))
    silent = [n for n in range(1, len(LINKS) + 1) if n not in taken]
    papers = [link for link in LINKS if re.search(r"arxiv\.org/(abs|pdf)/\d", link)]
    blogs = ", ".join(f"{n}: {LINKS[n - 1].removeprefix('https://')}" for n in silent)
    rest = sorted(
        {n for source in unlisted for n in source.claims} - {n for s in SOURCES if s not in unlisted for n in s.claims}
    )
    return Evidence(
        f"{len(LINKS)} links, {len(papers)} of them a paper; {len(taken)} say in their address what they are about",
        CANNOT_TELL if silent else NOT_SO if rest else REPRODUCED,
        f"No slide names a link and no link names a slide. {len(taken)} addresses tell their subject; for the other "
        f"{len(silent)}, blog posts under a number, nothing in the deck decides what rests on them. Of the sources "
        f"that the deck's figures, equations and code come from, {len(unlisted)} of {len(SOURCES)} are not listed; "
        f"for claims {runs(rest)} none is.",
        ("source", "told by", "claims", "the deck's list"),
        tuple(rows),
        (
            f"Links that say nothing: {blogs}.",
            f"The one paper: {papers[0]}, in its first version." if papers else "No paper.",
            f"{len(CLAIMS)} claims in all. What is written of links was read off their addresses, none was opened.",
        ),
    )


def runs(numbers: tuple[int, ...] | list[int]) -> str:
    """1, 2, 3, 10 as 1-3, 10."""
    parts: list[list[int]] = []
    for n in sorted(numbers):
        if parts and parts[-1][-1] == n - 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts) or "none"
