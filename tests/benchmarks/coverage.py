"""How often an interval for FSD holds what it claims to: Monte Carlo on Gaussian random fields.

    python tests/benchmarks/coverage.py [--n 128] [--datasets 300]

16x16 fields with power (1 + k)^-3, 130 features, N trajectories; the fake field of a trajectory shares part of its
noise, as a forecast does. Truth is E[FSD_N] over fresh data sets. Every way is asked for 95 %.
"""

from __future__ import annotations

import argparse

import numpy as np

from evaluators import fsd, uncertainty

GRID = 16
WAVENUMBER = np.hypot(np.fft.fftfreq(GRID)[:, None] * GRID, np.fft.fftfreq(GRID)[None] * GRID)
REAL = (1 + WAVENUMBER) ** -1.5  # amplitudes: the square root of the power
CASES = {  # amplitude of the fake field, share of the noise that is the real field's
    "same law": (REAL, 0.0),
    "slightly steeper": ((1 + WAVENUMBER) ** -1.6, 0.5),
    "weaker": (0.84 * REAL, 0.5),
    "smooth": (0.71 * REAL * np.exp(-((WAVENUMBER / 3) ** 2)), 0.3),
}


def features(white: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
    return fsd.features(np.fft.ifft2(np.fft.fft2(white) * amplitude).real[:, None])


def pair(rng: np.random.Generator, n: int, amplitude: np.ndarray, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Features of n real trajectories and of their forecasts."""
    own, other = rng.standard_normal((2, n, GRID, GRID))
    return features(own, REAL), features(shared * own + np.sqrt(1 - shared**2) * other, amplitude)


def rows(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of n real trajectories and of the forecasts of two models that differ little."""
    own, other, more = rng.standard_normal((3, n, GRID, GRID))
    first, second = 0.5 * own + 0.87 * other, 0.5 * own + 0.8 * other + 0.34 * more
    return features(own, REAL), features(first, 0.84 * REAL), features(second, 0.8 * REAL)


def measure(n: int, datasets: int, truths: int, count: int, redraw: bool = True) -> dict[str, dict[str, float]]:
    """Share of data sets whose interval holds E[FSD_N], by case and way, and mean standard error / true spread.

    `redraw`: the resamples with duplicates too, which cost a decomposition each.
    """
    return {case: coverage(n, datasets, truths, count, redraw, *settings) for case, settings in CASES.items()} | {
        "difference of two models": difference(n, datasets, truths, count)
    }


def coverage(
    n: int, datasets: int, truths: int, count: int, redraw: bool, amplitude: np.ndarray, shared: float
) -> dict[str, float]:
    fresh = np.random.default_rng(1)
    values = np.array([fsd.distance(*pair(fresh, n, amplitude, shared)) for _ in range(truths)])
    draws = uncertainty.resamples(n, count, seed=0)
    truth = values.mean()
    held: dict[str, list[bool]] = {}
    errors = []

    def add(way: str, low: float, high: float) -> None:
        held.setdefault(way, []).append(low <= truth <= high)

    rng = np.random.default_rng(2)
    for _ in range(datasets):
        real, fake = pair(rng, n, amplitude, shared)
        value, linear = fsd.distance(real, fake), fsd.bootstrap(real, fake, draws)
        add("linear", *uncertainty.interval(value, linear))
        add("positive", *uncertainty.interval(value, linear, positive=True))
        errors.append(linear.std() / values.std())
        if redraw:
            again = np.array([fsd.distance(real[draw], fake[draw]) for draw in draws])
            low, high = np.quantile(again, [0.025, 0.975])
            add("percentile", low, high)
            add("pivotal", 2 * value - high, 2 * value - low)
            add("centred", value + low - again.mean(), value + high - again.mean())
    return {way: float(np.mean(found)) for way, found in held.items()} | {"error": float(np.mean(errors))}


def difference(n: int, datasets: int, truths: int, count: int) -> dict[str, float]:
    """The same for FSD of one model minus FSD of another, both scored on the same trajectories."""

    def gap(real: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
        return fsd.distance(real, first) - fsd.distance(real, second)

    fresh, rng = np.random.default_rng(3), np.random.default_rng(4)
    values = np.array([gap(*rows(fresh, n)) for _ in range(truths)])
    draws = uncertainty.resamples(n, count, seed=0)
    held, errors = [], []
    for _ in range(datasets):
        real, first, second = rows(rng, n)
        replicas = fsd.bootstrap(real, first, draws) - fsd.bootstrap(real, second, draws)
        low, high = uncertainty.interval(gap(real, first, second), replicas)
        held.append(low <= values.mean() <= high)
        errors.append(replicas.std() / values.std())
    return {"linear": float(np.mean(held)), "error": float(np.mean(errors))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=128, help="trajectories")
    parser.add_argument("--datasets", type=int, default=300)
    arguments = parser.parse_args()
    found = measure(arguments.n, arguments.datasets, truths=2000, count=200)
    ways = ("percentile", "pivotal", "centred", "linear", "positive", "error")
    print("case".ljust(26), *(way.rjust(12) for way in ways))
    for case, shares in found.items():
        print(case.ljust(26), *(f"{shares[way]:12.3f}" if way in shares else " " * 12 for way in ways))


if __name__ == "__main__":
    main()
