"""Pooling of seeds, with replicates for the interval of the mean.

Every row of a table is resampled alike: replicate r of any two rows drew the same trajectories. So the replicates of
a difference are the differences of the replicates, and what two rows share (the trajectories drawn) cancels.

The interval of one number is the evaluators' own (`evaluators.uncertainty.interval`).

Seeds: with S training seeds the value is their mean, and each replicate draws S seeds again, the deviations widened
by sqrt(S / (S − 1)), so that their variance is the unbiased one (ddof = 1) divided by S, and by Student's quantile of
S − 1 degrees of freedom over the normal one: a spread that two or three seeds tell is itself uncertain, and without
that an interval said to hold 95 % holds 71 % (S = 2) or 80 % (S = 3). Beside the clips' own variance this errs on the
wide side. One seed says nothing about others.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evaluators.uncertainty import student

Floats = NDArray[np.float64]
SEED = 20240215  # of the draws of seeds; the same for all rows, so that rows stay paired


def pool(values: Floats, replicates: Floats) -> tuple[float, Floats]:
    """The mean over seeds and its replicates [r], from one value per seed [s] and its replicates [s, r]."""
    seeds, count = replicates.shape
    mean = replicates.mean(axis=0)
    if seeds == 1:
        return float(values[0]), mean
    drawn = np.random.default_rng(SEED).integers(seeds, size=(seeds, count))
    deviation = np.take_along_axis(replicates, drawn, axis=0).mean(axis=0) - mean
    return float(values.mean()), mean + student(seeds - 1) * math.sqrt(seeds / (seeds - 1)) * deviation
