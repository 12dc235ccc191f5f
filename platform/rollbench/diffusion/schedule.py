"""The noise schedule: how much of a frame remains at local time t.

    logsnr(t) = -2 log tan(a + t (b - a)) + shift,    a = atan(exp(-lmax / 2)),  b = atan(exp(-lmin / 2))

Cosine in log-SNR (Simple Diffusion, arXiv 2301.11093), from lmax at t = 0 to lmin at t = 1. The end points are
hard: a local time of exactly 0 is clean (log-SNR +inf) and of exactly 1 pure noise (-inf). A network is never fed
an infinity: see `clamp`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor


@dataclass(frozen=True)
class CosineSchedule:
    """Log-SNR in nats; `shift` is added: 2 log(noise_d / image_d) gives image_d pixels the noise that suits noise_d."""

    logsnr_min: float = -15.0
    logsnr_max: float = 15.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not self.logsnr_min < self.logsnr_max:
            raise ValueError(
                f"logsnr_min={self.logsnr_min} is not below logsnr_max={self.logsnr_max}: time runs from the maximum "
                "(clean) to the minimum (noise); the usual pair is -15, 15"
            )
        if not math.isfinite(self.shift + self.logsnr_min + self.logsnr_max):
            raise ValueError(f"{self}: all three numbers must be finite; without a shift use shift=0.0")

    @property
    def _angles(self) -> tuple[float, float, float]:
        """a, the distance from b to pi/2, and b - a."""
        a, beyond = math.atan(math.exp(-self.logsnr_max / 2)), math.atan(math.exp(self.logsnr_min / 2))
        return a, beyond, math.pi / 2 - a - beyond

    def logsnr(self, t: Tensor) -> Tensor:
        """Log-SNR at local times t in [0, 1], of t's shape and dtype.

        tan is written as sin / cos, and the cosine as the sine of the distance to pi/2: float32 keeps its digits at
        both ends.
        """
        a, beyond, span = self._angles
        value = 2 * torch.log(torch.sin(beyond + (1 - t) * span) / torch.sin(a + t * span)) + self.shift
        return value.masked_fill(t <= 0, math.inf).masked_fill(t >= 1, -math.inf)

    def at(self, times: Sequence[Sequence[Fraction | None]]) -> Tensor:
        """Log-SNR [steps, w] at the exact local times of many steps, in float64; NaN for None."""
        exact = [[math.nan if t is None else float(t) for t in row] for row in times]
        return self.logsnr(torch.tensor(exact, dtype=torch.float64))

    def time(self, logsnr: Tensor) -> Tensor:
        """The local time in [0, 1] of a log-SNR: the inverse of `logsnr`."""
        a, _, span = self._angles
        return ((torch.atan(torch.exp((self.shift - logsnr) / 2)) - a) / span).clamp(0, 1)

    def clamp(self, logsnr: Tensor) -> Tensor:
        """The log-SNR that a network receives: within the schedule's own range, finite at the hard end points."""
        return logsnr.clamp(self.logsnr_min + self.shift, self.logsnr_max + self.shift)
