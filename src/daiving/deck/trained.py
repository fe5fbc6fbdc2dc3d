"""Claims 7, 8 and 19: whole trainings of the deck's net, as studies that can be stopped and gone on with."""

import math
from itertools import zip_longest
from statistics import NormalDist

import numpy as np

from daiving.api import Study
from daiving.deck.evidence import CANNOT_TELL, NOT_SO, REPRODUCED, WITHIN_NOISE, Bench, Evidence
from daiving.errors import FixableError
from daiving.events import Step
from daiving.files import read_json
from daiving.recipe import named
from daiving.show import log, words
from daiving.study.images import mcnemar
from daiving.study.reading import Reading
from daiving.study.record import FINISHED, Result
from daiving.study.verdict import ALIKE, FIRST, OTHER, half_width, spread
from daiving.tasks.data import Data, Examples

DECK_9 = (0.9864, 0.0446)  # accuracy and loss behind nine epochs
DECK_4 = (9771, 9760, 10_000)  # right of the plain net, right with the jump, images
# What a verdict on (plain, jump) says of the slide, read as: the net without the jump is the better one.
SAYS = {OTHER: REPRODUCED, FIRST: NOT_SO, ALIKE: NOT_SO}
# The deck's own lines of epoch 9: examples seen, percent, loss
DECK_LOG = (
    (48000, 80, 0.049192), (48640, 81, 0.035681), (49280, 82, 0.006367), (49920, 83, 0.035510), (50560, 84, 0.165726),
    (51200, 85, 0.050424), (51840, 86, 0.164085), (52480, 87, 0.008275), (53120, 88, 0.006872), (53760, 90, 0.048391),
    (54400, 91, 0.019315), (55040, 92, 0.027699), (55680, 93, 0.025706), (56320, 94, 0.042459), (56960, 95, 0.071335),
    (57600, 96, 0.040346), (58240, 97, 0.047501), (58880, 98, 0.089792), (59520, 99, 0.062169),
)  # fmt: skip
HOW = (
    "The deck's recipe (SGD .01, momentum .5, batch 64). Where we leave it: {train:,} images train and {val:,} are "
    "held out, to choose the epoch whose weights are tested; the deck trains on all and tests the last."
)


def log_format() -> Evidence:
    """Claim 8: our deck log, fed with the deck's own numbers, against the deck's lines."""
    losses = {seen: loss for seen, _, loss in DECK_LOG}
    n, batch = 60_000, 64
    steps = [
        Step(number, 9, min(batch * number, n), losses.get(batch * (number - 1), 0.0), 0.01, 0.0)
        for number in range(1, math.ceil(n / batch) + 1)
    ]
    ours = log.deck(steps, nothing_but_sizes(n))
    # The text of the slide has lost which of its gaps are tabs: any run of them counts as one space.
    deck = [f"Train Epoch: 9 [{seen}/60000 ({percent}%)] Loss: {loss:.6f}" for seen, percent, loss in DECK_LOG]
    mine = [" ".join(line.split()) for line in ours if int(line.split("[")[1].split("/")[0]) >= DECK_LOG[0][0]]
    pairs = list(zip_longest(deck, mine, fillvalue=""))
    other = [pair for pair in pairs if pair[0] != pair[1]]
    return Evidence(
        f"{len(pairs) - len(other)} of the deck's {len(deck)} lines come out of `--log deck`, letter by letter",
        NOT_SO if other else REPRODUCED,
        "A line every ten batches of 64, counting the images before the batch: 938 batches make 94 lines, the last at "
        "59520. The deck's test line rounds 98.64 to (99%), which hides the very comparison that it is for."
        if not other
        else "Our log prints other lines where the table shows two that differ.",
        ("deck", "ours"),
        (pairs[0], *other, pairs[-1]),
        ("The deck's losses were put into our log; with the task mnist it counts to 55000, the images that train.",),
    )


def nothing_but_sizes(n: int) -> Data:
    """Data of n training images without their pixels."""
    part = Examples(np.broadcast_to(np.zeros((1, 1, 1, 1), np.uint8), (n, 1, 1, 1)), np.zeros(n, np.int64))
    return Data(part, part, part, (), "")


def studied(bench: Bench, study: Study) -> Reading:
    """The study to its end, or the rest of it; raises `FixableError` if it is not at its end then."""
    if bench.say:
        bench.say(study.steps(bench.jobs), study.plan, study.loaded)
    else:
        for _ in study.steps(bench.jobs):
            pass
    reading = study.outcome().reading
    if not reading.over:
        raise FixableError(
            "The study of this claim is not finished.",
            expected="all its pairs, or a verdict before them.",
            fix="start the same command again: it goes on where it stopped.",
        )
    return reading


def nine_epochs(bench: Bench, *, task: str = "mnist", epochs: float = 9.0, pairs: int = 5) -> Evidence:
    """Claim 7: 98.64 % after nine epochs, against the spread of our runs; beside it the module with its ReLUs."""
    study = Study(
        task=task,
        arms={"deck": "mnist_inception", "relu": "mnist_inception:activation=relu"},
        recipe=named("deck").but(epochs=epochs),
        max_pairs=pairs,
        lab=bench.lab,
        data=bench.data,
    )
    reading = studied(bench, study)
    runs = [run for run in reading.runs("deck") if run.status == FINISHED]
    rows, verdicts, ours = [], [], []
    for name, deck in zip(("accuracy", "loss"), DECK_9, strict=True):
        mean, low, high = prediction([run.metrics[name] for run in runs])
        verdicts.append(low <= deck <= high)
        shown = [words.level(value, name) for value in (deck, mean, low, high)]
        rows.append((name, shown[0], shown[1], f"{shown[2]} to {shown[3]}"))
        ours.append(shown[1])
    n = len(runs)
    inside = n >= 2 and verdicts[0]
    return Evidence(
        f"{ours[0]}, loss {ours[1]} (mean of {n} runs)",
        CANNOT_TELL if n < 2 else WITHIN_NOISE if inside else NOT_SO,
        f"98.64 % lies {'inside' if inside else 'outside'} the interval in which one more run of ours would fall with "
        f"probability 95 % ({rows[0][3]}); the loss of 0.0446 {'too' if verdicts[1] == inside else 'does not'}. "
        f"With the ReLUs that the module lost: {words.headline(reading)}",
        ("metric", "deck, 1 run", f"ours, mean of {n}", "95 % interval for one more run"),
        tuple(rows),
        notes(study),
    )


def four_epochs(bench: Bench, *, task: str = "mnist", epochs: float = 4.0, pairs: int = 10) -> Evidence:
    """Claim 19: 97.71 against 97.60. What the deck's two counts say, and what our pairs say."""
    study = Study(
        task=task,
        arms={"plain": "mnist_inception", "jump": "mnist_inception:jump=true"},
        recipe=named("deck").but(epochs=epochs),
        max_pairs=pairs,
        smallest="0.3pp",
        lab=bench.lab,
        data=bench.data,
    )
    reading = studied(bench, study)
    (comparison,) = reading.comparisons
    z, p = two_counts(*DECK_4)
    plain, jump, images = DECK_4
    means = []
    for arm in ("plain", "jump"):
        mean, sd = spread([run.metrics["accuracy"] for run in reading.runs(arm) if run.status == FINISHED])
        means.append(f"{mean:.2%} ± {sd * 100:.2f}")
    word = f"{comparison.converged} pairs: {words.verdict_word(comparison)}"
    rows = [
        ("deck, 1 pair", f"{plain / images:.2%}", f"{jump / images:.2%}", f"z = {z:.2f}, p = {p:.2f}"),
        ("ours, mean ± s.d.", means[0], means[1], word),
    ]
    first = first_pair(reading)
    if first is not None:
        rows.append(("ours, first pair alone", *first))
    return Evidence(
        f"{means[0]} plain, {means[1]} jump, {word}",
        SAYS.get(comparison.verdict, CANNOT_TELL),
        f"The deck's two runs differ by {plain - jump} images of {images:,}: z = {z:.2f}, p = {p:.2f}, from which "
        f"{'nobody can tell' if p > 0.05 else 'one may guess'} (McNemar's test would need to know which images; nor "
        f"does the slide's text say which figure is whose). Our pairs: {words.headline(reading)}",
        ("", "plain", "jump", "test"),
        tuple(rows),
        notes(study),
    )


def prediction(values: list[float]) -> tuple[float, float, float]:
    """Mean, and the ends of the 95 % interval for one more value: mean ± t s √(1 + 1/n)."""
    mean, sd = spread(values)
    n = len(values)
    half = half_width(sd * math.sqrt(1 + 1 / n), n - 1, 0.05) if sd else 0.0
    return mean, mean - half, mean + half


def two_counts(a: int, b: int, n: int) -> tuple[float, float]:
    """z and two-sided p of the test that two shares of n each are equal."""
    share = (a + b) / (2 * n)
    z = (a - b) / n / math.sqrt(2 * share * (1 - share) / n)
    return z, 2 * (1 - NormalDist().cdf(abs(z)))


def first_pair(reading: Reading) -> tuple[str, str, str] | None:
    """Our first seed as if it were all, with McNemar's p; None where a run of it diverged."""
    sides: list[Result] = [reading.results[arm.name, reading.plan.first_seed] for arm in reading.plan.arms]
    a, b = (run.right() if run.status == FINISHED else None for run in sides)
    if a is None or b is None:
        return None
    return f"{a.mean():.2%}", f"{b.mean():.2%}", f"McNemar p = {mcnemar(b, a):.2g}"


def notes(study: Study) -> tuple[str, ...]:
    sizes = HOW.format(train=len(study.loaded.train), val=len(study.loaded.val))
    folder = study.outcome().report
    made = read_json(folder.with_name("study.json")) if folder else None
    return (sizes, *([f"Study {study.plan.id}: `daiving show {study.plan.id[:8]}`."] if made else []))
