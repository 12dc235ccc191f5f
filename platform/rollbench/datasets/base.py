"""What every data set is to the rest: a frozen value of which a few things are asked, and clips with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Dataset(Protocol):
    """A data set, made here or read from files. Its fields are its identity: they are part of the key of all that is made from it."""

    @property
    def kind(self) -> str:
        """ "flow": two channels, the velocity (x, y), float32 in m/s. "field": any channels, float32. "video": RGB, uint8."""

    @property
    def frames(self) -> int:
        """Frames per clip."""

    @property
    def frame_interval(self) -> float:
        """Seconds from one frame to the next."""

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Channels, y, x."""

    def describe(self) -> str:
        """A phrase for people: "64×64 frames of a 256×256 flow every 1.5 s"."""

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Self:
        """The data set at a smaller scale: nothing larger than here or than the caps, but `least` frames where there are so many."""


@runtime_checkable
class Generated(Dataset, Protocol):
    """A data set that is made here."""

    def simulate(self, ids: Sequence[int]) -> Simulated:
        """The clips with these numbers, from 0 on. A clip has the same bits whatever others are asked for with it."""


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
