"""Claims 41 and 42: the bound that the deck gives for its loss, and what of the loss it explains.

loss = floor (`floor.py`) + what a state pays for being answer and memory at once + what is not yet learnt
"""

import torch

from daiving.deck import seeds
from daiving.deck.evidence import NOT_SO, REPRODUCED, Evidence, Figure
from daiving.deck.floor import bound, conflicts, floor, why
from daiving.deck.hello import BESIDE, EPOCHS, Run, build, train, trained
from daiving.show.numbers import percent
from daiving.tasks.hello import LETTERS, READ, SAY

CLASSES = len(LETTERS)
DECK_BOUND, DECK_MOST = "0.71", 0.6487  # the slide's formula, and the largest number of its own matrix
CONTROL = ("hihel", "ihell")  # the same net and letters, and no state that has to be two things
LONG = 20_000  # epochs


def limit() -> Evidence:
    """Claim 41: e² / (e² + k - 1): the form is right, .71 is for four classes."""
    wide = trained("x5")
    p = bound(CLASSES)
    four = next(k for k in range(2, 11) if f"{bound(k):.2f}" == DECK_BOUND)
    most = trained("softmax").answers[-1].max().item()  # of the net whose matrix the slide prints
    return Evidence(
        f"{p:.4f} for the five letters; {DECK_BOUND} is what {four} classes would allow",
        REPRODUCED if f"{p:.2f}" == DECK_BOUND else NOT_SO,
        "The form is right: tanh keeps each logit inside (-1, 1), so no probability reaches e²/(e² + k - 1), and no "
        f"loss falls below {floor('none', CLASSES):.4f}. But there are {CLASSES} letters: the largest number of the "
        f"slide's own matrix is {DECK_MOST}, just below {p:.4f} (ours: {most:.4f}).",
        ("classes", "p less than", "least loss: the state", "+ softmax", "fc + softmax"),
        tuple(
            (f"{k}", f"{bound(k):.4f}", *(f"{floor(output, k):.4f}" for output in ("none", "softmax", "fc_softmax")))
            for k in range(2, 11)
        ),
        (
            f"Least loss with fc alone: {floor('fc', CLASSES):.0f}, for {why('fc', CLASSES)}.",
            "0.7112 answers a question about four neurons (Data Science Stack Exchange, 25531).",
            f"To see the bound alone: logits times 5, and no further parameter. The floor is then "
            f"{floor('none', CLASSES, 5.0):.4f}, and epoch {EPOCHS} is at {wide.losses[-1]:.4f}.",
            seeds.said(BESIDE["x5"].words, seeds.count("x5")),
        ),
    )


def explanation(long: int = LONG) -> Evidence:
    """Claim 42: how much of 0.458 the bound explains, and which letters pay the rest."""
    word, exact = train(build("none"), long), train(build("none").double(), long)
    control = train(build("none"), min(long, 1000), read=CONTROL[0], say=CONTROL[1])
    least = floor("none", CLASSES)
    ((early, late),) = conflicts(READ, SAY)  # steps 4 and 5: both must say l, and be told apart
    loss, paid = word.losses[EPOCHS - 1], [one - least for one in word.letters(EPOCHS)]
    share = (paid[late - 1] + paid[late]) / sum(paid)  # of the second of the two, and of the step that reads it
    epochs = [epoch for epoch in (EPOCHS, 1000, 5000, LONG) if epoch <= long]
    rows = [
        (f"{READ[i]} → {SAY[i]}", f"{paid[i]:+.4f}", *(f"{word.letters(epoch)[i]:.4f}" for epoch in epochs))
        for i in range(len(SAY))
    ]
    rows.append(("mean", f"{loss - least:+.4f}", *(f"{word.losses[epoch - 1]:.4f}" for epoch in epochs)))
    rows.append(
        (
            f"mean of {' → '.join(CONTROL)}",
            f"{control.losses[EPOCHS - 1] - least:+.4f}",
            *(f"{control.losses[epoch - 1]:.4f}" if epoch <= len(control.losses) else "" for epoch in epochs),
        )
    )
    marked = ", ".join(f"{h:.2f}" for h in word.answers[EPOCHS - 1, late - 1].tolist())
    return Evidence(
        f"{least:.4f} of the {loss:.4f} is the bound; {loss - least:.4f} is something else",
        NOT_SO,
        f"The bound is there, and not the whole of it. {percent(share, 0)} of what lies above it is paid by "
        f"steps {late} and "
        f'{late + 1}, "l → l" and "l → o": without an output layer the state is the answer, so states {early} and '
        f"{late} must both be l, and yet differ, for l is read after each of them and o must follow the second. What a "
        "net remembers and what it says are different things; that is what an output layer is for.",
        ("read → say", f"above the floor, {EPOCHS}", *(f"epoch {epoch:,}" for epoch in epochs)),
        tuple(rows),
        (
            f"State {late} at epoch {EPOCHS}: ({marked}) for ({', '.join(LETTERS)}): l, with a mark in the unit of o.",
            f"Control: {' → '.join(CONTROL)} has no such pair, and comes to {control.losses[EPOCHS - 1]:.4f} at epoch "
            f"{EPOCHS}, {control.losses[-1]:.4f} at {len(control.losses):,}.",
            longer(word, exact),
        ),
        Figure(
            "epoch",
            f"loss − floor ({least:.4f}) [nats]",
            {
                f"{READ} → {SAY}": above(word),
                f"{READ} → {SAY}, double precision": above(exact),
                f"{' → '.join(CONTROL)}": above(control),
            },
            log=True,
            log_x=True,
        ),
    )


def longer(word: Run, exact: Run) -> str:
    """What more epochs do, in single and in double precision."""
    n, lowest = len(word.losses), min(word.losses)
    norm = torch.linalg.matrix_norm(word.net.state_dict()["recurrent.cells.0.U"], 2).item()
    text = (
        f"Longer: the least loss of {n:,} epochs is {lowest:.4f}, at epoch {word.losses.index(lowest) + 1:,}; the "
        f"floor is come near only by ever larger weights (largest singular value of U behind the last: {norm:.0f})."
    )
    if word.losses[-1] > lowest + 0.02:
        flat = int((word.answers[-1].abs() == 1).sum())
        text += (
            f" Then it leaps to {word.losses[-1]:.4f} (one letter at {max(word.letters(n)):.3f}) and stays: {flat} of "
            f"the {word.answers[-1].numel()} numbers of its states are 1 or -1 to the last digit, where tanh has no "
            f"slope. In double precision epoch {n:,} is at {exact.losses[-1]:.4f}."
        )
    return text


def above(run: Run) -> list[list[float]]:
    """How far a run is above the floor, as a line of a picture with log axes: some thirty epochs to each power of
    ten."""
    least, epochs, epoch = floor("none", CLASSES), [], 1
    while epoch < len(run.losses):
        epochs.append(epoch)
        epoch = max(epoch + 1, round(epoch * 1.08))
    return [[epoch, *[run.losses[epoch - 1] - least] * 3] for epoch in [*epochs, len(run.losses)]]
