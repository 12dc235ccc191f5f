"""Data to Arrow shards: Ray Data maps shard numbers to shards, each written by the task that made it.

A shard holds a fixed range of clips, so its bytes depend neither on the number of workers nor on which one made it. Data that was
ingested before (`engine.corpus`) stays where it is: its data stage only says which corpora it takes and how many clips of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from rollbench.datasets.ingested import Ingested
from rollbench.engine.run_stage import StageOutput, write_shards
from rollbench.pipeline.frames import HALF_RANGE, is_video, stored
from rollbench.pipeline.graph import Data
from rollbench.progress import Progress
from rollbench.store.artifact import Artifact, Damaged, Store
from rollbench.store.lease import check_node_sees
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


def ingest(stage: Data, store: Store, progress: Progress) -> StageOutput:
    """Generate the clips that are not there yet."""
    data, artifact = stage.data, stage.artifact(store)
    if isinstance(data, Ingested):
        return _look(data, stage, store)
    splits = {"train": range(stage.train), "test": range(TEST_IDS, TEST_IDS + stage.test)}
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
    simulate = {"fn_kwargs": {"stage": stage, "artifact": artifact}, "num_cpus": 1}
    receipts = write_shards(
        artifact, shards, progress, "simulate", "shards", lambda items: items.map(_simulate, **simulate), FACTS
    )
    return StageOutput(receipts, _facts(receipts, is_video(stage)))


def _simulate(shard: dict[str, Any], stage: Data, artifact: Artifact) -> dict[str, Any]:
    """The map of the pipeline: one shard's place in, its receipt out."""
    check_node_sees(artifact)
    ids = range(shard["first"], shard["first"] + shard["count"])
    simulated = stage.data.simulate(list(ids))
    table = pa.table(
        {
            "clip_id": simulated.clip_ids,
            "split": [shard["split"]] * len(ids),
            "frames": tensor_column(stored(simulated.frames, is_video(stage))),
            **{name: pa.array(values) for name, values in simulated.parameters.items()},
        }
    )
    flat = simulated.frames.astype(np.float64)
    return artifact.write_table(
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


def _look(data: Ingested, stage: Data, store: Store) -> StageOutput:
    """What a table takes of corpora that are there."""
    digests = {}
    for split, key in (("train", data.train), ("test", data.test)):
        manifest = store.artifact("corpus", key).manifest()
        if manifest is None:
            raise Damaged(f"corpus/{key} is not there or unfinished: run `rollbench ingest` again")
        digests[split] = manifest["digest"]
        if split == "train":
            seen = [HALF_RANGE] * data.frame_shape[0] if is_video(stage) else None
            facts = {"mean": seen or manifest["mean"], "std": seen or manifest["std"]}
    return StageOutput([], {**facts, "corpora": digests, "clips": {"train": stage.train, "test": stage.test}})
