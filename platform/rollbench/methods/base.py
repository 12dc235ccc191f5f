"""The contract of a method: how its model is trained, and in which steps a sample is generated.

A method is a frozen value of plain fields; one file is one method. It conditions on `clean` frames and denoises
`generated` frames together; "(2-8)" is clean = 2, generated = 8.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from rollbench.diffusion.denoiser import Denoiser
from rollbench.diffusion.loss import diffusion_loss
from rollbench.diffusion.plan import Plan
from rollbench.diffusion.process import Parametrisation, check_parametrisation


class Method(ABC):
    """The contract of all methods."""

    clean: int  # context frames in the window
    generated: int  # frames that are generated together
    parametrisation: Parametrisation  # what the network predicts
    members: int = 1  # samples that are averaged to one
    noise_scale: float = 1.0  # of the frames that enter the window; 0: they start as zeros

    @abstractmethod
    def plan(self, horizon: int, calls_per_frame: float | Fraction | None) -> Plan:
        """The steps that generate `horizon` frames at `calls_per_frame` network calls each, never more than asked."""

    @abstractmethod
    def loss(self, denoiser: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
        """The training loss, a scalar, of clean windows x [b, window, ...]; all randomness comes from `generator`."""

    @property
    def window(self) -> int:
        """Frames in the window."""
        return self.clean + self.generated

    @property
    def label(self) -> str:
        """As the paper writes it: "(clean-generated)"."""
        return f"({self.clean}-{self.generated})"

    @property
    def trained_as(self) -> Method:
        """The method as far as training knows it: methods that share it share a model."""
        return self

    def calls_per_frame_for(self, horizon: int, calls: int) -> Fraction:
        """The calls_per_frame at which a sample of `horizon` frames costs at most `calls` in all, the startup included.

        A plan's cost is affine in calls_per_frame but for rounding down, so two plans determine it.
        """
        one, two = self.plan(horizon, 1).calls, self.plan(horizon, 2).calls
        k = 1 + Fraction(calls - one, two - one) if two > one else Fraction(calls >= one)
        if k <= 0:
            raise ValueError(f"calls={calls}: too few for {horizon} frames of {self}; one call per frame costs {one}")
        return k


@dataclass(frozen=True)
class DiffusionMethod(Method):
    """A method that trains a denoiser: it adds the local times that a window is trained at (`times`) and the plan."""

    clean: int  # context frames in the window
    generated: int  # frames that are denoised together
    weighting: Parametrisation = field(default="v", kw_only=True)  # of the loss, see `rollbench.diffusion.weight`
    parametrisation: Parametrisation = field(default="v", kw_only=True)  # what the network predicts

    def __post_init__(self) -> None:
        check_window(self.clean, self.generated)
        check_parametrisation(self.parametrisation)
        check_parametrisation(self.weighting, "weighting")

    @abstractmethod
    def times(self, batch: int, generator: torch.Generator) -> Tensor:
        """Local times [batch, window] to train at, on the generator's device."""

    def loss(self, denoiser: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
        check_windows(x, self)
        logsnr = denoiser.schedule.logsnr(self.times(len(x), generator))
        eps = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return diffusion_loss(denoiser, x, logsnr.to(x.dtype), eps, self.weighting)


def uniform(batch: int, generator: torch.Generator) -> Tensor:
    """[batch] draws from U[0, 1) on the generator's device."""
    return torch.rand(batch, generator=generator, device=generator.device)


def check_window(clean: int, generated: int) -> None:
    for name, value, least in (("clean", clean, 0), ("generated", generated, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r}: it must be a whole number >= {least}; the nearest is {name}={least}")


def check_windows(x: Tensor, method: Method) -> None:
    """Refuse windows x that are not [b, clean + generated, ...] of `method`; the channels and cells behind are not looked at."""
    if x.ndim < 2 or x.shape[1] != method.window:
        raise ValueError(
            f"windows of shape {tuple(x.shape)}: {method.label} trains on {method.clean} + {method.generated} frames, "
            f"so they must be [b, {method.window}, ...]"
        )
