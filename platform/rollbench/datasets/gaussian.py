"""A field whose law is known: Gaussian, stationary, linear in time. What an experiment makes of it has right answers.

Every real Fourier degree of freedom of each of the two channels is an autoregression of its own. At wave number k, in turns per
side, it has the variance S(k) (ortho norm; both parts of a complex mode together) and the pole ρ(k), at order 2 twice:

    S(k) = amplitude² s(k) / mean s,    s(k) = (1 + (k / peak)²)^(-slope / 2)
    ρ(k) = correlation^(((1 + k) / (1 + peak))^fading)

    order 1    x_t = ρ x_(t-1) + e_t                     C_k(lag) = S ρ^lag
    order 2    x_t = 2 ρ x_(t-1) - ρ² x_(t-2) + e_t      C_k(lag) = S ρ^lag (1 + lag (1 - ρ²) / (1 + ρ²))

The mean over all modes makes `amplitude` the standard deviation of a pixel. Of a flow it has the form (horizontal velocity first),
not the physics: the channels are independent, and nothing makes them free of divergence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rollbench.datasets.base import Simulated
from rollbench.spec import BadInput

Array = NDArray[Any]  # of float64


@dataclass(frozen=True)
class Gaussian:
    """grid: pixels a side. frame_interval: s. order: frames that the next one hangs on, 1 or 2.

    amplitude: standard deviation of a pixel, m/s. slope: of the spectrum beyond the wave number `peak` (4: the enstrophy cascade
    of flows in two dimensions). correlation: the pole at `peak`. fading: how much faster small eddies forget (2/3: eddy turnover).
    """

    grid: int = 64
    frames: int = 64
    frame_interval: float = 1.5
    order: int = 1
    amplitude: float = 1.0
    slope: float = 4.0
    peak: float = 3.0
    correlation: float = 0.9
    fading: float = 2 / 3
    seed: int = 0

    kind: ClassVar[str] = "flow"

    def __post_init__(self) -> None:
        for name, least in {"grid": 2, "frames": 1, "seed": 0}.items():
            value = getattr(self, name)
            self._require(
                name, isinstance(value, int) and value >= least, f"must be a whole number of at least {least}", least
            )
        self._require("order", self.order in (1, 2), "must be 1 or 2", 1 if self.order < 1 else 2)
        for name in ("frame_interval", "amplitude", "peak"):
            positive = 0 < getattr(self, name) < math.inf
            self._require(name, positive, "must be positive and finite", getattr(Gaussian, name))
        for name in ("slope", "fading"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "must be finite and not negative", 0.0)
        self._require(
            "correlation", 0 < self.correlation < 1, "must lie between 0 and 1, both excluded", Gaussian.correlation
        )

    def _require(self, name: str, holds: bool, rule: str, nearest: Any) -> None:
        if not holds:
            raise BadInput(f"Gaussian {name} = {getattr(self, name)!r} {rule}; the nearest right choice is {nearest!r}")

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (2, self.grid, self.grid)

    def describe(self) -> str:
        return (
            f"{self.grid}×{self.grid} frames of a Gaussian field of order {self.order} every {self.frame_interval:g} s"
        )

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Gaussian:
        """At most `frame_grid` pixels a side, and at most `frames` frames but no fewer than `least`."""
        return replace(self, grid=min(self.grid, frame_grid), frames=min(self.frames, max(frames, least)))

    def simulate(self, ids: Sequence[int]) -> Simulated:
        """The clips with these numbers: frames float32 [k, frames, 2, grid, grid], m/s, stationary from the first."""
        half = np.s_[..., : self.grid // 2 + 1]
        steps = [self.prediction(1, n) for n in range(min(self.order + 1, self.frames))]
        moves = [(weights[half], np.sqrt(self.spectrum * left)[half]) for weights, left in steps]
        frames = np.empty((len(ids), self.frames, *self.frame_shape), np.float32)
        for clip, number in zip(frames, ids, strict=True):
            white = np.random.default_rng([self.seed, int(number)]).standard_normal(clip.shape)
            x = np.fft.rfft2(white, norm="ortho")
            for t in range(self.frames):
                weights, stir = moves[min(t, self.order)]
                x[t] = stir * x[t] + sum(w * x[t - 1 - j] for j, w in enumerate(weights))
            clip[...] = np.fft.irfft2(x, s=clip.shape[-2:], norm="ortho")
        return Simulated(tuple(int(i) for i in ids), frames, {})

    @cached_property
    def wavenumber(self) -> Array:
        """[grid, grid] |k| of the modes of fft2, in turns per side."""
        k = np.fft.fftfreq(self.grid) * self.grid
        return np.hypot(k[:, None], k)

    @cached_property
    def spectrum(self) -> Array:
        """[grid, grid] S(k) = E |fft2(u, norm="ortho")|², m²/s²; its mean is the climatological variance amplitude²."""
        shape = (1 + (self.wavenumber / self.peak) ** 2) ** (-self.slope / 2)
        return self.amplitude**2 * shape / shape.mean()

    def autocorrelation(self, lag: Any) -> Array:
        """[*lag, grid, grid] C_k(lag) / S: ρ^lag, at order 2 times 1 + lag (1 - ρ²) / (1 + ρ²)."""
        l = np.abs(np.asarray(lag, np.float64))[..., None, None]
        rho = self.correlation ** (((1 + self.wavenumber) / (1 + self.peak)) ** self.fading)
        return rho**l * (1 + (self.order - 1) * l * (1 - rho**2) / (1 + rho**2))

    def autocovariance(self, lag: Any) -> Array:
        """[*lag, grid, grid] C_k(lag) = E x_t x*_(t-lag), m²/s²."""
        return self.spectrum * self.autocorrelation(lag)

    def prediction(self, lead: int, context: int) -> tuple[Array, Array]:
        """The law of the frame `lead` after the last of `context` ones: weights [context, grid, grid] of these in the conditional
        mean, the latest first, and the share [grid, grid] of each mode's variance that they leave open.

            weights = R⁻¹ r,    open = 1 - r · R⁻¹ r,    R_ij = C(i - j) / S,    r_j = C(lead + j) / S
        """
        j = np.arange(context)
        R, r = self.autocorrelation(j[:, None] - j), self.autocorrelation(lead + j)
        weights = np.linalg.solve(R.transpose(2, 3, 0, 1), r.transpose(1, 2, 0)[..., None])[..., 0].transpose(2, 0, 1)
        return weights, 1 - (weights * r).sum(0)

    def mse_ratio(self, lead: int, context: int, members: float = 1) -> float:
        """The squared error over the climatological variance of the mean of `members` draws from the law given `context` frames:

        (1 + 1 / members) Σ_k S open / Σ_k S;        1: single samples; infinity: the conditional mean, as of a regression
        """
        _, left = self.prediction(lead, context)
        return (1 + 1 / members) * float((self.spectrum * left).mean() / self.spectrum.mean())

    def fsd(self, other: Gaussian) -> float:
        """The Fréchet spectral distance to another law: Σ_k (√S1 - √S2)² over conjugate pairs, each once; m²/s²."""
        if other.grid != self.grid:
            raise BadInput(f"grids of {self.grid} and {other.grid}: spectra of one grid have a distance; use one grid")
        return self._distance(other.spectrum)

    def fsd_of_mean(self, lead: int, context: int) -> float:
        """The same distance to the conditional mean, all that a perfect regression makes: Σ_k S (1 - √(1 - open))²."""
        _, left = self.prediction(lead, context)
        return self._distance(self.spectrum * (1 - left))

    def _distance(self, spectrum: Array) -> float:
        number = np.arange(self.grid**2).reshape(self.grid, self.grid)
        first = number <= np.roll(number[::-1, ::-1], 1, (0, 1))  # of the modes k and -k
        return float(np.square(np.sqrt(self.spectrum) - np.sqrt(spectrum))[first].sum())

    def denoiser(self, clean: int, generated: int) -> Callable[[Any, Any], Any]:
        """E[x | z] of windows of `clean + generated` frames, in units of `amplitude`: a frame as networks see it, of variance 1.

            x̂ = C A (A C A + N)⁻¹ z per mode,    A = diag(alpha), N = diag(sigma²), alpha² = 1 - sigma² = sigmoid(log-SNR)

        Called with z [b, w, 2, grid, grid] and log-SNR [b, w]. Modes of one |k| share a matrix, which is made once for each row of
        log-SNRs. Frames at log-SNR +inf are known, and come back bit by bit.
        """
        import torch

        half = self.wavenumber[:, : self.grid // 2 + 1]
        _, first, group = np.unique(half, return_index=True, return_inverse=True)
        j = np.arange(clean + generated)
        lags = self.autocovariance(j)[..., : half.shape[1]].reshape(len(j), -1)[:, first].T / self.amplitude**2
        C, shells = torch.from_numpy(lags[:, np.abs(j[:, None] - j)]), torch.from_numpy(group.reshape(half.shape))

        @lru_cache(256)
        def gain(logsnr: tuple[float, ...]) -> Any:
            """C A (A C A + N)⁻¹ [shells, w, w]."""
            l = torch.tensor(logsnr, dtype=torch.float64)
            alpha = torch.sigmoid(l).sqrt()
            noisy = alpha[:, None] * C * alpha + torch.diag(torch.sigmoid(-l))
            return torch.linalg.solve(noisy, alpha[:, None] * C).mT

        def denoise(z: Any, logsnr: Any) -> Any:
            modes = torch.view_as_real(torch.fft.rfft2(z, norm="ortho"))
            x_hat = torch.empty_like(modes)
            rows, which = torch.unique(logsnr, dim=0, return_inverse=True)
            for i, row in enumerate(rows):
                by = gain(tuple(row.tolist()))[shells].to(z)
                x_hat[which == i] = torch.einsum("yxij,bjcyxr->bicyxr", by, modes[which == i])
            frames = torch.fft.irfft2(torch.view_as_complex(x_hat), s=z.shape[-2:], norm="ortho")
            return torch.where((logsnr == math.inf)[..., None, None, None], z, frames)

        return denoise
