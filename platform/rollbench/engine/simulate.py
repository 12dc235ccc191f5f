"""Data to Arrow shards: Ray Data maps shard numbers to shards, each written by the task that made it.

A shard holds a fixed range of clips, so its bytes depend neither on the number of workers nor on which one made it. Data that was
ingested before (`engine.corpus`) stays where it is: its data stage only says which corpora it takes and how many clips of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from rollbench.datasets.ingested import Ingested
from rollbench.engine.run_stage import Product, write_shards
from rollbench.pipeline.frames import HALF_RANGE, is_video, stored
from rollbench.pipeline.graph import Work
from rollbench.progress import Progress
from rollbench.store.artifact import Damaged, Stage, Store
from rollbench.store.lease import check_seen
from rollbench.store.tensors import tensor_column

SHARD = 16  # clips per shard: small enough for even progress on two cores, large enough to batch the solver
# Test clips are numbered from here, so that more training data leaves the test split as it is.
TEST_IDS = 90_000_000
FACTS = (
    "rows",
    "split",
    "sum",
    "sum_of_squares",
    "values_per_channel",
)  # of a shard's receipt, that the manifest is made from


def ingest(work: Work, store: Store, progress: Progress) -> Product:
    """Generate the clips that are not there yet."""
    data, stage = work.made_from["data"], work.stage(store)
    if isinstance(data, Ingested):
        return _look(data, work, store)
    splits = {"train": range(work.made_from["train"]), "test": range(TEST_IDS, TEST_IDS + work.made_from["test"])}
    shards = [
        {
            "name": f"part-{split}-{n:05d}.arrow",
            "split": split,
            "first": ids[start],
            "count": min(SHARD, len(ids) - start),
        }
        for split, ids in splits.items()
        for n, start in enumerate(range(0, len(ids), SHARD))
    ]
    simulate = {"fn_kwargs": {"work": work, "stage": stage}, "num_cpus": 1}
    receipts = write_shards(
        stage, shards, progress, "simulate", "shards", lambda items: items.map(_simulate, **simulate), FACTS
    )
    return Product(receipts, _facts(receipts, is_video(work)))


def _simulate(shard: dict[str, Any], work: Work, stage: Stage) -> dict[str, Any]:
    """The map of the pipeline: one shard's place in, its receipt out."""
    check_seen(stage)
    ids = range(shard["first"], shard["first"] + shard["count"])
    simulated = work.made_from["data"].simulate(list(ids))
    table = pa.table(
        {
            "clip_id": simulated.clip_ids,
            "split": [shard["split"]] * len(ids),
            "frames": tensor_column(stored(simulated.frames, is_video(work))),
            **{name: pa.array(values) for name, values in simulated.parameters.items()},
        }
    )
    flat = simulated.frames.astype(np.float64)
    return stage.write_table(
        shard["name"],
        table,
        split=shard["split"],
        sum=flat.sum((0, 1, 3, 4)).tolist(),
        sum_of_squares=np.square(flat).sum((0, 1, 3, 4)).tolist(),
        values_per_channel=int(flat[:, :, 0].size),
    )


def _facts(receipts: list[dict[str, Any]], video: bool) -> dict[str, Any]:
    """Counts, and what networks see as 0 and 1: of pixels the middle and half of the range, else each channel's mean and standard
    deviation over the training split (in the data's units)."""
    clips = {split: sum(r["rows"] for r in receipts if r["split"] == split) for split in ("train", "test")}
    train = sorted((r for r in receipts if r["split"] == "train"), key=lambda r: r["name"])
    count = sum(r["values_per_channel"] for r in train)
    mean = np.sum([r["sum"] for r in train], axis=0) / count
    variance = np.sum([r["sum_of_squares"] for r in train], axis=0) / count - mean**2
    if video:
        return {"clips": clips, "mean": [HALF_RANGE] * len(mean), "std": [HALF_RANGE] * len(mean)}
    return {"clips": clips, "mean": mean.tolist(), "std": np.sqrt(variance).tolist()}


def _look(data: Ingested, work: Work, store: Store) -> Product:
    """What a table takes of corpora that are there."""
    digests = {}
    for split, key in (("train", data.train), ("test", data.test)):
        manifest = store.stage("corpus", key).manifest()
        if manifest is None:
            raise Damaged(f"corpus/{key} is not there or unfinished: run `rollbench ingest` again")
        digests[split] = manifest["digest"]
        if split == "train":
            seen = [HALF_RANGE] * data.frame_shape[0] if is_video(work) else None
            facts = {"mean": seen or manifest["mean"], "std": seen or manifest["std"]}
    return Product([], {**facts, "corpora": digests, "clips": {s: work.made_from[s] for s in ("train", "test")}})
