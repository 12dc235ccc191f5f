"""Two-dimensional incompressible flow on [0, 2 pi)^2: a pseudo-spectral method in vorticity form, a batch at a time.

The equation is that of the paper's Kolmogorov flow as jax-cfd solves it: density divides viscosity, forcing and drag alike.

    du/dt + div(u u) = (mu lap u - grad p + F sin(m y) ex + c u) / rho,    div u = 0,    c <= 0

Its curl, w = dv/dx - du/dy, is what we integrate, mode by mode:

    dw/dt = N(w) - L w + s
    N = (kx^2 - ky^2) [uv] - kx ky [u^2 - v^2]       two inverse and two forward transforms (Basdevant's form)
    L = (mu k^2 - c)/rho + r (k/K)^16                viscosity, drag, filter
    s = -F m cos(m y)/rho                            curl of the forcing

L and s are solved exactly, N by the midpoint rule: second order in dt. Products are dealiased by the 2/3 rule: modes with
|kx| or |ky| >= K = grid/3 are zero. The filter damps the modes next to K at the rate r. It does the work of the scales that
the grid lacks (without it enstrophy piles up at K), and it holds down the weak growth that the midpoint rule gives to what is
carried by the flow, (k |u| dt)^4/8 per step. At K/2 it has fallen to r/65536.

The mean velocity (k = 0) is no part of w. It obeys dU/dt = c U/rho on its own, since neither N nor the forcing has a mean:
a flow that starts without a mean, as ours does, never has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rollbench.physics.checks import check
from rollbench.physics.frames import face_means
from rollbench.physics.spectral import velocity_factors, wavenumbers

FILTER_ORDER = 16


class Flow:
    """The equation for b trajectories, advanced by steps of dt. A state is w's spectrum [b, grid, grid//2 + 1].

    viscosity, density: mu, rho of each trajectory, [b]. dt: s. forcing: F, m/s^2, at the wave number m.
    linear_coefficient: c, 1/s. filter_rate: r, 1/s. dtype: float32 or float64. Spectra have norm="forward".
    """

    def __init__(
        self,
        viscosity: ArrayLike,
        density: ArrayLike,
        *,
        grid: int,
        dt: float,
        forcing: float = 0.0,
        wavenumber: int = 4,
        linear_coefficient: float = 0.0,
        filter_rate: float = 0.0,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.grid, self.dt, self.dtype, self.device = grid, dt, dtype.to_complex(), device
        mu, rho = (np.asarray(a, np.float64).reshape(-1, 1, 1) for a in (viscosity, density))
        kx, ky = wavenumbers(grid)
        k2, cutoff = kx**2 + ky**2, grid / 3
        kept = (kx < cutoff) & (np.abs(ky) < cutoff)
        rate = (mu * k2 - linear_coefficient) / rho + filter_rate * (k2 / cutoff**2) ** (FILTER_ORDER / 2)
        self.to_velocity = self.state(velocity_factors(grid))
        self.to_tendency = self.state(np.stack(np.broadcast_arrays(kx**2 - ky**2, -kx * ky)) * kept * dt)
        self.half_decay = self.state(np.exp(-rate * dt / 2) * kept)
        self.forced = torch.tensor([wavenumber, grid - wavenumber], device=device)  # ky = +-m, in the column kx = 0
        source, decay = -forcing * wavenumber / 2 / rho[:, :, 0], rate[:, wavenumber, :1]
        self.half_source, self.source = (self.state(source * decay_integral(decay, t)) for t in (dt / 2, dt))

    def state(self, spectrum: NDArray[np.generic]) -> Tensor:
        """A spectrum in this flow's precision, on its device."""
        return torch.as_tensor(spectrum, dtype=self.dtype, device=self.device)

    def velocity(self, w: Tensor) -> Tensor:
        """(u, v) at the points x = 2 pi i/grid, y = 2 pi j/grid, m/s: [b, 2, grid, grid]."""
        return torch.fft.irfft2(w[:, None] * self.to_velocity, s=(self.grid, self.grid), norm="forward")

    def tendency(self, w: Tensor) -> Tensor:
        """dt N(w)."""
        u, v = self.velocity(w).unbind(1)
        products = torch.fft.rfft2(torch.stack([u * v, (u - v) * (u + v)], dim=1), norm="forward")
        products *= self.to_tendency
        return products[:, 0] + products[:, 1]

    def step(self, w: Tensor) -> Tensor:
        """The state one step later."""
        half = (w + 0.5 * self.tendency(w)) * self.half_decay
        half[:, self.forced, 0] += self.half_source
        full = (w * self.half_decay + self.tendency(half)) * self.half_decay
        full[:, self.forced, 0] += self.source
        return full

    def faces(self, w: Tensor, frame_grid: int) -> Tensor:
        """A frame of means over faces (see `frames`), m/s: [b, 2, frame_grid, frame_grid]."""
        spectra = w[:, None] * self.state(velocity_factors(self.grid) * face_means(self.grid, frame_grid))
        every = self.grid // frame_grid
        return torch.fft.irfft2(spectra, s=(self.grid, self.grid), norm="forward")[..., ::every, ::every]

    def trajectory(
        self, w: Tensor, *, frames: int, steps: int, frame_grid: int, ids: Sequence[int] | None = None
    ) -> Iterator[Tensor]:
        """`frames` checked frames [b, 2, frame_grid, frame_grid], the first after `steps` steps from w, then every `steps`.

        ids: the numbers by which FlowError names the trajectories; by default their places in the batch.
        """
        for done in range(1, frames + 1):
            for _ in range(steps):
                w = self.step(w)
            frame = self.faces(w, frame_grid)
            check(self.velocity(w), frame, self.dt, ids or range(len(w)), done * steps * self.dt)
            yield frame


def decay_integral(rate: NDArray[np.float64], time: float) -> NDArray[np.float64]:
    """The integral of exp(-rate t) from 0 to `time`, s; a rate of 0 gives `time`."""
    exponent = rate * time
    return time * np.where(exponent > 0, -np.expm1(-exponent) / np.where(exponent > 0, exponent, 1), 1)
