"""Frames as they are stored, as networks see them, and as clips of a finished data stage, memory-mapped where the storage is local.

    flow, field   float32 [t, c, y, x] in the data's units       networks see (x − mean) / std of the training split, per channel
    video         uint8   [t, y, x, c]                           networks see x / 127.5 − 1

In memory frames are always [..., c, y, x].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rollbench.datasets.ingested import Ingested
from rollbench.pipeline import corpora
from rollbench.pipeline.graph import Data, Stage
from rollbench.store import node_cache
from rollbench.store.artifact import Artifact, Damaged, Store
from rollbench.store.tensors import tensor_of

HALF_RANGE = 127.5  # of a pixel


@dataclass(frozen=True)
class Normalisation:
    """x ↦ (x − mean) / std; networks see normalised frames, metrics do not. mean, std: [c, 1, 1]."""

    mean: np.ndarray
    std: np.ndarray
    video: bool

    @staticmethod
    def of(data: Data, store: Store) -> Normalisation:
        """Of a finished data stage."""
        facts = data.artifact(store).manifest() or {}
        mean, std = (np.asarray(facts[name], np.float32)[:, None, None] for name in ("mean", "std"))
        return Normalisation(mean, std, is_video(data))

    def apply(self, frames: np.ndarray) -> np.ndarray:
        return (frames.astype(np.float32) - self.mean) / self.std

    def undo(self, frames: np.ndarray) -> np.ndarray:
        """Back to the data's units; pixels to whole numbers from 0 to 255."""
        physical = frames * self.std + self.mean
        return np.clip(np.rint(physical), 0, 255).astype(np.uint8) if self.video else physical


def is_video(data: Data) -> bool:
    return bool(data.data.kind == "video")


def stored(frames: np.ndarray, video: bool) -> np.ndarray:
    """Frames [..., c, y, x] as they are stored."""
    return np.ascontiguousarray(np.moveaxis(frames, -3, -1) if video else frames)


def loaded(frames: np.ndarray, video: bool) -> np.ndarray:
    """A view [..., c, y, x] of stored frames."""
    return np.moveaxis(frames, -1, -3) if video else frames


@dataclass(frozen=True)
class Split:
    """The clips of one split in the order of their ids: ids and arrays [t, c, y, x] in physical units."""

    ids: Sequence[str]
    clips: Sequence[np.ndarray]


class Clips(Sequence[np.ndarray]):
    """The first `limit` clips of some files, each file opened, and thereby checked, when a clip of it is first asked for.

    shape: of every clip, [t, c, y, x]. Files of an object store are kept on this node's disk; UserError where it has no room for them.
    """

    def __init__(
        self, artifact: Artifact, files: Sequence[dict[str, Any]], video: bool, limit: int, shape: tuple[int, ...]
    ) -> None:
        self.shape, self._artifact, self._video = shape, artifact, video
        ends = np.cumsum([file["rows"] for file in files])
        self._count = min(limit, int(ends[-1]) if files else 0)
        self._files = files[: int(np.searchsorted(ends, self._count)) + 1]
        self._ends = ends[: len(self._files)]
        self._opened: dict[int, np.ndarray] = {}
        if not artifact.store.local:
            node_cache.check_free_space((file["sha256"], file["bytes"]) for file in self._files)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._count:
            raise IndexError(f"clip {index} of {self._count}")
        place = int(np.searchsorted(self._ends, index, side="right"))
        if place not in self._opened:
            self._opened[place] = self._open(self._files[place])
        return self._opened[place][index - self._ends[place]]  # counted from the file's end

    def _open(self, file: dict[str, Any]) -> np.ndarray:
        clips = loaded(tensor_of(_table(self._artifact, file, cache=True), "frames"), self._video)
        if clips.shape != (file["rows"], *self.shape):
            raise Damaged(
                f"{self._artifact.path}/{file['name']} has clips {clips.shape}, not {(file['rows'], *self.shape)}"
            )
        return clips


def clips_of(data: Data, store: Store, split: str, limit: int | None = None) -> Clips:
    """The first `limit` clips of a split (by default as many as the data stage counts), read as they are asked for."""
    value, asked = data.data, getattr(data, split)
    shape = (value.frames, *value.frame_shape)
    return Clips(*_files(data, store, split), is_video(data), asked if limit is None else min(asked, limit), shape)


def clip_ids(data: Data, store: Store, split: str, limit: int) -> list[str]:
    """The names of the first `limit` clips of a split."""
    artifact, files = _files(data, store, split)
    ids: list[str] = []
    for entry in files:
        if len(ids) < limit:
            ids += _table(artifact, entry, cache=True).column("clip_id").to_pylist()
    return ids[:limit]


def read_range(data: Data, store: Store, split: str, first: int, count: int) -> Split:
    """The clips first … first + count − 1 of a split, reading no more files than hold them."""
    artifact, files = _files(data, store, split)
    passed, kept = 0, []
    for receipt in files:
        if passed + receipt["rows"] > first and passed < first + count:
            kept.append(receipt)
        elif not kept:
            first, passed = first - receipt["rows"], passed - receipt["rows"]
        passed += receipt["rows"]
    found = read_clips(artifact, kept, is_video(data), first + count)
    return Split(found.ids[first:], found.clips[first:])


def check_ingested(stages: Iterable[Stage], store: Store) -> None:
    """Refuse damaged corpora among what is to be read: no table makes them again."""
    for stage in stages:
        if isinstance(stage, Data) and isinstance(value := stage.data, Ingested):
            corpora.check(store, value.train, value.test)


def _files(data: Data, store: Store, split: str) -> tuple[Artifact, list[dict[str, Any]]]:
    """The stage that holds a split's frames and its files: ingested clips lie in the corpus that they were ingested into."""
    value = data.data
    ingested = isinstance(value, Ingested)
    artifact = store.artifact("corpus", getattr(value, split)) if ingested else data.artifact(store)
    manifest = artifact.manifest()
    if manifest is None:
        raise Damaged(f"{artifact} is unfinished")
    files = [f for f in manifest["files"] if ingested or f["split"] == split]
    return artifact, sorted(files, key=lambda f: f["name"])


def _table(artifact: Artifact, receipt: dict[str, Any], *, cache: bool = False) -> pa.Table:
    try:
        return artifact.read_table(receipt, cache=cache)
    except Damaged as damaged:
        raise Damaged(f"{damaged}{corpora.remedy(artifact)}") from None


def read_clips(artifact: Artifact, files: Sequence[dict[str, Any]], video: bool, limit: int) -> Split:
    """The first `limit` clips of a stage's files, each a view [t, c, y, x] of what was read: uint8 of a video, else float32 in the data's
    units. Files behind the last clip are not opened."""
    ids: list[str] = []
    clips: list[np.ndarray] = []
    for receipt in files:
        if len(ids) >= limit:
            break
        table = _table(artifact, receipt)
        ids += table.column("clip_id").to_pylist()
        clips += list(loaded(tensor_of(table, "frames"), video))
    return Split(ids[:limit], clips[:limit])
