"""BAIR robot pushing (Ebert et al., 2017): 43,264 training and 256 test trajectories of 30 frames, 64x64, from two cameras.

    softmotion30_44k/<split>/traj_<first>_to_<last>.tfrecords       as published; per frame i: i/image_aux1/encoded, raw pixels
    bair_robot_pushing_small-<split>.tfrecord-<n>-of-<all>          TensorFlow Datasets; image_aux1, PNGs in a row

The published split is kept. A clip is the first `frames` frames of a trajectory. Video prediction is measured on image_aux1;
users of TensorFlow Datasets often take image_main, whose numbers are others. The data set states no rate: an interval of 1 s
stands for one frame.

Each record's checksums are checked. A flipped byte or a torn file is an error that names file and byte; with --skip-bad the
records concerned are left out and listed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from rollbench.datasets.files.base import (
    Clip,
    FromFiles,
    Item,
    SkippedItem,
    Source,
    entries,
    files_under,
    option,
    require_folder,
    source_fails,
)
from rollbench.datasets.files.tfrecord import BadRecord, bytes_features, offsets, record
from rollbench.datasets.files.videos import RGB
from rollbench.errors import UserError, did_you_mean

SIDE, LENGTH = 64, 30
SOFTMOTION = re.compile(r"(?:^|/)traj_(?P<first>\d+)_to_(?P<last>\d+)\.tfrecords?$")
TFDS = re.compile(r"-(?P<split>\w+)\.tfrecord-(?P<first>\d{5})-of-(?P<last>\d{5})$")


@dataclass(frozen=True)
class BAIR(FromFiles):
    """Clips uint8 [frames, 64, 64, 3]. camera: the one seen. frames: the first of a trajectory's 30 that make a clip."""

    camera: str = option("image_aux1", "which of the two cameras", ("image_aux1", "image_main"))
    frames: int = option(LENGTH, "frames per clip, at most 30")

    kind: ClassVar[str] = "video"
    cli_name: ClassVar[str] = "bair"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames > LENGTH:
            raise UserError(f"bair: frames = {self.frames} exceeds a trajectory; the most is {LENGTH}")

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (3, SIDE, SIDE)

    @property
    def frame_interval(self) -> float:
        """In frames: the data set states no rate."""
        return 1.0

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Self:
        return replace(self, frames=min(self.frames, least))

    def describe(self) -> str:
        return f"{self.frames} frames of {SIDE}x{SIDE} of BAIR's camera {self.camera}"

    def listed(self, root: Path) -> Source:
        require_folder(root, "BAIR's record files")
        files = sorted(((n, b) for n, b in files_under(root) if self._ours(root, n)), key=lambda file: _first(file[0]))
        if not files:
            there = sorted({Path(name).parent.name or "." for name, _ in files_under(root) if ".tfrecord" in name})
            raise UserError(
                f"no record files of the split {self.split!r} in {str(root)!r}: {self.split}/traj_<n>_to_<n>.tfrecords or "
                f"<name>-{self.split}.tfrecord-<n>-of-<n> are read"
                + (f"; there are some in {did_you_mean(self.split, there)}" if there else "")
            )
        items: list[Item] = []
        bad = _lacking([name for name, _ in files])
        for name, _ in files:
            try:
                items.extend(Item(name, (index, at)) for index, at in enumerate(offsets(root / name)))
            except BadRecord as reason:
                bad.append(SkippedItem(name, str(reason), fatal=True))
        return Source(
            root, entries(root, (name for name, _ in files)), tuple(items), 1, self.frame_shape, RGB, tuple(bad)
        )

    def _ours(self, root: Path, name: str) -> bool:
        found = TFDS.search(name)
        if found:
            return found["split"] == self.split
        return bool(SOFTMOTION.search(name)) and self.split == ((root / name).parent.name)

    def read(self, root: Path, items: Sequence[Item]) -> Iterator[Clip | SkippedItem]:
        for item in items:
            index, at = item.at
            try:
                with (root / item.name).open("rb") as file:
                    frames = self._frames(bytes_features(record(file, at)))
            except (BadRecord, ValueError, OSError) as reason:
                if isinstance(reason, OSError) and reason.errno:
                    raise source_fails(root, item.name, reason) from None
                words = str(reason) if isinstance(reason, BadRecord) else f"the record at byte {at}: {reason}"
                yield SkippedItem(item.name, words, fatal=True)
            else:
                yield Clip(f"{item.name}#{index:04d}", frames, item.name, 0, 1.0)

    def _frames(self, features: Mapping[str, Sequence[memoryview]]) -> np.ndarray:
        """The clip of an example: uint8 [frames, 64, 64, 3]."""
        if self.camera in features:
            images = features[self.camera]
            if len(images) < self.frames:
                raise ValueError(f"{len(images)} frames where a clip has {self.frames}")
            return np.stack([_png(image) for image in images[: self.frames]])
        names = [f"{i}/{self.camera}/encoded" for i in range(self.frames)]
        lacking = next((name for name in names if not features.get(name)), None)
        if lacking:
            raise ValueError(f"no frame {lacking!r} among the {len(features)} images of the example")
        return np.stack([np.frombuffer(features[name][0], np.uint8).reshape(SIDE, SIDE, 3) for name in names])


def _png(image: memoryview) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(image)) as picture:
        return np.asarray(picture.convert("RGB")).reshape(SIDE, SIDE, 3)


def _first(name: str) -> tuple[int, str]:
    """The files' own order: by the number of their first trajectory, or of the shard."""
    found = SOFTMOTION.search(name) or TFDS.search(name)
    return (int(found["first"]) if found else 0, name)


def _lacking(names: Sequence[str]) -> list[SkippedItem]:
    """The files that the names of the others say there are."""
    found = [match for match in map(TFDS.search, names) if match]
    there = {int(match["first"]) for match in found}
    every = range(int(found[0]["last"])) if found else range(0)
    return [
        SkippedItem(f"shard {n:05d}", f"one of {len(every)} and not there", fatal=True) for n in every if n not in there
    ]
