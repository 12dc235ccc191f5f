"""Files that people have to Arrow shards: Ray Data maps fixed ranges of a source's listing to shards, each written by its task.

Frames never leave the task that read them: what streams through the pipeline are receipts, so memory stays flat whatever the
corpus, and an interrupted ingest goes on from the receipts that are there.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
import ray.exceptions

from rollbench.config.canonical import to_plain
from rollbench.datasets.files.base import Clip, FromFiles, Item, SkippedItem
from rollbench.engine.cluster import cluster
from rollbench.engine.nodes import check_shared
from rollbench.engine.run_stage import unwrap_ray_error, write_shards
from rollbench.errors import UserError
from rollbench.pipeline.corpora import CorpusStage, configuration
from rollbench.progress import Progress
from rollbench.store.artifact import Artifact, Damaged, Store, sha256
from rollbench.store.filesystem import StorageError
from rollbench.store.lease import check_node_sees, hold_lease
from rollbench.store.provenance import made
from rollbench.store.tensors import tensor_column

Moments = tuple[int, np.ndarray, np.ndarray]
NOTHING: Moments = (0, np.zeros(0), np.zeros(0))
CHUNK = 8  # frames whose statistics are taken at a time, so that they stay in the cache
FACTS = ("rows", "quarantined", "dt", "count", "mean", "m2")  # of a shard's receipt, that the manifest is made from
FILE_FACTS = ("name", "bytes", "sha256", "rows")  # of a receipt, that the manifest keeps


def ingest_splits(
    value: FromFiles, source: str | Path, store: Store, progress: Progress | None = None, workers: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifests of the training and the test corpus of a data set and a source, ingested now unless they were before."""
    stages = [CorpusStage.of(replace(value, split=split), source) for split in ("train", value.test_splits[0])]
    train, test = ingest(stages, store, progress or Progress(), workers)
    return train, test


def ingest(
    stages: Sequence[CorpusStage], store: Store, progress: Progress, workers: int | None = None, skip_bad: bool = False
) -> list[dict[str, Any]]:
    """The manifests of corpora, what is missing of them ingested. workers: shards made at a time, by default one a CPU.

    Raises UserError, with nothing published of the corpus concerned, if no clip is left, or (without `skip_bad`) if the source
    has a fault that its data set calls fatal. Shards without a fault are kept, so that a second run reads the others alone.
    """
    try:
        pending = [stage for stage in stages if not _finished(stage.artifact(store))]
    except StorageError:
        store.check_writable()  # says it to the user, if that is why
        raise
    for stage in pending:
        _refuse(stage.source.missing, stage, skip_bad)
    if pending:
        store.check_writable()
        store.check_space(sum(_missing_bytes(stage, store) for stage in pending))
        with cluster():
            check_shared(store, *{stage.source.root for stage in pending})
            for stage in pending:
                _ingest(stage, stage.artifact(store), progress, workers, skip_bad)
    return [stage.artifact(store).manifest() or {} for stage in stages]


def _missing_bytes(stage: CorpusStage, store: Store) -> int:
    """What is still to be written of a corpus, at most."""
    there = sum(receipt["bytes"] for receipt in stage.artifact(store).receipts().values())
    return max(0, stage.item_bytes * len(stage.source.items) - there)


def _finished(artifact: Artifact) -> bool:
    """Whether a corpus is there as it was made; what is damaged of it makes room."""
    if artifact.manifest() is None:
        return False
    damage = artifact.damage()
    if damage:
        artifact.invalidate(damage)
    return not damage


def _ingest(stage: CorpusStage, artifact: Artifact, progress: Progress, workers: int | None, skip_bad: bool) -> None:
    with hold_lease(artifact, progress.line) as ours:
        if ours:
            start = time.monotonic()
            receipts = _receipts(stage, artifact, progress, workers)
            commit(stage, artifact, receipts, time.monotonic() - start, skip_bad)
            progress.finished(artifact.kind, stage.title, time.monotonic() - start, artifact.path)


def _refuse(bad: Sequence[SkippedItem], stage: CorpusStage, skip_bad: bool) -> None:
    """Raise UserError for faults that are fatal."""
    fatal = [fault for fault in bad if fault.fatal]
    if fatal and not skip_bad:
        them = "it" if len(fatal) == 1 else "them"
        raise UserError(
            f"{len(fatal)} of the {len(stage.source.items) + len(stage.source.missing)} clips or files of the source cannot be used, "
            f"first {fatal[0].source}: {fatal[0].reason}; mend {them}, or --skip-bad leaves {them} out and lists {them}"
        )


def _receipts(stage: CorpusStage, artifact: Artifact, progress: Progress, workers: int | None) -> list[dict[str, Any]]:
    """The receipts of all shards, in their order, those that are missing written now."""
    shards = stage.shards()
    pending = {shard["name"] for shard in shards} - set(artifact.receipts(*FACTS))
    if pending:
        compute = ray.data.TaskPoolStrategy(size=min(workers, len(pending)) if workers else None)
        how = {"fn_kwargs": {"value": stage.value, "root": stage.source.root, "artifact": artifact}, "num_cpus": 1}
        try:
            pipeline = partial(ray.data.Dataset.map, fn=write_shard, compute=compute, **how)
            write_shards(artifact, shards, progress, stage.title, "shards", pipeline, FACTS)
        except ray.exceptions.RayError as error:
            raise unwrap_ray_error(error) from None
    found = artifact.receipts(*FACTS)
    if lost := [shard["name"] for shard in shards if shard["name"] not in found]:
        raise Damaged(f"{artifact.path}/{lost[0]} is gone since it was written; run the same command to write it again")
    return [found[shard["name"]] for shard in shards]


def commit(
    stage: CorpusStage, artifact: Artifact, receipts: list[dict[str, Any]], seconds: float, skip_bad: bool
) -> None:
    """Write the manifest, or raise UserError if the corpus cannot be published as it is."""
    bad = [SkippedItem(**fault) for receipt in receipts for fault in receipt["quarantined"]] + list(
        stage.source.missing
    )
    faulty = {fault.source for fault in bad if fault.fatal}
    if faulty and not skip_bad:  # the source may be mended: all that such files have given is read again then
        artifact.invalidate(
            s["name"] for s in stage.shards() if any(name in faulty for name, *_ in json.loads(s["items"]))
        )
    _refuse(bad, stage, skip_bad)
    if not any(receipt["rows"] for receipt in receipts):
        artifact.remove()
        raise UserError(f"the source gives no clip, first {bad[0].source}: {bad[0].reason}")
    files = [{name: receipt[name] for name in FILE_FACTS} for receipt in receipts if receipt["rows"]]
    command = stage.value.command_for(shlex.quote(str(stage.source.root)), stage.value.split)
    facts = {"command": command + (" --skip-bad" if faulty else ""), **_facts(stage, receipts, bad)}
    artifact.commit(files, title=stage.value.describe(), made=made(seconds), **facts)


def write_shard(shard: dict[str, Any], value: FromFiles, root: Path, artifact: Artifact) -> dict[str, Any]:
    """The map of the pipeline: one shard's items in, its receipt's name out."""
    check_node_sees(artifact, root)
    items = [Item(name, tuple(at)) for name, *at in json.loads(shard["items"])]
    clips: list[Clip] = []
    bad: list[SkippedItem] = []
    for found in value.read(root, items):
        clips.append(found) if isinstance(found, Clip) else bad.append(found)
    facts: dict[str, Any] = {"quarantined": [vars(fault) for fault in bad], "dt": [clip.dt for clip in clips]}
    artifact.write_table(shard["name"], _table(clips), **facts, **_moments(clips))
    return {"name": shard["name"]}


def _table(clips: Sequence[Clip]) -> pa.Table:
    if not clips:  # such a file only marks its shard as done, and stays out of the manifest
        return pa.table({"clip_id": pa.array([], pa.string())})
    return pa.table(
        {
            "clip_id": [clip.id for clip in clips],
            "frames": tensor_column(np.stack([clip.frames for clip in clips])),
            "source": [clip.source for clip in clips],
            "sha256": [sha256(np.ascontiguousarray(clip.frames).data) for clip in clips],
            "start": pa.array([clip.start for clip in clips], pa.int64()),
            "dt": pa.array([clip.dt for clip in clips], pa.float64()),
        }
    )


def _moments(clips: Sequence[Clip]) -> dict[str, Any]:
    """Values per channel, their mean and their sum of squared differences from it."""
    spread = _pixel_spread if clips and clips[0].frames.dtype == np.uint8 else _spread
    parts = (clip.frames[t : t + CHUNK] for clip in clips for t in range(0, len(clip.frames), CHUNK))
    count, mean, m2 = reduce(_merged, map(spread, parts), NOTHING)
    return {"count": count, "mean": mean.tolist(), "m2": m2.tolist()}


def _pixel_spread(frames: np.ndarray) -> Moments:
    """Of frames uint8 [t, y, x, c], from sums that float32 holds exactly, and so in any order: of up to 256 squares below 2^16."""
    lines = frames.reshape(-1, frames.shape[2] * frames.shape[3])
    sums, squares = np.zeros((2, lines.shape[1]))
    for start in range(0, len(lines), 256):
        part = lines[start : start + 256].astype(np.float32)
        ones = np.ones(len(part), np.float32)
        sums += ones @ part
        part *= part
        squares += ones @ part
    count = frames[..., 0].size
    total, square = (each.reshape(-1, frames.shape[3]).sum(0) for each in (sums, squares))
    return count, total / count, square - np.square(total) / count


def _spread(frames: np.ndarray) -> Moments:
    """Of frames [t, c, y, x]."""
    values = np.moveaxis(frames, 1, 0).reshape(frames.shape[1], -1).astype(np.float64)
    mean = values.mean(1)
    values -= mean[:, None]
    return values.shape[1], mean, np.einsum("cn,cn->c", values, values)


def _merged(a: Moments, b: Moments) -> Moments:
    """Moments of the union (Chan, Golub and LeVeque, 1979)."""
    if not a[0]:
        return b
    count, apart = a[0] + b[0], b[1] - a[1]
    return count, a[1] + apart * (b[0] / count), a[2] + b[2] + np.square(apart) * (a[0] * b[0] / count)


def _facts(stage: CorpusStage, receipts: list[dict[str, Any]], bad: list[SkippedItem]) -> dict[str, Any]:
    """What the manifest says beside the files."""
    each = [(r["count"], np.array(r["mean"]), np.array(r["m2"])) for r in receipts if r["count"]]
    (count, mean, m2), value = reduce(_merged, each, NOTHING), stage.value
    return {
        "configuration": configuration(value, stage.listing),
        "corpus": to_plain(value),
        "description": value.describe(),
        "source": str(stage.source.root),
        "listing": stage.listing,
        "items": len(stage.source.items),
        "split": value.split,
        "clips": sum(receipt["rows"] for receipt in receipts),
        "quarantined": [{"source": fault.source, "reason": fault.reason} for fault in bad],
        "kind": value.kind,
        "layout": "tyxc" if value.kind == "video" else "tcyx",
        "frame_shape": list(stage.source.shape),
        "frames": value.frames,
        "frame_interval": float(np.median([dt for receipt in receipts for dt in receipt["dt"]])),
        "channels": [{"name": name, "unit": unit} for name, unit in stage.source.channels],
        "mean": mean.tolist(),
        "std": np.sqrt(m2 / count).tolist(),
    }
