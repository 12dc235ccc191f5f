"""Intervals of numbers that come with bootstrap replicates, and of what is computed from several of them.

Every row of a table is resampled alike: replicate r of any two rows drew the same trajectories. So the replicates of
a difference are the differences of the replicates, and what two rows share (the trajectories drawn) cancels.

The interval is centred: value + quantiles of (replicates − their mean). A Fréchet distance of a resample is biased
upwards against the distance of the sample; the spread of the replicates is meaningful, their level is not.

Seeds: with S training seeds the value is their mean, and each replicate draws S seeds again, the deviations widened
by sqrt(S / (S − 1)) so that their variance is the unbiased one (ddof = 1) divided by S.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL = 0.95
SEED = 20240215  # of the draws of seeds; the same for all rows, so that rows stay paired


def interval(value: float, replicates: Floats, level: float = LEVEL) -> tuple[float, float]:
    """(low, high) of a value from its replicates [r], centred on the value."""
    tail = (1 - level) / 2
    low, high = np.quantile(replicates - replicates.mean(), [tail, 1 - tail])
    return value + float(low), value + float(high)


def pool(values: Floats, replicates: Floats) -> tuple[float, Floats]:
    """The mean over seeds and its replicates [r], from one value per seed [s] and its replicates [s, r]."""
    seeds, count = replicates.shape
    mean = replicates.mean(axis=0)
    if seeds == 1:
        return float(values[0]), mean
    drawn = np.random.default_rng(SEED).integers(seeds, size=(seeds, count))
    deviation = np.take_along_axis(replicates, drawn, axis=0).mean(axis=0) - mean
    return float(values.mean()), mean + np.sqrt(seeds / (seeds - 1)) * deviation
