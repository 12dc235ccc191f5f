"""Two-dimensional incompressible flow on [0, 2 pi)^2: a pseudo-spectral method in vorticity form, a batch at a time.

The equation is that of the paper's Kolmogorov flow as jax-cfd solves it: density divides viscosity, forcing and drag alike.

    du/dt + div(u u) = (mu lap u - grad p + F sin(m y) ex + c u) / rho,    div u = 0,    c <= 0

Its curl, w = dv/dx - du/dy, is what we integrate, mode by mode:

    dw/dt = N(w) - L w + s
    N = (kx^2 - ky^2) [uv] - kx ky [u^2 - v^2]       two inverse and two forward transforms (Basdevant's form)
    L = (mu k^2 - c)/rho + r (k/K)^16                viscosity, drag, filter
    s = -F m cos(m y)/rho                            curl of the forcing

L and s are solved exactly. N is advanced by the midpoint rule with its half step taken twice, first by Euler, then from the
slope found there: second order in dt, and for a pure rotation exp(i z) a step has the size 1 - z^4/8 + ..., stable up to
z = 2. (The plain midpoint rule grows by z^4/8, and a flow at CFL 0.5 does blow up.)

Products are dealiased by the 2/3 rule: modes with |kx| or |ky| >= K = grid/3 are zero, and those columns kx are neither
stored nor transformed. The filter damps the modes next to K at the rate r and does the work of the scales that the grid
lacks; without it enstrophy piles up at K. At K/2 it has fallen to r/65536.

The mean velocity (k = 0) is no part of w. It obeys dU/dt = c U/rho on its own, since neither N nor the forcing has a mean:
a flow that starts without a mean, as ours does, never has one.
"""

from __future__ import annotations

import math
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
    """The equation for b trajectories, advanced by steps of dt. A state is the spectrum of w, [b, ky, kx < K].

    viscosity, density: mu, rho of each trajectory, [b]. dt: s. forcing: F, m/s^2, at the wave number m.
    linear_coefficient: c, 1/s. filter_rate: r, 1/s. dtype: float32 or float64.
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
        self.columns, cutoff = math.ceil(grid / 3), grid / 3
        mu, rho = (np.asarray(a, np.float64).reshape(-1, 1, 1) for a in (viscosity, density))
        kx, ky = wavenumbers(grid)
        k2 = kx**2 + ky**2
        self.kept = (kx < cutoff) & (np.abs(ky) < cutoff)
        rate = (mu * k2 - linear_coefficient) / rho + filter_rate * (k2 / cutoff**2) ** (FILTER_ORDER / 2)
        source = -forcing * wavenumber / 2 / rho * (np.abs(ky) == wavenumber) * (kx == 0)  # of modes (0, +-m)
        self.half_decay = self.state(np.exp(-rate * dt / 2))
        self.half_source = self.state(source * decay_integral(rate, dt / 2))[..., :1]
        self.to_velocity = self.state(velocity_factors(grid)[:, None])
        self.of_uv, self.of_difference = self.state(dt * (kx**2 - ky**2)), self.state(-dt * kx * ky)

    def state(self, spectrum: NDArray[np.generic]) -> Tensor:
        """The modes kept of a half spectrum [..., grid, grid//2 + 1] (norm="forward"), in this precision and place."""
        modes = np.where(self.kept, spectrum, 0)[..., : self.columns]
        return torch.as_tensor(modes, dtype=self.dtype, device=self.device)

    def field(self, spectrum: Tensor) -> Tensor:
        """The values at the points x = 2 pi i/grid, y = 2 pi j/grid of a spectrum [..., ky, kx < K]: [..., grid, grid]."""
        columns = torch.fft.ifft(spectrum, dim=-2, norm="forward")
        return torch.fft.irfft(columns, n=self.grid, dim=-1, norm="forward")

    def spectrum(self, field: Tensor) -> Tensor:
        """The inverse of `field`."""
        rows = torch.fft.rfft(field, dim=-1, norm="forward")
        return torch.fft.fft(rows[..., : self.columns], dim=-2, norm="forward")

    def velocity(self, w: Tensor) -> Tensor:
        """(u, v), m/s: [2, b, grid, grid]."""
        return self.field(w * self.to_velocity)

    def tendency(self, w: Tensor) -> Tensor:
        """dt N(w)."""
        u, v = velocity = self.velocity(w)
        products = torch.empty_like(velocity)
        torch.mul(u, v, out=products[0])
        torch.mul(u, u, out=products[1]).addcmul_(v, v, value=-1)
        uv, difference = self.spectrum(products)
        return (uv * self.of_uv).addcmul_(difference, self.of_difference)

    def coast(self, w: Tensor) -> Tensor:
        """Half a step of the linear part alone, exact."""
        w = w * self.half_decay
        w[..., :1] += self.half_source  # the forcing has no other column
        return w

    def step(self, w: Tensor) -> Tensor:
        """The state one step later."""
        start = self.coast(w)
        half = self.coast(w + 0.5 * self.tendency(w))
        half = start + 0.5 * self.tendency(half)
        return self.coast(start + self.tendency(half))

    def faces(self, w: Tensor, frame_grid: int) -> Tensor:
        """A frame of means over faces (see `frames`), m/s: [b, 2, frame_grid, frame_grid]."""
        means = self.state(face_means(self.grid, frame_grid)[:, None])
        every = self.grid // frame_grid
        return self.field(w * self.to_velocity * means)[..., ::every, ::every].transpose(0, 1)

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
