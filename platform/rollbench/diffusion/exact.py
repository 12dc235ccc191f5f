"""Exact oracles: processes whose best denoiser is known, and the exact law of what a sampler makes of them.

For a stationary linear-Gaussian process over frames, with covariance C of a window, the best denoiser at per-frame
signal A = diag(alpha) and noise S = diag(sigma²) is linear (mean zero, without loss of generality):

    x̂ = E[x | z] = C A (A C A + S)⁻¹ z

Each step of a sampler, z_s = keep z + pull x̂ + past x̂' + stir eps, is then a linear map with Gaussian noise, so the law of
a sample given its context is a Gaussian that can be propagated through a plan without Monte Carlo, and set against the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from rollbench.diffusion.plan import Step, last_predicted
from rollbench.diffusion.process import alpha_sigma
from rollbench.diffusion.rollout import RolloutMethod, named
from rollbench.diffusion.schedule import CosineSchedule
from rollbench.diffusion.step import Sampler


class Law(NamedTuple):
    """The law of a sample given its context, N(gain · context, covariance), frames and variables flattened; float64."""

    gain: Tensor
    covariance: Tensor


@dataclass(frozen=True, eq=False)
class Autoregression:
    """The stationary process x_i = Σ_j coefficients[j] x_{i-1-j} + e_i, e ~ N(0, noise), of d variables per frame.

    coefficients: [order, d, d]. noise: [d, d].
    """

    coefficients: Tensor
    noise: Tensor

    def __post_init__(self) -> None:
        radius = float(torch.linalg.eigvals(self._companion).abs().max())
        if radius >= 1:
            raise ValueError(f"spectral radius {radius:.4g}: a stationary process is below 1; shrink the coefficients")

    @staticmethod
    def scalar(*coefficients: float) -> Autoregression:
        """AR(p) of one variable, scaled to unit variance."""
        a, one = torch.tensor(coefficients, dtype=torch.float64)[:, None, None], torch.ones(1, 1, dtype=torch.float64)
        return Autoregression(a, one / Autoregression(a, one).covariance(1))

    @property
    def order(self) -> int:
        return len(self.coefficients)

    @property
    def variables(self) -> int:
        return len(self.noise)

    @cached_property
    def _companion(self) -> Tensor:
        p, d, _ = self.coefficients.shape
        below = torch.eye(d * (p - 1), d * p, dtype=torch.float64)
        return torch.cat([self.coefficients.transpose(0, 1).reshape(d, p * d), below])

    @cached_property
    def _stationary(self) -> Tensor:
        """The covariance of the companion state: P = F P Fᵀ + Q, solved as a linear system."""
        F, size = self._companion, len(self._companion)
        Q = torch.zeros(size, size, dtype=torch.float64)
        Q[: self.variables, : self.variables] = self.noise
        lyapunov = torch.eye(size**2, dtype=torch.float64) - torch.kron(F, F)
        return torch.linalg.solve(lyapunov, Q.flatten()).reshape(size, size)

    def covariance(self, frames: int) -> Tensor:
        """Covariance [frames · d, frames · d] of consecutive frames."""
        d, state, lags = self.variables, self._stationary, []
        for _ in range(frames):
            lags.append(state[:d, :d])
            state = self._companion @ state
        by_lag = torch.stack([*(lag.T for lag in lags[:0:-1]), *lags]) if frames else self.noise.new_zeros(0, d, d)
        i = torch.arange(frames)
        return by_lag[i[:, None] - i + frames - 1].transpose(1, 2).reshape(frames * d, frames * d)

    def forecast_law(self, clean: int, horizon: int) -> Law:
        """The true law of `horizon` frames given the `clean` ones before them."""
        C, c = self.covariance(clean + horizon), clean * self.variables
        gain = torch.linalg.solve(C[:c, :c], C[:c, c:]).T
        return Law(gain, C[c:, c:] - gain @ C[:c, c:])

    def sample(self, samples: int, frames: int, generator: torch.Generator, shape: tuple[int, ...] = ()) -> Tensor:
        """Stationary paths [samples, frames, d, *shape], independent at each place of `shape`; float64."""
        C = self.covariance(frames)
        draws = torch.randn(samples, len(C), *shape, generator=generator, dtype=torch.float64)
        return torch.einsum("ij,bj...->bi...", torch.linalg.cholesky(C), draws).unflatten(1, (frames, self.variables))


@dataclass(frozen=True, eq=False)
class ExactDenoiser:
    """E[x | z] of windows of `process`; every place behind the variables is a process of its own.

    Called with z [b, w, d, ...] and one log-SNR per frame [b, w], alike in the whole batch, as `rollout` gives it.
    """

    process: Autoregression

    def __call__(self, z: Tensor, logsnr: Tensor) -> Tensor:
        flat = z.flatten(1, 2)
        return torch.einsum("ij,bj...->bi...", self.gain(logsnr[0].double()).to(z), flat).reshape(z.shape)

    def gain(self, logsnr: Tensor) -> Tensor:
        """C A (A C A + S)⁻¹ [w · d, w · d] at log-SNR [w]."""
        C = self.process.covariance(len(logsnr))
        alpha, sigma = (each.repeat_interleave(self.process.variables) for each in alpha_sigma(logsnr))
        noisy = alpha[:, None] * C * alpha + torch.diag(sigma**2)
        return torch.linalg.solve(noisy, alpha[:, None] * C).T


def rollout_law(
    process: Autoregression,
    method: RolloutMethod,
    horizon: int,
    calls_per_frame: float | Fraction | None = None,
    sampler: str | Sampler = "ancestral",
    schedule: CosineSchedule | None = None,
) -> Law:
    """The exact law of the samples that `rollout` generates with the exact denoiser.

    The state is (frames emitted so far, window, last prediction of the window); its mean (as a gain on the context) and
    covariance are propagated.
    """
    schedule, sampler = schedule or CosineSchedule(), named(sampler)
    plan = method.plan(horizon, calls_per_frame)
    d, n, W, out = process.variables, plan.clean, plan.clean + plan.generated, 0
    pairs = list(zip(plan.steps, last_predicted(plan.steps), strict=True))
    maps = {pair: _move(process, *pair, schedule, sampler) for pair in set(pairs)}
    fresh = method.noise_scale**2
    gain = torch.eye(2 * W * d, n * d, dtype=torch.float64)
    entered = torch.arange(2 * W * d)
    covariance = torch.diag(fresh * ((entered >= n * d) & (entered < W * d)).double())
    for pair in pairs:
        linear, noise = maps[pair]
        step_map = torch.block_diag(torch.eye(out * d, dtype=torch.float64), linear)
        gain, covariance = step_map @ gain, step_map @ covariance @ step_map.T
        window = slice(out * d, (out + W) * d)
        covariance[window, window] += noise
        if emit := pair[0].emit:
            gain, covariance = _emit(gain, covariance, out * d, n * d, W * d, emit * d, fresh)
            out += emit
    frames = slice(0, horizon * d)
    return Law(gain[frames], covariance[frames, frames] / method.members)


def _move(
    process: Autoregression, step: Step, last: tuple[Fraction | None, ...], schedule: CosineSchedule, sampler: Sampler
) -> tuple[Tensor, Tensor]:
    """One step on (window, last prediction), flattened: the linear map, and the covariance of the noise that the window gets."""
    logsnr_t, logsnr_s, previous = schedule.at([step.t, step.s, last])
    factors = (c.repeat_interleave(process.variables) for c in sampler(logsnr_t, logsnr_s, previous))
    keep, pull, past, stir = factors
    x_hat = ExactDenoiser(process).gain(logsnr_t)
    window = torch.cat([torch.diag(keep) + pull[:, None] * x_hat, torch.diag(past)], 1)
    return torch.cat([window, torch.cat([x_hat, torch.zeros_like(x_hat)], 1)]), torch.diag(stir**2)


def _emit(
    gain: Tensor, covariance: Tensor, out: int, clean: int, width: int, size: int, fresh: float
) -> tuple[Tensor, Tensor]:
    """Copy the emitted slots behind the `out` numbers already out, drop the first `size` of the window and of the last
    prediction, append noise to the one and zeros to the other. width: numbers in a window."""
    predicted = out + width
    window = [*range(out), *range(out + clean, out + clean + size), *range(out + size, predicted)]
    last = range(predicted + size, len(gain))
    source = torch.tensor([*window, *[-1] * size, *last, *[-1] * size])
    from_state = source >= 0
    selected = torch.eye(len(gain), dtype=torch.float64)[source.clamp(min=0)] * from_state[:, None]
    entering = torch.zeros(len(source), dtype=torch.float64)
    entering[len(window) : len(window) + size] = fresh
    return selected @ gain, selected @ covariance @ selected.T + torch.diag(entering)


def divergence(p: Law, q: Law, context: Tensor) -> float:
    """KL(p ‖ q) in nats, averaged over contexts of covariance `context`."""
    difference = q.gain - p.gain
    spread = p.covariance + difference @ context @ difference.T
    logdet = torch.logdet(q.covariance) - torch.logdet(p.covariance)
    return float(torch.trace(torch.linalg.solve(q.covariance, spread)) - len(spread) + logdet) / 2
