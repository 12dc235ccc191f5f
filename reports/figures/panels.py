"""One frame of a clip as colours: vorticity or velocity of a flow, or a frame of a video.

A flow is drawn on one symmetric scale for all clips of a picture, taken from the truth, so that a method that loses its
energy looks pale. Vorticity: blue negative, red positive ("RdBu_r"); velocity: violet negative, orange positive ("PuOr_r").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from rollbench.errors import UserError, did_you_mean

Clip = NDArray[Any]  # [frames, y, x], of a video [frames, y, x, 3] uint8
Clips = Mapping[str, Clip]  # by name, the truth first


@dataclass(frozen=True)
class Kind:
    """The quantity that a picture shows."""

    name: str
    label: str = ""  # of the colour scale, "" for a video
    colors: str = ""  # matplotlib's name of the colour map, "" for a video
    upwards: bool = False  # whether the first row of a frame is the lowest y


KINDS = {
    kind.name: kind
    for kind in (
        Kind("vorticity", "vorticity, 1/s", "RdBu_r", upwards=True),
        Kind("velocity", "horizontal velocity, m/s", "PuOr_r", upwards=True),
        Kind("video"),
    )
}


@dataclass(frozen=True)
class Panels:
    """Clips that are drawn with one colour scale."""

    clips: Clips
    kind: Kind
    limit: float  # end of the colour scale: the 99.5 % quantile of the truth's absolute values
    context: int  # given frames: frame i (from 0) has the lead i + 1 − context
    frame_seconds: float | None

    @property
    def length(self) -> int:
        """Frames that all clips have."""
        return min(map(len, self.clips.values()))

    def image(self, name: str, frame: int) -> NDArray[np.uint8]:
        """A frame as an image, the first row on top: uint8 [y, x, 3]."""
        shown = self.clips[name][frame]
        if self.kind.colors:
            scaled = np.clip((shown[:: -1 if self.kind.upwards else 1] + self.limit) / (2 * self.limit), 0, 1)
            shown = matplotlib.colormaps[self.kind.colors](scaled, bytes=True)[..., :3]
        return np.ascontiguousarray(shown)

    def title(self, frame: int) -> str:
        """A frame's title: its lead and time, or "given"."""
        lead = frame + 1 - self.context
        if lead < 1:
            return f"given {frame + 1}/{self.context}"
        return f"@{lead}" if self.frame_seconds is None else f"@{lead} ({lead * self.frame_seconds:g} s)"


def panels(clips: Clips, kind: str, frame_seconds: float | None = None, context: int = 0) -> Panels:
    """Clips with their colour scale. Raises UserError for an unknown kind and for clips of the wrong shape."""
    if kind not in KINDS:
        raise UserError(f"unknown kind of clip {kind!r}; {did_you_mean(kind, KINDS)}")
    if not clips:
        raise UserError("there are no clips to show; give at least the truth")
    video = not KINDS[kind].colors
    wanted = "video uint8 [frames, y, x, 3]" if video else f"finite {kind} [frames, y, x]"
    for name, clip in clips.items():
        shaped = clip.ndim == 4 and clip.shape[3] == 3 and clip.dtype == np.uint8 if video else clip.ndim == 3
        if not (shaped and len(clip) and np.all(np.isfinite(clip))):
            raise UserError(f"the clip of {name!r} has shape {clip.shape} and type {clip.dtype}; it must be {wanted}")
    shown = Panels(clips, KINDS[kind], 0.0 if video else _limit(clips), context, frame_seconds)
    if context >= shown.length:
        raise UserError(
            f"context = {context}: the clips have {shown.length} frames, so nothing was generated; shorten it"
        )
    return shown


def _limit(clips: Clips) -> float:
    return float(np.quantile(np.abs(next(iter(clips.values()))), 0.995)) or 1.0


def evenly(length: int, most: int) -> Sequence[int]:
    """Indices of at most `most` frames of a clip, evenly spread from the first to the last."""
    return sorted({round(i * (length - 1) / max(1, min(most, length) - 1)) for i in range(min(most, length))})
