"""Two-dimensional incompressible flow on [0, 2 pi)^2 by a pseudo-spectral method in vorticity form, a batch at a time.

The equation is the paper's (Appendix, "Kolmogorov flow") as jax-cfd solves it, where the density rho divides viscosity, forcing and drag alike:

    du/dt + div(u u) = (mu/rho) lap u - grad p / rho + (F sin(m y) ex + c u) / rho,       div u = 0,  c <= 0

Its curl, with w = dv/dx - du/dy, is what we integrate, mode by mode:

    dw/dt = N(w) - L w + s        L = (mu k^2 - c)/rho + r (k/K)^8        s = curl of the forcing = -F m cos(m y)/rho
    N = (kx^2 - ky^2) [uv] - kx ky [u^2 - v^2]                            (Basdevant: 2 inverse and 2 forward transforms)

L and s are solved exactly; N is advanced by the midpoint rule (second order in dt). Products are dealiased by the 2/3 rule:
modes |kx|, |ky| >= grid/3 are zero, K = grid/3. The filter r damps the modes near K at the rate r, where a coarse grid
would pile up the enstrophy that it cannot pass on; its steepness leaves the modes below K/2 alone (0.4 % of r).

The mean velocity (k = 0) is not a part of w. It obeys dU/dt = c U/rho on its own, because neither N nor the forcing has a
mean: a flow that starts with none, as ours does, has none.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rollbench.physics.frames import face_means
from rollbench.physics.spectral import velocity_factors, wavenumbers

FILTER_ORDER = 8


class Flow:
    """The equation for b trajectories and one time step; states are spectra w [b, grid, grid//2 + 1] (norm="forward").

    viscosity, density: mu, rho of each trajectory, [b]. step: dt, s. forcing: F, m/s^2. linear_coefficient: c, 1/s.
    filter_rate: r, 1/s. precision: float32 or float64.
    """

    def __init__(
        self,
        viscosity: ArrayLike,
        density: ArrayLike,
        *,
        grid: int,
        step: float,
        forcing: float = 0.0,
        wavenumber: int = 4,
        linear_coefficient: float = 0.0,
        filter_rate: float = 0.0,
        precision: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.grid, self.dt = grid, step
        mu, rho = (np.asarray(a, np.float64).reshape(-1, 1, 1) for a in (viscosity, density))
        kx, ky = wavenumbers(grid)
        k2 = kx**2 + ky**2
        kept = (np.abs(kx) < grid / 3) & (np.abs(ky) < grid / 3)
        rate = (mu * k2 - linear_coefficient) / rho + filter_rate * (k2 / (grid / 3) ** 2) ** (FILTER_ORDER / 2)

        self.dtype = torch.complex64 if precision == torch.float32 else torch.complex128
        self.device = device
        tensor = self.state

        self.to_velocity = tensor(velocity_factors(grid))
        self.to_tendency = tensor(np.stack(np.broadcast_arrays(kx**2 - ky**2, -kx * ky)) * kept * step)
        self.half_decay = tensor(np.exp(-rate * step / 2) * kept)
        self.source = [
            tensor(-forcing * wavenumber / 2 / rho[:, 0] * integral(rate[:, wavenumber, 0:1], t))
            for t in (step / 2, step)
        ]
        self.forced = torch.tensor([wavenumber, grid - wavenumber], device=device)  # ky = +-m in the column kx = 0

    def state(self, spectrum: np.ndarray) -> Tensor:
        """An array in this flow's precision and on its device."""
        return torch.as_tensor(spectrum, dtype=self.dtype, device=self.device)

    def velocity(self, w: Tensor) -> Tensor:
        """(u, v) at the points (2 pi j/grid, 2 pi i/grid), m/s: [b, 2, grid, grid]."""
        return torch.fft.irfft2(w[:, None] * self.to_velocity, s=(self.grid, self.grid), norm="forward")

    def tendency(self, w: Tensor) -> Tensor:
        """dt N(w)."""
        u, v = self.velocity(w).unbind(1)
        products = torch.fft.rfft2(torch.stack([u * v, (u - v) * (u + v)], dim=1), norm="forward")
        products *= self.to_tendency
        return products[:, 0] + products[:, 1]

    def step(self, w: Tensor) -> Tensor:
        """w one time step later: the linear part is exact, the rest by the midpoint rule."""
        half = (w + 0.5 * self.tendency(w)) * self.half_decay
        half[:, self.forced, 0] += self.source[0]
        full = (w * self.half_decay + self.tendency(half)) * self.half_decay
        full[:, self.forced, 0] += self.source[1]
        return full

    def faces(self, w: Tensor, frame_grid: int) -> Tensor:
        """A frame of face means (see `frames`), m/s: [b, 2, frame_grid, frame_grid]."""
        factors = torch.as_tensor(face_means(self.grid, frame_grid), dtype=w.dtype, device=w.device)
        spectra = w[:, None] * self.to_velocity * factors
        every = self.grid // frame_grid
        return torch.fft.irfft2(spectra, s=(self.grid, self.grid), norm="forward")[..., ::every, ::every]


def integral(rate: np.ndarray, time: float) -> np.ndarray:
    """The integral of exp(-rate t) from 0 to `time`, also where the rate is 0."""
    return time * np.where(rate * time > 0, -np.expm1(-rate * time) / np.where(rate > 0, rate * time, 1), 1)
