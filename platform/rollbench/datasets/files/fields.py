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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import ClassVar, Self

from rollbench.datasets.files.arrays import ENDINGS, variables
from rollbench.datasets.files.axes import DROPPED, NAMES, NEEDED, Field, field_of
from rollbench.datasets.files.base import (
    Clip,
    FromFiles,
    Item,
    SkippedItem,
    Source,
    option,
    raised,
    source_fails,
    split_by_hash,
    test_count,
)
from rollbench.errors import UserError, did_you_mean

FEW = "give fewer --frames"


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

    called: ClassVar[str] = "fields"

    def __post_init__(self) -> None:
        super().__post_init__()
        for dim in self.dims:
            if dim not in (*NAMES, DROPPED):
                raise UserError(f"fields: dims has an axis {dim!r}; {did_you_mean(dim, (*NAMES, DROPPED))}")
        if self.dims and not set(NEEDED) <= set(self.dims):
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
        files, fields = _files(root), {}
        for name, _ in files:
            with variables(_base(root) / name) as found:
                fields[name] = field_of(found, self.variables, self.dims, self.dt, name)
        first = files[0][0]
        self._check_alike(fields, first)
        items, bad = self._clips(fields)
        return Source(root, tuple(files), items, 1, fields[first].shape, fields[first].channels, bad)

    def _check_alike(self, fields: dict[str, Field], first: str) -> None:
        """Refuse files whose frames are not alike: counted, the first one named."""
        for words, of in (
            ("frames of channels, y, x", lambda field: field.shape),
            ("the channels", lambda field: [f"{name} ({unit})" if unit else name for name, unit in field.channels]),
            ("an interval in s of", lambda field: float(f"{field.dt:.5g}")),
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
            with variables(_base(root) / name) as found:
                field = field_of(found, self.variables, self.dims, self.dt, name)
                dt = self.stride * field.dt
                for item in group:
                    trajectory, start = item.at
                    times = range(start, start + self._span, self.stride)
                    try:
                        frames = field.read(trajectory, times)
                        wrong = field.not_finite(frames, times)
                    except (OSError, RuntimeError, ValueError) as error:
                        if isinstance(error, OSError) and error.errno:
                            raise source_fails(root, name, error) from None
                        wrong = f"cannot be read ({' '.join(str(error).split())})"
                    place = f"trajectory {trajectory}, frames {start} to {times[-1]}"
                    yield (
                        SkippedItem(name, f"{place}: {wrong}", fatal=True)
                        if wrong
                        else Clip(f"{name}#{trajectory:05d}@{start:06d}", frames, name, start, dt)
                    )


def _base(root: Path) -> Path:
    return root.parent if root.suffix.lower() in ENDINGS else root


def _files(root: Path) -> list[tuple[str, int]]:
    """(name, bytes) of every file of fields under a folder, or of the one that the source is, in the order of names."""
    if not root.exists():
        raise UserError(f"source {str(root)!r} does not exist: give a file of fields, or a folder of them")
    base, found = _base(root), []
    if base != root:
        return [(root.name, _bytes(root))]
    for folder, folders, names in os.walk(root, onerror=raised, followlinks=True):
        for name in [*folders, *names]:
            if Path(name).suffix.lower() in ENDINGS and not name.startswith("."):
                path = Path(folder, name)
                found.append((path.relative_to(root).as_posix(), _bytes(path)))
        folders[:] = [name for name in folders if not name.startswith(".") and Path(name).suffix.lower() not in ENDINGS]
    if not found:
        raise UserError(f"no fields in {str(root)!r}: files ending in {' '.join(ENDINGS)} are read")
    return sorted(found)


def _bytes(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size
