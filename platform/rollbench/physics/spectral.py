"""Wave numbers on the square [0, 2 pi)^2 and the factors that take vorticity to velocity, laid out as `rfft2` over (y, x)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def wavenumbers(grid: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Integer wave numbers kx [1, grid//2 + 1] and ky [grid, 1]."""
    kx, ky = np.arange(grid // 2 + 1.0), np.arange(float(grid))
    return kx[None, :], np.where(ky < grid / 2, ky, ky - grid)[:, None]


def velocity_factors(grid: int) -> NDArray[np.complex128]:
    """(i ky, -i kx)/k^2 as [2, grid, grid//2 + 1]: vorticity's spectrum times these is velocity's. Zero at k = 0."""
    kx, ky = wavenumbers(grid)
    k2 = kx**2 + ky**2
    curl = np.stack(np.broadcast_arrays(1j * ky, -1j * kx))
    return np.where(k2 > 0, curl / np.where(k2 > 0, k2, 1), 0)


def resized(spectrum: NDArray[np.complex128], grid: int) -> NDArray[np.complex128]:
    """The modes of a half spectrum [n, n//2 + 1] (norm="forward") below the Nyquist wave number of both grids."""
    half = min(spectrum.shape[0], grid) // 2
    out = np.zeros((grid, grid // 2 + 1), spectrum.dtype)
    out[:half, :half] = spectrum[:half, :half]
    out[1 - half :, :half] = spectrum[1 - half :, :half]
    return out
