"""What a finite number of clips does to a Frechet distance: the floor, the N-curve and its end at infinity.

A Frechet distance of N clips is biased upward, identical laws included: at d = 400 equal laws score a third of tr Sigma with
256 against 256 clips and 1 % with 8,192. So a value is shown beside

    floor       the distance of real clips from other real clips, at the same counts
    curve       the distance of random subsets of the clips, over their number
    infinity    a + b / N fitted to the upper half of the curve, at N -> infinity (Chong, Forsyth 2020)

The law a + b / N holds where N exceeds the number of features; below it the end at infinity is too high, though nearer the
truth than the value itself (d = 400, power-law spectrum, truth 0: value 5.6 at N = 256, its end 2.7; at N = 2,048 .73 and .00).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evaluators import frechet

FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1)
Subset = Callable[[np.random.Generator, float], tuple[float, np.ndarray]]


@dataclass(frozen=True)
class Floor:
    """What real clips score against real clips: mean and spread over splits. `at` is the count of the splits; where it is
    smaller than the count of the value, `value` is carried on to that count by the power law of the last halving."""

    value: float
    spread: float
    at: int
    extrapolated: bool


def splits(
    pool: np.ndarray, n: int, m: int, count: int, seed: int, source: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`count` pairs of disjoint random sets of n and m sources of pool [P, d]; `source` [P]: the source of each row, itself if None."""
    names, number = np.unique(np.arange(len(pool)) if source is None else source, return_inverse=True)
    if len(names) < n + m:
        raise ValueError(
            f"{n} against {m} of {len(names)} clips: for instance {len(names) // 2} against {len(names) // 2} can be drawn"
        )
    rng = np.random.default_rng(seed)
    for _ in range(count):
        rank = rng.permutation(len(names))[number]
        yield pool[rank < n], pool[(rank >= n) & (rank < n + m)]


def floor(pool: np.ndarray, n: int, m: int, count: int = 4, seed: int = 0, source: np.ndarray | None = None) -> Floor:
    """The floor of a value of n real against m generated clips, from real features [P, d] of at least 8 clips.

    Exact where there are n + m. Otherwise the pool is halved, and quartered, and the power law between the two is followed up to
    the harmonic mean of n and m, which is what bias depends on. The law steepens towards 1 / N, so this errs upward.
    `source` [P] names the clip of each row, where several rows (frames) are of one clip: clips are split and not rows.
    """
    clips = len(pool) if source is None else len(np.unique(source))
    if clips >= n + m:
        values = [frechet.distance(a, b) for a, b in splits(pool, n, m, count, seed, source)]
        return Floor(float(np.mean(values)), float(np.std(values)), min(n, m), False)
    half, quarter = clips // 2, clips // 4
    if quarter < 2:
        raise ValueError(f"a floor of {clips} real clips: at least 8 are needed")
    values = [frechet.distance(a, b) for a, b in splits(pool, half, half, count, seed, source)]
    lower = [frechet.distance(a, b) for a, b in splits(pool, quarter, quarter, count, seed, source)]
    upper = float(np.mean(values))
    slope = max(np.log(np.mean(lower) / upper) / np.log(half / quarter), 0.0) if upper > 0 else 0.0
    factor = float((half / (2 / (1 / n + 1 / m))) ** slope)
    return Floor(upper * factor, float(np.std(values)) * factor, half, True)


@dataclass(frozen=True)
class Point:
    """The mean distance of random subsets of n clips, and the influence [sources] of each source clip on it."""

    n: int
    value: float
    influence: np.ndarray


def curve(subset: Subset, n: int, repeats: int = 4, seed: int = 0) -> list[Point]:
    """The N-curve of n clips; `subset(rng, fraction)` scores a random subset of that fraction of the source clips."""
    rng = np.random.default_rng(seed)
    counts = {max(round(fraction * n), 2): fraction for fraction in FRACTIONS}  # few clips: equal counts, once
    found = []
    for count, fraction in counts.items():
        scored = [subset(rng, fraction) for _ in range(1 if fraction == 1 else repeats)]
        values, influences = zip(*scored, strict=True)
        found.append(Point(count, float(np.mean(values)), np.mean(influences, axis=0)))
    return found


def infinity(points: Sequence[Point]) -> tuple[float, np.ndarray]:
    """a of the least-squares a + b / N through the points from half of the largest N on, and its influences.

    a is a fixed linear combination of the points, so its influences are that combination of theirs.
    """
    upper = [point for point in points if 2 * point.n >= points[-1].n]
    if len(upper) < 2:
        return float("nan"), np.full_like(points[-1].influence, np.nan)
    n = np.array([point.n for point in upper])
    weights = np.linalg.pinv(np.stack([np.ones(len(n)), 1 / n], axis=1))[0]
    a = float(weights @ [point.value for point in upper])
    return a, np.tensordot(weights, [point.influence for point in upper], 1)
