"""Bilinear resizing to I3D's 224 x 224, in the two ways that published FVDs use; they differ by up to 6 %.

    original    source coordinate = i in / out     (TF1 resize_bilinear, as google-research/frechet_video_distance)
    halfpixel   source coordinate = (i + 1/2) in / out - 1/2, not below 0  (F.interpolate(align_corners=False), as TECO)

Neither crops nor smooths before shrinking. out = lower + (upper - lower) fraction, first along x, then along y.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evaluators.base import Resize

SIZE = 224


def resize(frames: Tensor, how: Resize, size: int = SIZE) -> Tensor:
    """Frames [..., y, x, c] as float32 [..., size, size, c]."""
    pixels = frames.to(torch.float32)
    return _along(_along(pixels, pixels.ndim - 2, how, size), pixels.ndim - 3, how, size)


def _along(x: Tensor, axis: int, how: Resize, size: int) -> Tensor:
    n = x.shape[axis]
    if n == size:
        return x
    lower, upper, fraction = (torch.from_numpy(part).to(x.device) for part in _coordinates(n, size, how))
    low = x.index_select(axis, lower)
    return torch.lerp(low, x.index_select(axis, upper), fraction.reshape(-1, *[1] * (x.ndim - 1 - axis)))


def _coordinates(n: int, size: int, how: Resize) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each target pixel the two source pixels and the fraction between them."""
    i = np.arange(size)
    source = i * (n / size) if how == "original" else np.maximum((i + 0.5) * (n / size) - 0.5, 0.0)
    lower = np.floor(source).astype(np.int64)
    return lower, np.minimum(lower + 1, n - 1), (source - lower).astype(np.float32)
