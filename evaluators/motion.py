"""Whether samples move and are as sharp as real clips: two energies of a video, by lead.

    motion    mean (x_t - x_{t-1})^2 over channels and pixels; the frame before the first one is the last real one
    detail    mean of the squared differences of neighbouring pixels, rows and columns alike

Each is read as a ratio to the truth's, mean over mean, where 1 is right. A Fréchet distance is one number and does not say what is wrong.
These do: frozen samples have no motion, faded ones too little of both, blurred ones too little detail, speckled ones too much of both, and
frames in a wrong order too much motion at the right detail. Reversing time changes neither energy, and neither tells whether a sample
continues its own context: that is what the distance is for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

VERSION = "motion@1"


def motion(frames: Any, before: Any) -> np.ndarray:
    """[N, T] mean square change of frames [N, T, c, y, x] from the frame before, which for the first one is `before` [N, c, y, x]."""
    x, first = np.asarray(frames, np.float64), np.asarray(before, np.float64)
    if x.ndim != 5 or x.shape[:1] + x.shape[2:] != first.shape:
        raise ValueError(
            f"frames {x.shape} and the frame before {first.shape}: [N, T, c, y, x] and [N, c, y, x] are needed"
        )
    return np.square(np.diff(x, axis=1, prepend=first[:, None])).mean((2, 3, 4))


def detail(frames: Any) -> np.ndarray:
    """[N, T] mean square difference of neighbouring pixels of frames [N, T, c, y, x], y and x >= 2."""
    x = np.asarray(frames, np.float64)
    if x.ndim != 5 or min(x.shape[-2:]) < 2:
        raise ValueError(f"frames {x.shape}: [N, T, c, y, x] of at least 2 x 2 pixels are needed")
    return sum(np.square(np.diff(x, axis=axis)).mean((2, 3, 4)) for axis in (3, 4)) / 2
