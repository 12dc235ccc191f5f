"""What a rollout costs over its bare network calls: plan, noise of every film, step and bookkeeping.

    python tests/benchmarks/sampler.py [--turns 21]

The network is the U-ViT at a size that takes little more than 20 ms per call. Of each rollout the whole and the time inside
the network are taken, by the CPU time of this process, so that a busy machine counts little; printed are the median ratio of
all turns and its 95 % interval. On a GPU Table 4's size is run in bf16, by the wall clock, waiting for the GPU around each
call: that hides none of our work behind the network's, as a real rollout does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from rollbench import Denoiser, Ensemble, Rolling, Standard, rollout
from rollbench.methods import Method
from rollbench.models import TABLE4, UViT

LIMIT, LEAST = 1.03, 0.020
METHODS: list[Method] = [Rolling(2, 8), Standard(2, 8), Ensemble(Rolling(2, 8), members=4)]


class Timed(nn.Module):
    """A network that adds up the time spent in it."""

    def __init__(self, network: nn.Module, clock: Callable[[], float]) -> None:
        super().__init__()
        self.network, self.clock, self.spent = network, clock, 0.0

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        start = self.clock()
        out = self.network(z, logsnr)
        self.spent += self.clock() - start
        return out


def synchronised() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(method: Method, turns: int, device: torch.device) -> bool:
    """Print one line for `method`; True if it keeps the limit."""
    gpu = device.type == "cuda"
    films, grid, clock = (32, 64, synchronised) if gpu else (1, 32, time.process_time)
    size = TABLE4 if gpu else TABLE4.capped((64,) * 3, (1,) * 3, 32)
    timed = Timed(UViT(size, (2, grid, grid), 2, 8).to(device), clock)
    generator = torch.Generator(device).manual_seed(0)
    context = torch.randn(films, 2, 2, grid, grid, generator=generator, device=device)
    horizon, calls, rows = 8, 2, []
    for turn in range(turns + 1):
        timed.spent, start = 0.0, clock()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=gpu):
            rollout(Denoiser(timed), method, context, horizon, calls)
        if turn:  # the first one warms up
            rows.append((clock() - start, timed.spent))
    ratios = np.array([whole / inside for whole, inside in rows])
    count = len(method.plan(horizon, calls).steps)
    per_call = float(np.median([inside for _, inside in rows])) / count
    draws = np.random.default_rng(0).choice(ratios, (2000, turns))
    low, high = np.percentile(np.median(draws, 1), [2.5, 97.5])
    ratio = float(np.median(ratios))
    print(
        f"{type(method).__name__:>8} {method.label:<16} {films * method.members} film(s), {count} calls of "
        f"{per_call * 1e3:.1f} ms: ratio {ratio:.4f} (95 % interval {low:.4f} to {high:.4f}, {turns} turns)"
    )
    if per_call < LEAST:
        raise SystemExit(f"the limit is stated for calls of {LEAST * 1e3:.0f} ms or more: take a larger network")
    return ratio <= LIMIT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=21)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = [measure(method, options.turns, torch.device(options.device)) for method in METHODS]
    print(f"rollout over bare network calls; the limit is {LIMIT}: {'kept' if all(kept) else 'broken'}")
    return int(not all(kept))


if __name__ == "__main__":
    raise SystemExit(main())
