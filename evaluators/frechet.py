"""The Frechet distance between two sets of feature vectors, with exact trace terms, and how each vector moves it.

    d^2 = |mean_a - mean_b|^2 + tr Sigma_a + tr Sigma_b - 2 tr (Sigma_a Sigma_b)^(1/2)         (Dowson, Landau 1982)

The last trace needs no matrix square root: with the centred rows A_c [N, d] and B_c [M, d] it is a nuclear norm,

    tr (Sigma_a Sigma_b)^(1/2) = |A_c B_c^T|_* / sqrt((N - 1)(M - 1)),

exact also where N < d and a square root of the singular product would be noise. Where N > d a d x d factor R with
R^T R = A_c^T A_c takes the place of A_c: Cholesky's, or that of QR where the features are nearly dependent. Where both
covariances have full rank the same sum is that of the roots of the eigenvalues of Sigma_a Sigma_b, which a symmetric
problem gives in half the time; it is taken where a bound says that rounding, which roots magnify, leaves the digits alone.

Influence. Give row i of a the weight 1/N + e_i with sum e = 0. To first order the distance moves by sum_i e_i N phi_i,

    phi_i = 2 (a_i - mean_a).(mean_a - mean_b) / N
          + (|a_i - mean_a|^2 - [(M M^T)^(1/2)]_ii sqrt((N - 1) / (M - 1))) / (N - 1), minus its mean;    M = A_c B_c^T,

because the derivative of a nuclear norm is the polar factor U V^T, which exists whatever the rank. `uncertainty` makes
the interval of these: a resample that draws row i c_i times has the distance d^2 + sum_i (c_i - 1) phi_i, to first
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from evaluators.moments import Moments


@dataclass(frozen=True)
class Estimate:
    """A distance and the first-order influence of each row: real [N], fake [M], each summing to zero."""

    value: float
    real: np.ndarray
    fake: np.ndarray


def distance(real: Any, fake: Any) -> float:
    """The squared Frechet distance between the rows of real [N, d] and fake [M, d], at least 2 on either side."""
    a, b = _rows(real, fake)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    a_c, b_c = a - mean_a, b - mean_b
    n, m = len(a) - 1, len(b) - 1
    nuclear = _by_eigenvalues(a_c.T @ a_c, b_c.T @ b_c) if min(n, m) >= a.shape[1] else None
    if nuclear is None:
        nuclear = linalg.svdvals(_factor(a_c) @ _factor(b_c).T).sum()
    value = _square(mean_a - mean_b) + _square(a_c) / n + _square(b_c) / m - 2 * nuclear / np.sqrt(n * m)
    return max(float(value), 0.0)


def distance_of_moments(a: Moments, b: Moments) -> float:
    """The same from moments alone. Eigenvalues that a rank of n - 1 forbids are dropped: it is exact at n < d too."""
    n, m = a.n - 1, b.n - 1
    if min(n, m) < 1:
        raise ValueError(f"moments of {a.n} and of {b.n} vectors: a covariance needs at least 2 on either side")
    nuclear = _by_eigenvalues(a.m2, b.m2) if min(n, m) >= len(a.mean) else None
    if nuclear is None:
        nuclear = linalg.svdvals(_root(a.m2, n) @ _root(b.m2, m).T).sum()
    value = _square(a.mean - b.mean) + np.trace(a.m2) / n + np.trace(b.m2) / m - 2 * nuclear / np.sqrt(n * m)
    return max(float(value), 0.0)


def estimate(real: Any, fake: Any) -> Estimate:
    """`distance` with the influence of every row."""
    a, b = _rows(real, fake)
    delta = a.mean(axis=0) - b.mean(axis=0)
    a_c, b_c = a - a.mean(axis=0), b - b.mean(axis=0)
    n, m = len(a) - 1, len(b) - 1
    r_a, r_b = _factor(a_c), _factor(b_c)
    u, s, vt = linalg.svd(r_a @ r_b.T, full_matrices=False)
    scale = np.sqrt(n * m)
    value = _square(delta) + _square(a_c) / n + _square(b_c) / m - 2 * s.sum() / scale
    polar_a, polar_b = _left(a_c, r_a, u) ** 2 @ s, _left(b_c, r_b, vt.T) ** 2 @ s
    phi_a = 2 * a_c @ delta / len(a) + (a_c**2).sum(axis=1) / n - polar_a / scale
    phi_b = -2 * b_c @ delta / len(b) + (b_c**2).sum(axis=1) / m - polar_b / scale
    return Estimate(max(float(value), 0.0), phi_a - phi_a.mean(), phi_b - phi_b.mean())


def diagonal(real: Any, fake: Any) -> Estimate:
    """The variant without covariances between features: |delta mean|^2 + sum (sd_a - sd_b)^2, far less biased."""
    a, b = _rows(real, fake)
    delta = a.mean(axis=0) - b.mean(axis=0)
    a_c, b_c = a - a.mean(axis=0), b - b.mean(axis=0)
    sd_a, sd_b = a.std(axis=0, ddof=1), b.std(axis=0, ddof=1)
    phi_a = 2 * a_c @ delta / len(a) + a_c**2 @ (1 - _ratio(sd_b, sd_a)) / (len(a) - 1)
    phi_b = -2 * b_c @ delta / len(b) + b_c**2 @ (1 - _ratio(sd_a, sd_b)) / (len(b) - 1)
    return Estimate(float(_square(delta) + _square(sd_a - sd_b)), phi_a - phi_a.mean(), phi_b - phi_b.mean())


def _rows(real: Any, fake: Any) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features of shapes {a.shape} and {b.shape}: both must be [n, d] with the same d")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{len(a)} real and {len(b)} generated vectors: a covariance needs at least 2 on either side")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features hold nan or infinity: a distance to them does not exist")
    return a, b


def _by_eigenvalues(a: np.ndarray, b: np.ndarray) -> float | None:
    """The sum of the roots of the eigenvalues of a b, or None where rounding might reach 1e-8 of it.

    An eigenvalue is right to eps |a| |b|, so its root to that over twice the root. With the largest features first, a's
    factor and all that is made of it fall off downwards, and so do errors: 1e-11 of the sum is then the most that was seen.
    """
    sizes = np.diag(a)
    if sizes.max() > 10 * sizes.min():
        order = np.argsort(-sizes)
        a, b = (x.take(order, 0).take(order, 1) for x in (a, b))
    try:
        values = linalg.eigh(b, a, type=2, eigvals_only=True, driver="gv", check_finite=False)
    except linalg.LinAlgError:  # not of full rank after all
        return None
    roots = np.sqrt(np.maximum(values, np.finfo(float).tiny))
    rounding = np.finfo(float).eps * np.linalg.norm(a) * np.linalg.norm(b) * (0.5 / roots).sum()
    return float(roots.sum()) if rounding < 1e-8 * roots.sum() else None


def _factor(centred: np.ndarray) -> np.ndarray:
    """R with R^T R = centred^T centred and at most d rows."""
    n, d = centred.shape
    if n <= d:
        return centred
    quick = _cholesky(centred.T @ centred)
    return linalg.qr(centred, mode="r")[0][:d] if quick is None else quick


def _cholesky(gram: np.ndarray) -> np.ndarray | None:
    """The upper factor, or None where squaring has cost so many digits that it cannot be trusted."""
    try:
        upper: np.ndarray = linalg.cholesky(gram)
    except linalg.LinAlgError:
        return None
    diagonal = np.diag(upper)
    return upper if diagonal.min() > 1e-5 * diagonal.max() else None


def _left(centred: np.ndarray, factor: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Singular vectors of the factor carried to the rows: Q u, where centred = Q factor."""
    if factor is centred:
        return u
    diagonal = np.abs(np.diag(factor))
    if diagonal.min() > 1e-8 * diagonal.max():
        return centred @ linalg.solve_triangular(factor, u)
    return centred @ (linalg.pinv(factor) @ u)


def _root(gram: np.ndarray, rank: int) -> np.ndarray:
    """R with R^T R = gram; below full rank of the `rank` largest eigenvalues: roots would magnify the rounding in the rest."""
    quick = _cholesky(gram) if rank >= len(gram) else None
    if quick is not None:
        return quick
    values, vectors = linalg.eigh(gram)
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    return (vectors * np.sqrt(np.maximum(values, 0.0))).T


def _square(x: np.ndarray) -> float:
    return float(np.vdot(x, x))


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
