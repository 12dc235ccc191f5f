"""Make one stage, and the shards of one: skip it if it is there, run it, publish what it returns, time it, say where it lies."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import ray.exceptions

from rollbench.errors import UserError
from rollbench.pipeline.graph import Stage
from rollbench.progress import Progress
from rollbench.store.artifact import Artifact, Store
from rollbench.store.lease import hold_lease
from rollbench.store.provenance import made

if TYPE_CHECKING:
    import ray.data

S = TypeVar("S", bound=Stage)


@dataclass(frozen=True)
class StageOutput:
    """What a stage has written: the receipts of its files, and facts for its manifest."""

    receipts: Iterable[dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)


def write_shards(
    artifact: Artifact,
    shards: list[dict[str, Any]],
    progress: Progress,
    label: str,
    unit: str,
    pipeline: Callable[[ray.data.Dataset], ray.data.Dataset],
    facts: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Have a Ray Data pipeline write the shards that are not there yet; the receipts of all of them.

    shards: what the pipeline reads, one item per shard, whose "name" is that of the file it writes. pipeline: from the dataset of
    items to one of receipts. facts: what a receipt must say; a file without such a one is not there.
    """
    import ray.data

    def write(pending: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        return pipeline(ray.data.from_items(pending, override_num_blocks=len(pending))).iter_rows()

    return write_missing(artifact, shards, progress, label, unit, write, facts)


def write_missing(
    artifact: Artifact,
    shards: list[dict[str, Any]],
    progress: Progress,
    label: str,
    unit: str,
    write: Callable[[list[dict[str, Any]]], Iterable[dict[str, Any]]],
    facts: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Have `write` make the shards that are not there yet, from their items to their receipts as they come; the receipts of all."""
    names = {shard["name"] for shard in shards}
    receipts = {name: receipt for name, receipt in artifact.receipts(*facts).items() if name in names}
    pending = [shard for shard in shards if shard["name"] not in receipts]
    with progress.bar(label, len(shards), len(receipts), unit) as advance:
        if pending:
            for receipt in write(pending):
                receipts[receipt["name"]] = dict(receipt)
                advance()
    return list(receipts.values())


def run_stage(
    stage: S,
    pending: set[Stage],
    store: Store,
    progress: Progress,
    run: Callable[[S], StageOutput],
    idle: Callable[[], None] = lambda: None,
) -> None:
    """Run `run(work)` if the stage is among those to do and nobody has made it meanwhile; wait for one who is about to.

    idle: called before we wait, to let go of what the other may need of the same cluster.
    Raises what the stage raised, in one line: BadInput if it was that, wherever it was raised, else RuntimeError.
    """
    artifact = stage.artifact(store)
    if stage not in pending or artifact.manifest() is not None:
        return

    def wait(why: str) -> None:
        idle()
        progress.line(why)

    with hold_lease(artifact, wait) as ours:
        if not ours:
            progress.line(f"  {stage.kind:<10} {stage.title:<44} {'made by another':>12}   {artifact.path}")
            return
        start = time.monotonic()
        try:
            product = run(stage)
        except Exception as error:
            if type(error).__module__.startswith("ray."):
                raise unwrap_ray_error(error) from None
            raise
        seconds = time.monotonic() - start
        configuration = stage.configuration()
        artifact.commit(
            product.receipts, title=stage.title, configuration=configuration, made=made(seconds), **product.facts
        )
    progress.finished(stage.kind, stage.title, seconds, artifact.path)


def unwrap_ray_error(error: Exception) -> UserError | RuntimeError:
    """An error that travelled through Ray, in the words of ours: Ray Data hands over its type and its text as text alone."""
    text = re.sub(r"\x1b\[\d+m", "", str(error))
    causes = [
        cause for cause in re.findall(r"^([\w.]*\b[A-Z]\w*): (.+)", text, re.M) if not cause[0].startswith("ray.")
    ]
    if not causes:
        return RuntimeError(" ".join(f"{type(error).__name__}: {text}".split())[:600])
    name, words = causes[-1]
    if name == f"{UserError.__module__}.{UserError.__name__}":
        return UserError(words)
    return RuntimeError(words if name.startswith("rollbench.") else f"{name.rpartition('.')[2]}: {words}")
