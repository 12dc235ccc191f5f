"""A flow whose law is known: a stationary Gaussian field, in which every experiment of this project has an exact answer.

Each Fourier mode of each velocity component goes its own way, k the wave vector in turns per side, j the frame, l a lag:

    u_j(x) = Σ_k √S(k) a_k(j) e^(2πi k·x)/n        E|a_k|² = 1        E a_k(j + l) a_k(j)* = ρ_k(l)

    S(k) ∝ (1 + |k|²/k₀²)^(−slope/2)               with mean square u equal to speed²
    τ(k) = correlation_time · (1 + |k|²/k₀²)^(−fading/2)        r = e^(−frame_interval/τ)

    order 1:  a(j) = r a(j−1) + e                   ρ(l) = r^l                             forgets at once where it was going
    order 2:  a(j) = 2r a(j−1) − r² a(j−2) + e      ρ(l) = (1 + l (1−r²)/(1+r²)) r^l       has inertia: two frames say more than one

S is that of `evaluators.fsd`, E|rfft2(u, norm="ortho")|². So the FSD of two such flows is Σ (√S₁ − √S₂)² over the half-plane's modes.
Arrays over modes are [n, n // 2 + 1], the half-plane of rfft2, and means over modes are over the whole plane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rollbench.datasets.base import Simulated
from rollbench.errors import UserError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """grid: cells a side, n above. order: frames that the next one depends on. speed: root mean square of a component, m/s.
    bend: k₀, turns per side. correlation_time: s, of the largest eddies; fading: how much shorter that of small ones is."""

    grid: int = 16
    frames: int = 26
    frame_interval: float = 1.5
    order: Literal[1, 2] = 1
    speed: float = 1.5
    bend: float = 2.0
    slope: float = 4.0
    correlation_time: float = 6.0
    fading: float = 0.7
    seed: int = 0

    kind: ClassVar[str] = "flow"

    def __post_init__(self) -> None:
        whole = isinstance(self.grid, int) and self.grid >= 2 and self.grid % 2 == 0
        self._require("grid", whole, "must be even and at least 2", max(2, 2 * round(self.grid / 2)))
        self._require("frames", isinstance(self.frames, int) and self.frames >= 1, "must be a whole number from 1", 1)
        self._require("order", self.order in (1, 2), "must be 1 or 2", min(max(self.order, 1), 2))
        self._require("seed", isinstance(self.seed, int) and self.seed >= 0, "must be a whole number, not negative", 0)
        for name in ("frame_interval", "speed", "bend", "correlation_time"):
            positive = 0 < getattr(self, name) < math.inf
            self._require(name, positive, "must be positive and finite", getattr(Gaussian, name))
        for name in ("slope", "fading"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "must be finite and not negative", 0.0)

    def _require(self, name: str, holds: bool, rule: str, did_you_mean: Any) -> None:
        if not holds:
            raise UserError(
                f"Gaussian {name} = {getattr(self, name)!r} {rule}; the nearest right choice is {did_you_mean!r}"
            )

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (2, self.grid, self.grid)

    def describe(self) -> str:
        return f"{self.grid}×{self.grid} frames of a Gaussian flow, order {self.order}, every {self.frame_interval:g} s"

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Gaussian:
        """At most `frame_grid` cells a side, with the same speed, and frames up to the caps but no fewer than `least`."""
        return replace(self, grid=min(self.grid, frame_grid), frames=min(self.frames, max(frames, least)))

    def simulate(self, ids: Sequence[int]) -> Simulated:
        """The clips with these numbers: frames [k, frames, 2, grid, grid], m/s. The first frame has the stationary law."""
        ids = tuple(int(i) for i in ids)
        frames = np.empty((len(ids), self.frames, *self.frame_shape), np.float32)
        rules, root = self._rules(), np.sqrt(self.spectrum())
        for clip, number in zip(frames, ids, strict=True):
            noise = np.random.default_rng([self.seed, number]).standard_normal(clip.shape)
            a = np.fft.rfft2(noise, norm="ortho")
            last = before = 0.0
            for j in range(self.frames):
                one, two, new = rules[min(j, self.order)]
                a[j], before = one * last + two * before + new * a[j], last
                last = a[j]
            clip[...] = np.fft.irfft2(root * a, s=clip.shape[-2:], norm="ortho")
        return Simulated(ids, frames, {})

    def _rules(self) -> list[tuple[Any, Any, Any]]:
        """What a frame takes of the one before, of the one before that and of new noise: the first, which has none before; then, in
        order 2, the second; then all others."""
        r, rho, new = self.persistence(), self.correlation(1), np.sqrt(self.noise())
        if self.order == 1:
            return [(0.0, 0.0, 1.0), (r, 0.0, new)]
        return [(0.0, 0.0, 1.0), (rho, 0.0, np.sqrt(1 - rho**2)), (2 * r, -(r**2), new)]

    # The law.

    def _bent(self, exponent: float) -> Array:
        """(1 + |k|²/k₀²)^(−exponent/2) of each mode."""
        y, x = np.fft.fftfreq(self.grid, 1 / self.grid)[:, None], np.fft.rfftfreq(self.grid, 1 / self.grid)
        return np.asarray((1 + (x**2 + y**2) / self.bend**2) ** (-exponent / 2))

    def mean_over_modes(self, values: Array) -> NDArray[Any]:
        """The mean over all modes of the plane of [..., modes]. Of squared amplitudes it is that of the squares of a field (Parseval)."""
        twice = np.full(self.grid // 2 + 1, 2.0)
        twice[[0, -1]] = 1  # columns that hold both of each conjugate pair
        return np.asarray((values * twice).sum((-2, -1)) / self.grid**2)

    @property
    def variance(self) -> float:
        """Mean square of a component, (m/s)²: the error of the best forecast that knows nothing, the climatological mean, which is 0."""
        return self.speed**2

    def spectrum(self) -> Array:
        """S(k) [modes], (m/s)²: the mean of S over the plane is the variance."""
        shape = self._bent(self.slope)
        return self.variance * shape / self.mean_over_modes(shape)

    def persistence(self) -> Array:
        """r [modes], what is left after a frame."""
        return np.exp(-self.frame_interval / (self.correlation_time * self._bent(self.fading)))

    def noise(self) -> Array:
        """E|e|² [modes], which keeps E|a|² = 1. Order 1: 1 − r². Order 2: (1 − r²)³/(1 + r²)."""
        square = self.persistence() ** 2
        return 1 - square if self.order == 1 else (1 - square) ** 3 / (1 + square)

    def correlation(self, lag: int) -> Array:
        """ρ(l) [modes]; see above."""
        r = self.persistence()
        inertia = (1 - r**2) / (1 + r**2) if self.order == 2 else 0.0
        return (1 + lag * inertia) * r**lag

    def covariance(self, frames: int) -> Array:
        """C = S ρ(|i − j|) [modes, frames, frames], of consecutive frames."""
        lags = np.stack([self.correlation(lag) for lag in range(frames)], axis=-1)
        i = np.arange(frames)
        return self.spectrum()[..., None, None] * lags[..., np.abs(i[:, None] - i)]

    def mse_ratio(self, lead: int, clean: int, members: float = math.inf) -> float:
        """Squared error, over the climatological variance, of the mean of `members` films drawn from the true law given `clean` frames:

            (1 + 1/members) · mean_k (C_ll − C_lc C_cc⁻¹ C_cl) / mean_k S,        c the clean frames, l the frame `lead` after them

        A single film has twice the error of the best forecast, which is the mean of infinitely many.
        """
        C = self.covariance(clean + lead)
        known, between = C[..., :clean, :clean], C[..., :clean, -1:]
        explained = (between * np.linalg.solve(known, between)).sum((-2, -1))
        return float((1 + 1 / members) * self.mean_over_modes(C[..., -1, -1] - explained) / self.variance)

    def gain(self, alpha: Array, sigma: Array) -> Array:
        """C A (A C A + Σ²)⁻¹ [modes, w, w] of a window with signal A = diag(alpha) and noise Σ = diag(sigma), m/s."""
        signal = alpha[:, None] * self.covariance(len(alpha))
        noisy = signal * alpha + np.diag(np.square(sigma))
        return np.linalg.solve(noisy, signal).swapaxes(-1, -2)

    def denoise(self, z: NDArray[Any], alpha: Array, sigma: Array) -> Array:
        """E[x | z] of windows z = alpha x + sigma ε, [..., w, 2, grid, grid] in m/s, alpha and sigma [w]: C A (A C A + Σ²)⁻¹ z per mode.

        alpha = 1, sigma = 0 is a known frame and alpha = 0 an unknown one: so this is also the best forecast.
        """
        modes = np.einsum("yxij,...jcyx->...icyx", self.gain(alpha, sigma), np.fft.rfft2(z, norm="ortho"))
        return np.fft.irfft2(modes, s=z.shape[-2:], norm="ortho")
