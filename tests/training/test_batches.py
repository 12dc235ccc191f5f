"""Which micro-batches a worker does, and that their windows are read ahead."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from rollbench.datasets.windows import Windows
from rollbench.training.batches import Prefetcher, order
from rollbench.training.settings import Training


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("count", "world"), [(4, 2), (5, 2), (7, 3), (2, 1)])
def test_every_micro_batch_counts_once(count: int, world: int, together: bool) -> None:
    orders = [order(count, rank, world, together=together) for rank in range(world)]
    assert sorted(index for own in orders for index, weight in own if weight) == list(range(count))
    if together:
        assert len({len(own) for own in orders}) == 1


def test_windows_of_the_next_micro_batch_are_read_ahead() -> None:
    """Worker 1 of 2: its micro-batches 1 and 3 of every step, in turn, each read once, and an error where it belongs."""
    windows = Windows([np.random.default_rng(k).normal(size=(10, 1, 4, 4)).astype(np.float32) for k in range(6)], 3)
    read: list[int] = []

    class Told:
        def take(self, indices: range) -> Any:
            read.append(indices.start)
            if indices.start >= 22:
                raise ValueError("torn")
            return windows.take(indices)

    def expected(first: int) -> torch.Tensor:
        return torch.from_numpy(windows.take(range(first, first + 2)))

    ahead = Prefetcher(cast(Windows, Told()), Training(steps=9, batch=8, micro_batch=2), [1, 3], torch.device("cpu"))
    for step, place, first in ((0, 0, 2), (0, 1, 6), (1, 0, 10), (1, 1, 14), (2, 0, 18)):
        assert torch.equal(ahead.take(step, place), expected(first))
    with pytest.raises(ValueError, match="torn"):
        ahead.take(2, 1)
    assert read[:6] == [2, 6, 10, 14, 18, 22]
    assert torch.equal(ahead.take(0, 1), expected(6))  # as after a restart
