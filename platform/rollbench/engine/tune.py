"""Rows as Ray Tune trials: each trial trains one model (if it is not there yet) and rolls out and scores the rows that share it.

Ray is the scheduler: as many trials run side by side as the cluster has room for, largest first.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune import Callback

from rollbench.engine import cluster
from rollbench.engine.evaluate import extract, score
from rollbench.engine.generate import generate
from rollbench.engine.progress import Progress
from rollbench.engine.resources import EVALUATOR_GPUS, Resources
from rollbench.engine.stages import make
from rollbench.engine.train import train
from rollbench.pipeline import RowWork, Work
from rollbench.store import Store


def run_rows(
    groups: list[tuple[RowWork, ...]],
    todo: set[Work],
    store: Store,
    resources: Resources,
    progress: Progress,
    on_done: Callable[[RowWork], None],
) -> None:
    """Run every trial; `on_done(row)` is called in this process as each row's results are there.

    Raises RuntimeError if a trial fails, after the others are done, and KeyboardInterrupt if they were stopped.
    """
    books = f"{store.path if store.local else store.root.rstrip('/')}/ray-{uuid.uuid4().hex[:8]}"
    listener = _Listen(groups, progress, on_done)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(run_trial, groups=groups, todo=todo, store=store, resources=resources, books=books),
            {"CPU": cluster.TRIAL_CPUS},
        ),
        param_space={"trial": tune.grid_search(list(range(len(groups))))},
        tune_config=tune.TuneConfig(max_concurrent_trials=resources.side_by_side, reuse_actors=True),
        run_config=tune.RunConfig(
            name="rows",
            storage_path=books,
            verbose=0,
            callbacks=[listener],
            failure_config=tune.FailureConfig(max_failures=2),
        ),
    )
    try:
        errors = [_root(error) for error in tuner.fit().errors] + listener.failed
    finally:
        store.forget(books)
    if errors:
        raise RuntimeError(
            f"{len(errors)} of {len(groups)} trials failed, the finished stages are kept; the first: {errors[0]}"
        )
    if any(row.results.stage(store).manifest() is None for rows in groups for row in rows):
        raise KeyboardInterrupt  # Tune takes Ctrl-C for itself, ends its trials and returns as if all were well


def run_trial(
    config: dict[str, Any],
    groups: list[tuple[RowWork, ...]],
    todo: set[Work],
    store: Store,
    resources: Resources,
    books: str,
) -> None:
    """One model and its rows, from training to results. Every stage that is there is passed over.

    books: where Ray keeps its own notes on trainers while they run; beside the stages, since every node must see it.

    An error of ours would be the same at a second try, so it is told instead of raised; a trial that dies is tried again by Tune.
    """
    said, rows = _Say(), groups[config["trial"]]
    try:
        for place, row in enumerate(rows):
            _run_row(row, todo, store, resources, books, said)
            tune.report({"row": place})
    except Exception as error:
        tune.report({"failed": f"{rows[0].model.title}: {_root(error)}"})


def _run_row(row: RowWork, todo: set[Work], store: Store, resources: Resources, books: str, said: Progress) -> None:
    if all(work.stage(store).manifest() for work in row.works()):
        return
    crew, evaluators = resources.crew(), resources.crew(EVALUATOR_GPUS)
    if crew.kept:
        crew.hire()
    make(
        row.model,
        todo,
        store,
        said,
        lambda work: train(work, store, crew, most=resources.most, to=books, told=tune.report),
    )
    make(row.clips, todo, store, said, lambda work: generate(work, store, said, crew))
    make(row.features, todo, store, said, lambda work: extract(work, store, said, evaluators))
    make(row.results, todo, store, said, lambda work: evaluators.call(score, work, store))


def _root(error: BaseException) -> str:
    """The first cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__}: {error}".split())[-600:]


class _Say(Progress):
    """Progress inside a trial: lines travel to the driver as Tune reports."""

    def __init__(self) -> None:
        super().__init__(every=2.0)
        self.terminal = False

    def line(self, text: str) -> None:
        tune.report({"line": text})

    def _show_moving(self, text: str) -> None:
        tune.report({"moving": text})


class _Listen(Callback):
    """The driver's ear: shows what trials say and hands over finished rows."""

    def __init__(
        self, groups: list[tuple[RowWork, ...]], progress: Progress, on_done: Callable[[RowWork], None]
    ) -> None:
        self.groups, self.progress, self.on_done = groups, progress, on_done
        self.failed: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for a restore that stages make needless; streams and databases cannot follow

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        rows = self.groups[trial.config["trial"]]
        if "line" in result:
            self.progress.line(result["line"])
        elif "moving" in result:
            self.progress.moving(result["moving"])
        elif "failed" in result:
            self.failed.append(result["failed"])
            self.progress.line(f"  failed: {result['failed']}")
        elif "row" in result:
            self.on_done(rows[result["row"]])
        elif "loss" in result:
            self.progress.moving(training_line(rows[0].model, result))


def training_line(model: Work, metrics: dict[str, Any]) -> str:
    steps = model.made_from["training"].steps
    return f"  train {model.title}: step {metrics['step']}/{steps}, loss {metrics['loss']:.4f}"
