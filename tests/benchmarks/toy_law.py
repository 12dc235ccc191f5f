"""Trained once on a nonlinear toy, rolling and standard diffusion approach its true law as network calls grow.

    python tests/benchmarks/toy_law.py --figure tests/benchmarks/toy_law.png

The toy is a particle in a double well, dX = (X - X³) dt + 0.7 dW, seen every 0.5: bimodal, Markov, far from Gaussian. A small
network is trained per method and rolled out for 12 frames from one (four minutes of one core in all). The films' law is
set against the truth by the energy distance of (context, film) in R¹³: an unbiased estimate on 8,192 films against three
sets of true ones, zero for equal laws; what it says of more true films is its noise. Both windows must come
closer with each doubling of the calls until they are within that noise, else the command fails.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from rollbench import Denoiser, Rolling, Standard, rollout
from rollbench.methods import DiffusionMethod

HORIZON, FILMS, PIXELS = 12, 8, 1024
CALLS = (1, 2, 4, 8, 16, 32)
METHODS: dict[str, DiffusionMethod] = {
    "rolling (1-6)": Rolling(1, 6),
    "standard (1-6)": Standard(1, 6),
    "standard (1-1)": Standard(1, 1),
}


def double_well(paths: int, frames: int, generator: torch.Generator, substeps: int = 50, warmup: int = 20) -> Tensor:
    """Stationary paths [paths, frames], one frame every 0.5, by Euler-Maruyama in steps of 0.01."""
    x, seen, dt = torch.randn(paths, generator=generator), [], 0.5 / substeps
    for _ in range(warmup + frames):
        for _ in range(substeps):
            x = x + (x - x**3) * dt + 0.7 * math.sqrt(dt) * torch.randn(paths, generator=generator)
        seen.append(x)
    return torch.stack(seen[warmup:], 1)


class Window(nn.Module):
    """A residual network over the frames of a window; places behind [b, w, 1] are processes of their own."""

    def __init__(self, frames: int, width: int = 96, blocks: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(4 * frames, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(blocks)
        )
        self.last = nn.Linear(width, frames)

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        rows = z[:, :, 0].movedim(1, -1)  # [b, ..., w]
        level = logsnr.reshape(len(z), *(1,) * (rows.ndim - 2), -1).expand(rows.shape)
        h = self.first(torch.cat([rows, level / 15, torch.tanh(level / 2), torch.tanh(level / 2) * rows], -1))
        for block in self.blocks:
            h = h + block(h)
        return self.last(h).movedim(-1, 1)[:, :, None]


def train(method: DiffusionMethod, paths: Tensor, steps: int, batch: int = 1024) -> Denoiser:
    """The average of the weights over the last tenth, of Adam with a rate that falls to zero."""
    torch.manual_seed(0)
    denoiser, generator = Denoiser(Window(method.window)), torch.Generator().manual_seed(1)
    average = torch.optim.swa_utils.AveragedModel(denoiser)
    optimiser = torch.optim.Adam(denoiser.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    starts = paths.shape[1] - method.window + 1
    for step in range(steps):
        row = torch.randint(len(paths), (batch, 1), generator=generator)
        column = torch.randint(starts, (batch, 1), generator=generator) + torch.arange(method.window)
        loss = method.loss(denoiser, paths[row, column][..., None], generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step >= 0.9 * steps:
            average.update_parameters(denoiser)
    return average.module


class Truth:
    """Sets of true films [n, d] to measure others against."""

    def __init__(self, sets: list[Tensor]) -> None:
        self.sets = [(each, within(each)) for each in sets]

    def distance(self, films: Tensor) -> float:
        """Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|, unbiased, averaged over the true sets."""
        own = within(films)
        each = [2 * float(torch.cdist(films, true).double().mean()) - own - theirs for true, theirs in self.sets]
        return sum(each) / len(each)


def within(films: Tensor) -> float:
    """E|X - X'| over different films."""
    n = len(films)
    return float(torch.cdist(films, films).double().sum()) / (n * (n - 1))


def films(denoiser: Denoiser, method: DiffusionMethod, context: Tensor, calls: int) -> Tensor:
    """[context, film] of every start in `context` [n]; each pixel is one start."""
    past = context.reshape(FILMS, 1, 1, PIXELS)
    out = rollout(denoiser, method, past, HORIZON, calls, seed=3)
    return torch.cat([past, out], 1)[:, :, 0].transpose(1, 2).reshape(-1, 1 + HORIZON)


def changed(paths: Tensor) -> float:
    """Share of paths that end in the other well."""
    return float((paths[:, 0].sign() != paths[:, -1].sign()).double().mean())


def draw(distances: dict[str, list[float]], noise: float, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for (name, values), marker in zip(distances.items(), "os^", strict=True):
        axes.loglog(CALLS, [max(value, noise / 10) for value in values], marker=marker, label=name)
    axes.axhspan(noise / 10, noise, color="0.9", label="noise: three standard errors of true films")
    axes.set(xlabel="network calls per emitted frame", ylabel="energy distance to the true law")
    axes.set_xticks(CALLS, [str(k) for k in CALLS])
    axes.set_title("Double well, 12 frames from one, equal calls per frame")
    axes.legend()
    figure.savefig(path, dpi=110)


def approaches(values: list[float], noise: float) -> bool:
    """Each doubling of the calls brings the law closer, until it is within the noise; and it gets there."""
    pairs = zip(values, values[1:], strict=False)
    return values[-1] < noise and all(after < before or before < noise for before, after in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4_000, help="training steps per method")
    parser.add_argument("--figure", type=Path, help="write the figure here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    training = double_well(20_000, 24, generator)
    start, *sets = double_well(8 * FILMS * PIXELS, 1 + HORIZON, generator).split(FILMS * PIXELS)
    truth = Truth(sets[:3])
    still = [truth.distance(each) for each in sets[3:]]
    noise = 3 * math.sqrt(sum(value**2 for value in still) / len(still))
    print(f"noise of the distance (three standard errors): {noise:.5f}; films that changed wells: {changed(start):.3f}")
    distances: dict[str, list[float]] = {}
    for name, method in METHODS.items():
        denoiser, distances[name] = train(method, training, options.steps), []
        for calls in CALLS:
            made = films(denoiser, method, start[:, 0], calls)
            distances[name].append(truth.distance(made))
            line = f"{distances[name][-1]:+.5f}, changed wells {changed(made):.3f}"
            print(f"{name:>15}, {calls:2d} calls per frame: {line}", flush=True)
    if options.figure:
        draw(distances, noise, options.figure)
    kept = all(approaches(distances[name], noise) for name in ("rolling (1-6)", "standard (1-6)"))
    print(f"both windows approach the true law as calls grow: {kept}")
    return int(not kept)


if __name__ == "__main__":
    raise SystemExit(main())
