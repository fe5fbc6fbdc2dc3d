"""Recompute the constants of the repeated t interval (`study/verdict.py`, TABLE) by simulation.

    python benchmarks/repeated_t_constants.py [--paths 800000] [--seed 1]

A path is 50 standard normal differences. At look n its two-sided p-value is p_n, and the verdict rejects when
p_n < a n/N for some n from 3 to N. So a path rejects when N min(p_n / n) < a, and a(N, alpha) is the alpha quantile of
that minimum over paths: one set of paths gives every cap and every alpha.
"""

import argparse

import numpy as np
from scipy.special import stdtr

CAPS = (4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
ALPHAS = (0.10, 0.05, 0.05 / 2, 0.05 / 3, 0.05 / 4, 0.01, 0.05 / 6, 0.05 / 8, 0.01 / 2, 0.01 / 4)


def smallest_ratios(paths: int, seed: int) -> np.ndarray:
    """For each path and cap, N min over n = 3..N of p_n / n; shape paths x caps."""
    random = np.random.default_rng(seed)
    total, squares, lowest = np.zeros(paths), np.zeros(paths), np.full(paths, np.inf)
    kept = []
    for n in range(1, max(CAPS) + 1):
        d = random.standard_normal(paths)
        total += d
        squares += d * d
        if n >= 3:
            mean = total / n
            deviation = np.sqrt((squares - n * mean**2) / (n - 1))
            p = 2 * stdtr(n - 1, -np.abs(mean) * np.sqrt(n) / deviation)
            lowest = np.minimum(lowest, p / n)
        if n in CAPS:
            kept.append(n * lowest)
    return np.stack(kept, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=800_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    ratios = smallest_ratios(options.paths, options.seed)
    print("alpha    " + "".join(f"{cap:>8}" for cap in CAPS))
    for alpha in ALPHAS:
        row = np.quantile(ratios, alpha, axis=0)
        print(f"{alpha:<9.5f}" + "".join(f"{a:8.5f}" for a in row))


if __name__ == "__main__":
    main()
