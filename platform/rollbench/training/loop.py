"""The training loop: bare torch, one worker or many; Ray Train calls the same function on each worker."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rollbench.datasets.windows import Windows
from rollbench.diffusion.denoiser import Denoiser
from rollbench.methods.base import Method
from rollbench.training import checkpoint
from rollbench.training.run import Run
from rollbench.training.settings import Training

Sink = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class CheckpointPolicy:
    """How often a run reports (steps) and saves: every `steps` steps, and after `seconds` at the next report."""

    report: int = 10
    steps: int | None = None
    seconds: float | None = 300.0
    keep: int = 2

    def __post_init__(self) -> None:
        if self.report < 1 or (self.steps is not None and self.steps < 1) or self.keep < 1:
            raise ValueError(f"{self}: report, steps and keep must be at least 1; choose Keeping()")


def fit(
    denoiser: Denoiser,
    method: Method,
    windows: Windows,
    training: Training,
    *,
    seed: int,
    folder: Path,
    device: torch.device | str | None = None,
    rank: int = 0,
    world: int = 1,
    keeping: CheckpointPolicy = CheckpointPolicy(),
    sink: Sink | None = None,
    on_checkpoint: Callable[[Path | None, int], None] | None = None,
    on_average: Callable[[dict[str, Tensor]], None] | None = None,
    until: int | None = None,
) -> Path:
    """Train `denoiser` in place and return `folder/final`: its averaged weights and the facts and history of the run.

    until: stop after this step, with a checkpoint from which another call goes on as if there had been no stop.
    A run that finds its own checkpoints in `folder` goes on from the newest whole one. With world > 1 the caller has
    initialised torch.distributed; rank 0 writes, and what it finds in its folder is resumed by all. On every rank
    sink(step, metrics) is called with each report and on_checkpoint(path, step) after each save, None for the path
    except on rank 0. Before a report rank 0 calls on_average(state_dict of the denoiser, averaged), outside the measured time.
    Raises NotFinite, naming the step; ValueError if the checkpoints are of another run.
    """
    if not 0 <= rank < world <= training.micro_batches:
        raise ValueError(
            f"{world} workers: each needs a micro-batch of its own out of {training.micro_batches} per step; "
            f"choose micro_batch {max(1, training.batch // world)} or less"
        )
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    denoiser.train()
    if training.compile:
        denoiser.network.compile()
    if device.index is not None:
        torch.cuda.set_device(device)  # where collective operations run
    run, folder = Run(denoiser, method, windows, training, seed, device, rank, world), Path(folder)
    run.resume(folder)
    saved, reported = time.perf_counter(), (time.perf_counter(), run.step)
    last = training.steps if until is None else min(until, training.steps)
    while run.step < last:
        run.advance()
        due = keeping.steps is not None and run.step % keeping.steps == 0
        if run.step % keeping.report == 0 or run.step == training.steps:
            metrics, now = run.report(), time.perf_counter()
            metrics["samples_per_second"] = (run.step - reported[1]) * training.batch / (now - reported[0])
            if on_average is not None:
                run.show_average(on_average)
            reported = time.perf_counter(), run.step
            if sink is not None:
                sink(run.step, metrics)
            due = due or run.broadcast_flag(keeping.seconds is not None and now - saved > keeping.seconds)
        if (due or run.step == last) and run.step < training.steps:
            path = run.save(folder, keeping.keep)
            saved = time.perf_counter()
            if on_checkpoint is not None:
                on_checkpoint(path, run.step)
    return run.finish(folder)


def load_final(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged weights (a state_dict of the denoiser) and the facts that `fit` left in `path`."""
    return checkpoint.load(Path(path))
