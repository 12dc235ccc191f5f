"""One step of a sampler, from local times t to s <= t, per frame.

    z_s = keep · z_t + pull · x̂ + past · x̂' + stir · eps

    Ancestral   keep = alpha_t sigma_s² / (alpha_s sigma_t²)   pull = alpha_s c                stir = sqrt(c) sigma_s^(1 - n) sigma_t^n
    DDIM        keep = sigma_s / sigma_t                       pull = alpha_s - alpha_t keep   stir = 0
    Multistep   as DDIM, with x̂ + (x̂ - x̂') h / (2 h') for x̂

with c = -expm1(l_t - l_s) in [0, 1], x̂' the frame's previous prediction, h and h' the last two steps in log-SNR.

Ancestral with n = 0 is a draw from q(z_s | z_t, x̂), Eq. 3 and 4. With n > 0 the log-variance lies that share of the way
from the posterior's to the forward process's (Simple Diffusion, arXiv 2301.11093, App. B). DDIM: arXiv 2010.02502, eta = 0.
Multistep: DPM-Solver++(2M), arXiv 2211.01095, Algorithm 2, per frame; it is of first order where a frame has no previous
prediction (it has just entered), where the previous step left its time as it was, and in the step that makes it clean.

All are exact at every corner: s = t changes nothing (also for clean frames and pure noise, where the formulas read
inf - inf), s = 0 returns x̂, and t = 1 forgets z_t (Ancestral). `keep` is computed from logarithms, which neither
overflow nor cancel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rollbench.diffusion.process import alpha_sigma


class Coefficients(NamedTuple):
    """Per-frame factors of one step."""

    keep: Tensor
    pull: Tensor
    past: Tensor
    stir: Tensor


class Sampler(ABC):
    """A frozen value that turns log-SNRs into the coefficients of a step."""

    @abstractmethod
    def __call__(self, logsnr_t: Tensor, logsnr_s: Tensor, previous: Tensor) -> Coefficients:
        """Coefficients of the shape and dtype of log-SNR [..., w]; `previous` is that of the frame's last prediction, NaN for none."""


@dataclass(frozen=True)
class Ancestral(Sampler):
    """A draw from q(z_s | z_t, x̂); stochastic.

    noise: share n in [0, 1) of the way from the posterior's log-variance to the forward process's. ValueError outside.
    """

    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.noise < 1:
            raise ValueError(f"noise={self.noise}: a share of the way in [0, 1); 0 is the posterior's variance")

    def __call__(self, logsnr_t: Tensor, logsnr_s: Tensor, previous: Tensor) -> Coefficients:
        alpha, sigma = alpha_sigma(logsnr_s)
        _, sigma_t = alpha_sigma(logsnr_t)
        c = -torch.expm1(logsnr_t - logsnr_s)
        variances = F.logsigmoid(-logsnr_s) - F.logsigmoid(-logsnr_t)
        signals = (F.logsigmoid(logsnr_t) - F.logsigmoid(logsnr_s)) / 2
        stir = c.sqrt() * sigma ** (1 - self.noise) * sigma_t**self.noise
        return _moving(logsnr_t, logsnr_s, torch.exp(variances + signals), alpha * c, torch.zeros_like(c), stir)


@dataclass(frozen=True)
class DDIM(Sampler):
    """The deterministic step along the same marginals, of first order."""

    def __call__(self, logsnr_t: Tensor, logsnr_s: Tensor, previous: Tensor) -> Coefficients:
        alpha, _ = alpha_sigma(logsnr_s)
        alpha_t, _ = alpha_sigma(logsnr_t)
        keep = torch.exp((F.logsigmoid(-logsnr_s) - F.logsigmoid(-logsnr_t)) / 2)
        zero = torch.zeros_like(keep)
        return _moving(logsnr_t, logsnr_s, keep, alpha - alpha_t * keep, zero, zero)


@dataclass(frozen=True)
class Multistep(Sampler):
    """The deterministic step of second order, from the frame's last two predictions."""

    def __call__(self, logsnr_t: Tensor, logsnr_s: Tensor, previous: Tensor) -> Coefficients:
        first = DDIM()(logsnr_t, logsnr_s, previous)
        ratio = (logsnr_s - logsnr_t) / (2 * (logsnr_t - previous))
        past = -first.pull * ratio.masked_fill(~torch.isfinite(ratio), 0.0)
        return first._replace(pull=first.pull - past, past=past)


def _moving(logsnr_t: Tensor, logsnr_s: Tensor, *factors: Tensor) -> Coefficients:
    """The coefficients, with a frame whose time stands still unchanged."""
    still = logsnr_t == logsnr_s
    return Coefficients(*(c.masked_fill(still, float(i == 0)) for i, c in enumerate(factors)))


def step(z: Tensor, x_hat: Tensor, before: Tensor | float, eps: Tensor | float, by: Coefficients) -> Tensor:
    """z_s, with coefficients shaped to broadcast over z. `before` (x̂') and eps may be 0.0 where their factors are zero."""
    return by.keep * z + by.pull * x_hat + by.past * before + by.stir * eps


SAMPLERS: dict[str, Sampler] = {
    "ancestral": Ancestral(),
    "between": Ancestral(noise=0.3),
    "ddim": DDIM(),
    "multistep": Multistep(),
}
