"""Errors of a forecast against the truth, point by point: one number per clip.

    MSE      mean (f - x)^2 / range^2 over channels and pixels; range 255 puts bytes on the scale from 0 to 1
    ratio    MSE / climatological variance: 1 for the climatological mean, 2 for an independent draw of the same law
    PSNR     -10 log10 MSE, dB
    SSIM     mean of (2 mu_f mu_x + C1)(2 cov + C2) / ((mu_f^2 + mu_x^2 + C1)(var_f + var_x + C2)) over windows, with a Gaussian
             window of 11 x 11, sigma 1.5, C1 = (.01 range)^2, C2 = (.03 range)^2        (Wang et al. 2004)
    CRPS     E|F - x| - 1/2 E|F - F'|, fair over a finite ensemble             (Gneiting, Raftery 2007; Ferro 2014)
    spread   root of the mean ensemble variance; spread sqrt(1 + 1/m) / RMSE of the mean of m members is 1 if reliable
                                                                               (Fortin et al. 2014)

Every function takes clips in front, [N, ...], and gives [N]. `by_lead` applies one to each lead time: by_lead(psnr, fake, real,
255.0) and by_lead(crps, ensemble, real) are [N, T].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

VERSION = "pixel@1"
WINDOW = 11  # of SSIM


def mse(fake: Any, real: Any, data_range: float = 1.0) -> np.ndarray:
    """[N] mean square error of fake against real, both [N, ...], in units of data_range squared."""
    return np.array([_square_error(f, x) for f, x in _pairs(fake, real)]) / data_range**2


def psnr(fake: Any, real: Any, data_range: float) -> np.ndarray:
    """[N] peak signal-to-noise ratio in dB, infinite where the two are equal; data_range is 255 for uint8 frames."""
    with np.errstate(divide="ignore"):
        return -10 * np.log10(mse(fake, real, data_range))


def ssim(fake: Any, real: Any, data_range: float) -> np.ndarray:
    """[N] structural similarity of frames [N, ..., y, x, c], y and x >= 11: 1 where equal. Channels and windows are averaged."""
    shape = np.shape(real)
    if len(shape) < 4 or min(shape[-3:-1]) < WINDOW:
        raise ValueError(
            f"frames of shape {shape}: SSIM needs [N, ..., y, x, c] of at least {WINDOW} x {WINDOW} pixels"
        )
    return np.array([_ssim(f, x, data_range) for f, x in _pairs(fake, real)])


def climatology(real: Any) -> tuple[np.ndarray, float]:
    """The mean frame [...] of real [N, ...] and the mean square deviation from it: the MSE of forecasting it."""
    x = np.asarray(real)
    mean = x.mean(axis=0, dtype=np.float64)
    return mean, float(np.mean([np.square(frame - mean).mean() for frame in x]))


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


def spread_skill(ensemble: Any, real: Any) -> float:
    """sqrt((1 + 1/m) mean ensemble variance / MSE of the ensemble mean) over all clips; 1 if reliable."""
    members = _members(ensemble, real)
    m = len(members)
    variance = np.mean([members[:, i].var(axis=0, ddof=1, dtype=np.float64).mean() for i in range(members.shape[1])])
    return float(np.sqrt((1 + 1 / m) * variance / mse(members.mean(axis=0, dtype=np.float64), real).mean()))


def by_lead(metric: Callable[..., Any], fake: Any, real: Any, *args: Any) -> np.ndarray:
    """[N, T]: a metric of frames, for each lead time of real [N, T, ...] and fake alike, or an ensemble [m, N, T, ...]."""
    f, x = np.asarray(fake), np.asarray(real)
    if f.shape[f.ndim - x.ndim :] != x.shape:
        raise ValueError(f"forecast {f.shape} and truth {x.shape} differ in shape: compare them frame by frame")
    leads = np.moveaxis(f, f.ndim - x.ndim + 1, 0)
    return np.stack([metric(leads[t], x[:, t], *args) for t in range(x.shape[1])], axis=-1)


def _square_error(f: np.ndarray, x: np.ndarray) -> float:
    difference = np.subtract(f, x, dtype=np.float64)  # of unsigned integers it would wrap around
    return float(np.vdot(difference, difference)) / difference.size


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
    if f.shape != x.shape:
        raise ValueError(f"forecast {f.shape} and truth {x.shape} differ in shape: compare them frame by frame")
    return zip(f, x, strict=True)


def _members(ensemble: Any, real: Any) -> np.ndarray:
    members = np.asarray(ensemble)
    if members.ndim < 2 or len(members) < 2 or members.shape[1:] != np.asarray(real).shape:
        raise ValueError(
            f"ensemble {members.shape} and truth {np.asarray(real).shape}: [m, N, ...], m >= 2, and [N, ...] are needed"
        )
    return members
