"""A table from end to end: make what is missing, record it, report it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reports.search import RaceText, race_report
from rollbench.config.table import Figure
from rollbench.engine import cluster, nodes
from rollbench.engine.actor_pool import Crew
from rollbench.engine.resources import Resources
from rollbench.engine.search import RESAMPLES, race, winner
from rollbench.pipeline.frames import check_ingested
from rollbench.pipeline.graph import Absent, RowWork, TableWork, Work, absent, prepare
from rollbench.pipeline.measures import VideoDistance
from rollbench.pipeline.run_context import Place
from rollbench.pipeline.search_graph import SearchWork
from rollbench.progress import Progress, duration
from rollbench.store.artifact import Store
from rollbench.tracking.recorder import Recorder


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
        from rollbench.results.frame import table_results
        from rollbench.results.report import report

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

    with cluster.cluster():
        from rollbench.engine.evaluate import keep_weights, refer
        from rollbench.engine.run_stage import make
        from rollbench.engine.score import score_trivial
        from rollbench.engine.simulate import ingest
        from rollbench.engine.trials import run_rows

        nodes.check_shared(store)
        resources = resources.settled()
        if any(isinstance(m, VideoDistance) for w in works.shared() for m in w.made_from.get("measures", ())):
            keep_weights(store)
        run = {
            "data": lambda w: ingest(w, store, progress),
            "reference": lambda w: refer(w, store, progress, Crew.everywhere(resources)),
            "results": lambda w: cluster.call(score_trivial, w, store),
        }
        for work in works.shared():
            make(work, todo, store, progress, run[work.kind])
        groups = [g for g in works.by_model() if any(w in todo for row in g for w in row.works())]
        if groups:
            run_rows(groups, todo, store, resources, progress, on_done)


def search(works: SearchWork, place: Place, mlflow: str, *, resources: Resources, progress: Progress) -> Path:
    """Race the candidates, finish and score the winner beside the table's rows, and report both; returns the table's page."""
    trials = race(works, place.store, resources, progress)
    best = winner(trials)
    row = works.candidates[best].row.row
    progress.line(f"{works.search.name}: {row.name} is ahead of {len(trials) - 1} others")
    raced = [vars(trial) for trial in trials]
    race_report(RaceText(works.search.title, _told(works), raced, best, works.search.axis, place.command), place.out)
    table = works.table(row)
    said = f"{row.name} won a race of {len(trials)} candidates, told apart on clips that are not scored here (search.html)."
    table = replace(table, table=replace(table.table, caption=f"{table.table.caption} {said}".strip()))
    return reproduce(table, place, mlflow, resources=resources, progress=progress)


def _told(works: SearchWork) -> tuple[str, ...]:
    """What was raced and how, and what the proxy is and is not."""
    search, proxy, setting = works.search, works.search.proxy, works.entered.settings[0].setting
    steps = ", ".join(f"{rung.made_from['step']:,}" for rung in works.candidates[0].rungs)
    space = "; ".join(axis.said for axis in search.space)
    units = "on pixels from 0 to 1" if setting.data.kind == "video" else "in the units of the data"
    return (
        f"{len(works.candidates)} candidates, spread evenly over the space ({space}), on {setting.data.describe()}, training "
        f"seed {works.candidates[0].row.seed}. All are trained to the first rung; one goes on if its proxy there is within the "
        f"best 1 in {search.reduction} of those that came before it (ASHA). Rungs at steps {steps} of "
        f"{setting.training.steps:,}; the best at the last one is trained to the end.",
        f"The proxy: the CRPS of {proxy.samples} films of {proxy.horizon} frames from each of {proxy.contexts} held-out clips, by "
        f"the averaged weights at the rung, at {proxy.calls_per_frame} network calls a frame; the mean over frames, channels and "
        f"cells, {units}. Intervals: 95 %, {RESAMPLES:,} resamples of the clips; they answer for the clips, not for another "
        "training. It runs through both phases of a film, and it is proper: no film law scores better than the true one, frame by "
        "frame. It is not the metric of the table. The loss in training could not tell candidates apart: each value of β averages "
        "it over other noise levels; at the sliding levels alone it would not see the init phase.",
        "A candidate's numbers follow from the seeds. Which candidates were stopped depends on what others had scored before "
        "them, so it may differ where several ran side by side; a search that was interrupted keeps its decisions.",
    )
