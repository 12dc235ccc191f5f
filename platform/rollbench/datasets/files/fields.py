"""Fields on a grid from anyone's simulator: NetCDF, HDF5, Zarr or NumPy files, one or a folder of them.

Arrays have the axes time, y and x, in any order, with or without one of channels and one of trajectories. Axes are known by their
names (also by usual ones: t, lat, lon, sample …) or named by `dims`. Variables become channels, in the order of `variables` or
of their names, with their units. A long trajectory becomes several clips that do not overlap.

Trajectories are shared out between the training and the test split by the sha256 of their names; of a single one the last clips
are the test split. Values that are not finite are an error that names them; --skip-bad leaves such clips out.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from evaluators.listing import natural
from rollbench.datasets.files.arrays import ENDINGS, variables
from rollbench.datasets.files.axes import DROPPED, NAMES, Field, field_of, joined_field
from rollbench.datasets.files.base import (
    Clip,
    FromFiles,
    Item,
    SkippedItem,
    Source,
    entries,
    option,
    raised,
    source_fails,
    split_by_hash,
    test_count,
)
from rollbench.errors import UserError, did_you_mean

FEW = "give fewer --frames"
JOINED = 1  # the third number of an item whose frames lie in files of their own


@dataclass(frozen=True)
class Fields(FromFiles):
    """kind: "flow" for two channels of velocity, x before y, in m/s."""

    frames: int = option(24, "frames per clip")
    stride: int = option(1, "take every N-th frame")
    skip: int = option(0, "frames to leave out at the start of a trajectory, such as a spin-up", least=0)
    variables: tuple[str, ...] = option((), "the variables to take, in the channels' order (default: all fields)")
    dims: tuple[str, ...] = option((), f"the axes in order, where they have no names: {' '.join(NAMES)}")
    dt: float = option(0.0, "s between stored frames (default: by the file's time, else 1)")
    kind: str = option("field", "a flow is two channels of velocity", ("field", "flow"))
    test_fraction: float = option(0.1, "share of the trajectories that is kept for testing, from 0 to 1")

    cli_name: ClassVar[str] = "fields"

    def __post_init__(self) -> None:
        super().__post_init__()
        for dim in self.dims:
            if dim not in (*NAMES, DROPPED):
                raise UserError(f"fields: dims has an axis {dim!r}; {did_you_mean(dim, (*NAMES, DROPPED))}")
        if self.dims and not {"y", "x"} <= set(self.dims):
            raise UserError(f"fields: dims {' '.join(self.dims)} must name time, y and x, as in: time y x channel")
        if not (0 <= self.dt < math.inf and 0 <= self.test_fraction <= 1):
            raise UserError(
                f"fields: dt = {self.dt} must not be negative, test_fraction = {self.test_fraction} must lie between 0 and 1"
            )

    @property
    def frame_interval(self) -> float:
        """s; that of the files may be another, see the corpus."""
        return self.stride * (self.dt or 1.0)

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Self:
        return replace(self, frames=min(self.frames, max(frames, least)))

    def describe(self) -> str:
        every = f", every {self.stride * self.dt:g} s" if self.dt else ""
        return f"{self.frames} frames at stride {self.stride} of files of fields{every}"

    @property
    def _span(self) -> int:
        """Stored frames from the first of a clip to its last."""
        return (self.frames - 1) * self.stride + 1

    def listed(self, root: Path) -> Source:
        fields = {name: self._field(root, name) for name in _names(root)}
        first = next(iter(fields))
        self._check_alike(fields, first)
        joined = {first: joined_field(list(fields.values()), self.dt)} if _single_frames(fields) else {}
        items, bad = self._clips(joined or fields)
        if joined:
            items = tuple(Item(item.name, (*item.at, JOINED)) for item in items)
        files = entries(_base(root), fields)
        return Source(root, files, items, 1, fields[first].shape, fields[first].channels, bad)

    def _field(self, root: Path, name: str) -> Field:
        with variables(_base(root) / name) as opened:
            return field_of(opened, self.variables, self.dims, self.dt, name)

    def _check_alike(self, fields: dict[str, Field], first: str) -> None:
        """Refuse files whose frames are not alike: counted, the first one named."""
        for words, of in (
            ("frames of channels, y, x", lambda field: field.shape),
            ("the channels", lambda field: [f"{name} ({unit})" if unit else name for name, unit in field.channels]),
            ("an interval in s of", lambda field: float(f"{field.dt:.5g}")),
            ("descending axes", lambda field: () if self.kind == "flow" else field.descending),
        ):
            other = [name for name, field in fields.items() if of(field) != of(fields[first])]
            if other:
                raise UserError(
                    f"{len(other)} of {len(fields)} files differ: {other[0]} has {words} {of(fields[other[0]])} where {first} "
                    f"has {of(fields[first])}; ingest them apart"
                )
        if self.kind == "flow" and fields[first].shape[0] != 2:
            names = " ".join(name for name, _ in fields[first].channels)
            raise UserError(
                f"a flow has two channels and {first} has {names}: choose them with --variables, or --kind field"
            )

    def _clips(self, fields: dict[str, Field]) -> tuple[tuple[Item, ...], tuple[SkippedItem, ...]]:
        """The clips of this split, and the files whose trajectories are too short for any."""
        trajectories, bad = {}, []
        for name, field in fields.items():
            starts = range(self.skip, field.frames - self._span + 1, self.frames * self.stride)
            if not starts:
                short = f"too short: {field.frames} frames where a clip needs {self.skip + self._span}"
                bad.append(SkippedItem(name, short))
            for trajectory in range(field.trajectories if starts else 0):
                trajectories[f"{name}#{trajectory:05d}"] = [Item(name, (trajectory, start)) for start in starts]
        if not trajectories:
            raise UserError(f"no trajectory is long enough: {bad[0].source} is {bad[0].reason}; {FEW}")
        items = self._own(trajectories)
        if not items:
            raise UserError(f"the split {self.split!r} is empty at --test-fraction {self.test_fraction}; 0.1 is usual")
        return items, tuple(bad)

    def _own(self, trajectories: dict[str, list[Item]]) -> tuple[Item, ...]:
        if len(trajectories) > 1:
            own = split_by_hash(trajectories, self.split, self.test_fraction)
            return tuple(item for name, clips in trajectories.items() if name in own for item in clips)
        ((name, clips),) = trajectories.items()
        tests = test_count(len(clips), self.test_fraction, name)
        return tuple(clips[len(clips) - tests :] if self.split == "test" else clips[: len(clips) - tests])

    def read(self, root: Path, items: Sequence[Item]) -> Iterator[Clip | SkippedItem]:
        for name, group in groupby(items, key=lambda item: item.name):
            with variables(_base(root) / name) as opened:
                field = field_of(opened, self.variables, self.dims, self.dt, name)
                for item in group:
                    yield self._clip(root, item, field)

    def _clip(self, root: Path, item: Item, field: Field) -> Clip | SkippedItem:
        trajectory, start, *joined = item.at
        times = range(start, start + self._span, self.stride)
        try:
            if joined:
                field, frames = self._joined(root, field, times)
            else:
                frames = field.read(trajectory, times, ascending=self.kind == "flow")
            wrong = field.not_finite(frames, times)
        except (OSError, RuntimeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:
                raise source_fails(root, item.name, error) from None
            wrong = f"cannot be read ({' '.join(str(error).split())})"
        if wrong:
            span = f"trajectory {trajectory}, frames {start} to {times[-1]}"
            return SkippedItem(item.name, f"{span}: {wrong}", fatal=True)
        clip_id = f"{item.name}#{trajectory:05d}@{start:06d}"
        return Clip(clip_id, frames, item.name, start, self.stride * field.dt)

    def _joined(self, root: Path, first: Field, times: range) -> tuple[Field, np.ndarray]:
        """A clip of files that hold one frame each, and the field that they are together."""
        parts, fields, names = [], [first], _names(root)
        for name in (names[1], *(names[time] for time in times)):
            with variables(_base(root) / name) as opened:
                fields.append(field_of(opened, self.variables, self.dims, self.dt, name))
                parts.append(fields[-1].read(0, range(1), ascending=self.kind == "flow"))
        return joined_field(fields[:2], self.dt), np.concatenate(parts[1:])


def _single_frames(fields: Mapping[str, Field]) -> bool:
    """Whether each file holds one frame of one simulation, so that the files together are a trajectory."""
    return len(fields) > 1 and all(field.frames == field.trajectories == 1 for field in fields.values())


def _base(root: Path) -> Path:
    return root.parent if _is_field(root.name) else root


def _names(root: Path) -> list[str]:
    """The files of fields under a folder, or the one that the source is; numbers in names are compared as numbers."""
    if not root.exists():
        raise UserError(f"source {str(root)!r} does not exist: give a file of fields, or a folder of them")
    if _base(root) != root:
        return [root.name]
    names = []
    for folder, folders, files in os.walk(root, onerror=raised):
        visible = [name for name in [*folders, *files] if not name.startswith(".")]
        names += [Path(folder, name).relative_to(root).as_posix() for name in visible if _is_field(name)]
        folders[:] = [name for name in folders if name in visible and not _is_field(name)]
    if not names:
        raise UserError(f"no fields in {str(root)!r}: files ending in {' '.join(ENDINGS)} are read")
    return sorted(names, key=natural)


def _is_field(name: str) -> bool:
    return name.lower().endswith(ENDINGS)
