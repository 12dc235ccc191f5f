"""What a table will cost, before anything starts: parameters, network calls, bytes, operations, memory and time.

Operations are counted on the meta device, where a network has shapes but no numbers, so the paper's 197 M parameters cost nothing to
look at. Time on this device comes from a short calibration; the second column of device-hours assumes an H200 in bf16 at 300 TFLOP/s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from rollbench.models.uvit import UViT
from rollbench.pipeline import RowWork, TableWork
from rollbench.spec import Table

H200 = (
    300e12  # FLOP/s in bf16 that a well-fed H200 sustains on such networks: an assumption, stated wherever it is used
)
BACKWARD = 2  # a backward pass costs twice the forward one
STATE_BYTES = 20  # per parameter: weight, gradient, two moments of Adam, moving average, four bytes each
PROCESS_BYTES = 600e6  # a Ray worker with torch loaded, as measured on Linux


@dataclass(frozen=True)
class ModelCost:
    """One network: its parameters, the operations of one window's forward pass, and the bytes a window keeps for the backward pass."""

    parameters: int
    flops: float
    activations: int


@cache
def model_cost(size: Any, frame_shape: tuple[int, int, int], clean: int, generated: int) -> ModelCost:
    with torch.device("meta"):
        network = UViT(size, frame_shape, clean, generated)
        z, logsnr = torch.empty(1, clean + generated, *frame_shape), torch.zeros(1, clean + generated)
    kept: dict[int, int] = {}

    def keep(t: torch.Tensor) -> torch.Tensor:
        kept[id(t)] = t.numel() * t.element_size()
        return t

    with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        output = network(z, logsnr)
    held = sum(kept.values())
    del output
    parameters = sum(p.numel() for p in network.parameters())
    return ModelCost(parameters, float(counter.get_total_flops()), held)


@dataclass(frozen=True)
class RowCost:
    """One row and seed. calls: network calls for one film; flops of all its training and of all its films; bytes of its films."""

    parameters: int
    train_flops: float
    calls: int
    roll_flops: float
    film_bytes: int
    memory: float


def row_cost(row: RowWork, table: Table) -> RowCost:
    method, training, sampling = row.row.method, table.training, table.sampling
    shape = table.data.frame_shape
    cost = model_cost(table.network, shape, method.clean, method.generated)
    plan = method.plan(sampling.horizon, sampling.calls_per_frame)
    frame = 4 * shape[0] * shape[1] * shape[2]
    return RowCost(
        cost.parameters,
        cost.flops * (1 + BACKWARD) * training.batch * training.steps,
        plan.calls,
        cost.flops * plan.calls * sampling.contexts,
        sampling.contexts * sampling.horizon * frame,
        cost.parameters * STATE_BYTES + cost.activations * training.unit,
    )


def data_bytes(table: Table) -> int:
    """Frames of both splits, float32."""
    c, y, x = table.data.frame_shape
    return (table.train_clips + table.sampling.contexts) * table.data.frames * c * y * x * 4


def storage_bytes(works: TableWork) -> int:
    """Data, films, weights and two checkpoints of every row."""
    costs = [row_cost(row, works.table) for row in works.rows]
    return int(data_bytes(works.table) + sum(c.film_bytes + c.parameters * (4 + 2 * 16) for c in costs))


def seconds_per_frame(table: Table) -> float:
    """Calibration of the simulation: seconds that one frame of one trajectory takes on one core, from one outer step (after another
    that warms up), side by side with as many as fit a cache."""
    lanes = min(table.data.lanes, max(1, 2**17 // table.data.grid**2))
    data = replace(table.data, frames=1, frame_interval=min(table.data.max_dt, table.data.frame_interval), lanes=lanes)
    data.simulate(range(lanes))
    start = time.perf_counter()
    data.simulate(range(lanes))
    return (time.perf_counter() - start) / lanes * table.data.frame_interval / data.frame_interval


def flops_per_second() -> float:
    """Calibration of the network: float32 operations per second of a square matrix product on this device (one core, or the GPU)."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 768
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
