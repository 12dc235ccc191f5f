"""How rollouts are made and counted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from rollbench.errors import UserError, did_you_mean

CALLS = re.compile(r"-?\d{1,9}(/\d{1,9})?", re.ASCII)  # no exponent: 1e999999999 is a number that no memory holds
SAMPLERS = ("ancestral", "between", "ddim", "multistep")  # see diffusion/step.py


@dataclass(frozen=True)
class Degradation:
    """What is done to a context before a rollout starts from it."""

    noise: float = 0.0  # white, in standard deviations of the training frames
    dropped: int = 0  # of the last context frames; the frame before them is repeated in their place

    def __post_init__(self) -> None:
        if not (0 <= self.noise < math.inf and self.dropped >= 0):
            raise UserError(
                f"noise = {self.noise}, dropped = {self.dropped}: neither can be negative; 0 leaves the context alone"
            )


@dataclass(frozen=True)
class Sampling:
    """How samples are generated and their cost is counted: the equal-cost side of a comparison."""

    horizon: int = 48  # frames per sample
    calls_per_frame: int | str = (
        32  # network calls per emitted frame, equal for every method; also a fraction such as "100/11"
    )
    contexts: int = 1024  # test clips
    group: int = (
        32  # samples per network call, fixed so that the arithmetic does not depend on batch size or number of actors
    )
    samples: int = 1  # per context; of an ensemble, its means
    sampler: str = "ancestral"  # how a prediction moves the frames, see `diffusion.step`
    clip: bool = False  # predictions to the pixel range; of videos only
    degradation: Degradation | None = None  # of the contexts
    # "steady": calls per frame once the window rolls, the first window on top, as the paper counts; "total": of the whole rollout.
    accounting: Literal["steady", "total"] = "steady"
    precision: Literal["fp32", "bf16"] = "fp32"  # of the network, see `models.precision`

    def __post_init__(self) -> None:
        for name, choices in (("accounting", ("steady", "total")), ("precision", ("fp32", "bf16"))):
            if getattr(self, name) not in choices:
                raise UserError(f"unknown {name} {getattr(self, name)!r}; {did_you_mean(getattr(self, name), choices)}")
        for name in ("horizon", "contexts", "group", "samples"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} is below 1: a film needs at least one of each")
        try:
            if not CALLS.fullmatch(str(self.calls_per_frame)):
                raise ValueError
            calls = Fraction(self.calls_per_frame)
        except (ValueError, ZeroDivisionError):
            shown = repr(self.calls_per_frame)[:40]
            raise UserError(f"calls_per_frame = {shown} is not a number of calls; write 32 or 100/11") from None
        if calls <= 0:
            raise UserError(
                f"calls_per_frame = {self.calls_per_frame} is not positive; a frame of a diffusion costs 1 or more"
            )
        if self.sampler not in SAMPLERS:
            raise UserError(f"unknown sampler {self.sampler!r}; {did_you_mean(self.sampler, SAMPLERS)}")
        if self.contexts < 2:
            raise UserError(f"contexts = {self.contexts}: a distance between distributions needs at least 2 films")

    @property
    def calls(self) -> Fraction:
        """calls_per_frame as an exact number."""
        return Fraction(self.calls_per_frame)

    def calls_of(self, method: Any) -> Fraction:
        """The calls per steady frame at which a film of `method` costs what `accounting` says. Raises ValueError for too few."""
        if self.accounting == "steady":
            return self.calls
        return method.calls_per_frame_for(self.horizon, math.floor(self.calls * self.horizon) * method.members)
