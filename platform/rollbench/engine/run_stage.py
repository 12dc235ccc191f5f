"""Runs one stage: skips it if it is finished, takes its lease, runs it, commits its files, and prints its path."""

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
    """What a stage returns: the entries of its files, and facts for its manifest."""

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
    """Write the missing shards with a Ray Data pipeline; returns the file entries of all shards.

    shards: one item per shard; its "name" is the name of the file. pipeline: maps the dataset of items to one of file entries. facts: the
    fields that an entry must have; a file whose entry lacks one counts as missing.
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
    """Write the missing shards with `write`, which maps items to file entries in order of completion; returns the entries of all shards."""
    names = {shard["name"] for shard in shards}

    def damaged(name: str) -> None:
        progress.line(f"  damaged: the receipt of {artifact}/{name}; it is made again")

    written = artifact.receipts(*facts, on_damage=damaged)
    receipts = {name: receipt for name, receipt in written.items() if name in names}
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
    """Run a pending stage, or wait for another driver that is running it.

    idle: called before waiting, to release resources that the other driver may need.
    Raises UserError if the stage raised it on any worker, else RuntimeError, each in one line.
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
    """The original error of a Ray error. Ray Data keeps only the text of its type and message."""
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
