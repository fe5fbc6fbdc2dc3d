"""What `fit` costs beside a bare 15-line PyTorch loop: the same net, data, batches and optimizer.

    python benchmarks/loop_overhead.py [--rounds 7] [--images 6400] [--format auto] [--data FOLDER]

Both train the deck's net on the same images for one epoch, in turn, on one thread. `fit` clips, averages weights,
watches for divergence and yields events beside; the bare loop does none of that. The ratio of each round, and their
median.
"""

import time

import torch
import torch.nn.functional as F

from common import about_the_machine, median, mnist, options
from daiving import Recipe, build
from daiving.events import Epoch
from daiving.tasks.batches import Batches, scale
from daiving.tasks.data import Examples
from daiving.train import fit, lay_out


def bare(data: Batches, recipe: Recipe) -> float:
    net = build("mnist_inception", seed=0)
    lay_out(net, torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.lr, fused=True)
    began = time.perf_counter()
    for x, y in data.shuffled(0, 1):
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.format == "bfloat16"):
            logits = net(x)
        loss = F.cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


def ours(data: Batches, val: Batches, recipe: Recipe) -> float:
    events = fit(build("mnist_inception", seed=0), data, val, recipe, 0)
    return next(event.seconds for event in events if isinstance(event, Epoch))


def main() -> None:
    flags = options(
        __doc__.splitlines()[0],
        rounds=(int, 7, "of each"),
        images=(int, 6400, "in an epoch"),
        format=(str, "auto", "of both"),
    )
    print(about_the_machine())
    whole, recipe = mnist(flags.data).train, Recipe(epochs=1, format=flags.format).here()
    part = Examples(whole.x[: flags.images], whole.y[: flags.images])
    data = Batches(part, recipe, *scale(part))
    val = Batches(Examples(whole.x[:64], whole.y[:64]), recipe, *scale(part))
    bare(data, recipe), ours(data, val, recipe)  # warm up both
    print(f"format: {recipe.format}")
    ratios = []
    for turn in range(flags.rounds):
        if turn % 2:  # who goes first changes, as the machine's speed may drift
            fitted, plain = ours(data, val, recipe), bare(data, recipe)
        else:
            plain, fitted = bare(data, recipe), ours(data, val, recipe)
        ratios.append(fitted / plain)
        print(f"round {turn}: bare {plain:.2f} s, fit {fitted:.2f} s, ratio {ratios[-1]:.3f}")
    print(f"median: fit takes {median(ratios):.3f} times as long as the bare loop")


if __name__ == "__main__":
    main()
