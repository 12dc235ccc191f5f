"""Energy spectra of flows: how much kinetic energy lies at each wave number.

    E(k) = sum over modes with k - 1/2 <= |k| < k + 1/2 of (|u_k|^2 + |v_k|^2) / 2

with the modes of a transform that divides by the number of points, so that sum_k E(k) is the mean kinetic energy per mass,
<u^2 + v^2> / 2 (Parseval). The corners of the square are included: k goes up to the diagonal.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def energy(frames: Any) -> np.ndarray:
    """[..., shells] energy at k = 0, 1, ... of velocities [..., 2, y, x], in their unit squared, float64."""
    velocity = np.asarray(frames)
    if velocity.ndim < 3 or velocity.shape[-3] != 2:
        raise ValueError(f"frames of shape {velocity.shape}: an energy spectrum needs velocities [..., 2, y, x]")
    y, x = velocity.shape[-2:]
    modes = np.fft.fft2(velocity.astype(np.float64), norm="forward")
    density = (np.abs(modes) ** 2).sum(axis=-3) / 2
    shell = shells(y, x)
    flat = density.reshape(-1, y * x)
    found = np.stack([np.bincount(shell.ravel(), weights=row) for row in flat])
    return found.reshape(*density.shape[:-2], -1)


def shells(y: int, x: int) -> np.ndarray:
    """[y, x] the shell of each mode: its wave number, in turns per domain, rounded to the nearest whole number (halves up)."""
    k = np.hypot(np.fft.fftfreq(y)[:, None] * y, np.fft.fftfreq(x)[None] * x)
    return np.floor(k + 0.5).astype(np.int64)
