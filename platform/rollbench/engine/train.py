"""Trains one model with Ray Train: every worker runs `training.fit`, which does not depend on Ray, on its share of each global batch.

The loop writes its own checkpoints (safetensors and JSON in the stage's folder), so a restarted worker, a new driver and a run without Ray
all resume from the same place.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import safetensors.torch
import torch
from ray.train import TrainingFailedError
from ray.train.torch import TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from rollbench.datasets.windows import Windows
from rollbench.engine.actor_pool import ActorPool, OnReport
from rollbench.engine.checkpoint_sync import newest, scratch
from rollbench.engine.failover import MAX_RETRIES, retry_while_progress
from rollbench.engine.gloo import NodeIPTorchConfig
from rollbench.engine.model import WEIGHTS, build_denoiser
from rollbench.engine.null_storage import discard_experiment_state
from rollbench.engine.preview import Preview
from rollbench.engine.resources import WORKER_CPUS
from rollbench.engine.run_stage import StageOutput
from rollbench.pipeline.frames import Normalisation, clips_of
from rollbench.pipeline.graph import HISTORY, Model, Rollouts
from rollbench.store.artifact import Artifact, Store
from rollbench.store.lease import check_node_sees
from rollbench.store.provenance import forget_peak_memory, peak_memory, processor
from rollbench.training.loop import CheckpointPolicy, fit, load_final

COST = ("parameters", "peak_memory_bytes", "workers", "device", "device_seconds")  # of a model, in its manifest
REPORTS = 20  # progress reports per run
CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class TrainingSegment:
    """A part of a training run."""

    stop_step: int  # the step after which it stops
    checkpoints: Artifact  # the folder of its checkpoints
    output: Artifact  # the folder for its averaged weights


def train(
    stage: Model,
    store: Store,
    pool: ActorPool,
    *,
    max_workers: int,
    on_report: OnReport,
    segment: TrainingSegment | None = None,
    preview: Rollouts | None = None,
) -> StageOutput:
    """Train the model of a stage, or a segment of its training, on as many processes as the pool has actors, or up to `max_workers`.

    `on_report` receives the reports; with `preview`, which says how a sample is generated, each has a "preview" (see `engine.preview`).
    The one actor of a persistent pool trains in Ray Train's local mode; more than one are a worker group.
    """
    artifact = stage.artifact(store)
    segment = segment or TrainingSegment(stage.training.steps, artifact, artifact)
    config = {"stage": stage, "store": store, "segment": segment, "preview": preview}
    progress = partial(newest, segment.checkpoints)
    if pool.kept:
        pool.call(_train_here, config, on_report=on_report, progress=progress)
    else:  # Ray Train counts every failure of a group, whatever its checkpoints; a group that made progress starts again
        retry_while_progress(
            lambda: _trainer(config, pool, max_workers).fit(), progress, max_retries=0, retry_on=(TrainingFailedError,)
        )
    entries = segment.output.receipts()
    weights = entries[WEIGHTS]
    return StageOutput([weights, entries[HISTORY]], {name: weights[name] for name in COST})


def _train_here(config: dict[str, Any], report: OnReport) -> None:
    TorchTrainer(
        _worker,
        train_loop_config={**config, "report": report},
        scaling_config=ray.train.ScalingConfig(num_workers=0),
    ).fit()


def _trainer(config: dict[str, Any], pool: ActorPool, max_workers: int) -> TorchTrainer:
    """A group of workers, whose reports reach Tune through a callback."""
    return TorchTrainer(
        _worker,
        train_loop_config=config,
        torch_config=NodeIPTorchConfig(backend="gloo" if 0 < pool.gpus < 1 else None),  # NCCL wants a GPU per process
        scaling_config=ray.train.ScalingConfig(
            num_workers=(pool.actors, max_workers) if max_workers > pool.actors else pool.actors,
            use_gpu=pool.gpus > 0,
            resources_per_worker={"CPU": WORKER_CPUS} | ({"GPU": pool.gpus} if pool.gpus else {}),
        ),
        run_config=ray.train.RunConfig(
            name=config["stage"].key,
            failure_config=ray.train.FailureConfig(max_failures=MAX_RETRIES),
            callbacks=[TuneReportCallback()],
            **discard_experiment_state(),
        ),
    )


def _worker(config: dict[str, Any]) -> None:
    """The training loop of each Ray Train worker."""
    torch.set_num_threads(1)
    forget_peak_memory()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    stage: Model = config["stage"]
    store: Store = config["store"]
    segment: TrainingSegment = config["segment"]
    check_node_sees(segment.output)
    context = ray.train.get_context()
    training = stage.training
    latest: dict[str, np.ndarray] = {}  # the last preview, part of the next report
    with scratch(segment.checkpoints, context.get_world_rank()) as folder:
        final = fit(
            build_denoiser(stage, recompute=training.recompute),
            stage.method,
            _windows(stage, store),
            training,
            seed=stage.seed,
            folder=folder.path,
            device=get_device(),
            rank=context.get_world_rank(),
            world=context.get_world_size(),
            keeping=CheckpointPolicy(report=max(1, training.steps // REPORTS), seconds=CHECKPOINT_SECONDS),
            sink=lambda step, metrics: (config.get("report") or ray.train.report)({"step": step, **metrics, **latest}),
            on_average=_on_average(config["preview"], store, latest, context.get_world_rank()),
            on_checkpoint=folder.send,
            until=segment.stop_step,
        )
        if context.get_world_rank() == 0:
            _write(segment.output, final, context.get_world_size())
            if segment.output == segment.checkpoints:
                folder.clear()


def _on_average(
    rollouts: Rollouts | None, store: Store, latest: dict[str, np.ndarray], rank: int
) -> Callable[[dict[str, torch.Tensor]], None] | None:
    """What writes the preview of averaged weights into `latest`, on rank 0; the other ranks only take part in gathering the weights."""
    if rollouts is None:
        return None
    preview = Preview(rollouts, store) if rank == 0 else None
    return lambda weights: latest.update(preview=preview(weights)) if preview else None


def _windows(stage: Model, store: Store) -> Windows:
    """The training windows of a method: all runs of W frames of the training split, normalised."""
    data = stage.data
    normalisation = Normalisation.of(data, store)
    clips = clips_of(data, store, "train")
    return Windows(
        clips,
        stage.method.window,
        seed=stage.seed,
        centre=normalisation.mean,
        scale=normalisation.std,
        shape=clips.shape,
    )


def _write(artifact: Artifact, final: Path, workers: int) -> None:
    """Write the averaged weights and the run's history into the stage."""
    tensors, facts = load_final(final)
    parameters = sum(t.numel() for t in tensors.values())
    weights = safetensors.torch.save(tensors)
    cuda = facts["device"] != "cpu"
    artifact.write(
        WEIGHTS,
        weights,
        parameters=parameters,
        peak_memory_bytes=torch.cuda.max_memory_allocated() if cuda else peak_memory(),
        workers=workers,
        device=facts["device"] if cuda else processor(),
        device_seconds=facts["seconds"] * workers,  # of all attempts and legs, each worker's
    )
    # What two runs agree on: no times, no machine.
    reproducible = {name: facts[name] for name in ("step", "ema_decay", "history")}
    artifact.write(HISTORY, json.dumps(reproducible).encode())
