"""Data to Arrow shards: Ray Data maps shard numbers to shards, each written by the task that made it.

A shard holds a fixed range of trajectories, so its bytes depend neither on the number of workers nor on which one made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from rollbench.engine.progress import Progress
from rollbench.engine.stages import Product, write_shards
from rollbench.pipeline import Work
from rollbench.store import Stage, Store, tensor_column

SHARD = 16  # trajectories per shard: small enough for even progress on two cores, large enough to batch the solver
# Test trajectories are numbered from here, so that more training data leaves the test split as it is.
TEST_IDS = 90_000_000


def ingest(work: Work, store: Store, progress: Progress) -> Product:
    """Simulate the trajectories that are not there yet."""
    data, stage = work.made_from["data"], work.stage(store)
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
    simulate = {"fn_kwargs": {"data": data, "stage": stage}, "num_cpus": 1}
    receipts = write_shards(
        stage, shards, progress, "simulate", "shards", lambda items: items.map(_simulate, **simulate)
    )
    return Product(receipts, _facts(receipts))


def _simulate(shard: dict[str, Any], data: Any, stage: Stage) -> dict[str, Any]:
    """The map of the pipeline: one shard's place in, its receipt out."""
    ids = range(shard["first"], shard["first"] + shard["count"])
    simulated = data.simulate(list(ids))
    table = pa.table(
        {
            "clip_id": simulated.clip_ids,
            "split": [shard["split"]] * len(ids),
            "frames": tensor_column(simulated.frames),
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


def _facts(receipts: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts, and each channel's mean and standard deviation over the training split (in the data's units)."""
    train = sorted((r for r in receipts if r["split"] == "train"), key=lambda r: r["name"])
    count = sum(r["values_per_channel"] for r in train)
    mean = np.sum([r["sum"] for r in train], axis=0) / count
    variance = np.sum([r["sum_of_squares"] for r in train], axis=0) / count - mean**2
    return {
        "clips": {split: sum(r["rows"] for r in receipts if r["split"] == split) for split in ("train", "test")},
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
    }
