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

LocalTime = Callable[[int, Any, int, int], Any]  # (w, t, n, B) -> the local time of frame w, exact if t is a Fraction


def standard(w: int, t: Any, n: int, B: int) -> Any:
    return t if w >= n else 0 * t


def linear(w: int, t: Any, n: int, B: int) -> Any:
    return clip((w - n + t) / B)


def init_clip(w: int, t: Any, n: int, B: int) -> Any:
    return clip((w - n + B * t) / B) if w >= n else 0 * t


def init_rescaled(w: int, t: Any, n: int, B: int) -> Any:
    return (w - n + t * (B + n - w)) / B if w >= n else 0 * t


def clip(value: Any) -> Any:
    return value.clamp(0, 1) if isinstance(value, Tensor) else min(max(value, Fraction(0)), Fraction(1))


def exact_times(local: LocalTime, t: Fraction, clean: int, generated: int) -> tuple[Fraction, ...]:
    """The local times of a whole window at the exact time t, one Fraction per frame."""
    return tuple(Fraction(local(w, t, clean, generated)) for w in range(clean + generated))


def drawn_times(local: LocalTime, t: Tensor, clean: int, generated: int) -> Tensor:
    """The local times [b, W] of windows whose times are t [b]."""
    return torch.stack([local(w, t, clean, generated) for w in range(clean + generated)], dim=-1)
