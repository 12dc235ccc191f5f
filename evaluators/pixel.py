"""Errors of a forecast against the truth, point by point: one number per clip.

    MSE      mean (f - x)^2 over channels and pixels
    ratio    MSE / climatological variance: 1 for the climatological mean, 2 for an independent draw of the same law
    PSNR     10 log10(range^2 / MSE), dB
    SSIM     mean of (2 mu_f mu_x + C1)(2 cov + C2) / ((mu_f^2 + mu_x^2 + C1)(var_f + var_x + C2)) over windows, with a Gaussian
             window of 11 x 11, sigma 1.5, C1 = (.01 range)^2, C2 = (.03 range)^2        (Wang et al. 2004)
    CRPS     E|F - x| - 1/2 E|F - F'|, fair over a finite ensemble             (Gneiting, Raftery 2007; Ferro 2014)
    spread   root of the mean ensemble variance; spread sqrt(1 + 1/m) / RMSE of the mean of m members is 1 if reliable
                                                                               (Fortin et al. 2014)

Every function takes clips in front, [N, ...], and gives [N]. `by_lead` applies one to each lead time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

VERSION = "pixel@1"
WINDOW = 11  # of SSIM


def mse(fake: Any, real: Any) -> np.ndarray:
    """[N] mean square error of fake against real, both [N, ...], in the frames' unit squared."""
    f, x = _pair(fake, real)
    return np.array([np.square(a - b, dtype=np.float64).mean() for a, b in zip(f, x, strict=True)])


def psnr(fake: Any, real: Any, data_range: float) -> np.ndarray:
    """[N] peak signal-to-noise ratio in dB, infinite where the two are equal; data_range is 255 for uint8 frames."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(data_range**2 / mse(fake, real))


def ssim(fake: Any, real: Any, data_range: float) -> np.ndarray:
    """[N] structural similarity of frames [N, ..., y, x, c], y and x >= 11: 1 where equal. Channels and windows are averaged."""
    f, x = _pair(fake, real)
    if f.ndim < 4 or min(f.shape[-3:-1]) < WINDOW:
        raise ValueError(
            f"frames of shape {f.shape}: SSIM needs [N, ..., y, x, c] of at least {WINDOW} x {WINDOW} pixels"
        )
    return np.array([_ssim(a.astype(np.float64), b.astype(np.float64), data_range) for a, b in zip(f, x, strict=True)])


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


def by_lead(metric: Callable[..., np.ndarray], fake: Any, real: Any, *args: Any) -> np.ndarray:
    """[N, T]: a metric of frames, for each lead time of fake and real [N, T, ...]."""
    f, x = _pair(fake, real)
    return np.stack([metric(f[:, t], x[:, t], *args) for t in range(f.shape[1])], axis=1)


def _ssim(f: np.ndarray, x: np.ndarray, data_range: float) -> float:
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_f, mean_x = _windowed(f), _windowed(x)
    var_f, var_x = _windowed(f * f) - mean_f**2, _windowed(x * x) - mean_x**2
    cov = _windowed(f * x) - mean_f * mean_x
    index = (2 * mean_f * mean_x + c1) * (2 * cov + c2) / ((mean_f**2 + mean_x**2 + c1) * (var_f + var_x + c2))
    return float(index.mean())


def _windowed(x: np.ndarray) -> np.ndarray:
    """Gaussian means over whole windows of x [..., y, x, c]."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    for axis in (-3, -2):
        x = np.tensordot(sliding_window_view(x, WINDOW, axis=axis), window, 1)
    return x


def _pair(fake: Any, real: Any) -> tuple[np.ndarray, np.ndarray]:
    f, x = np.asarray(fake), np.asarray(real)
    if f.shape != x.shape:
        raise ValueError(f"forecast {f.shape} and truth {x.shape} differ in shape: compare them frame by frame")
    # Differences of unsigned integers wrap around.
    return (f, x) if f.dtype.kind == "f" and x.dtype.kind == "f" else (f.astype(np.float64), x.astype(np.float64))


def _members(ensemble: Any, real: Any) -> np.ndarray:
    members = np.asarray(ensemble)
    if members.ndim < 2 or len(members) < 2 or members.shape[1:] != np.asarray(real).shape:
        raise ValueError(
            f"ensemble {members.shape} and truth {np.asarray(real).shape}: [m, N, ...], m >= 2, and [N, ...] are needed"
        )
    return members
