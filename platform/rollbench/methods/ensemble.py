"""An ensemble: the mean, in data space, of several samples of one method, each from its own noise.

Member j of sample s is the sample s · members + j of the inner method. Each member costs calls_per_frame, and the plan
counts them all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from rollbench.diffusion.denoiser import Denoiser
from rollbench.diffusion.plan import Plan
from rollbench.diffusion.process import Parametrisation
from rollbench.methods.base import Method


@dataclass(frozen=True)
class Ensemble(Method):
    """The mean of `members` samples of the method `of`; it is trained as `of`."""

    of: Method
    members: int = 10

    def __post_init__(self) -> None:
        if isinstance(self.members, bool) or not isinstance(self.members, int) or self.members < 1:
            raise ValueError(
                f"members={self.members!r}: an ensemble has a whole number of members >= 1; the nearest is members=1"
            )
        if isinstance(self.of, Ensemble):
            raise ValueError(
                f"of={self.of.label}: an ensemble of ensembles is one of the inner method; use of={self.of.of}, "
                f"members={self.members * self.of.members}"
            )

    @property
    def clean(self) -> int:  # type: ignore[override]
        return self.of.clean

    @property
    def generated(self) -> int:  # type: ignore[override]
        return self.of.generated

    @property
    def parametrisation(self) -> Parametrisation:  # type: ignore[override]
        return self.of.parametrisation

    @property
    def noise_scale(self) -> float:  # type: ignore[override]
        return self.of.noise_scale

    @property
    def trained_as(self) -> Method:
        return self.of.trained_as

    @property
    def label(self) -> str:
        return f"{self.members}-Ensemble {self.of.label}"

    def plan(self, horizon: int, calls_per_frame: float | Fraction | None) -> Plan:
        return replace(self.of.plan(horizon, calls_per_frame), members=self.members)

    def loss(self, denoiser: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
        return self.of.loss(denoiser, x, generator)
