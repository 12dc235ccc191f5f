"""What a flow must keep at every frame: finite numbers, steps within a cell, no divergence. A bad run stops by name."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

CFL_LIMIT = 1.0  # no point of the fluid may cross more than one cell in a step
DIVERGENCE_LIMIT = 1e-4  # net outflow of a cell over the greatest flow through a face; float32 rounding leaves 1e-6


class FlowError(ArithmeticError):
    """A simulation left the ground: which trajectory, when, what was found, what is allowed. Travels between processes."""

    def __init__(self, trajectory: int, time: float, what: str, value: float, limit: float, remedy: str) -> None:
        super().__init__(trajectory, time, what, value, limit, remedy)
        self.trajectory, self.time, self.what, self.value, self.limit = trajectory, time, what, value, limit
        self.remedy = remedy

    def __str__(self) -> str:
        return (
            f"trajectory {self.trajectory} at t = {self.time:g} s: {self.what} is {self.value:.4g}, "
            f"allowed {self.limit:g}; {self.remedy}"
        )


def check(velocity: Tensor, frame: Tensor, dt: float, ids: Sequence[int], time: float) -> None:
    """Raises FlowError for the first trajectory (ids, [b]) that breaks a rule.

    velocity: [2, b, grid, grid] at the solver's points. frame: [b, 2, n, n] means over faces. Both m/s.
    """
    speed = torch.linalg.vector_norm(velocity, dim=0)
    _refuse(
        (~torch.isfinite(speed)).sum((-2, -1)),
        0,
        ids,
        time,
        "the number of speeds that are not finite",
        "take a smaller cfl",
    )
    cfl = speed.amax((-2, -1)) * dt * velocity.shape[-1] / (2 * math.pi)
    _refuse(cfl, CFL_LIMIT, ids, time, "the CFL number", "take a smaller cfl or a greater max_velocity")
    u, v = frame.unbind(1)
    outflow = (u - u.roll(1, -1) + v - v.roll(1, -2)).abs().amax((-2, -1))
    relative = outflow / frame.abs().amax((-3, -2, -1)).clamp_min(1e-30)
    _refuse(relative, DIVERGENCE_LIMIT, ids, time, "the net outflow of a cell, relative,", "take float64")


def _refuse(values: Tensor, limit: float, ids: Sequence[int], time: float, what: str, remedy: str) -> None:
    """Raises FlowError for the first of the values [b] that is not within the limit."""
    beyond = (~(values <= limit)).nonzero().flatten().tolist()
    if beyond:
        raise FlowError(ids[beyond[0]], time, what, values[beyond[0]].item(), limit, remedy)
