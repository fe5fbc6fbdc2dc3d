"""Claims 40 and 43 to 45: what the deck puts behind the state and in front of it; softmax, fc, both, embedding.

The bound, claims 41 and 42, is in `bounds.py`.
"""

from collections.abc import Mapping, Sequence

from daiving.deck import seeds
from daiving.deck.evidence import CANNOT_TELL, Evidence, Figure
from daiving.deck.floor import floor, why
from daiving.deck.hello import ALL, EPOCHS, SEED, VARIANTS, Run, build, folded, numbers, train, trained, turning_points
from daiving.deck.letters import SHOWN, against
from daiving.show.numbers import percent
from daiving.tasks.hello import LETTERS, READ, SAY

CLASSES = len(LETTERS)
DECK_SOFTMAX, DECK_FC, DECK_EMBEDDING = "1.201", "0.001", "0.007"
DECK_MATRIX = (
    (0.0886, 0.6469, 0.0883, 0.0879, 0.0883), (0.6478, 0.0879, 0.0877, 0.0888, 0.0878),
    (0.0878, 0.0879, 0.6483, 0.0881, 0.0878), (0.0878, 0.0879, 0.0878, 0.6487, 0.0878),
    (0.0811, 0.0811, 0.0811, 0.5808, 0.1759), (0.0879, 0.0880, 0.0879, 0.0995, 0.6368),
)  # fmt: skip


def softmax() -> Evidence:
    """Claim 40: a softmax before the loss: 1.201, and the 6 x 5 matrix."""
    run, plain = trained("softmax"), trained("none")
    ours = f"{run.losses[-1]:.3f}"
    matrix = [[f"{p:.4f}" for p in row] for row in run.answers[-1].tolist()]
    deck = [[f"{p:.4f}" for p in row] for row in DECK_MATRIX]
    equal = sum(a == b for mine, theirs in zip(matrix, deck, strict=True) for a, b in zip(mine, theirs, strict=True))
    with_it, without = seeds.count("softmax"), seeds.count("none")
    losses = [f"{loss:.4f}" for loss in run.letters(EPOCHS)]
    return Evidence(
        f"{ours}, {run.strings[-1]}; {equal} of the matrix's {sum(map(len, deck))} numbers to the fourth digit",
        against(ours, DECK_SOFTMAX),
        "The figures come out; the step is a mistake. CrossEntropyLoss has its softmax inside (claim 36), and a "
        f"second one flattens what the first says: the loss rises by {run.losses[-1] - plain.losses[-1]:.2f}, and of "
        f"{seeds.MANY:,} seeds {percent(with_it.share, 0)} spell ihello instead of {percent(without.share, 0)}.",
        ("read → say", *LETTERS, "loss"),
        tuple((f"{READ[i]} → {SAY[i]}", *row, losses[i]) for i, row in enumerate(matrix)),
        (
            f"Least loss possible so: {floor('softmax', CLASSES):.4f} ({why('softmax', CLASSES)}).",
            seeds.said(VARIANTS["softmax"].words, with_it),
            seeds.said(VARIANTS["none"].words, without),
        ),
        seeds.picture(run, "softmax"),
    )


def linear() -> Evidence:
    """Claim 43: a linear layer in place of the softmax: 0.001."""
    run, with_it, without = trained("fc"), seeds.count("fc"), seeds.count("none")
    ours = f"{run.losses[-1]:.3f}"
    return Evidence(
        f"{ours} ({run.losses[-1]:.4f}), {run.strings[-1]}; right in {percent(with_it.share)} of {seeds.MANY:,} seeds",
        against(ours, DECK_FC),
        f"With fc the logits have no bound, so the floor is 0 and no longer {floor('none', CLASSES):.4f}; and the "
        "state is free to remember what it needs, for fc reads the answer from it (claim 42): "
        f"{percent(with_it.share)} of the seeds spell ihello, against {percent(without.share)} without.",
        ("epoch", "loss", "predicted"),
        tuple((f"{epoch}", f"{run.losses[epoch - 1]:.3f}", run.strings[epoch - 1]) for epoch in SHOWN),
        (seeds.said(VARIANTS["fc"].words, with_it), seeds.said(VARIANTS["none"].words, without)),
        seeds.picture(run, "fc", log=True),
    )


def grid(names: Sequence[str] = tuple(ALL)) -> Evidence:
    """Claim 44: fc and softmax both, the cell that the deck leaves out; and all other nets beside it."""
    runs = {name: trained(name) for name in names}
    many = {name: seeds.count(name) for name in names}
    last = {name: run.losses[-1] for name, run in runs.items()}
    four = ("none", "softmax", "fc", "fc_softmax")
    return Evidence(
        f"{last['fc_softmax']:.3f} with both, {runs['fc_softmax'].strings[-1]}; {percent(many['fc_softmax'].share)} of "
        f"{seeds.MANY:,} seeds",
        CANNOT_TELL,
        "The deck's figures alone cannot: from 1.201 to 0.001 two things change at once, the softmax goes and fc "
        f"comes. The missing cell tells. Taking the softmax away: {last['softmax']:.3f} to {last['none']:.3f} "
        "without fc, "
        f"{last['fc_softmax']:.3f} to {last['fc']:.3f} with it. Adding fc: {last['none']:.3f} to {last['fc']:.3f} "
        f"without the softmax, {last['softmax']:.3f} to {last['fc_softmax']:.3f} with it. Each alone runs into its "
        "floor; it takes both.",
        (
            "net",
            "weights",
            "floor",
            f"seed {SEED}",
            "right first, wrong last",
            f"median of {seeds.MANY:,}",
            "spell ihello",
        ),
        tuple(row(name, runs[name], many[name]) for name in names),
        (
            f"Weights: parameters, with torch's two biases. Right first, wrong last: epochs of seed {SEED}, of "
            f"{EPOCHS}.",
            f"Floors: {'; '.join(f'{ALL[name].words}: {why(ALL[name].output, CLASSES)}' for name in four)}.",
            *(seeds.said(ALL[name].words, many[name]) for name in four),
            *gru_note(many),
        ),
        Figure(
            *seeds.AXIS,
            {VARIANTS[name].words: seeds.alone(runs[name]) for name in four},
            log=True,
            floors={VARIANTS[name].words: floor(name, CLASSES) for name in four},
        ),
    )


def gru_note(many: Mapping[str, seeds.Seeds]) -> list[str]:
    if not {"gru", "gru_deck"} <= many.keys():
        return []
    return [
        f"The deck's own GRU (reset before the product) alone spells it in {percent(many['gru_deck'].share)} of "
        "the seeds, "
        f"torch's (after it) in {percent(many['gru'].share)}; with fc a GRU and an LSTM hardly ever fail."
    ]


def row(name: str, run: Run, many: seeds.Seeds) -> tuple[str, ...]:
    variant, (first, last) = ALL[name], turning_points(run.strings)
    return (
        variant.words,
        f"{sum(p.numel() for p in run.net.parameters())}",
        f"{floor(variant.output, CLASSES, variant.scale):.4f}",
        f"{run.losses[-1]:.4f}",
        f"{first or 'never'}, {last or 'never'}",
        f"{many.quantiles()[1]:.4f}",
        f"{percent(many.share)}",
    )


def embedding() -> Evidence:
    """Claim 45: a table of embeddings in front: 0.007, 165 parameters, and nothing that one-hot could not say."""
    run = trained("embedding")
    ours, weights = f"{run.losses[-1]:.3f}", sum(p.numel() for p in run.net.parameters())
    table, one_hot, product = (seeds.count(name) for name in ("embedding", "fc", "folded"))
    return Evidence(
        f"{ours}, {weights} parameters, {run.strings[-1]}; the one-hot net of the product differs by {unfolded():.1e}",
        against(ours, DECK_EMBEDDING),
        "One-hot VS embedding has no winner in what it can say: W (E x) = (W E) x, so each such net is a one-hot net, "
        f"here of {sum(p.numel() for p in build('fc').parameters())} parameters. It differs in how it trains, and here "
        f"for the worse: {percent(table.share)} of {seeds.MANY:,} seeds spell ihello, one-hot "
        f"{percent(one_hot.share)}; and "
        f"{percent(product.share)} if one-hot starts from the very same functions, so it is the steps in two "
        "factors that "
        "do it, not the start. Five letters and six steps can show none of the slide's three pictures (claims 46 to "
        "48).",
        ("epoch", "loss", "predicted"),
        tuple((f"{epoch}", f"{run.losses[epoch - 1]:.3f}", run.strings[epoch - 1]) for epoch in SHOWN),
        (
            f"{DECK_EMBEDDING} against {DECK_FC} says less than it seems: "
            f"{percent(table.rank(run.losses[-1]), 0)} of the "
            f"seeds end below seed {SEED}'s {run.losses[-1]:.4f}.",
            *(seeds.said(ALL[name].words, seeds.count(name)) for name in ("embedding", "fc", "folded")),
        ),
        Figure(
            *seeds.AXIS,
            {
                f"embedding, seed {SEED}": seeds.alone(run),
                f"embedding, {seeds.MANY:,} seeds: median, band from 10 to 90 %": table.curve(),
                f"one-hot, {seeds.MANY:,} seeds": one_hot.curve(),
            },
            log=True,
        ),
    )


def unfolded(nets: int = 8) -> float:
    """The largest difference between states of embedding nets and of their one-hot nets, before and behind training, in
    double precision."""
    x, worst = numbers(READ)[None], 0.0
    for seed in range(nets):
        net = build("embedding", seed).double()
        for epochs in (0, 20):
            net = train(net, epochs).net if epochs else net
            a, b = (one.through(x).outputs for one in (net, folded(net)))
            worst = max(worst, (a - b).abs().max().item())
    return worst
