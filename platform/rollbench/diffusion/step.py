"""One step of a sampler, from local times t to s <= t, per frame.

    z_s = keep · z_t + pull · x̂ + stir · eps

    ancestral   keep = alpha_t sigma_s² / (alpha_s sigma_t²)   pull = alpha_s c                stir = sigma_s sqrt(c)
    ddim        keep = sigma_s / sigma_t                       pull = alpha_s - alpha_t keep   stir = 0

with c = -expm1(l_t - l_s) in [0, 1]. Ancestral is a draw from q(z_s | z_t, x̂), Eq. 3 and 4, with its variance.

Both are exact at every corner: s = t changes nothing (also for clean frames and pure noise, where the formulas read
inf - inf), s = 0 returns x̂, and t = 1 forgets z_t (ancestral). `keep` is computed from logarithms, which neither
overflow nor cancel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rollbench.diffusion.process import alpha_sigma


class Coefficients(NamedTuple):
    """Per-frame factors of one step."""

    keep: Tensor
    pull: Tensor
    stir: Tensor


def ancestral(logsnr_t: Tensor, logsnr_s: Tensor) -> Coefficients:
    """A draw from q(z_s | z_t, x̂), the posterior of the process; stochastic."""
    alpha, sigma = alpha_sigma(logsnr_s)
    c = -torch.expm1(logsnr_t - logsnr_s)
    variances = F.logsigmoid(-logsnr_s) - F.logsigmoid(-logsnr_t)
    signals = (F.logsigmoid(logsnr_t) - F.logsigmoid(logsnr_s)) / 2
    return _moving(logsnr_t, logsnr_s, torch.exp(variances + signals), alpha * c, sigma * c.sqrt())


def ddim(logsnr_t: Tensor, logsnr_s: Tensor) -> Coefficients:
    """The deterministic step along the same marginals (DDIM, eta = 0)."""
    alpha, _ = alpha_sigma(logsnr_s)
    alpha_t, _ = alpha_sigma(logsnr_t)
    keep = torch.exp((F.logsigmoid(-logsnr_s) - F.logsigmoid(-logsnr_t)) / 2)
    return _moving(logsnr_t, logsnr_s, keep, alpha - alpha_t * keep, torch.zeros_like(keep))


def _moving(logsnr_t: Tensor, logsnr_s: Tensor, keep: Tensor, pull: Tensor, stir: Tensor) -> Coefficients:
    """The coefficients, with a frame whose time stands still left as it is."""
    still = logsnr_t == logsnr_s
    return Coefficients(keep.masked_fill(still, 1.0), pull.masked_fill(still, 0.0), stir.masked_fill(still, 0.0))


def step(z: Tensor, x_hat: Tensor, eps: Tensor | float, by: Coefficients) -> Tensor:
    """z_s, with coefficients shaped to broadcast over z. eps may be 0.0 where nothing is stirred."""
    return by.keep * z + by.pull * x_hat + by.stir * eps


SAMPLERS: dict[str, Callable[[Tensor, Tensor], Coefficients]] = {"ancestral": ancestral, "ddim": ddim}
