"""Clips of a finished data stage as arrays, memory-mapped where the storage is local."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rollbench.store import Damaged, Stage, tensor_of


@dataclass(frozen=True)
class Normalisation:
    """x ↦ (x − mean) / std per channel, the statistics of the training split; networks see normalised frames, metrics do not."""

    mean: np.ndarray  # [c, 1, 1]
    std: np.ndarray  # [c, 1, 1]

    @staticmethod
    def of(manifest: dict[str, Any]) -> Normalisation:
        mean, std = (np.asarray(manifest[name], np.float32)[:, None, None] for name in ("mean", "std"))
        return Normalisation(mean, std)

    def apply(self, frames: Any) -> Any:
        return (frames - self.mean) / self.std

    def undo(self, frames: Any) -> Any:
        return frames * self.std + self.mean


@dataclass(frozen=True)
class Split:
    """The clips of one split in the order of their ids: ids and arrays [t, c, y, x] in physical units."""

    ids: Sequence[str]
    clips: Sequence[np.ndarray]


def read_split(stage: Stage, split: str, limit: int | None = None) -> Split:
    """The first `limit` clips of a split (all without it). Raises Damaged for a file that differs from its receipt."""
    manifest = stage.manifest()
    if manifest is None:
        raise Damaged(f"{stage} is unfinished")
    ids: list[str] = []
    clips: list[np.ndarray] = []
    for receipt in manifest["files"]:
        if receipt["split"] != split or (limit is not None and len(ids) >= limit):
            continue
        table = stage.read_table(receipt)
        ids += table.column("clip_id").to_pylist()
        clips += list(tensor_of(table, "frames"))
    return Split(ids[:limit], clips[:limit])
