"""Rolling diffusion (arXiv 2402.09470): a sliding window in which each frame is noisier than the one before.

Training (Algorithm 1): t ~ U(0, 1) per window, then the linear local times with probability beta, else the init
ones. Sampling: the init phase (Algorithm 3) takes pure noise to the linear window's start and emits frame n; each
slide (Algorithm 2) drops the first frame, appends noise, takes k steps of the linear times, and emits frame n
again.

beta = P(linear). §3.3, §5.3, the caption of Table 10 and its row "clip, β = 0.0" agree on this; the branch printed in
Algorithm 1 is swapped. The rescaled init times never contain the linear ones, so with beta = 0 they could not slide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor

from rollbench.diffusion.plan import Plan, descend, exact_calls, spread
from rollbench.diffusion.times import LocalTime, drawn_times, init_clip, init_rescaled, linear
from rollbench.methods.base import DiffusionMethod, uniform

INIT: dict[str, LocalTime] = {"clip": init_clip, "rescaled": init_rescaled}


@dataclass(frozen=True)
class Rolling(DiffusionMethod):
    """(clean-generated) rolling diffusion.

    init: local times of the init phase, "clip" (Eq. 23) or "rescaled" (Eq. 37).
    beta: P(linear) in training. The paper searched it (Table 10) and states no default: 0.5 trains both phases
    alike, and is within 0.1 FVD of the best for clip.
    init_calls: network calls of the init phase. None: calls_per_frame · generated, for clip the local step of the
    slides, for rescaled the same cost.
    """

    init: Literal["clip", "rescaled"] = "clip"
    beta: float = 0.5
    init_calls: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init not in INIT:
            raise ValueError(f"init={self.init!r} is not one of {', '.join(INIT)}; the default is 'clip'")
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta={self.beta}: it is P(linear), a probability in [0, 1]; the default is 0.5")
        if self.init == "rescaled" and self.beta == 0:
            raise ValueError(
                "beta=0 with init='rescaled': the rescaled times never contain the linear ones, so a model "
                "trained on them alone could never slide; use beta > 0 (the paper's best is 0.1), or init='clip'"
            )
        if self.init_calls is not None and self.init_calls < 1:
            raise ValueError(f"init_calls={self.init_calls}: the init phase needs at least 1 call; None chooses it")

    def times(self, batch: int, generator: torch.Generator) -> Tensor:
        t, coin = uniform(batch, generator), uniform(batch, generator)
        sliding = drawn_times(linear, t, self.clean, self.generated)
        starting = drawn_times(INIT[self.init], t, self.clean, self.generated)
        return torch.where((coin < self.beta)[:, None], sliding, starting)

    def plan(self, horizon: int, calls_per_frame: float | Fraction | None) -> Plan:
        n, B, k = self.clean, self.generated, exact_calls(calls_per_frame)
        if k < 1:
            raise ValueError(f"calls_per_frame={calls_per_frame}: each slide needs at least one call; use 1 or more")
        start = descend(INIT[self.init], n, B, self.init_calls or math.floor(k * B), emit=1)
        slide = cache(partial(descend, linear, n, B, emit=1))
        slides = (step for calls in spread(k, horizon - 1) for step in slide(calls))
        return Plan(n, B, horizon, (*start, *slides), startup=len(start) - k)

    @property
    def trained_as(self) -> Rolling:
        """Training knows nothing of init_calls."""
        return replace(self, init_calls=None)
