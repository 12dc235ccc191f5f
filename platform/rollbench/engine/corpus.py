"""Files that people have to Arrow shards: Ray Data maps fixed ranges of a source's listing to shards, each written by its task.

Frames never leave the task that read them: what streams through the pipeline are receipts, so memory stays flat whatever the
corpus, and an interrupted ingest goes on from the receipts that are there.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
import ray.exceptions

from rollbench.corpora import CorpusWork
from rollbench.datasets.source import Clip, FromFiles, Item, Quarantined
from rollbench.engine.cluster import cluster
from rollbench.engine.progress import Progress
from rollbench.engine.stages import write_shards
from rollbench.provenance import made
from rollbench.spec import BadInput, plain
from rollbench.store import Stage, Store, sha256, tensor_column

FILE_FACTS = ("name", "bytes", "sha256", "rows")  # of a receipt, that the manifest keeps


def ingest_splits(
    value: FromFiles, source: str | Path, store: Store, progress: Progress | None = None, workers: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifests of the training and the test corpus of a data set and a source, ingested now unless they were before."""
    works = [CorpusWork.of(replace(value, split=split), source) for split in ("train", value.tested[0])]
    train, test = (ingest_corpus(work, store, progress or Progress(), workers) for work in works)
    return train, test


def ingest_corpus(
    work: CorpusWork, store: Store, progress: Progress, workers: int | None = None, skip_bad: bool = False
) -> dict[str, Any]:
    """The manifest of a corpus, what is missing of it ingested. workers: shards made at a time, by default one a CPU.

    Raises BadInput, with nothing published, if the storage fails, if no clip is left, or (without `skip_bad`) if the source has
    a fault that its data set calls fatal. Shards without a fault are kept, so a second run reads the others alone.
    """
    stage, start = work.stage(store), time.monotonic()
    manifest = stage.manifest()
    if manifest is not None:
        damage = stage.damage()
        if not damage:
            return manifest
        stage.reopen(damage)
    store.check_writable()
    store.check_space(work.item_bytes * len(work.source.items))
    receipts = _receipts(work, stage, store, progress, workers)
    bad = [Quarantined(**fault) for receipt in receipts for fault in receipt["quarantined"]] + list(work.source.absent)
    _refuse(work, stage, receipts, bad, skip_bad)
    seconds = time.monotonic() - start
    files = [{name: receipt[name] for name in FILE_FACTS} for receipt in receipts if receipt["rows"]]
    manifest = stage.publish(files, title=work.title, made=made(seconds), **_facts(work, receipts, bad))
    progress.finished(stage.kind, work.title, seconds, stage.path)
    return manifest


def _receipts(
    work: CorpusWork, stage: Stage, store: Store, progress: Progress, workers: int | None
) -> list[dict[str, Any]]:
    """The receipts of all shards, in their order, those that are missing written now."""
    shards = work.shards()
    todo = {shard["name"] for shard in shards} - set(stage.receipts())
    if todo:
        compute = ray.data.TaskPoolStrategy(size=min(workers, len(todo)) if workers else None)
        how = {"fn_kwargs": {"value": work.value, "root": work.source.root, "stage": stage}, "num_cpus": 1}
        try:
            with cluster():
                write_shards(
                    stage,
                    shards,
                    progress,
                    work.title,
                    "shards",
                    lambda items: items.map(_write, compute=compute, **how),
                )
        except (OSError, ray.exceptions.RayError) as error:
            raise _users(error, store) from error
    found = stage.receipts()
    return [found[shard["name"]] for shard in shards]


def _write(shard: dict[str, Any], value: FromFiles, root: Path, stage: Stage) -> dict[str, Any]:
    """The map of the pipeline: one shard's items in, its receipt's name out."""
    items = [Item(name, tuple(at)) for name, *at in json.loads(shard["items"])]
    clips: list[Clip] = []
    bad: list[Quarantined] = []
    for found in value.read(root, items):
        clips.append(found) if isinstance(found, Clip) else bad.append(found)
    facts: dict[str, Any] = {"quarantined": [vars(fault) for fault in bad], "dt": [clip.dt for clip in clips]}
    stage.write_table(shard["name"], _table(clips), **facts, **_moments(clips))
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
    """Values per channel, their mean and their sum of squared differences from it, per channel."""
    if not clips:
        return {"count": 0, "mean": [], "m2": []}
    video = clips[0].frames.dtype == np.uint8
    axes = (0, 1, 2) if video else (0, 2, 3)
    count, mean, m2 = 0, 0.0, 0.0
    for clip in clips:
        frames = clip.frames.astype(np.float64)
        n, centre = frames[..., 0].size if video else frames[:, 0].size, frames.mean(axes, keepdims=True)
        own = np.square(frames - centre).sum(axes)
        count, mean, m2 = _merged((count, mean, m2), (n, centre.ravel(), own))
    return {"count": count, "mean": np.asarray(mean).tolist(), "m2": np.asarray(m2).tolist()}


def _merged(a: tuple[int, Any, Any], b: tuple[int, Any, Any]) -> tuple[int, Any, Any]:
    """Moments of the union (Chan, Golub and LeVeque, 1979)."""
    count = a[0] + b[0]
    apart = b[1] - a[1]
    return count, a[1] + apart * (b[0] / count), a[2] + b[2] + np.square(apart) * (a[0] * b[0] / count)


def _facts(work: CorpusWork, receipts: list[dict[str, Any]], bad: list[Quarantined]) -> dict[str, Any]:
    """What the manifest says beside the files."""
    count, mean, m2 = 0, np.zeros(work.source.shape[0]), np.zeros(work.source.shape[0])
    for receipt in receipts:
        if receipt["count"]:
            own = (receipt["count"], np.array(receipt["mean"]), np.array(receipt["m2"]))
            count, mean, m2 = _merged((count, mean, m2), own)
    value = work.value
    return {
        "corpus": plain(value),
        "description": value.describe(),
        "source": str(work.source.root),
        "listing": work.listing,
        "items": len(work.source.items),
        "split": value.split,
        "clips": sum(receipt["rows"] for receipt in receipts),
        "quarantined": [{"source": fault.source, "reason": fault.reason} for fault in bad],
        "kind": value.kind,
        "layout": "tyxc" if value.kind == "video" else "tcyx",
        "frame_shape": list(work.source.shape),
        "frames": value.frames,
        "frame_interval": float(np.median([dt for receipt in receipts for dt in receipt["dt"]])),
        "channels": [{"name": name, "unit": unit} for name, unit in work.source.channels],
        "mean": mean.tolist(),
        "std": np.sqrt(m2 / count).tolist(),
    }


def _refuse(
    work: CorpusWork, stage: Stage, receipts: list[dict[str, Any]], bad: list[Quarantined], skip_bad: bool
) -> None:
    """Raise BadInput if the corpus cannot be published as it is."""
    fatal = [fault for fault in bad if fault.fatal]
    if fatal and not skip_bad:
        faulty = [r["name"] for r in receipts if any(fault["fatal"] for fault in r["quarantined"])]
        stage.reopen(faulty)  # when the source has been mended, they are to be read again
        raise BadInput(
            f"{len(fatal)} of the source's {len(work.source.items)} items cannot be used, first {fatal[0].source}: "
            f"{fatal[0].reason}; mend {_them(fatal)}, or --skip-bad leaves {_them(fatal)} out and lists {_them(fatal)}"
        )
    if not any(receipt["rows"] for receipt in receipts):
        stage.remove()
        first = f"; first {bad[0].source}: {bad[0].reason}" if bad else ""
        raise BadInput(f"none of the source's {len(work.source.items)} items gives a clip{first}")


def _them(faults: Sequence[Quarantined]) -> str:
    return "it" if len(faults) == 1 else "them"


def _users(error: BaseException, store: Store) -> BaseException:
    """The user's words for an error of a task, wherever it stands in a chain of Ray's; the error itself if it is not theirs."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (OSError, BadInput)):
        cause = getattr(cause, "cause", None) or cause.__cause__
    if not isinstance(cause, OSError):
        return cause or error
    words = "is full" if cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "cannot be written"
    return BadInput(
        f"storage {store.root!r} {words} ({cause.strerror or cause}); what is finished is kept: make room and run the same "
        "command to go on"
    )
