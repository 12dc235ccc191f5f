"""What a flow must keep at every frame: finite numbers, steps that stay within a cell, no divergence. A bad run stops by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CFL_LIMIT = 1.0  # no point of the fluid may cross more than one cell in a step
DIVERGENCE_LIMIT = 1e-4  # net outflow of a cell over the greatest flow through a face; float32 rounding gives 1e-6


class FlowError(ArithmeticError):
    """A simulation left the ground: which trajectory, when, what was found and what is allowed."""

    def __init__(self, trajectory: int, time: float, what: str, value: float, limit: float, remedy: str) -> None:
        super().__init__(
            f"trajectory {trajectory} at t = {time:g} s: {what} is {value:.3g}, allowed {limit:g}; {remedy}"
        )
        self.trajectory, self.time, self.what, self.value, self.limit = trajectory, time, what, value, limit

    def __reduce__(self):  # so that it travels between processes
        return _rebuild, (self.args[0], self.__dict__)


def _rebuild(message: str, state: dict) -> FlowError:
    error = FlowError.__new__(FlowError, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


def check(velocity: Tensor, frame: Tensor, dt: float, ids: Sequence[int], time: float) -> None:
    """Raises FlowError for the first trajectory (ids, [b]) that breaks a rule.

    velocity: [b, 2, grid, grid] at the solver's points. frame: [b, 2, n, n] face means. Both m/s.
    """
    speed = torch.linalg.vector_norm(velocity, dim=1).amax((-2, -1))
    bad = (~torch.isfinite(speed)).double()
    refuse(bad, 0, ids, time, "the number of fields that are not finite", "take a smaller cfl")
    cfl = speed * dt * velocity.shape[-1] / (2 * torch.pi)
    refuse(cfl, CFL_LIMIT, ids, time, "the CFL number", "take a smaller cfl or a greater max_velocity")
    u, v = frame.unbind(1)
    outflow = (u - u.roll(1, -1) + v - v.roll(1, -2)).abs().amax((-2, -1))
    relative = outflow / frame.abs().amax((-3, -2, -1)).clamp_min(1e-30)
    refuse(relative, DIVERGENCE_LIMIT, ids, time, "the relative divergence of a cell", "take a finer precision")


def refuse(values: Tensor, limit: float, ids: Sequence[int], time: float, what: str, remedy: str) -> None:
    """Raises FlowError for the first of the values [b] above the limit."""
    above = (values > limit).nonzero().flatten().tolist()
    if above:
        raise FlowError(ids[above[0]], time, what, values[above[0]].item(), limit, remedy)
