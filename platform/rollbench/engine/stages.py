"""Make one stage: skip it if it is there, run it, publish what it returns, time it, say where it lies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rollbench.engine.progress import Progress
from rollbench.pipeline import Work
from rollbench.provenance import made
from rollbench.store import Store


@dataclass(frozen=True)
class Product:
    """What a stage has written: the receipts of its files, and facts for its manifest."""

    receipts: Iterable[dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)


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
