"""What a table will cost, before anything starts: parameters, network calls, bytes, operations, memory and time.

Operations are counted on the meta device, where a network has shapes but no numbers, so the paper's 197 M parameters cost nothing to
look at. Time on this device comes from a short calibration; that on GPUs assumes an H200 (`H200`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from rollbench.config.source import source_of
from rollbench.errors import UserError
from rollbench.models.layers import Block
from rollbench.pipeline.cpus import processors
from rollbench.pipeline.graph import Data, Pipeline, RowStages, Stage
from rollbench.pipeline.pending import missing
from rollbench.store.artifact import Store

# FLOP/s that a well-fed H200 sustains on such networks: an assumption, stated wherever it is used. There fp32 is TF32.
H200 = {"bf16": 300e12, "fp32": 150e12}
BACKWARD = 2  # a backward pass costs twice the forward one
STATE_BYTES = 20  # per parameter: weight, gradient, two moments of Adam, moving average, four bytes each
GATHERED_BYTES = 8  # per parameter that a worker gathers from all the shards: the weight and its gradient
PROCESS_BYTES = 600e6  # a Ray worker with torch loaded, as measured on Linux


@dataclass(frozen=True)
class ModelCost:
    """The cost of one network and window."""

    parameters: int
    flops: float  # of the forward pass
    activations: int  # bytes kept for the backward pass
    gathered: int  # parameters on a worker at once when sharded: those outside of blocks, and two blocks
    recomputed: int  # bytes kept for the backward pass when blocks are recomputed: their inputs and the inside of one


@cache
def model_cost(size: Any, frame_shape: tuple[int, int, int], clean: int, generated: int) -> ModelCost:
    """The cost of the network that `size` builds on windows [1, clean + generated, c, y, x] with frame_shape (c, y, x).

    It is read off one forward pass on the meta device in float32: FLOPs (a multiplication and an addition are two) and bytes.
    Raises UserError for a network that cannot be built, or does not return what it is given in shape.
    """
    where = f"for {clean} + {generated} frames of {frame_shape} (channels, y, x)"
    with torch.device("meta"), _network_errors(size, f"cannot be built {where}"):
        network = size.build(frame_shape, clean, generated)
        z, logsnr = torch.empty(1, clean + generated, *frame_shape), torch.zeros(1, clean + generated)
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    kept: dict[int, int] = {}
    within: list[tuple[int, int]] = []  # bytes that each block was given, and that it kept

    def keep(t: torch.Tensor) -> torch.Tensor:
        kept[id(t)] = t.numel() * t.element_size()
        return t

    before: list[int] = []
    for block in blocks:
        block.register_forward_pre_hook(lambda *_: before.append(sum(kept.values())))
        block.register_forward_hook(
            lambda _, given, __: within.append((given[0].nbytes, sum(kept.values()) - before.pop()))
        )
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t)
    with FlopCounterMode(display=False) as counter, hooks, _network_errors(size, f"fails {where}"):
        output = network(z, logsnr)
    if output.shape != z.shape:
        raise UserError(
            f"network {type(size).__name__} returns {tuple(output.shape)} {where}; it returns a window like {tuple(z.shape)}"
        )
    held = sum(kept.values())
    del output
    parameters = _count(network)
    sizes = sorted(_count(block) for block in blocks)
    inside = [inner for _, inner in within]
    return ModelCost(
        parameters,
        float(counter.get_total_flops()),
        held,
        gathered=parameters - sum(sizes[:-2]),
        recomputed=held - sum(inside) + sum(given for given, _ in within) + max(inside, default=0),
    )


@contextlib.contextmanager
def _network_errors(size: Any, verb: str) -> Iterator[None]:
    """Whatever a network that is not of this project raises, as one line."""
    try:
        yield
    except Exception as error:
        if source_of(type(size)) is None:
            raise
        raise UserError(f"network {type(size).__name__} {verb}: {type(error).__name__}: {error}") from None


def _count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@dataclass(frozen=True)
class RowCost:
    """The cost of one row and seed."""

    parameters: int
    train_flops: float
    calls: int  # network calls for one sample
    roll_flops: float  # of all samples
    rollout_bytes: int  # of all samples
    memory: float  # bytes of the largest training process, on its device


def row_cost(row: RowStages, workers: int = 1) -> RowCost:
    """The cost of one row and seed. Training is forward and twice that backward, for each of batch x steps windows; rollouts are the
    plan's network calls for each of contexts x samples films. workers: training processes, over which memory is shared."""
    method, training, sampling = row.row.method, row.model.training, row.setting.sampling
    shape = row.setting.data.frame_shape
    cost = model_cost(row.model.network, shape, method.clean, method.generated)
    plan = method.plan(sampling.horizon, sampling.calls_of(method))
    films = sampling.contexts * sampling.samples
    return RowCost(
        cost.parameters,
        cost.flops * (1 + BACKWARD) * training.batch * training.steps,
        plan.calls,
        cost.flops * plan.calls * films,
        films * sampling.horizon * frame_bytes(row.setting.data),
        training_memory(cost, training, workers),
    )


def training_memory(cost: ModelCost, training: Any, workers: int = 1) -> float:
    """Bytes of one of `workers` training processes: its share of the state, what it gathers of others', activations in float32."""
    state = float(cost.parameters * STATE_BYTES)
    if training.sharding == "full" and workers > 1:
        state = state / workers + cost.gathered * GATHERED_BYTES
    return state + (cost.recomputed if training.recompute else cost.activations) * training.unit


def h200_seconds(stages: Pipeline) -> float:
    """Seconds of one GPU for every network of a table: its models, each trained once, and its films."""
    trained = [(group[0], row_cost(group[0]).train_flops) for group in stages.by_model()]
    return sum(flops / H200[row.setting.training.precision] for row, flops in trained) + sum(
        row_cost(row).roll_flops / H200[row.setting.sampling.precision] for row in stages.rows
    )


def frame_bytes(data: Any) -> int:
    """One stored frame: a byte a pixel of video, else float32."""
    c, y, x = data.frame_shape
    return c * y * x * (1 if data.kind == "video" else 4)


def data_bytes(data: Data) -> int:
    """Frames of both splits; none where they were ingested before."""
    value = data.data
    if not hasattr(value, "simulate"):
        return 0
    return (data.train + data.test) * value.frames * frame_bytes(value)


def generated_data(stages: Pipeline) -> tuple[Data, ...]:
    """The data stages of a table, each once."""
    return tuple(dict.fromkeys(w for s in stages.settings for w in (s.data, s.test_data)))


def storage_bytes(stages: Pipeline) -> int:
    """Data, films, weights and two checkpoints of every model."""
    return sum(stage_bytes(stages).values())


def stage_bytes(stages: Pipeline) -> dict[Stage, int]:
    """What each of the large stages takes while it is made, each after those it reads. Rows may share a model."""
    sizes: dict[Stage, int] = {data: data_bytes(data) for data in generated_data(stages)}
    for row in stages.rows:
        cost = row_cost(row)
        sizes |= {row.model: cost.parameters * (4 + 2 * 16), row.rollouts: cost.rollout_bytes}
    return sizes


def missing_bytes(sizes: Mapping[Stage, int], store: Store) -> int:
    """What is still to be written of stages of these sizes: of those that are to be made, less what is there of them."""
    there = {stage: _stored(stage, store) for stage in missing(sizes, store, look=False)}
    return sum(max(0, sizes[stage] - size) for stage, size in there.items())


def _stored(stage: Stage, store: Store) -> int:
    """Bytes of the files of a stage, finished or not."""
    artifact = stage.artifact(store)
    files = (artifact.manifest() or {"files": artifact.receipts().values()})["files"]
    return sum(file["bytes"] for file in files)


def seconds_of_data(data: Data) -> float:
    """Calibration: seconds that both splits take to generate on one core."""
    value = data.data
    if not hasattr(value, "simulate"):
        return 0.0
    calibrate = getattr(value, "seconds_per_clip", None) or (lambda: _timed(value))
    return (data.train + data.test) * float(calibrate())


def _timed(value: Any) -> float:
    value.simulate([0])
    start = time.perf_counter()
    value.simulate([0])
    return time.perf_counter() - start


@dataclass(frozen=True)
class Rate:
    """What this machine computes with: `flops` float32 operations per second of one unit, of which there are `units`."""

    flops: float
    units: int
    unit: str

    @property
    def all(self) -> str:
        return f"{self.units} {self.unit}" + ("s" if self.units != 1 else "")


def calibrate() -> Rate:
    """The rate of a square matrix product on one GPU where there are any, else on one core."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus:
        return Rate(_matmul_flops("cuda", 4096), gpus, "GPU")
    return Rate(_matmul_flops("cpu", 768), processors(), "core")


def _matmul_flops(device: str, size: int) -> float:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    a = torch.full((size, size), 0.5, device=device)
    (a @ a).sum().item()
    start, rounds = time.perf_counter(), 0
    while time.perf_counter() - start < 0.3:
        (a @ a).sum().item()
        rounds += 1
    torch.set_num_threads(threads)
    return 2 * size**3 * rounds / (time.perf_counter() - start)
