"""A data set that was read from files: the corpora of its training and its test clips, by their keys.

The keys are its identity, so whatever is made from it depends on the content of the source and on how clips were cut from it.
A corpus is never cut again: a table takes the first clips and, of each, the last frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from rollbench.errors import UserError

Serves = Literal["real", "part", "own"]


@dataclass(frozen=True)
class Ingested:
    """Clips that were ingested, as two corpora in the storage."""

    train: str  # key of the corpus of training clips
    test: str  # key of the corpus of test clips
    name: str  # of the class that read them
    kind: str  # see `datasets.base.Dataset`
    frames: int  # per clip
    frame_interval: float  # s between two frames of a clip; the median, where clips differ
    shape: tuple[int, int, int]  # channels, y, x of a frame
    text: str = ""  # how the data set describes itself
    # "real": the table's own data set; "part" of it; or "own": the user's in its place. No number depends on it.
    serves: Serves = field(default="real", metadata={"keyed": False})

    @classmethod
    def of(cls, train: Mapping[str, Any], test: Mapping[str, Any]) -> Self:
        """The data set of two finished corpora, given by their manifests."""
        for name in ("kind", "frame_shape", "frames", "channels"):
            if train[name] != test[name]:
                raise UserError(
                    f"corpus {test['key']} has {name} {test[name]} where corpus {train['key']} has {train[name]}: the clips "
                    "that a model is tested on must be like those it was trained on; ingest both alike"
                )
        (c, y, x), interval = train["frame_shape"], train["frame_interval"]
        return cls(
            train=train["key"],
            test=test["key"],
            name=train["corpus"]["is"],
            kind=train["kind"],
            frames=train["frames"],
            frame_interval=interval,
            shape=(c, y, x),
            text=train["description"],
        )

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return self.shape

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Self:
        """Itself at every scale: ingested clips stay as they are."""
        return self

    def describe(self) -> str:
        return self.text
