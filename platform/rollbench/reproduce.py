"""A table from end to end: make what is missing, record it, report it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports.search import RaceText, race_report
from rollbench.config.source import sources
from rollbench.config.table import Figure
from rollbench.engine import cluster, nodes
from rollbench.engine.actor_pool import ActorPool
from rollbench.engine.resources import Resources
from rollbench.engine.search import RESAMPLES, race, winner
from rollbench.pipeline.frames import check_ingested
from rollbench.pipeline.graph import Pipeline, RowStages, Stage
from rollbench.pipeline.measures import VideoDistance
from rollbench.pipeline.pending import Missing, clear_stale, missing
from rollbench.pipeline.run_context import RunContext
from rollbench.pipeline.search_graph import SearchPipeline
from rollbench.progress import Progress, duration
from rollbench.store.artifact import Store
from rollbench.tracking.recorder import Recorder


def reproduce(
    stages: Pipeline,
    place: RunContext,
    mlflow: str,
    *,
    resources: Resources,
    progress: Progress,
    figure: Figure | None = None,
) -> Path:
    """Make every stage of `stages` that is not there, record each row in MLflow and write the report (of the table, or of a figure of
    it); returns its page. mlflow: its address (see `rollbench.tracking.tracking_uri`).

    Finished stages stay whatever happens afterwards. Raises RuntimeError where a row failed, after the others are done.
    """
    start = time.monotonic()
    cluster.carry(sources(stages.table))
    with Recorder(stages, place, mlflow, progress.line) as recorder:
        pending = missing(stages.stages(), place.store)
        check_ingested(pending and stages.shared(), place.store)
        _announce(stages, pending, progress)
        clear_stale(pending, place.store)
        if pending:
            on_preview = _previews(place.out / "previews", progress) if place.preview else None
            _make(stages, set(pending), place.store, resources, progress, recorder.record, on_preview)
        from rollbench.results.frame import table_results, with_finished_rows
        from rollbench.results.report import report

        shown = with_finished_rows(stages, place.store, figure.rows if figure else ())
        results = table_results(shown, place.scale, place.store)
        page = report(shown, results, place, tracking=recorder.finish(shown), figure=figure)
        recorder.keep()
    progress.line(f"{stages.table.name}: done in {duration(time.monotonic() - start)}; the report is {page}")
    return page


def _announce(stages: Pipeline, pending: dict[Stage, Missing], progress: Progress) -> None:
    count = sum(1 for _ in stages.stages())
    progress.line(
        f"{stages.table.name}: {count - len(pending)} of {count} stages are done"
        + (", nothing to compute" if not pending else "")
    )
    for why in pending.values():
        if why.damaged:
            progress.line(f"  damaged: {why.reason}; it is made again")


def _make(
    stages: Pipeline,
    pending: set[Stage],
    store: Store,
    resources: Resources,
    progress: Progress,
    on_done: Callable[[RowStages], None],
    on_preview: Callable[[RowStages, int, Any], None] | None,
) -> None:
    """Run the missing stages on Ray: the data, the reference, then the rows as trials."""
    with cluster.cluster():
        from rollbench.engine.evaluate import cache_i3d_weights, evaluate_reference, extract
        from rollbench.engine.run_stage import run_stage
        from rollbench.engine.score import score, score_trivial
        from rollbench.engine.simulate import ingest
        from rollbench.engine.trials import run_rows

        nodes.check_shared(store)
        resources = resources.resolve()
        if any(isinstance(m, VideoDistance) for w in stages.shared() for m in getattr(w, "measures", ())):
            cache_i3d_weights(store)
        run = {
            "data": lambda w: ingest(w, store, progress),
            "reference": lambda w: evaluate_reference(w, store, progress, ActorPool.cluster_pool(resources)),
            "results": lambda w: cluster.call(score_trivial, w, store),
        }
        for stage in stages.shared():
            run_stage(stage, pending, store, progress, run[stage.kind])
        groups = [g for g in stages.by_model() if any(w in pending for row in g for w in row.stages())]
        if groups:
            run_rows(groups, pending, store, resources, progress, on_done, on_preview)
        pool = ActorPool.cluster_pool(resources)
        for entry in stages.entries:
            run_stage(entry.features, pending, store, progress, lambda w: extract(w, store, progress, pool))
            run_stage(entry.results, pending, store, progress, lambda w: cluster.call(score, w, store))


def _previews(folder: Path, progress: Progress) -> Callable[[RowStages, int, Any], None]:
    """What saves each preview of a training to `folder`, which is part of the report that MLflow keeps, and names it in the log."""
    from rollbench.results.preview import save_preview

    return lambda row, step, frames: progress.line(f"  preview    {save_preview(folder, row, step, frames)}")


def search(stages: SearchPipeline, place: RunContext, mlflow: str, *, resources: Resources, progress: Progress) -> Path:
    """Race the candidates, finish and score the winner beside the table's rows, and report both; returns the table's page."""
    cluster.carry(sources(stages.table))
    trials = race(stages, place.store, resources, progress)
    best = winner(trials)
    row = stages.candidates[best].row.row
    progress.line(f"{stages.search.name}: {row.name} is ahead of {len(trials) - 1} others")
    evaluated = [vars(trial) for trial in trials]
    race_report(
        RaceText(stages.search.title, _told(stages), evaluated, best, stages.search.axis, place.command), place.out
    )
    table = stages.table(row)
    said = f"{row.name} won a race of {len(trials)} candidates, told apart on clips that are not scored here (search.html)."
    table = replace(table, table=replace(table.table, caption=f"{table.table.caption} {said}".strip()))
    return reproduce(table, place, mlflow, resources=resources, progress=progress)


def _told(stages: SearchPipeline) -> tuple[str, ...]:
    """What was raced and how, and what the proxy is and is not."""
    search, proxy, setting = stages.search, stages.search.proxy, stages.with_candidates.settings[0].setting
    steps = ", ".join(f"{rung.step:,}" for rung in stages.candidates[0].rungs)
    space = "; ".join(axis.said for axis in search.space)
    units = "on pixels from 0 to 1" if setting.data.kind == "video" else "in the units of the data"
    return (
        f"{len(stages.candidates)} candidates, spread evenly over the space ({space}), on {setting.data.describe()}, training "
        f"seed {stages.candidates[0].row.seed}. All are trained to the first rung; one goes on if its proxy there is within the "
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
