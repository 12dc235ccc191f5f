"""Which micro-batches a worker does, and their windows, read ahead."""

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from rollbench.datasets.windows import Windows
from rollbench.training.settings import Training


def order(count: int, rank: int, world: int, *, together: bool) -> list[tuple[int, float]]:
    """(index, weight) of the micro-batches, of `count` in all, that a worker does in each step.

    together: workers that share a model out must all take part whenever one computes, so those who have fewer micro-batches than
    others do their first once more, with weight 0.
    """
    own = [(index, 1.0) for index in range(rank, count, world)]
    return own + [(rank, 0.0)] * (math.ceil(count / world) - len(own)) if together else own


class Prefetcher:
    """The windows of micro-batches; a thread reads those of the next one while this one is computed, into pinned memory for a GPU.

    order: the micro-batches of each step that this worker does, in turn.
    """

    def __init__(self, windows: Windows, training: Training, order: Sequence[int], device: torch.device):
        self.windows, self.training, self.order, self.device = windows, training, order, device
        self._thread = ThreadPoolExecutor(1, "windows")
        self._next: dict[tuple[int, int], Future[Tensor]] = {}  # at most one: of (step, place in the order)

    def take(self, step: int, place: int) -> Tensor:
        """The windows of the micro-batch at a `place` of the order in `step`: float32 [unit, window, c, y, x], on the CPU."""
        read = self._next.pop((step, place), None)
        x = self._read(step, place) if read is None else read.result()
        after = (step, place + 1) if place + 1 < len(self.order) else (step + 1, 0)
        self._next = {after: self._thread.submit(self._read, *after)}
        return x

    def _read(self, step: int, place: int) -> Tensor:
        first = step * self.training.batch + self.order[place] * self.training.unit
        x = torch.from_numpy(self.windows.take(range(first, first + self.training.unit)))
        if self.device.type != "cuda":
            return x
        with torch.cuda.device(self.device):
            return x.pin_memory()
