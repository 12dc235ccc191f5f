"""The process of one frame, variance preserving: how noise is added, and what a prediction says about the clean frame.

    alpha^2 = sigmoid(l),  sigma^2 = sigmoid(-l),  l = log-SNR
    z   = alpha x + sigma eps
    v   = alpha eps - sigma x
    x   = alpha z - sigma v  =  (z - sigma eps) / alpha

Every quantity is per frame: log-SNRs are [b, w] or [w], frames are [b, w, ...] with any trailing shape. The hard end
points are exact: l = +inf gives z = x, l = -inf gives z = eps.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Parametrisation = Literal["v", "eps", "x"]
PARAMETRISATIONS = get_args(Parametrisation)


def alpha_sigma(logsnr: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise scale, each of logsnr's shape and dtype; alpha^2 + sigma^2 = 1.

    Computed in float64: in float32 a value's last digit would depend on its place in the batch (vector and scalar
    code of one function differ), and with it a sample on the others of its batch.
    """
    wide = logsnr.double()
    return torch.sigmoid(wide).sqrt().to(logsnr.dtype), torch.sigmoid(-wide).sqrt().to(logsnr.dtype)


def per_frame(value: Tensor, frames: Tensor) -> Tensor:
    """A per-frame `value` ([b, w] or [w]) shaped so that it broadcasts over `frames` [b, w, ...]."""
    return value[(...,) + (None,) * (frames.ndim - 2)]


def _scales(logsnr: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    alpha, sigma = alpha_sigma(logsnr)
    return per_frame(alpha, frames), per_frame(sigma, frames)


def add_noise(x: Tensor, logsnr: Tensor, eps: Tensor) -> Tensor:
    """A sample of q(z | x): the frames x [b, w, ...] at log-SNR [b, w], with eps ~ N(0, I) of x's shape."""
    alpha, sigma = _scales(logsnr, x)
    return alpha * x + sigma * eps


def target(x: Tensor, eps: Tensor, logsnr: Tensor, parametrisation: Parametrisation) -> Tensor:
    """The prediction of a perfect network for frames x noised with eps."""
    if parametrisation == "x":
        return x
    if parametrisation == "eps":
        return eps
    alpha, sigma = _scales(logsnr, x)
    return alpha * eps - sigma * x


def clean_frames(prediction: Tensor, z: Tensor, logsnr: Tensor, parametrisation: Parametrisation) -> Tensor:
    """The clean frames x̂ that a prediction stands for. For eps the log-SNR must be finite: noise does not tell x̂."""
    if parametrisation == "x":
        return prediction
    alpha, sigma = _scales(logsnr, z)
    return alpha * z - sigma * prediction if parametrisation == "v" else (z - sigma * prediction) / alpha


def check_parametrisation(value: str, name: str = "parametrisation") -> None:
    if value not in PARAMETRISATIONS:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(PARAMETRISATIONS)}; the default is 'v'")
