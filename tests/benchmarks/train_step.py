"""What the training loop costs over a loop written by hand: same network, loss, optimiser, clipping, average and batch.

    python tests/benchmarks/train_step.py

Times are of this process's CPU (of the wall where a GPU is used). The two loops alternate step by step, so that a busy
machine slows both alike; each pair of steps is a sample of the ratio: printed are their median and its 95 % interval.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from rollbench.datasets.windows import Windows
from rollbench.diffusion.denoiser import Denoiser
from rollbench.methods import Standard
from rollbench.models import TABLE4, UViT
from rollbench.training import Training
from rollbench.training.run import Run

LIMIT = 1.03
METHOD = Standard(2, 4)


def model(device: torch.device) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(UViT(TABLE4.capped((64, 64), (1, 1), 8), (2, 16, 16), 2, 4)).to(device).train()


def clips() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=(32, 2, 16, 16)).astype(np.float32) for _ in range(64)]


def ours(training: Training, device: torch.device) -> Callable[[], None]:
    return Run(model(device), METHOD, Windows(clips(), 6), training, 0, device, 0, 1).advance


def by_hand(training: Training, device: torch.device) -> Callable[[], None]:
    """What a careful person writes who needs no resuming, no workers and no shuffling beyond one permutation."""
    network = model(device)
    weights = list(network.parameters())
    average = [p.detach().clone() for p in weights]
    optimiser = torch.optim.AdamW(weights, training.learning_rate, training.betas, weight_decay=0, fused=True)
    generator = torch.Generator(device).manual_seed(0)
    data = np.stack(clips())
    order = np.random.default_rng(0).permutation([(c, t) for c in range(len(data)) for t in range(27)])
    step = 0

    def advance() -> None:
        nonlocal step
        rows = [order[i % len(order)] for i in range(step * training.batch, (step + 1) * training.batch)]
        x = torch.from_numpy(np.stack([data[c, t : t + 6] for c, t in rows])).to(device)
        loss = METHOD.loss(network, x, generator)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, training.grad_clip)
        optimiser.param_groups[0]["lr"] = training.rate(step)
        optimiser.step()
        optimiser.zero_grad()
        torch._foreach_lerp_(average, [p.detach() for p in weights], 0.001)
        step += 1

    return advance


def seconds(advance: Callable[[], None], steps: int, device: torch.device) -> float:
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize()
    start = clock()
    for _ in range(steps):
        advance()
    if on_gpu:
        torch.cuda.synchronize()
    return (clock() - start) / steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device, training = torch.device(options.device), Training(steps=100_000, batch=32)
    loops = [ours(training, device), by_hand(training, device)]
    for advance in loops:
        seconds(advance, 3, device)
    times = np.array(
        [[seconds(a, 1, device) for a in loops[:: (-1) ** turn]][:: (-1) ** turn] for turn in range(options.turns)]
    )
    ratios = times[:, 0] / times[:, 1]
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.percentile(np.median(draws, 1), [2.5, 97.5])
    ratio = np.median(ratios)
    print(
        f"a training step on {device}: ours {np.median(times[:, 0]) * 1e3:.1f} ms, by hand {np.median(times[:, 1]) * 1e3:.1f} ms"
    )
    print(f"ratio {ratio:.3f} (95 % interval {low:.3f} to {high:.3f}, {options.turns} turns); the limit is {LIMIT}")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
