"""Claims 32 and 33: which axis of a recurrent net is which, and what happens to those who mix them up.

torch says nothing to most such mistakes. Here each is made, on purpose, and held against the right answer.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from daiving.deck.evidence import NOT_SO, REPRODUCED, Evidence
from daiving.deck.recurrent_cells import EXACT, FAMILIES, WORD, one_hot
from daiving.errors import FixableError
from daiving.nets.axes import check_axes
from daiving.nets.recurrent import Recurrent


def hidden_layout() -> Evidence:
    """Claim 32: (layers * directions, batch, hidden), whether batch_first or not."""
    rows, holds = [], True
    for name, (theirs, make) in FAMILIES.items():
        for layers, both in ((1, False), (2, False), (2, True), (3, True)):
            wanted, found = (layers * (1 + both), 3, 2), set()
            for first in (True, False):
                x = torch.zeros(3, 5, 4) if first else torch.zeros(5, 3, 4)
                last = theirs(4, 2, layers, batch_first=first, bidirectional=both)(x)[1]
                found |= {tuple(h.shape) for h in (last if isinstance(last, tuple) else (last,))}
                ours = Recurrent(make, 4, 2, layers=layers, batch_first=first, bidirectional=both)
                found |= {tuple(h.shape) for h in ours(x).state}
            holds &= found == {wanted}
            rows.append((name, f"{layers}", f"{1 + both}", " and ".join(map(str, sorted(found)))))
    silent, loud = (takes(n, (n, 1, 2)) for n in (1, 3))
    return Evidence(
        f"{len(rows)} of {len(rows)} nets, each with batch_first=True and False: as the comment says"
        if holds
        else "another layout was found",
        REPRODUCED if holds else NOT_SO,
        "batch_first turns x and the outputs round, never the state. Whoever builds the state batch first, (batch, "
        f"layers, hidden), hears nothing at batch 1 ({silent}), and at batch 3: “{loud}”.",
        ("cell", "layers", "directions", "shape of the state, torch and daiving, either batch_first"),
        tuple(rows),
        ("Batch 3, 5 steps, 4 features, 2 units. With an LSTM h and c both have this shape.",),
    )


def takes(n: int, size: tuple[int, int, int]) -> str:
    """What torch says to a first state of that size for n words."""
    try:
        out, _ = nn.RNN(4, 2, batch_first=True)(torch.zeros(n, 5, 4), torch.zeros(size))
    except RuntimeError as error:
        return str(error)
    return f"it runs, out {tuple(out.shape)}"


def named_axes(*, seed: int = 0) -> Evidence:
    """Claim 33: (batch, sequence, input), and what happens to those who mix them up."""
    torch.manual_seed(seed)
    first = nn.RNN(4, 2, batch_first=True).double()
    default = nn.RNN(4, 2).double()
    default.load_state_dict(first.state_dict())
    words = torch.stack([one_hot(word) for word in (WORD, "hollo", "elleh")]).double()  # 3 5 4
    right = first(words)[0]

    def by_view(x: Tensor) -> Tensor:
        """Seq first made with view instead of transpose: the numbers stay in order, and the words are cut up."""
        return default(x.reshape(x.shape[1], x.shape[0], -1))[0].transpose(0, 1)

    tries: dict[str, Callable[[Tensor], Tensor]] = {
        "batch_first=True, x (3, 5, 4)": lambda x: first(x)[0],
        "batch_first=False, x transposed to (5, 3, 4)": lambda x: default(x.transpose(0, 1))[0].transpose(0, 1),
        "batch_first left out, x (3, 5, 4)": lambda x: default(x)[0],
        "batch_first=True, x transposed": lambda x: first(x.transpose(0, 1))[0].transpose(0, 1),
        "batch_first=False, x.view(5, 3, 4)": by_view,
    }
    rows, wrong = [], []
    for name, run in tries.items():
        off = (run(words) - right).abs().max().item()
        alone = (run(words[:1]) - right[:1]).abs().max().item()
        wrong.append(off > EXACT)
        rows.append((name, number(off), number(alone), found_by_trying(run)))
    holds = wrong == [False, False, True, True, True]
    return Evidence(
        "(3, 5, 4) with batch_first=True, its transpose (5, 3, 4) without: the same states",
        REPRODUCED if holds else NOT_SO,
        "Right with batch_first=True, which is not torch's default, and for x and the outputs alone, never for the "
        "state (claim 32). The three mistakes of the table run without a word, since no shape says which axis is time; "
        "the last one is even right at batch 1. With sizes that differ and inputs changed one at a time they are "
        "found.",
        ("what torch is fed, without a word from it", "off by, 3 words", "1 word", "check_axes of daiving.nets.axes"),
        tuple(rows),
        (
            "Words: hello, hollo, elleh, each letter one of four. Off by: largest difference to the right states, "
            "float64.",
        ),
    )


def number(off: float) -> str:
    return "0" if off < EXACT else f"{off:.2f}"


def found_by_trying(run: Callable[[Tensor], Tensor]) -> str:
    try:
        check_axes(lambda x: run(x.double()), 4)
    except FixableError as error:
        return str(error).splitlines()[0]
    return "nothing found"
