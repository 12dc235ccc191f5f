"""Rows as Ray Tune trials: each trial trains one model (if it is not there yet) and rolls out and scores the rows that share it.

Ray is the scheduler: as many trials run side by side as the cluster has room for, largest first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ray import tune
from ray.tune import Callback
from ray.tune.schedulers import TrialScheduler

from rollbench.engine.actor_pool import ActorPool
from rollbench.engine.evaluate import extract
from rollbench.engine.null_storage import discard_experiment_state
from rollbench.engine.resources import EVALUATOR_GPUS, TRIAL_CPUS, Resources
from rollbench.engine.rollout import generate
from rollbench.engine.run_stage import run_stage
from rollbench.engine.score import score
from rollbench.engine.train import train
from rollbench.errors import UserError
from rollbench.pipeline.graph import Model, RowStages, Stage
from rollbench.progress import Progress
from rollbench.store.artifact import Store
from rollbench.store.filesystem import StorageError

# Of a trial, which only waits for its workers: what ends it is its node, and on spot instances that happens every few hours of a run
# of days. What would fail again is told instead of raised (`run_trial`).
MAX_TRIAL_FAILURES = 100


def run_rows(
    groups: list[tuple[RowStages, ...]],
    pending: set[Stage],
    store: Store,
    resources: Resources,
    progress: Progress,
    on_done: Callable[[RowStages], None],
    on_preview: Callable[[RowStages, int, np.ndarray], None] | None = None,
) -> None:
    """Run every trial; `on_done(row)` is called in this process as each row's results are there, and `on_preview(row, step, frames)` with
    each preview of a training (see `engine.preview`), if given.

    Raises RuntimeError if a trial fails, after the others are done, and KeyboardInterrupt if they were stopped.
    """
    listener = TrialCallback(groups, progress, on_done, on_preview)
    previews = on_preview is not None
    run_trials("rows", run_trial, listener, resources, groups=groups, pending=pending, store=store, previews=previews)
    if any(row.results.artifact(store).manifest() is None for rows in groups for row in rows):
        raise KeyboardInterrupt


def run_trials(
    name: str,
    trial: Callable[..., None],
    listener: TrialCallback,
    resources: Resources,
    scheduler: TrialScheduler | None = None,
    **given: Any,
) -> None:
    """A Tune trial `trial({"trial": n}, resources=…, **given)` for each group that the listener hears of.

    Raises RuntimeError if one fails, after the others are done. Tune takes Ctrl-C for itself, ends its trials and returns as if all
    were well: whether all was made is for the caller to see.
    """
    tune.Tuner(
        tune.with_resources(
            tune.with_parameters(trial, resources=resources, **given),
            {"CPU": TRIAL_CPUS},
        ),
        param_space={"trial": tune.grid_search(list(range(len(listener.groups))))},
        tune_config=tune.TuneConfig(
            scheduler=scheduler, max_concurrent_trials=resources.concurrent_trials, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            name=name,
            verbose=0,
            callbacks=[listener],
            failure_config=tune.FailureConfig(max_failures=MAX_TRIAL_FAILURES),
            **discard_experiment_state(),
        ),
    ).fit()
    listener.check()


def run_trial(
    config: dict[str, Any],
    groups: list[tuple[RowStages, ...]],
    pending: set[Stage],
    store: Store,
    resources: Resources,
    previews: bool = False,
) -> None:
    """Run the missing stages of one model and its rows, from training to results.

    An error of a stage would occur again, so it is reported instead of raised; Tune retries a trial whose process dies.
    """
    progress, rows = TrialProgress(), groups[config["trial"]]
    try:
        for index, row in enumerate(rows):
            _run_row(row, pending, store, resources, progress, previews)
            tune.report({"row": index})
    except Exception as error:
        tune.report({"failed": f"{rows[0].model.title}: {failure(error)}"})


def _run_row(
    row: RowStages, pending: set[Stage], store: Store, resources: Resources, progress: Progress, previews: bool
) -> None:
    if all(stage.artifact(store).manifest() for stage in row.stages()):
        return
    pool, evaluators = ActorPool.of_row(resources), ActorPool.of_row(resources, EVALUATOR_GPUS)
    if pool.kept:
        pool.wait_ready()
    run = {
        "model": lambda stage: train(
            stage,
            store,
            pool,
            max_workers=resources.max_workers,
            on_report=tune.report,
            preview=row.rollouts if previews else None,
        ),
        "rollouts": lambda stage: generate(stage, store, progress, pool),
        "features": lambda stage: extract(stage, store, progress, evaluators),
        "results": lambda stage: evaluators.call(score, stage, store),
    }
    for stage in row.stages():
        run_stage(stage, pending, store, progress, run[stage.kind], idle=pool.release)


def failure(error: BaseException) -> str:
    """The first cause of an error, in one line; what is ours says enough without its type."""
    while error.__cause__ is not None:
        error = error.__cause__
    name = "" if type(error) in (UserError, RuntimeError, StorageError) else f"{type(error).__name__}: "
    return " ".join(f"{name}{error}".split())[-600:]


class TrialProgress(Progress):
    """Progress inside a trial: lines travel to the driver as Tune reports."""

    def __init__(self) -> None:
        super().__init__(every=2.0)
        self.terminal = False

    def line(self, text: str) -> None:
        tune.report({"line": text})

    def _show_moving(self, text: str) -> None:
        tune.report({"moving": text})


class TrialCallback(Callback):
    """The driver's ear: shows what trials say and hands over finished rows."""

    def __init__(
        self,
        groups: list[tuple[RowStages, ...]],
        progress: Progress,
        on_done: Callable[[RowStages], None],
        on_preview: Callable[[RowStages, int, np.ndarray], None] | None = None,
    ) -> None:
        self.groups, self.progress, self.on_done, self.on_preview = groups, progress, on_done, on_preview
        self.failed: list[str] = []

    def check(self) -> None:
        """Raise RuntimeError if a trial has failed."""
        if self.failed:
            raise RuntimeError(
                f"{len(self.failed)} of {len(self.groups)} trials failed, the finished stages are kept; the first: {self.failed[0]}"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for a restore that stages make needless; streams and databases cannot follow

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial that died, and died again each time it was tried."""
        title = self.groups[trial.config["trial"]][0].model.title
        self.failed.append(f"{title}: its process died {trial.num_failures} times")

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
            if self.on_preview is not None and "preview" in result:
                self.on_preview(rows[0], result["step"], result["preview"])


def training_line(model: Model, metrics: dict[str, Any]) -> str:
    steps = model.training.steps
    return f"  train {model.title}: step {metrics['step']}/{steps}, loss {metrics['loss']:.4f}"
