"""Local times: how noisy frame w of a window is when the window's own time is t in [0, 1].

    standard        t                                   all generated frames alike
    linear          clip((w + t - n) / B)               Eq. 21, 22: the sliding window
    init, clip      clip((w - n) / B + t)               Eq. 23
    init, rescaled  u + t (1 - u),  u = (w - n) / B     Eq. 37

n clean frames stand in front of B generated ones. Outside `linear` the clean frames are masked (time 0 for w < n):
read literally, Eq. 23 and 37 would noise the conditioning. At t = 0 the three rolling ones agree: (0, .., 0 | 0,
1/B, .., (B-1)/B).

Every formula is a ratio of sums of integers and t. With a `Fraction` for t it is exact, so no rounding can move a
frame out of the clean set (time 0) or the noise set (time 1); with a tensor of times it serves training.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

# In every function w is the frame's place in the window, 0 <= w < n + B; t the window's time in [0, 1], a Fraction or a tensor [b]; n the
# clean frames and B the generated ones. The local time that comes out is of the kind and shape of t.
LocalTime = Callable[[int, Any, int, int], Any]  # (w, t, n, B) -> the local time of frame w, exact if t is a Fraction


def standard(w: int, t: Any, n: int, B: int) -> Any:
    """t for the generated frames, 0 for the clean ones: block diffusion, whose frames share one time."""
    return t if w >= n else 0 * t


def linear(w: int, t: Any, n: int, B: int) -> Any:
    """clip((w + t - n) / B), Eq. 21 and 22: as t falls from 1 to 0 every frame moves one place towards clean. Clean frames need no mask."""
    return clip((w - n + t) / B)


def init_clip(w: int, t: Any, n: int, B: int) -> Any:
    """clip((w - n) / B + t) for w >= n, else 0, Eq. 23: at t = 1 all generated frames are noise, and each waits there until its turn."""
    return clip((w - n + B * t) / B) if w >= n else 0 * t


def init_rescaled(w: int, t: Any, n: int, B: int) -> Any:
    """u + t (1 - u) with u = (w - n) / B for w >= n, else 0, Eq. 37: from noise at t = 1 all generated frames start to move at once."""
    return (w - n + t * (B + n - w)) / B if w >= n else 0 * t


def clip(value: Any) -> Any:
    """min(max(value, 0), 1), the clip of Eq. 22 and 23: of each entry of a tensor, or exactly of a Fraction."""
    return value.clamp(0, 1) if isinstance(value, Tensor) else min(max(value, Fraction(0)), Fraction(1))


def exact_times(local: LocalTime, t: Fraction, clean: int, generated: int) -> tuple[Fraction, ...]:
    """The local times of a whole window at the exact time t, one Fraction per frame."""
    return tuple(Fraction(local(w, t, clean, generated)) for w in range(clean + generated))


def drawn_times(local: LocalTime, t: Tensor, clean: int, generated: int) -> Tensor:
    """The local times [b, W] of windows whose times are t [b]."""
    return torch.stack([local(w, t, clean, generated) for w in range(clean + generated)], dim=-1)
