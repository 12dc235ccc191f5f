"""A table from end to end: make what is missing, record it, report it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rollbench.engine.place import Place
from rollbench.engine.progress import Progress, duration
from rollbench.engine.record import Recorder
from rollbench.engine.resources import Resources
from rollbench.engine.shards import check_ingested
from rollbench.measures import VideoDistance
from rollbench.pipeline import Absent, RowWork, TableWork, Work, absent, prepare
from rollbench.spec import Figure
from rollbench.store import Store


def reproduce(
    works: TableWork,
    place: Place,
    mlflow: str,
    *,
    resources: Resources,
    progress: Progress,
    figure: Figure | None = None,
) -> Path:
    """Make every stage of `works` that is not there, record each row in MLflow and write the report (of the table, or of a figure of
    it); returns its page. mlflow: its address (see `rollbench.tracking.tracking_uri`).

    Finished stages stay whatever happens afterwards. Raises RuntimeError where a row failed, after the others are done.
    """
    start = time.monotonic()
    with Recorder(works, place, mlflow, progress.line) as recorder:
        todo = absent(works.works(), place.store)
        check_ingested(todo and works.shared(), place.store)
        _announce(works, todo, progress)
        prepare(todo, place.store)
        if todo:
            _make(works, set(todo), place.store, resources, progress, recorder.record)
        from rollbench.engine.report import report
        from rollbench.engine.results import table_results

        results = table_results(works, place.scale, place.store)
        page = report(works, results, place, tracking=recorder.finish(), figure=figure)
        recorder.keep()
    progress.line(f"{works.table.name}: done in {duration(time.monotonic() - start)}; the report is {page}")
    return page


def _announce(works: TableWork, todo: dict[Work, Absent], progress: Progress) -> None:
    count = sum(1 for _ in works.works())
    progress.line(
        f"{works.table.name}: {count - len(todo)} of {count} stages are done"
        + (", nothing to compute" if not todo else "")
    )
    for why in todo.values():
        if why.damaged:
            progress.line(f"  damaged: {why.reason}; it is made again")


def _make(
    works: TableWork,
    todo: set[Work],
    store: Store,
    resources: Resources,
    progress: Progress,
    on_done: Callable[[RowWork], None],
) -> None:
    """Run the missing stages on Ray: the data, the reference, then the rows as trials."""
    from rollbench.engine import cluster

    with cluster.cluster():
        from rollbench.engine.evaluate import keep_weights, refer, score_trivial
        from rollbench.engine.ingest import ingest
        from rollbench.engine.stages import make
        from rollbench.engine.tune import run_rows

        cluster.check_shared(store)
        resources = resources.settled()
        if any(isinstance(m, VideoDistance) for w in works.shared() for m in w.made_from.get("measures", ())):
            keep_weights(store)
        run = {
            "data": lambda w: ingest(w, store, progress),
            "reference": lambda w: refer(w, store, progress, resources.everywhere()),
            "results": lambda w: cluster.call(score_trivial, w, store),
        }
        for work in works.shared():
            make(work, todo, store, progress, run[work.kind])
        groups = [g for g in works.by_model() if any(w in todo for row in g for w in row.works())]
        if groups:
            run_rows(groups, todo, store, resources, progress, on_done)
