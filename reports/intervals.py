"""Intervals of numbers that come with replicates, and of what is computed from several of them.

Every row of a table is resampled alike: replicate r of any two rows drew the same trajectories. So the replicates of
a difference are the differences of the replicates, and what two rows share (the trajectories drawn) cancels.

    interval:  value ∓ z sd(replicates),   and for what cannot be negative   value · exp(∓ z sd / value)

as the evaluators state it (their replicates are linear in the trajectories drawn, so their spread is what counts).

Seeds: with S training seeds the value is their mean, and each replicate draws S seeds again, the deviations widened
by sqrt(S / (S − 1)), so that their variance is the unbiased one (ddof = 1) divided by S. One seed says nothing about
others.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL = 0.95
LEAST = 20  # replicates under which a spread is hearsay
SEED = 20240215  # of the draws of seeds; the same for all rows, so that rows stay paired


def interval(value: float, replicates: Floats, level: float = LEVEL, *, positive: bool = False) -> tuple[float, float]:
    """(low, high) of a value from its replicates [r]; `positive` for distances, errors and ratios, not for
    differences.
    """
    half = NormalDist().inv_cdf(0.5 + level / 2) * float(replicates.std(ddof=1))
    if not positive:
        return value - half, value + half
    if value <= 0:
        return 0.0, half
    factor = math.exp(min(half / value, 50.0))  # finite, however wide
    return value / factor, value * factor


def pool(values: Floats, replicates: Floats) -> tuple[float, Floats]:
    """The mean over seeds and its replicates [r], from one value per seed [s] and its replicates [s, r]."""
    seeds, count = replicates.shape
    mean = replicates.mean(axis=0)
    if seeds == 1:
        return float(values[0]), mean
    drawn = np.random.default_rng(SEED).integers(seeds, size=(seeds, count))
    deviation = np.take_along_axis(replicates, drawn, axis=0).mean(axis=0) - mean
    return float(values.mean()), mean + math.sqrt(seeds / (seeds - 1)) * deviation
