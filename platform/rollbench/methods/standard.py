"""Standard diffusion, block by block: B frames at one common noise level, conditioned on the n before them.

Training: t ~ U(0, 1) per window, all generated frames at t. Sampling: T = calls_per_frame · B equal steps a block;
the last n frames condition the next block. Frame by frame is B = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from rollbench.diffusion.plan import Plan, Step, descend, in_blocks
from rollbench.diffusion.times import drawn_times, standard
from rollbench.methods.base import DiffusionMethod, uniform


@dataclass(frozen=True)
class Standard(DiffusionMethod):
    """(clean-generated) block diffusion."""

    def times(self, batch: int, generator: torch.Generator) -> Tensor:
        return drawn_times(standard, uniform(batch, generator), self.clean, self.generated)

    def plan(self, horizon: int, calls_per_frame: float | Fraction | None) -> Plan:
        return in_blocks(self.clean, self.generated, horizon, calls_per_frame, self.block)

    def block(self, calls: int) -> tuple[Step, ...]:
        """The steps of one block."""
        return descend(standard, self.clean, self.generated, calls, emit=self.generated)
