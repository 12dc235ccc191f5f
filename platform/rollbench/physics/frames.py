"""Frames of face means: how a flow is stored, and what can be read off a frame.

A frame divides the square [0, 2 pi)^2 into n x n cells of side h = 2 pi/n. Its two channels are the mean velocities through
the right and the upper face of each cell, a staggered grid (that of jax-cfd's `downsample_staggered_velocity`):

    u[j, i] = mean of u(x, y) over x = (i + 1) h, j h < y < (j + 1) h
    v[j, i] = mean of v(x, y) over y = (j + 1) h, i h < x < (i + 1) h

For a Fourier mode exp(i (kx x + ky y)) the mean is exact: a factor exp(i kx h) exp(i ky h/2) sinc(ky h/2) for u. So a frame
of a divergence-free flow is divergence free cell by cell at every ratio of grid to frame, also when the frame cannot carry
all modes of the flow. Arrays are [..., 2, y, x]; only numpy is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollbench.physics.spectral import wavenumbers

Array = NDArray[np.floating[Any]]


def face_means(grid: int, frame_grid: int) -> NDArray[np.complex128]:
    """The factors [2, grid, grid//2 + 1] that turn the spectra of (u, v) into those of their means over faces."""
    return _face_means(*wavenumbers(grid), frame_grid)


def _face_means(kx: Array, ky: Array, frame_grid: int) -> NDArray[np.complex128]:
    h = 2 * np.pi / frame_grid
    right = np.exp(1j * (kx + ky / 2) * h) * np.sinc(ky * h / (2 * np.pi))
    top = np.exp(1j * (ky + kx / 2) * h) * np.sinc(kx * h / (2 * np.pi))
    return np.stack([right, top])


def divergence(frames: Array) -> Array:
    """Net outflow of each cell per area, 1/s: [..., 2, y, x] -> [..., y, x]. Zero for an incompressible flow."""
    u, v = frames[..., 0, :, :], frames[..., 1, :, :]
    return (u - np.roll(u, 1, axis=-1) + v - np.roll(v, 1, axis=-2)) * frames.shape[-1] / (2 * np.pi)


def vorticity(frames: Array) -> Array:
    """Vorticity dv/dx - du/dy at the centres of the cells, 1/s: [..., 2, y, x] -> [..., y, x]. Rows are in the order of increasing y;
    a frame of other than n x n cells spans 2 pi along x, in square cells.

    Spectral, with the means over faces undone: exact for a flow whose modes lie below the frame's Nyquist wave number.
    """
    rows, n = frames.shape[-2:]
    kx, ky = wavenumbers(n)[0], wavenumbers(rows)[1] * (n / rows)  # the cells are squares
    u, v = np.moveaxis(np.fft.rfft2(frames) / _face_means(kx, ky, n), -3, 0)
    centred = (1j * kx * v - 1j * ky * u) * np.exp(1j * (kx + ky) * np.pi / n)
    resolved = (kx < n / 2) & (np.abs(ky) < n / 2)  # at the Nyquist wave number there is no derivative
    return np.fft.irfft2(np.where(resolved, centred, 0), s=(rows, n)).astype(frames.dtype)


def energy(frames: Array) -> Array:
    """Kinetic energy per mass, the mean of (u^2 + v^2)/2, m^2/s^2: [..., 2, y, x] -> [...]."""
    return 0.5 * (np.asarray(frames, np.float64) ** 2).sum(-3).mean((-2, -1))
