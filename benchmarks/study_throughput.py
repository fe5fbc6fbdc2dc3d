"""Runs per minute of a study with two jobs against one after the other.

    python benchmarks/study_throughput.py [--rounds 3] [--pairs 4] [--epochs 2]

The deck's net with and without ReLU on the digits, a fresh lab each time, one job and two in turn. Needs two idle
cores.
"""

import tempfile
import time

from common import about_the_machine, median, options
from daiving import Recipe, Study
from daiving.study.execute import Done

ARMS = {"plain": "mnist_inception", "relu": "mnist_inception:activation=relu"}


def runs_a_minute(jobs: int, pairs: int, epochs: float) -> float:
    with tempfile.TemporaryDirectory() as lab:
        study = Study(task="digits", arms=ARMS, recipe=Recipe(epochs=epochs), max_pairs=pairs, alpha=0.01, lab=lab)
        began = time.perf_counter()
        done = sum(isinstance(event, Done) for event in study.steps(jobs))
        return 60 * done / (time.perf_counter() - began)


def main() -> None:
    flags = options(
        __doc__.splitlines()[0],
        rounds=(int, 3, "of each"),
        pairs=(int, 4, "pairs in a study"),
        epochs=(float, 2.0, "of each run"),
    )
    print(about_the_machine())
    ratios = []
    for turn in range(flags.rounds):
        one, two = (runs_a_minute(jobs, flags.pairs, flags.epochs) for jobs in (1, 2))
        ratios.append(two / one)
        print(f"round {turn}: {one:.1f} runs a minute with one job, {two:.1f} with two: {ratios[-1]:.2f} times")
    print(f"median: {median(ratios):.2f} times the runs with two jobs")


if __name__ == "__main__":
    main()
