"""Claims 14 to 17: what goes wrong when layers are stacked, on nets that train in seconds.

He et al., 2015, section 4.1: degradation is not vanishing gradients. The deck lists the two side by side; here each is
measured by itself.
"""

from collections.abc import Sequence
from statistics import fmean

from daiving.deck.evidence import CANNOT_TELL, NOT_SO, REPRODUCED, Evidence, Figure
from daiving.deck.mlp import EXAMPLES, Stack, Trained, digits, gradients, train
from daiving.study.verdict import half_width, spread

SEEDS, EPOCHS, RATES = (0, 1, 2, 3, 4), 10, (0.003, 0.01, 0.03)
NAMES = {
    "sigmoid": "sigmoid",
    "plain": "plain: relu(bn(Wx))",
    "after": "x + relu(bn(Wx))",
    "original": "relu(x + F(x)), F of 2 layers",
    "before": "x + W relu(bn(x))",
}
RECIPE = (
    "{n:,} digits pooled to 7x7, width 48, SGD with momentum .9, batch 50, {epochs} epochs, the best of the learning "
    "rates {rates}"
)


def first_gradient(kind: str, depths: Sequence[int], seeds: Sequence[int]) -> dict[int, list[list[float]]]:
    """Gradient norms before any training, in float64: depth -> a row a seed, a number a layer from the first."""
    x, y = digits()
    return {depth: gradients(Stack(kind, depth, seeds).double(), x.double(), y).tolist() for depth in depths}


def vanishing(*, seeds: Sequence[int] = SEEDS, depths: Sequence[int] = (2, 4, 8, 12, 16, 20)) -> Evidence:
    """Claim 14: the first layer's gradient against depth, for sigmoid layers; beside it ReLU with batch norm."""
    found = {kind: first_gradient(kind, depths, seeds) for kind in ("sigmoid", "plain")}
    first = {kind: {d: [row[0] for row in rows] for d, rows in by.items()} for kind, by in found.items()}
    low, high = min(depths), max(depths)
    fall = fmean(first["sigmoid"][high]) / fmean(first["sigmoid"][low])
    per_layer = fall ** (1 / (high - low))
    vanishes = max(first["sigmoid"][high]) < 1e-3 * min(first["sigmoid"][low])
    return Evidence(
        f"sigmoid: {fmean(first['sigmoid'][low]):.1e} at {low} layers, {fmean(first['sigmoid'][high]):.1e} at {high}",
        REPRODUCED if vanishes else NOT_SO,
        f"With sigmoid layers the gradient that reaches the first one falls by a factor of {1 / per_layer:.1f} with "
        f"each layer more. Depth alone does not: with ReLU and batch norm it is {fmean(first['plain'][high]):.2g} "
        f"at {high} layers.",
        ("layers", "sigmoid, mean (low to high)", "ReLU + batch norm, mean (low to high)"),
        tuple((str(d), *(in_range(first[kind][d]) for kind in first)) for d in depths),
        (f"L2 norm of the first layer's gradient [nats per unit] before training, all {EXAMPLES:,} digits, "
         f"n = {len(seeds)} seeds.",),
        Figure(
            "layers",
            "gradient of layer 1 [nats per unit]",
            {NAMES[kind]: [line(d, first[kind][d]) for d in depths] for kind in first},
            log=True,
        ),
    )  # fmt: skip


def gives_up(*, seeds: Sequence[int] = SEEDS, depth: int = 8, epochs: int = 4) -> Evidence:
    """Claim 15: no number to hold it against. The gradient layer by layer, and whether such a net learns."""
    found = {kind: first_gradient(kind, [depth], seeds)[depth] for kind in ("sigmoid", "plain")}
    trained = {kind: train(kind, depth, seeds, RATES, epochs) for kind in found}
    columns = {kind: [[row[i] for row in rows] for i in range(depth)] for kind, rows in found.items()}
    accuracy = {kind: fmean(one.accuracy) for kind, one in trained.items()}
    return Evidence(
        f"{depth} sigmoid layers: training accuracy {accuracy['sigmoid']:.1%}, ReLU + batch norm "
        f"{accuracy['plain']:.1%}",
        CANNOT_TELL,
        f"The slide names no quantity that could be held against ours. Read as ①: in the sigmoid net the first layer's "
        f"gradient is {fmean(columns['sigmoid'][0]) / fmean(columns['sigmoid'][-1]):.1g} times the last one's, and it "
        f"reaches {accuracy['sigmoid']:.1%} on its training images. Whether that is the cause of ③, claim 16 measures.",
        ("layer", "sigmoid, gradient mean (low to high)", "ReLU + batch norm"),
        tuple((str(i + 1), *(in_range(columns[kind][i]) for kind in columns)) for i in reversed(range(depth))),
        (f"Gradient norms [nats per unit] before training, from the last layer to the first, n = {len(seeds)} seeds.",
         RECIPE.format(n=EXAMPLES, epochs=epochs, rates=rates_text(RATES)) + "; chance is about 10 %."),
        Figure(
            "layer, counted from the input",
            "gradient norm [nats per unit]",
            {NAMES[kind]: [line(i + 1, columns[kind][i]) for i in range(depth)] for kind in columns},
            log=True,
        ),
    )  # fmt: skip


def degradation(
    *,
    seeds: Sequence[int] = SEEDS,
    depths: Sequence[int] = (2, 8, 20, 40),
    epochs: int = EPOCHS,
    rates: Sequence[float] = RATES,
) -> Evidence:
    """Claim 16: training accuracy against depth for plain nets whose gradients do not vanish."""
    found = {d: train("plain", d, seeds, rates, epochs) for d in depths}
    low, high = found[min(depths)], found[max(depths)]
    best = max(found.values(), key=lambda one: fmean(one.accuracy))
    drop, half = paired(best, high)
    # A hundredth: those of sigmoid nets fall by more than that with four layers.
    vanish = fmean(high.start) < 0.01 * fmean(low.start) or fmean(high.end) < 0.01 * fmean(low.end)
    falls, rises = drop - half > 0, drop + half < 0
    verdict = CANNOT_TELL if vanish or not (falls or rises) else REPRODUCED if falls else NOT_SO
    return Evidence(
        f"training accuracy {fmean(best.accuracy):.1%} at best, {fmean(high.accuracy):.1%} at {max(depths)} layers",
        verdict,
        {
            REPRODUCED: f"Deeper is worse on the very digits it trains on (by {drop * 100:.1f} ± {half * 100:.1f} "
            f"points, 95 %, {len(seeds)} pairs), so it is no overfitting. Nor do its gradients vanish: the first one "
            f"is {fmean(high.start):.2g} at the start and {fmean(high.end):.2g} at the end, with {min(depths)} layers "
            f"{fmean(low.start):.2g} and {fmean(low.end):.2g}. With sigmoids they do (claim 14): ③ is not ① again.",
            NOT_SO: "The deepest net has the best training accuracy here.",
            CANNOT_TELL: "Its gradients vanish, so that degradation is not seen by itself."
            if vanish
            else "The difference between depths is not above the spread of the seeds.",
        }[verdict],
        ("layers", "training accuracy, mean ± s.d. (n)", "rate", "gradient at start", "at end"),
        tuple((str(d), *trained_row(one)) for d, one in found.items()),
        (RECIPE.format(n=EXAMPLES, epochs=epochs, rates=rates_text(rates)) + ".",
         "ReLU and batch norm in every layer, He's weights. Gradient: L2 norm of the first layer's [nats per unit]."),
        Figure("layers", "training accuracy [%]", {NAMES["plain"]: [line(d, percent(found[d])) for d in depths]}),
    )  # fmt: skip


def residual(
    *,
    seeds: Sequence[int] = SEEDS,
    depths: Sequence[int] = (3, 9, 33),
    epochs: int = EPOCHS,
    rates: Sequence[float] = RATES,
) -> Evidence:
    """Claim 17: plain and residual nets of equal parameters, with the ReLU in three places."""
    kinds = ("plain", "after", "original", "before")
    found = {kind: {d: train(kind, d, seeds, rates, epochs) for d in depths} for kind in kinds}
    deep = {kind: by[max(depths)] for kind, by in found.items()}
    gains = {kind: paired(deep[kind], deep["plain"]) for kind in kinds[1:]}
    better = [kind for kind, (gain, half) in gains.items() if gain - half > 0]
    worse = [kind for kind, (gain, half) in gains.items() if gain + half < 0]
    equal = len({one.parameters for one in deep.values()}) == 1
    verdict = REPRODUCED if "original" in better and equal else NOT_SO if "original" in worse else CANNOT_TELL
    gap, half = paired(deep["before"], deep["after"])  # chosen before any run
    relu = "Where the ReLU sits" + (" matters as well" if abs(gap) > half else " cannot be told apart here")
    return Evidence(
        f"training accuracy at {max(depths)} layers: plain {fmean(deep['plain'].accuracy):.1%}, "
        f"residual {fmean(deep['original'].accuracy):.1%}",
        verdict,
        f"At equal parameters ({deep['plain'].parameters:,}) the block of He et al. changes training accuracy at "
        f"{max(depths)} layers by {gains['original'][0] * 100:+.1f} ± {gains['original'][1] * 100:.1f} points (95 %, "
        f"{len(seeds)} pairs). {relu}, {gap * 100:+.1f} ± {half * 100:.1f} points from the second to the last: "
        + ", ".join(f"{NAMES[kind]} {fmean(deep[kind].accuracy):.1%}" for kind in kinds)
        + ".",
        ("net", "layers", "training accuracy, mean ± s.d. (n)", "rate", "gradient at start", "at end"),
        tuple((NAMES[kind], str(d), *trained_row(one)) for kind, by in found.items() for d, one in by.items()),
        (RECIPE.format(n=EXAMPLES, epochs=epochs, rates=rates_text(rates)) + ".",
         "Same parameters, same initial weights and same batches at one seed. Gradient: of the first layer."),
        Figure(
            "layers",
            "training accuracy [%]",
            {NAMES[kind]: [line(d, percent(one)) for d, one in by.items()] for kind, by in found.items()},
        ),
    )  # fmt: skip


def paired(a: Trained, b: Trained) -> tuple[float, float]:
    """Mean over the seeds of a − b in accuracy, and half of its 95 % t interval; without a spread that is zero wide."""
    mean, sd = spread([x - y for x, y in zip(a.accuracy, b.accuracy, strict=True)])
    n = len(a.accuracy)
    return mean, half_width(sd / n**0.5, n - 1, 0.05) if sd else 0.0


def trained_row(one: Trained) -> tuple[str, str, str, str]:
    mean, sd = spread(one.accuracy)
    accuracy = f"{mean:.1%} ± {sd * 100:.1f} ({len(one.accuracy)})"
    return accuracy, f"{one.rate:g}", f"{fmean(one.start):.2g}", f"{fmean(one.end):.2g}"


def percent(one: Trained) -> list[float]:
    return [100 * value for value in one.accuracy]


def line(x: float, values: Sequence[float]) -> list[float]:
    return [x, fmean(values), min(values), max(values)]


def in_range(values: Sequence[float]) -> str:
    return f"{fmean(values):.1e} ({min(values):.1e} to {max(values):.1e})"


def rates_text(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
