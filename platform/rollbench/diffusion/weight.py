"""The weight of a frame's error in the loss.

In units of the error in x (spec: ||v - v̂||² = (SNR + 1) ||x - x̂||², ||eps - epŝ||² = SNR ||x - x̂||²) the three
losses weigh

    x: 1        eps: SNR        v: SNR + 1

The paper's tables print "ε-loss (x-loss with SNR + 1 weighting)", which contradicts itself; SNR + 1 is the v-loss,
our default.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rollbench.diffusion.process import Parametrisation


def _log_weight_of_x(logsnr: Tensor, kind: Parametrisation) -> Tensor:
    if kind == "x":
        return torch.zeros_like(logsnr)
    return logsnr if kind == "eps" else F.softplus(logsnr)


def weight(logsnr: Tensor, weighting: Parametrisation, parametrisation: Parametrisation) -> Tensor:
    """The factor that makes the squared error of a prediction the `weighting` loss, at a finite logsnr.

    The error is taken where the network predicts, never by way of x̂: at high SNR the detour would cancel its
    leading digits.
    """
    return torch.exp(_log_weight_of_x(logsnr, weighting) - _log_weight_of_x(logsnr, parametrisation))
