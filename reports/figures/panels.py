"""One frame of a film as colours: vorticity or velocity of a flow, or a frame of a video.

A flow is drawn on one symmetric scale for all films of a picture, taken from the truth, so that a method that loses its
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

Film = NDArray[Any]  # [frames, y, x], of a video [frames, y, x, 3] uint8
Films = Mapping[str, Film]  # by name, the truth first


@dataclass(frozen=True)
class Kind:
    """What is drawn. label: of the colour scale, colors: matplotlib's name of its colours; both "" for a video.
    upwards: whether the first row of a frame is the lowest y.
    """

    name: str
    label: str = ""
    colors: str = ""
    upwards: bool = False


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
    """Films to be drawn alike. limit: the end of the colour scale, the 99.5 % quantile of the truth's absolute values.
    context: how many of the first frames were given, so that frame i (from 0) has the lead i + 1 − context.
    """

    films: Films
    kind: Kind
    limit: float
    context: int
    frame_seconds: float | None

    @property
    def length(self) -> int:
        """Frames that all films have."""
        return min(map(len, self.films.values()))

    def image(self, name: str, frame: int) -> NDArray[np.uint8]:
        """A frame as it is seen, the first row on top: uint8 [y, x, 3]."""
        shown = self.films[name][frame]
        if self.kind.colors:
            scaled = np.clip((shown[:: -1 if self.kind.upwards else 1] + self.limit) / (2 * self.limit), 0, 1)
            shown = matplotlib.colormaps[self.kind.colors](scaled, bytes=True)[..., :3]
        return np.ascontiguousarray(shown)

    def title(self, frame: int) -> str:
        """A frame's head: its lead and time, or that it was given."""
        lead = frame + 1 - self.context
        if lead < 1:
            return f"given {frame + 1}/{self.context}"
        return f"@{lead}" if self.frame_seconds is None else f"@{lead} ({lead * self.frame_seconds:g} s)"


def panels(films: Films, kind: str, frame_seconds: float | None = None, context: int = 0) -> Panels:
    """Films made ready to be drawn. Raises BadInput for an unknown kind and for films of the wrong shape."""
    if kind not in KINDS:
        raise UserError(f"unknown kind of film {kind!r}; {did_you_mean(kind, KINDS)}")
    if not films:
        raise UserError("there is no film to show; give at least the truth")
    video = not KINDS[kind].colors
    wanted = "video uint8 [frames, y, x, 3]" if video else f"finite {kind} [frames, y, x]"
    for name, film in films.items():
        shaped = film.ndim == 4 and film.shape[3] == 3 and film.dtype == np.uint8 if video else film.ndim == 3
        if not (shaped and len(film) and np.all(np.isfinite(film))):
            raise UserError(f"the film of {name!r} has shape {film.shape} and type {film.dtype}; it must be {wanted}")
    found = Panels(films, KINDS[kind], 0.0 if video else _limit(films), context, frame_seconds)
    if context >= found.length:
        raise UserError(
            f"context = {context}: the films have {found.length} frames, so nothing was generated; give it shorter"
        )
    return found


def _limit(films: Films) -> float:
    return float(np.quantile(np.abs(next(iter(films.values()))), 0.995)) or 1.0


def evenly(length: int, most: int) -> Sequence[int]:
    """At most so many frames of a film, evenly spread from the first to the last."""
    return sorted({round(i * (length - 1) / max(1, min(most, length) - 1)) for i in range(min(most, length))})
