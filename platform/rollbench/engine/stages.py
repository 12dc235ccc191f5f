"""Make one stage, and the shards of one: skip it if it is there, run it, publish what it returns, time it, say where it lies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import ray.data

from rollbench.engine.progress import Progress
from rollbench.pipeline import Work
from rollbench.provenance import made
from rollbench.store import Stage, Store


@dataclass(frozen=True)
class Product:
    """What a stage has written: the receipts of its files, and facts for its manifest."""

    receipts: Iterable[dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)


def write_shards(
    stage: Stage,
    shards: list[dict[str, Any]],
    progress: Progress,
    label: str,
    unit: str,
    pipeline: Callable[[ray.data.Dataset], ray.data.Dataset],
) -> list[dict[str, Any]]:
    """Have a Ray Data pipeline write the shards that are not there yet; the receipts of all of them.

    shards: what the pipeline reads, one item per shard, whose "name" is that of the file it writes. pipeline: from the dataset of
    items to one of receipts.
    """
    names = {shard["name"] for shard in shards}
    receipts = {name: receipt for name, receipt in stage.receipts().items() if name in names}
    todo = [shard for shard in shards if shard["name"] not in receipts]
    with progress.bar(label, len(shards), len(receipts), unit) as advance:
        if todo:
            for receipt in pipeline(ray.data.from_items(todo, override_num_blocks=len(todo))).iter_rows():
                receipts[receipt["name"]] = dict(receipt)
                advance()
    return list(receipts.values())


def make(work: Work, todo: set[Work], store: Store, progress: Progress, run: Callable[[Work], Product]) -> None:
    """Run `run(work)` if the stage is among those to do and nobody has made it meanwhile."""
    stage = work.stage(store)
    if work not in todo or stage.manifest() is not None:
        return
    start = time.monotonic()
    product = run(work)
    seconds = time.monotonic() - start
    stage.publish(product.receipts, title=work.title, made=made(seconds), **product.facts)
    progress.finished(work.kind, work.title, seconds, stage.path)
