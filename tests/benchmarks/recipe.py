"""Each lever of the laptop's video recipe alone, at equal CPU time: what a network predicts of clips that it never saw.

    python tests/benchmarks/recipe.py [--seconds 60] [--seeds 0 1 2] [--only muon shift]

A variant is the recipe of scale `laptop` with one choice taken back to the paper's, or with another learning rate. It takes as many steps
as fit the CPU seconds, which is measured on its first steps, and its learning rate falls to zero within them. Printed is 10³ times the mean
square error of the predicted clean frames, pixels from 0 to 1, where all generated frames have noise of standard deviation 0.05, 0.2 and 1
pixel ranges: the mean over seeds, and the standard deviation over seeds in brackets. No table uses these clips (ids from 10,000), so a
choice may be made on them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.table3 import TABLE
from rollbench import Denoiser, Standard, UViT, fit
from rollbench.config.scale import at_scale, scale
from rollbench.config.table import Setting
from rollbench.datasets.windows import Windows
from rollbench.diffusion.denoiser import PIXEL_RANGE
from rollbench.diffusion.process import add_noise
from rollbench.training.loop import CheckpointPolicy, load_final

SETTING = at_scale(TABLE, scale("laptop")).settings[0]
METHOD = Standard(5, 11)
HELD_OUT, COUNT, PROBE = 10_000, 24, 12  # first id, clips; steps that are timed
NOISE = (0.05, 0.2, 1.0)  # standard deviations, in pixel ranges


def changed(network: dict[str, Any] | None = None, training: dict[str, Any] | None = None) -> Setting:
    """The laptop's setting with changed fields of its network or training."""
    return replace(
        SETTING,
        network=replace(SETTING.network, **(network or {})),
        training=replace(SETTING.training, **(training or {})),
    )


VARIANTS = {
    "recipe": changed(),
    "no shift": changed(network={"shift": False}),
    "channels": changed(network={"context": "channels"}),
    "patches of 4": changed(
        network={"channels": (64, 128), "blocks": (1, 2), "kinds": ("conv", "full"), "dropout": (0.0, 0.0), "grid": 8}
    ),
    "8 windows": changed(training={"batch": 8, "micro_batch": 8}),
    "Adam 1e-3": changed(training={"optimiser": "adam", "learning_rate": 1e-3}),
    "Adam 5e-3": changed(training={"optimiser": "adam"}),
    "Muon 0.01": changed(training={"matrix_rate": 0.01}),
    "Muon 0.04": changed(training={"matrix_rate": 0.04}),
}


def trained(setting: Setting, seed: int, clips: np.ndarray, steps: int) -> Denoiser:
    """A denoiser after `steps` steps on clips [k, t, c, y, x], its weights averaged."""
    torch.manual_seed(seed)
    denoiser = Denoiser(UViT(setting.network, clips.shape[2:], METHOD.clean, METHOD.generated), clip=PIXEL_RANGE)
    windows = Windows(list(clips), METHOD.window, seed=seed, centre=127.5, scale=127.5, shape=clips.shape[1:])
    never = CheckpointPolicy(report=steps, seconds=None)
    with tempfile.TemporaryDirectory() as folder:
        final = fit(
            denoiser, METHOD, windows, replace(setting.training, steps=steps), seed=seed, folder=Path(folder), device="cpu", keeping=never
        )  # fmt: skip
        denoiser.load_state_dict(load_final(final)[0])
    return denoiser.eval()


@torch.inference_mode()
def errors(denoiser: Denoiser, clips: np.ndarray) -> list[float]:
    """10³ times the error of the prediction at each noise level, of clips [k, t, c, y, x]."""
    x = torch.from_numpy(clips[:, -METHOD.window :].astype(np.float32) / 127.5 - 1)
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    generated = torch.arange(METHOD.window) >= METHOD.clean
    measured = []
    for level in NOISE:
        logsnr = torch.where(generated, -2 * np.log(2 * level), torch.inf).expand(len(x), -1)
        x_hat = denoiser(add_noise(x, logsnr, eps), logsnr)
        measured.append(250 * float((x_hat - x)[:, generated].square().mean()))  # networks see pixels in [-1, 1]
    return measured


def measure(name: str, setting: Setting, seeds: list[int], seconds: float) -> None:
    """Print a variant's line."""
    clips = setting.stand_in.simulate(range(setting.train_clips)).frames
    unseen = setting.stand_in.simulate(range(HELD_OUT, HELD_OUT + COUNT)).frames
    trained(setting, 0, clips, 1)  # warms up
    start = time.process_time()
    trained(setting, 0, clips, PROBE)
    steps = max(1, int(seconds / ((time.process_time() - start) / PROBE)))
    start, rows = time.process_time(), []
    for seed in seeds:
        rows.append(errors(trained(setting, seed, clips, steps), unseen))
    spent = (time.process_time() - start) / len(seeds)
    numbers = " ".join(f"{m:7.2f} ({s:.2f})" for m, s in zip(np.mean(rows, 0), np.std(rows, 0), strict=True))
    print(f"{name:>16}  {steps:5} steps of {setting.training.batch} windows, {spent:5.0f} CPU s: {numbers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of CPU time, per seed and variant")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only:
        measure(name, VARIANTS[name], options.seeds, options.seconds)


if __name__ == "__main__":
    main()
