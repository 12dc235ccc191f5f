"""The state of a training run, and one step of it.

The unit of work is the micro-batch. Micro-batch j of step i owns its windows (samples i*batch + j*unit ...), its times
and noise (a generator) and its dropout masks, all seeded by (seed, i, j). A worker takes the micro-batches j = rank,
rank + world, ...; their gradients are averaged over the global batch. So the number of workers, and whether they share
one model out among them, moves results by rounding only, and the complete state of a run is its step, weights, averaged
weights and optimiser: there is no other. A checkpoint holds it whole, so any number of workers may go on from it.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from rollbench.datasets.windows import Windows
from rollbench.diffusion.denoiser import Denoiser
from rollbench.methods.base import Method
from rollbench.models.ema import Ema, ema_decay
from rollbench.models.precision import computing
from rollbench.training import checkpoint, sharding
from rollbench.training.batches import Prefetcher, order
from rollbench.training.optimiser import optimisers
from rollbench.training.settings import Training


class NotFinite(RuntimeError):
    """The loss or the gradient is not a number any more."""


class Objective(nn.Module):
    """The loss of a method as a module, so that DistributedDataParallel can wrap it."""

    def __init__(self, denoiser: Denoiser, method: Method):
        super().__init__()
        self.denoiser, self.method = denoiser, method

    def forward(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return self.method.loss(self.denoiser, x, generator)


def micro_seed(seed: int, step: int, index: int, purpose: str) -> int:
    """The seed of what micro-batch `index` of `step` owns of `purpose` ("noise" or "dropout"): 63 bits of a sha256."""
    text = f"{seed}/{step}/{index}/{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class Run:
    """The state of a run, and what moves it: `advance` by one step, `save` and `resume`, `report`, `finish`."""

    def __init__(
        self,
        denoiser: Denoiser,
        method: Method,
        windows: Windows,
        training: Training,
        seed: int,
        device: torch.device,
        rank: int,
        world: int,
    ):
        self.denoiser, self.windows, self.training, self.seed = denoiser, windows, training, seed
        self.device, self.rank, self.world = device, rank, world
        self.objective: nn.Module = Objective(denoiser, method)
        self.sharded = world > 1 and training.sharding == "full"
        if self.sharded:
            self.objective = sharding.shard(self.objective, device, world)
        else:
            denoiser.to(device)
        self.weights = dict(denoiser.named_parameters())
        self.ema = Ema(denoiser, ema_decay(training.steps) if training.ema is None else training.ema)
        self.optimisers = optimisers(self.weights, training)
        if world > 1 and not self.sharded:
            self.objective = DistributedDataParallel(self.objective, gradient_as_bucket_view=True)
        self.step = 0
        self.seconds = 0.0  # of training, over all resumed parts
        self.history: list[dict[str, float]] = []
        self.unreported: list[list[float]] = []  # [loss, gradient norm] of each step since the last report
        self._pending: list[Tensor] = []  # the same, still on the device: reading it at once would stall a GPU
        self._order = order(training.micro_batches, rank, world, together=self.sharded)
        self._ahead = Prefetcher(windows, training, [index for index, _ in self._order], device)
        self._clock = time.perf_counter()

    def advance(self) -> None:
        """One optimiser step on the global batch."""
        t = self.training
        total = torch.zeros((), device=self.device)
        for place, (_, weight) in enumerate(self._order):
            with self._syncing(place + 1 == len(self._order)):
                loss = self._loss(place) * (
                    weight * self.world / t.micro_batches
                )  # the mean over workers will be taken
                loss.backward()
            total += loss.detach() / self.world
        norm = self._clip()
        for optimiser, peak in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = t.rate(self.step, peak)
            optimiser.step()
            optimiser.zero_grad()
        self.ema.update()
        self._pending.append(torch.stack([total, norm]))
        self.step += 1

    def _clip(self) -> Tensor:
        """Scale the gradient to at most its largest norm; its norm before."""
        if self.sharded:
            return sharding.clip((p.grad for p in self.weights.values() if p.grad is not None), self.training.grad_clip)
        return clip_grad_norm_(self.weights.values(), self.training.grad_clip)

    def _syncing(self, last: bool) -> AbstractContextManager[None]:
        """Gradients travel between workers once per step, in the backward pass of a worker's last micro-batch.

        Those of shards travel with every micro-batch: to keep them whole until the last would take as much memory as a model.
        """
        if isinstance(self.objective, DistributedDataParallel) and not last:
            return self.objective.no_sync()
        return nullcontext()

    def _loss(self, place: int) -> Tensor:
        """The loss of the micro-batch at a place of this worker's order."""
        t, (index, _) = self.training, self._order[place]
        x = self._ahead.take(self.step, place).to(self.device, non_blocking=True)
        noise, dropout = (micro_seed(self.seed, self.step, index, purpose) for purpose in ("noise", "dropout"))
        generator = torch.Generator(self.device).manual_seed(noise)
        with (
            torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []),
            # A cache of cast weights would keep every block that was gathered.
            computing(t.precision, self.device, cache=not self.sharded),
        ):
            torch.manual_seed(dropout)
            return self.objective(x, generator)

    def report(self) -> dict[str, float]:
        """The mean loss and gradient norm since the last report, now part of the history."""
        self._settle()
        losses, norms = zip(*self.unreported, strict=True)
        self.unreported = []
        metrics = {
            "loss": math.fsum(losses) / len(losses),
            "grad_norm": math.fsum(norms) / len(norms),
            "learning_rate": self.training.rate(self.step - 1),
        }
        self.history.append({"step": self.step, **metrics})
        return metrics

    def _settle(self) -> None:
        """Read the pending numbers from the device; the loss is summed over the workers."""
        if not self._pending:
            return
        numbers = torch.stack(self._pending)
        first = self.step - len(self._pending)
        self._pending = []
        if self.world > 1:
            losses = numbers[:, 0].contiguous()
            dist.all_reduce(losses)
            numbers[:, 0] = losses
        for step, (loss, norm) in enumerate(numbers.tolist(), start=first):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise NotFinite(
                    f"step {step}: loss {loss}, gradient norm {norm}: must be finite; choose a lower learning_rate "
                    f"(now {self.training.rate(step):.3g}) or a longer warmup, and look at the data"
                )
            self.unreported.append([loss, norm])

    def broadcast_flag(self, due: bool) -> bool:
        """Rank 0's answer, for all: clocks differ."""
        if self.world == 1:
            return due
        answer = torch.tensor(float(due), device=self.device)
        dist.broadcast(answer, 0)
        return bool(answer)

    def _tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state, live: what is saved from here is copied back to here."""
        state: dict[str, Tensor] = {f"weights/{name}": p.detach() for name, p in self.weights.items()}
        state |= {f"ema/{name}": average for name, average in self.ema.weights.items()}
        for name, p in self.weights.items():
            kept = (value for optimiser, _ in self.optimisers for value in optimiser.state.get(p, {}).items())
            state |= {f"optimiser/{name}/{key}": value for key, value in kept}
        return state

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be this run's."""
        run = {
            "training": self.training.identity(),
            "seed": self.seed,
            "windows": [len(self.windows), *self.windows.shape],
            "parameters": {name: list(p.shape) for name, p in self.weights.items()},
        }
        return json.loads(json.dumps(run))

    def _facts(self) -> dict[str, Any]:
        now = time.perf_counter()
        self.seconds, self._clock = self.seconds + now - self._clock, now
        return {
            "step": self.step,
            "next_sample": self.step * self.training.batch,
            "random": "windows, times, noise and dropout of micro-batch j of step i are seeded by (seed, i, j)",
            "ema_decay": self.ema.decay,
            "seconds": self.seconds,
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "workers": self.world,
            "sharded": self.sharded,
            "parameter_count": sum(p.numel() for p in self.weights.values()),
            "run": self._identity(),
            "unreported": self.unreported,
            "history": self.history,
        }

    def save(self, folder: Path, keep: int) -> Path | None:
        """Write the complete state (rank 0), all steps so far being finite."""
        self._settle()
        tensors = self._gathered(self._tensors())
        if self.rank != 0:
            return None
        return checkpoint.save_step(folder, self.step, tensors, self._facts(), keep)

    def _gathered(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """`tensors` whole, on rank 0; one of shards after the other, so that a device holds one whole tensor at a time."""
        if not self.sharded:
            return tensors
        found = {}
        for name, value in tensors.items():
            full = sharding.whole(value)
            if self.rank == 0:
                found[name] = full.cpu()
        return found

    def resume(self, folder: Path) -> None:
        """Take up the newest whole checkpoint that rank 0 finds in `folder`, if any, on all workers."""
        found = checkpoint.load_latest(folder) if self.rank == 0 else None
        facts = [found[1] if found else None]
        if self.world > 1:
            dist.broadcast_object_list(facts, 0, device=self.device)
        if facts[0] is None:
            return
        if facts[0]["run"] != self._identity():
            differing = [key for key, value in self._identity().items() if facts[0]["run"].get(key) != value]
            raise ValueError(f"{folder}: its run has another {', '.join(differing)}; choose another folder")
        with torch.no_grad():
            for name, value in self._tensors().items():
                content = found[0][name] if found else torch.empty(value.shape, dtype=value.dtype)
                content = content.to(self.device)
                if self.world > 1:
                    dist.broadcast(content, 0)
                sharding.fill(value, content)
        self.step, self.seconds = facts[0]["step"], facts[0]["seconds"]
        self.history, self.unreported = facts[0]["history"], facts[0]["unreported"]

    def _averaged(self) -> dict[str, Tensor]:
        """A state_dict of the denoiser with averaged weights, on rank 0."""
        return self._gathered({**self.denoiser.state_dict(), **self.ema.weights})

    def show_average(self, show: Callable[[dict[str, Tensor]], None]) -> None:
        """Call `show` on rank 0 with the averaged weights, and leave its time out of the run's."""
        weights, start = self._averaged(), time.perf_counter()
        if self.rank == 0:
            show(weights)
        self._clock += time.perf_counter() - start

    def finish(self, folder: Path) -> Path:
        """Write averaged weights and the facts of the run to `folder/final`; all workers return when it is there."""
        tensors = self._averaged()
        if self.rank == 0:
            checkpoint.save(folder, checkpoint.FINAL, tensors, self._facts())
        if self.world > 1:
            dist.barrier()
        return folder / checkpoint.FINAL
