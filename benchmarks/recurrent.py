"""Recurrent nets through time against torch.nn's, forward and backward: the same sizes, in turn, on one thread.

    python benchmarks/recurrent.py [--rounds 9] [--seconds 0.3] [--loops torch]

Each round times the peer, ours, and the bare matrix products that no implementation can do without (by torch), for
about `seconds` each; the ratios of the rounds, and their median. Then sequences of 100 to 20 steps against
`pack_padded_sequence`, and the GRU with the reset before its product against Keras', if Keras is installed.
`--loops torch` leaves the compiled loops out, as where there was no compiler.
"""

import os
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("KERAS_BACKEND", "torch")  # of the peer, before anything imports it

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common import about_the_machine, median, options
from daiving.nets import loops_compiled
from daiving.nets.cells import GRU, LSTM, RNN
from daiving.nets.recurrent import Recurrent

AFTER = partial(GRU, reset="after")
CELLS = {
    "RNN": (nn.RNN, RNN, 1),
    "GRU": (nn.GRU, GRU, 3),
    "GRU, reset after": (nn.GRU, AFTER, 3),
    "LSTM": (nn.LSTM, LSTM, 4),
}
# steps, batch, in, hidden: and what ours may take at most, as a share of the peer's time
SIZES = {
    (100, 32, 128, 256): {"RNN": 1.05, "GRU": 1.1, "GRU, reset after": 1.05, "LSTM": 1.05},
    (100, 32, 32, 32): {"RNN": 0.6, "GRU": 0.5, "GRU, reset after": 0.5, "LSTM": 1.0},
    (50, 64, 64, 128): {"RNN": 0.8, "GRU": 0.8, "GRU, reset after": 0.8, "LSTM": 1.0},
    (6, 1, 5, 5): {"RNN": 0.8, "GRU": 0.8, "GRU, reset after": 0.8, "LSTM": 0.8},
}
Job = Callable[[], object]


def step(net: nn.Module, x: torch.Tensor, run: Callable | None = None) -> None:
    """Forward and backward once; the gradients are handed back and forgotten."""
    outputs = net(x)[0] if run is None else run()
    torch.autograd.grad(outputs.sum(), WEIGHTS.setdefault(net, [p for p in net.parameters() if p.requires_grad]))


WEIGHTS: dict[nn.Module, list[nn.Parameter]] = {}  # listing them takes time, and more of it in a deeper module


def products(t: int, n: int, n_in: int, hid: int, gates: int) -> Job:
    """The matrix products of a step forward and backward, with nothing between them: W x, U h each step, and their
    gradients (x itself is given none)."""
    rows = gates * hid
    x, W, U = torch.randn(t * n, n_in), torch.randn(rows, n_in), torch.randn(rows, hid)
    h, a, all_h, all_a = torch.randn(n, hid), torch.randn(n, rows), torch.randn(t * n, hid), torch.randn(t * n, rows)
    out_a, out_h = torch.empty(n, rows), torch.empty(n, hid)

    def run() -> None:
        x @ W.t()
        for _ in range(t):
            torch.mm(h, U.t(), out=out_a)
        for _ in range(t):
            torch.mm(a, U, out=out_h)
        all_h.t() @ all_a
        x.t() @ all_a

    return run


def timed(job: Job, times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        job()
    return (time.perf_counter() - began) / times * 1e3


def rounds(jobs: list[Job], flags) -> tuple[list[float], list[list[float]]]:
    """Medians in ms, and for each job but the first the ratios to the first, round by round."""
    for job in jobs:
        job(), job()
    times = [max(1, round(flags.seconds * 1e3 / timed(job, 2))) for job in jobs]
    found = [[timed(job, n) for job, n in zip(jobs, times, strict=True)] for _ in range(flags.rounds)]
    return [median(list(one)) for one in zip(*found, strict=True)], [
        [row[i] / row[0] for row in found] for i in range(1, len(jobs))
    ]


def line(what: str, ms: list[float], ratios: list[float], most: float) -> None:
    middle = median(ratios)
    said = f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), at most {most}: {'yes' if middle <= most else 'NO'}"
    limit = f"   products alone {ms[2]:6.2f}" if len(ms) > 2 else ""
    print(f"{what:<38} peer {ms[0]:7.2f} ms   ours {ms[1]:7.2f} ms{limit}   {said}", flush=True)


def lengths_against_packing(flags) -> None:
    t, n, n_in, hid = 100, 32, 128, 256
    lengths = torch.linspace(100, 20, n).long()
    x = torch.randn(n, t, n_in)
    for name, (peer, cell, _) in CELLS.items():
        theirs, ours = peer(n_in, hid, batch_first=True), Recurrent(cell, n_in, hid)

        def packed(net=theirs):
            out = net(pack_padded_sequence(x, lengths, batch_first=True))[0]
            return pad_packed_sequence(out, batch_first=True)[0]

        def masked(net=ours):
            return net(x, None, lengths)[0]

        jobs = [partial(step, theirs, x, packed), partial(step, ours, x, masked)]
        ms, (ratios,) = rounds(jobs, flags)
        line(f"lengths 100 to 20: {name}", ms, ratios, 0.7)


def against_keras(flags) -> None:
    try:
        import keras
    except ImportError:
        print("Keras is not installed: its GRU(reset_after=False) is left out (pip install keras).")
        return
    t, n, n_in, hid = 100, 32, 128, 256
    x = torch.randn(n, t, n_in)
    theirs = keras.layers.GRU(hid, reset_after=False, return_sequences=True)
    theirs(x)  # which makes its weights
    ours = Recurrent(GRU, n_in, hid)

    def keras_step() -> None:
        step(theirs, x, lambda: theirs(x, training=True))

    ms, (ratios,) = rounds([keras_step, lambda: step(ours, x)], flags)
    line("Keras' GRU(reset_after=False)", ms, ratios, 0.5)


def main() -> None:
    flags = options(
        __doc__.splitlines()[0],
        rounds=(int, 9, "of each"),
        seconds=(float, 0.3, "a round and side"),
        loops=(str, "compiled", "of ours: compiled, or torch"),
    )
    if flags.loops == "torch":
        loops_compiled.can = lambda *_: False
    print(about_the_machine())
    print(f"our loops: {'compiled' if loops_compiled.can(torch.zeros(1)) else 'in torch operations'}")
    for size, most in SIZES.items():
        t, n, n_in, hid = size
        x = torch.randn(n, t, n_in)
        for name, (peer, cell, gates) in CELLS.items():
            theirs, ours = peer(n_in, hid, batch_first=True), Recurrent(cell, n_in, hid)
            jobs = [partial(step, theirs, x), partial(step, ours, x), products(*size, gates)]
            ms, (ratios, _) = rounds(jobs, flags)
            line(f"{t}, {n}, {n_in}, {hid}: {name}", ms, ratios, most[name])
    lengths_against_packing(flags)
    against_keras(flags)


if __name__ == "__main__":
    main()
