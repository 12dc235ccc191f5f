"""Regression, the paper's "MSE (n-B)": the same network maps the context and zeros to B frames, in one call per block.

Training: plain mean squared error. As a plan: blocks of one step, from time 1 to 0, that start from zeros, not noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from rollbench.diffusion.denoiser import Denoiser
from rollbench.diffusion.loss import frame_mse
from rollbench.diffusion.plan import Plan, descend
from rollbench.diffusion.process import Parametrisation
from rollbench.diffusion.times import standard
from rollbench.methods.base import Method, check_window, check_windows


@dataclass(frozen=True)
class Regression(Method):
    """(clean-generated) regression; calls_per_frame is ignored, a block costs one call."""

    clean: int
    generated: int
    parametrisation: Parametrisation = field(default="x", init=False, repr=False)  # the network predicts the frames
    noise_scale: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        check_window(self.clean, self.generated)

    def plan(self, horizon: int, calls_per_frame: float | Fraction | None = None) -> Plan:
        block = descend(standard, self.clean, self.generated, calls=1, emit=self.generated)
        return Plan(self.clean, self.generated, horizon, block * -(-horizon // self.generated))

    def loss(self, denoiser: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
        check_windows(x, self)
        clean = torch.arange(self.window, device=x.device) < self.clean
        logsnr = torch.where(clean, math.inf, -math.inf).to(x.dtype).expand(len(x), -1)
        z = torch.cat([x[:, : self.clean], torch.zeros_like(x[:, self.clean :])], 1)
        return frame_mse(denoiser(z, logsnr)[:, self.clean :], x[:, self.clean :])
