"""The initial field: filtered noise, divergence free, of a given greatest speed (the law of jax-cfd's initial condition).

There, white noise in both velocity components is filtered by p(k)/k with a log-normal p of variance 1/4 in ln k,

    p(k) = exp(-(ln k - ln k0 - 1/4)^2 / (2/4)) / k,        greatest at the peak wave number k0,

then projected and scaled. Projected white noise has one free Gaussian number per wave vector, so the vorticity can be drawn
directly: its spectrum is p(k) times white noise. Projection is then exact, and jax-cfd's three rounds of projecting and
scaling, which work against rounding, become one. The k = 0 mode is zero: the fluid as a whole is at rest, and stays so.

The noise lives on a fixed lattice, so that one generator draws the same field for every grid.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rollbench.physics.spectral import resized, velocity_factors, wavenumbers

LATTICE = 64  # modes below k = 32; with the peak at 3, those from 16 on hold 2e-6 of the energy


def filtered_vorticity(
    rng: np.random.Generator, grid: int, max_velocity: float, peak_wavenumber: float
) -> NDArray[np.complex128]:
    """A random vorticity spectrum [grid, grid//2 + 1] (norm="forward"), 1/s.

    max_velocity: the greatest speed on the lattice, before modes that the grid lacks are dropped, m/s.
    """
    kx, ky = wavenumbers(LATTICE)
    k = np.hypot(kx, ky)
    drawn = (k > 0) & (kx < LATTICE / 2) & (np.abs(ky) < LATTICE / 2)
    k = np.where(drawn, k, 1.0)
    log_normal = np.exp(-2 * (np.log(k) - np.log(peak_wavenumber) - 0.25) ** 2) / k
    vorticity = np.where(drawn, log_normal * np.fft.rfft2(rng.standard_normal((LATTICE, LATTICE))), 0)
    velocity = np.fft.irfft2(vorticity * velocity_factors(LATTICE), s=(LATTICE, LATTICE), norm="forward")
    return resized(vorticity * (max_velocity / np.hypot(*velocity).max()), grid)
