"""What every data set hands over: clips with names, and the parameters that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Simulated:
    """k simulated clips. frames: float32, of a video uint8, [k, frames, channels, y, x]; parameters: name -> float64 [k]."""

    ids: tuple[int, ...]
    frames: NDArray[Any]
    parameters: Mapping[str, NDArray[np.float64]]

    @property
    def clip_ids(self) -> tuple[str, ...]:
        return tuple(clip_id(i) for i in self.ids)


def clip_id(trajectory: int) -> str:
    """The name of a simulated clip: its number in eight digits."""
    return f"{trajectory:08d}"
