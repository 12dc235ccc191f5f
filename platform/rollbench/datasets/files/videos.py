"""The base of the data sets of video files: what can be asked of their clips, and how a video becomes clips."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from evaluators.decode import (
    CHECKS,
    FILTERS,
    ClipSpec,
    FileUnreadable,
    Unreadable,
    clips_of,
    clips_of_images,
)
from rollbench.datasets.files.base import Clip, FromFiles, Item, SkippedItem, Source, entries, option, source_fails
from rollbench.errors import UserError

RGB = (("red", "0..255"), ("green", "0..255"), ("blue", "0..255"))


@dataclass(frozen=True)
class Videos(FromFiles):
    """Clips of a video are consecutive, from its first frame on. See `decode` for what is done to a frame."""

    size: int = option(64, "cells per side of a frame")
    stride: int = option(1, "take every N-th frame of a video")
    frames: int = option(16, "frames per clip")
    clips: int = option(1, "clips per video, one after the other; fewer where it is shorter")
    crop: str = option("centre", "what is kept of a frame: its central square, or all of it", ("centre", "none"))
    filter: str = option("area", "how frames are scaled", FILTERS)
    check: str = option("file", "whether a file is read to its end, or to that of its clips", CHECKS)
    fps: float = option(25.0, "frames per second of images, and of videos that do not say")

    kind: ClassVar[str] = "video"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.fps < math.inf:
            raise UserError(f"{self.cli_name}: fps = {self.fps} must be positive and finite; 25 is usual")

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    @property
    def frame_interval(self) -> float:
        """s; nominal: files have rates of their own."""
        return self.stride / self.fps

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Self:
        return replace(self, size=min(self.size, frame_grid), frames=min(self.frames, least))

    def describe(self) -> str:
        return f"{self.frames} frames of {self.size}x{self.size} at stride {self.stride}, videos of {self.cli_name}"

    def paths(self, root: Path, item: Item) -> list[Path]:
        """The file of a video, or the images that are its frames."""
        return [root / item.name]

    def read(self, root: Path, items: Sequence[Item]) -> Iterator[Clip | SkippedItem]:
        cut = ClipSpec(self.size, self.frames, self.stride, self.clips, self.crop, self.filter, self.check)
        for item in items:
            try:
                paths = self.paths(root, item)
                one = len(paths) == 1
                clips, dt = clips_of(paths[0], cut, self.fps) if one else clips_of_images(paths, cut, self.fps)
            except FileUnreadable as reason:
                raise source_fails(root, item.name, reason.error) from None
            except OSError as error:
                raise source_fails(root, item.name, error) from None
            except Unreadable as reason:
                yield SkippedItem(item.name, str(reason))
                continue
            for n, frames in enumerate(clips):
                start = n * self.frames * self.stride
                yield Clip(f"{self.clip_name(item)}@{start:06d}", frames, item.name, start, dt)

    def clip_name(self, item: Item) -> str:
        """What the ids of a video's clips begin with."""
        return item.name

    def of(self, root: Path, files: Iterable[str], items: Sequence[Item], bad: Sequence[SkippedItem]) -> Source:
        base = root.parent if root.is_file() else root
        return Source(root, entries(base, files), tuple(items), self.clips, self.frame_shape, RGB, tuple(bad))
