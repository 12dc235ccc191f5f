"""The training loss (Algorithm 1, App. A): weighted squared error over the frames that are neither clean nor noise.

    L = mean over windows of  mean over {w : 0 < t_w < 1} of  weight(l_w) · mean over pixels of (prediction - target)²

The mean runs over the frames that remain of a window, then over windows, so a gradient does not depend on how a
batch is cut into micro-batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rollbench.diffusion.denoiser import Denoiser
from rollbench.diffusion.process import Parametrisation, add_noise, target
from rollbench.diffusion.weight import weight


def diffusion_loss(
    denoiser: Denoiser, x: Tensor, logsnr: Tensor, eps: Tensor, weighting: Parametrisation = "v"
) -> Tensor:
    """The loss, a scalar, of clean windows x [b, w, ...] noised by eps to logsnr [b, w] (hard end points: ±inf)."""
    prediction = denoiser.predict(add_noise(x, logsnr, eps), logsnr)
    error = (prediction - target(x, eps, logsnr, denoiser.parametrisation)).square()
    error = error.reshape(*logsnr.shape, -1).mean(-1)
    counted = torch.isfinite(logsnr)
    factor = weight(denoiser.schedule.clamp(logsnr), weighting, denoiser.parametrisation) * counted
    return ((factor * error).sum(1) / counted.sum(1).clamp(min=1)).mean()


def frame_mse(x_hat: Tensor, x: Tensor) -> Tensor:
    """Plain mean squared error, the regression's loss."""
    return (x_hat - x).square().mean()
