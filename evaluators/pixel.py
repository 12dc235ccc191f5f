"""Errors of films against the truth, point by point: one number per clip, or per clip and lead.

    MSE      mean (f - x)^2 over samples, channels and pixels
    ratio    MSE / climatological variance: 1 for the climatological mean, 2 for an independent draw of the same law
    PSNR     -10 log10 MSE, dB, of pixels on the scale from 0 to 1
    SSIM     mean of (2 mu_f mu_x + C1)(2 cov + C2) / ((mu_f^2 + mu_x^2 + C1)(var_f + var_x + C2)) over windows, with a Gaussian
             window of 11 x 11, sigma 1.5, C1 = (.01 range)^2, C2 = (.03 range)^2        (Wang et al. 2004)
    CRPS     E|F - x| - 1/2 E|F - F'|, fair over a finite ensemble             (Gneiting, Raftery 2007; Ferro 2014)
    spread   (1 + 1/m) mean variance of m members; the root of its ratio to the MSE of their mean is 1 if reliable
                                                                               (Fortin et al. 2014)

Clips are in front, leads behind them: films [N, m, T, ...] are m samples of each clip, truth [N, T, ...], and what is found [N, T].
`mae`, `ssim` and `crps` are of one lead, [N, ...] in and [N] out; `by_lead` applies them to each: by_lead(ssim, fake, real, 255.0) and
by_lead(crps, ensemble, real) are [N, T].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

VERSION = "pixel@1"
WINDOW = 11  # of SSIM


def square_error(films: Any, truth: Any) -> np.ndarray:
    """[N, T] mean square error of films [N, m, T, ...] against truth [N, T, ...], in their unit squared; the mean over samples too."""
    f, x = np.asarray(films), np.asarray(truth)
    _check(f.shape[:1] + f.shape[2:], x.shape)
    return np.square(np.subtract(f, x[:, None], dtype=np.float64)).mean((1, *range(3, f.ndim)))


def error_of_mean(films: Any, truth: Any) -> np.ndarray:
    """[N, T] mean square error of the mean over the samples of films [N, m, T, ...] against truth [N, T, ...]."""
    mean = np.mean(films, axis=1, dtype=np.float64)
    return np.square(_difference(mean, truth)).mean(tuple(range(2, mean.ndim)))


def spread(films: Any) -> np.ndarray:
    """[N, T] (1 + 1/m) times the unbiased variance over the samples of films [N, m, T, ...]; 0 for one sample."""
    n, m, leads = np.shape(films)[:3]
    if m == 1:
        return np.zeros((n, leads))
    return (1 + 1 / m) * np.var(films, axis=1, ddof=1, dtype=np.float64).mean(tuple(range(2, np.ndim(films) - 1)))


def spread_skill(spread: Any, error_of_mean: Any) -> Any:
    """Root of a mean spread over a mean error of the samples' mean: 1 if reliable."""
    return np.sqrt(spread / error_of_mean)


def psnr(error: Any) -> Any:
    """Peak signal-to-noise ratio in dB of a mean square error of pixels from 0 to 1; at most 120, of equal frames too."""
    return -10 * np.log10(np.maximum(error, 1e-12))


def mae(fake: Any, real: Any) -> np.ndarray:
    """[N] mean absolute error of fake against real, both [N, ...]: the CRPS of a single sample."""
    return np.abs(_difference(fake, real)).mean(tuple(range(1, np.ndim(real))))


def ssim(fake: Any, real: Any, data_range: float) -> np.ndarray:
    """[N] structural similarity of frames [N, ..., y, x, c], y and x >= 11: 1 where equal. Channels and windows are averaged."""
    shape = np.shape(real)
    if len(shape) < 4 or min(shape[-3:-1]) < WINDOW:
        raise ValueError(
            f"frames of shape {shape}: SSIM needs [N, ..., y, x, c] of at least {WINDOW} x {WINDOW} pixels"
        )
    return np.array([_ssim(f, x, data_range) for f, x in _pairs(fake, real)])


def crps(ensemble: Any, real: Any) -> np.ndarray:
    """[N] fair continuous ranked probability score of ensemble [m, N, ...], m >= 2, against real [N, ...].

    sum_{j<k} |f_j - f_k| comes from the sorted members, sum_j (2 j - m + 1) f_(j), so the cost is m log m and not m^2.
    """
    members = _members(ensemble, real)
    m = len(members)
    weights = 2.0 * np.arange(m) - m + 1
    scores = []
    for i, x in enumerate(np.asarray(real)):
        f = np.sort(np.asarray(members[:, i], dtype=np.float64), axis=0)
        scores.append((np.abs(f - x).mean(axis=0) - np.tensordot(weights, f, 1) / (m * (m - 1))).mean())
    return np.array(scores)


def by_lead(metric: Callable[..., Any], fake: Any, real: Any, *args: Any) -> np.ndarray:
    """[N, T]: a metric of frames, for each lead time of real [N, T, ...] and fake alike, or an ensemble [m, N, T, ...]."""
    f, x = np.asarray(fake), np.asarray(real)
    _check(f.shape[f.ndim - x.ndim :], x.shape)
    leads = np.moveaxis(f, f.ndim - x.ndim + 1, 0)
    return np.stack([metric(leads[t], x[:, t], *args) for t in range(x.shape[1])], axis=-1)


def _difference(f: Any, x: Any) -> np.ndarray:
    """f - x in float64: of unsigned integers it would wrap around."""
    _check(np.shape(f), np.shape(x))
    return np.subtract(f, x, dtype=np.float64)


def _check(forecast: tuple[int, ...], truth: tuple[int, ...]) -> None:
    if forecast != truth:
        raise ValueError(f"forecast {forecast} and truth {truth} differ in shape: compare them frame by frame")


def _ssim(f: np.ndarray, x: np.ndarray, data_range: float) -> float:
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    f, x = (np.ascontiguousarray(np.moveaxis(v, -1, -3), dtype=np.float64) for v in (f, x))
    rows, columns = _windows(f.shape[-2]), _windows(f.shape[-1]).T
    mean_f, mean_x, squares, product = (rows @ v @ columns for v in (f, x, f * f + x * x, f * x))
    both, either = mean_f * mean_x, mean_f**2 + mean_x**2
    index = (2 * both + c1) * (2 * (product - both) + c2) / ((either + c1) * (squares - either + c2))
    return float(index.mean())


def _windows(n: int) -> np.ndarray:
    """[n - 10, n]: the matrix of Gaussian means over whole windows of a row of n pixels."""
    offsets = np.arange(n) - np.arange(n - WINDOW + 1)[:, None] - WINDOW // 2
    weights = np.where(np.abs(offsets) <= WINDOW // 2, np.exp(-(offsets**2) / (2 * 1.5**2)), 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def _pairs(fake: Any, real: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    f, x = np.asarray(fake), np.asarray(real)
    _check(f.shape, x.shape)
    return zip(f, x, strict=True)


def _members(ensemble: Any, real: Any) -> np.ndarray:
    members = np.asarray(ensemble)
    if members.ndim < 2 or len(members) < 2 or members.shape[1:] != np.asarray(real).shape:
        raise ValueError(
            f"ensemble {members.shape} and truth {np.asarray(real).shape}: [m, N, ...], m >= 2, and [N, ...] are needed"
        )
    return members
