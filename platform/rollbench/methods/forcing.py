"""Diffusion forcing (arXiv 2407.01392), beyond the paper: every frame has a noise level of its own.

Training: t_w ~ U(0, 1) independently per generated frame. Sampling: block by block with a delayed matrix, in which
each frame starts `delay` / B of the noise scale after the one before it,

    t_w(τ) = clip(τ + (w - n) · delay / B),    τ from 1 down to -(B - 1) · delay / B.

delay = 0 denoises a block at once, delay = B frame by frame; the same model serves all. With delay = 1 a block
begins like a rolling window's init phase, but is finished before the next one begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from rollbench.diffusion.plan import Plan, Step, descend, in_blocks
from rollbench.diffusion.times import clip
from rollbench.methods.base import DiffusionMethod


@dataclass(frozen=True)
class DiffusionForcing(DiffusionMethod):
    """(clean-generated) diffusion forcing; `delay` in units of 1 / generated."""

    delay: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.delay, bool) or not isinstance(self.delay, int) or not 0 <= self.delay <= self.generated:
            raise ValueError(
                f"delay={self.delay!r}: a whole number from 0 (a block at once) to {self.generated} (frame by frame)"
            )

    def times(self, batch: int, generator: torch.Generator) -> Tensor:
        t = torch.rand(batch, self.window, generator=generator, device=generator.device)
        return t * (torch.arange(self.window, device=t.device) >= self.clean)

    def plan(self, horizon: int, calls_per_frame: float | Fraction | None) -> Plan:
        return in_blocks(self.clean, self.generated, horizon, calls_per_frame, self.block)

    def block(self, calls: int) -> tuple[Step, ...]:
        """The steps of one block."""
        return descend(self.delayed, self.clean, self.generated, calls, emit=self.generated)

    def delayed(self, w: int, t: Any, n: int, B: int) -> Any:
        """t_w, with t from 1 to 0 over the whole descent of τ, so B τ = B t - (B - 1) delay (1 - t)."""
        return clip((B * t - (B - 1) * self.delay * (1 - t) + (w - n) * self.delay) / B) if w >= n else 0 * t

    @property
    def trained_as(self) -> DiffusionForcing:
        """Training knows nothing of the delay."""
        return replace(self, delay=1)
