"""The initial field: filtered noise, free of divergence, with a given greatest speed (jax-cfd's `filtered_velocity_field`).

White noise in both velocity components is filtered by p(k)/k with a log-normal p of variance 1/4 in ln k,

    p(k) = exp(-(ln k - ln k0 - 1/4)^2 / (2/4)) / k,

which peaks at k0, then projected and scaled to the greatest speed. Projected white noise has one free Gaussian number for each wave vector, so we draw the
vorticity directly: its spectrum is p(k) times white noise. Projection is then exact, and the three iterations of projecting
and scaling that jax-cfd needs against rounding are one. The k = 0 mode is zero: the fluid as a whole is at rest, and stays so.

The noise lives on a fixed 64 x 64 lattice, so one generator gives the same field on every grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rollbench.physics.spectral import resized, velocity_factors, wavenumbers

LATTICE = 64  # modes |k| < 32; those left out hold less than 1e-7 of the energy for peaks up to 4


def filtered_vorticity(
    rng: np.random.Generator, grid: int, max_velocity: float, peak_wavenumber: float
) -> NDArray[np.complexfloating]:
    """A random vorticity spectrum [grid, grid//2 + 1] in the layout of `rfft2(..., norm="forward")`, 1/s.

    max_velocity: greatest speed on the lattice before modes beyond the grid are dropped, m/s.
    """
    kx, ky = wavenumbers(LATTICE)
    k = np.hypot(kx, ky)
    drawn = (k > 0) & (np.abs(kx) < LATTICE // 2) & (np.abs(ky) < LATTICE // 2)
    k = np.where(drawn, k, 1.0)
    log_normal = np.exp(-2 * (np.log(k) - np.log(peak_wavenumber) - 0.25) ** 2) / k
    noise = np.fft.rfft2(rng.standard_normal((LATTICE, LATTICE)))
    vorticity = np.where(drawn, log_normal * noise, 0)
    velocity = np.fft.irfft2(velocity_factors(LATTICE) * vorticity, s=(LATTICE, LATTICE), norm="forward")
    return resized(vorticity * (max_velocity / np.hypot(*velocity).max()), grid)
