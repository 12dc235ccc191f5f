"""First and second moments of feature vectors, as a monoid: the whole is the sum of its parts.

A set of n vectors is kept as (n, mean, M2) with M2 = sum_i (x_i - mean)(x_i - mean)^T, all float64. Two sets merge by

    delta = mean_b - mean_a
    mean  = mean_a + delta n_b / n
    M2    = M2_a + M2_b + delta delta^T n_a n_b / n                                   (Chan, Golub, LeVeque 1983)

so one process, shards and a cluster share one code path, in memory O(d^2) however many vectors there are. The centred
form is what keeps the digits: E[x x^T] - mean mean^T loses them where the mean is large beside the spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Moments:
    """n vectors of length d: their count, mean [d] and centred second moment M2 [d, d], in float64."""

    n: int
    mean: np.ndarray
    m2: np.ndarray

    @classmethod
    def empty(cls, d: int) -> Moments:
        """The neutral element: no vectors of length d."""
        return cls(0, np.zeros(d), np.zeros((d, d)))

    @classmethod
    def of(cls, x: Any) -> Moments:
        """The moments of the rows of x [n, d]."""
        rows = np.asarray(x, dtype=np.float64)
        if rows.ndim != 2:
            raise ValueError(f"features of shape {rows.shape}: moments need rows [n, d]")
        if not len(rows):
            return cls.empty(rows.shape[1])
        mean = rows.mean(axis=0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    def __add__(self, other: Moments) -> Moments:
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"moments of {len(self.mean)} and of {len(other.mean)} features cannot be merged")
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        delta = other.mean - self.mean
        m2 = self.m2 + other.m2 + np.outer(delta, delta) * (self.n * other.n / n)
        return Moments(n, self.mean + delta * (other.n / n), m2)

    def covariance(self, ddof: int = 1) -> np.ndarray:
        """Sigma [d, d] = M2 / (n - ddof)."""
        if self.n <= ddof:
            raise ValueError(f"a covariance of {self.n} vectors does not exist: at least {ddof + 1} are needed")
        return self.m2 / (self.n - ddof)
