"""Claims 21 and 29 to 31: a recurrent net unrolled, and the deck's three cells letter by letter.

The slides' code is run as it stands, on torch.nn; where it fails, torch's own words are shown.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from daiving.anatomy import look
from daiving.deck.evidence import NOT_SO, REPRODUCED, Evidence
from daiving.errors import FixableError
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.conversion import from_torch
from daiving.nets.recurrent import Recurrent
from daiving.nets.sequence import SequenceNet
from daiving.recurrence import rolled
from daiving.show.recurrent_page import recurrent_svg

EXACT = 1e-12  # in float64, on numbers of the order of one
WORD, LETTERS = "hello", "helo"  # read letter by letter; each letter is one of four
FAMILIES: dict[str, tuple[type[nn.RNN | nn.GRU | nn.LSTM], type[RNN | GRU | LSTM]]] = {
    "RNN": (nn.RNN, RNN),
    "GRU": (nn.GRU, GRU),
    "LSTM": (nn.LSTM, LSTM),
}


def one_hot(word: str, letters: str = LETTERS) -> Tensor:
    """t x 4, float32."""
    return torch.eye(len(letters))[[letters.index(letter) for letter in word]]


# ---- 21


def unrolled(*, word: str = "hihell", seed: int = 0) -> Evidence:
    """Claim 21: the loop drawn as a net of as many layers as there are steps, all with the same weights.

    Every step gets a cell of its own, a copy. The copies' answers are the loop's, and the loop's gradient is the sum of
    theirs: that is what drawing the same cell several times means.
    """
    letters = tuple(dict.fromkeys(word))
    x = one_hot(word, "".join(letters)).double()[None]
    rows, answers, gradients = [], [], []
    for name, (_, make) in FAMILIES.items():
        torch.manual_seed(seed)
        net = Recurrent(make, len(letters), 5).double()
        loop = net(x).outputs
        loop.square().sum().backward()
        copies = [make(len(letters), 5).double() for _ in word]
        for copy in copies:
            copy.load_state_dict(net.cells[0].state_dict())
        state, hs = copies[0].start(1), []
        for copy, letter in zip(copies, x.unbind(1), strict=True):
            step = copy(letter, *state)
            state = step[: len(state)]
            hs.append(step[0])
        torch.stack(hs, dim=1).square().sum().backward()
        answers.append((torch.stack(hs, dim=1) - loop).abs().max().item())
        whole = gradient(net.cells[0])
        parts = torch.stack([gradient(copy) for copy in copies])
        gradients.append((parts.sum(0) - whole).abs().max().item())
        shares = " ".join(f"{part.norm():.2f}" for part in parts)
        rows.append((name, f"{answers[-1]:.0e}", f"{gradients[-1]:.0e}", shares))
    holds = max(answers) < EXACT and max(gradients) < EXACT
    net = SequenceNet(hidden=5, num_symbols=len(letters), num_classes=len(letters))
    picture = rolled(net, look(net, (len(word),), torch.int64), tuple(word))
    assert picture is not None
    return Evidence(
        f"{len(word)} cells in a row answer as the loop does: largest difference {max(answers):.0e}",
        REPRODUCED if holds else NOT_SO,
        f"A loop over {len(word)} letters is a net {len(word)} layers deep whose layers share their weights: copies of "
        f"the cell, one a step, give the same states, and their gradients add up to the loop's. So depth's troubles "
        f"(claims 14 to 16) come with length, and one wrong weight is wrong {len(word)} times."
        if holds
        else "The copies do not answer as the loop does.",
        ("cell", "states off by", "gradients off by", f"|gradient of U| of the copy at {' '.join(word)}"),
        tuple(rows),
        (
            f"float64, 5 units, seed {seed}, loss: the sum of h² over all steps. No gradient for the first copy: its "
            "state is zeros, so U does nothing there.",
            "`daiving look rnn --form svg --text hihell` draws a net of yours so.",
        ),
        drawing=recurrent_svg([("rnn", picture)]),
    )


def gradient(cell: nn.Module) -> Tensor:
    grad = cell.get_parameter("U").grad
    assert grad is not None
    return grad


# ---- 29 to 31


def rnn_cell() -> Evidence:
    """Claim 29."""
    return letter_by_letter("RNN")


def gru_cell() -> Evidence:
    """Claim 30."""
    return letter_by_letter("GRU")


def lstm_cell() -> Evidence:
    """Claim 31."""
    return letter_by_letter("LSTM")


def letter_by_letter(family: str, *, seed: int = 0) -> Evidence:
    """The slide's loop with its state, randn(1, 1, 2), over h e l l o; then with the state that the cell wants."""
    torch.manual_seed(seed)
    theirs, make = FAMILIES[family]
    cell = theirs(input_size=4, hidden_size=2, batch_first=True)
    hidden = torch.randn(1, 1, 2)
    right = (hidden, torch.randn(1, 1, 2)) if family == "LSTM" else hidden
    rows, wrong = run_slide(cell, hidden)
    if wrong:
        rows = [("h", "(1, 1, 4)", f"{wrong}"), *run_slide(cell, right)[0]]
    with torch.no_grad():
        inputs = one_hot(WORD)
        whole = cell(inputs[None], right)[0][0]
        steps, state = [], right
        for one in inputs:
            out, state = cell(one.view(1, 1, -1), state)
            steps.append(out[0, 0])
        apart = float((torch.stack(steps) - whole).abs().max())
        ours = from_torch(cell)
        same = float((ours(inputs[None], right).outputs[0] - whole).abs().max())
    counts = {biases: sum(p.numel() for p in make(4, 2, biases=biases).parameters()) for biases in (2, 1, 0)}
    shapes = rows[-1][2] == "(1, 1, 2)"
    assert counts[2] == sum(p.numel() for p in cell.parameters())
    runs = shapes and not wrong
    return Evidence(
        f"(1, 1, 4) → {rows[-1][2]} each letter, {counts[2]} parameters"
        if runs
        else f"the line fails with the slide's hidden; with (h, c): (1, 1, 4) → {rows[-1][2]}, {counts[2]} parameters",
        REPRODUCED if runs else NOT_SO,
        f"It runs as the comments say. A letter at a time with the state handed on is the whole word at once "
        f"(difference {apart:.0e}). Each of its {'three sums' if family == 'GRU' else '2 units'} "
        f"{'is of 2 units, each of which ' if family == 'GRU' else ''}reads 4 inputs, 2 states and 2 biases: "
        f"{'3 · ' if family == 'GRU' else ''}2 · 8 = {counts[2]} parameters."
        if runs
        else f"The three lines are not interchangeable: an LSTM carries two tensors, h and c, and hidden is one. "
        f"torch takes its first axis for the pair and says “{wrong.partition(': ')[2]}”, which names neither. "
        f"{our_words(make, hidden)}",
        ("letter", "one input size", "out size"),
        tuple(rows),
        (
            f"Two biases a gate, as torch has them: {counts[2]}; one, which does the same: {counts[1]}; none, as the "
            f"slide's GRU equations: {counts[0]}." if family == "GRU"
            else f"Two biases a gate, as torch has them: {counts[2]}; one, which does the same: {counts[1]}.",
            f"daiving's {family} with these weights answers alike: difference {same:.0e} in float32.",
            *(typed_as_printed() if family == "RNN" else ()),
        ),
    )  # fmt: skip


def run_slide(cell: nn.Module, hidden: Tensor | tuple[Tensor, Tensor]) -> tuple[list[tuple[str, ...]], str]:
    """A row a letter, and torch's words where it fails."""
    rows, state = [], hidden
    for letter, one in zip(WORD, one_hot(WORD), strict=True):
        one = one.view(1, 1, -1)
        try:
            out, state = cell(one, state)
        except (IndexError, RuntimeError, ValueError) as error:
            return rows, f"{type(error).__name__}: {error}"
        rows.append((letter, str(tuple(one.shape)), str(tuple(out.shape))))
    return rows, ""


def our_words(make: Callable[[int, int], nn.Module], hidden: Tensor) -> str:
    """What daiving says to the same mistake, on one line."""
    try:
        Recurrent(make, 4, 2)(one_hot(WORD)[None, :1], hidden)
    except FixableError as error:
        return "daiving's words: " + " ".join(str(error).split())
    return "daiving says nothing."


def typed_as_printed() -> Sequence[str]:
    """The slide has `[h, e, 1, 1, o]`, the digit one for the letter l."""
    h, e, o = ([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1])
    try:
        torch.Tensor([h, e, 1, 1, o])
    except (TypeError, ValueError) as error:
        return (f"Typed as printed, with the digit 1 for the letter l, it fails: {type(error).__name__}: {error}.",)
    return ()
