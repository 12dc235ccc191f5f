"""Previews of a training run on its Ray worker: one training clip, rolled out with the weights averaged so far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from rollbench.engine.model import build_denoiser
from rollbench.engine.rollout import RolloutWriter
from rollbench.pipeline.frames import read_range
from rollbench.pipeline.graph import Rollouts
from rollbench.store.artifact import Store


class Preview:
    """Calls give frames [2, t, c, y, x] in the data's units: the end of the first training clip, and a sample of the same context.

    rollouts: says how samples are generated. The clip is of the training split, so that no test clip is looked at while a run can still
    be changed. The network is a copy, and every draw has a seed of its own: the run computes the same with previews and without.
    """

    def __init__(self, rollouts: Rollouts, store: Store) -> None:
        one = replace(rollouts.sampling, group=1, samples=1, degradation=None)
        self.denoiser = build_denoiser(rollouts.model).eval()
        self.writer = RolloutWriter(replace(rollouts, sampling=one), store, self.denoiser)
        self.split = read_range(rollouts.model.data, store, "train", 0, 1)
        self.context = rollouts.method.clean

    def __call__(self, weights: dict[str, Tensor]) -> np.ndarray:
        self.denoiser.load_state_dict(weights)
        sample = self.writer.from_contexts(self.split)[0, 0]
        real = np.asarray(self.split.clips[0])[-len(sample) - self.context :]
        return np.stack([real, np.concatenate([real[: self.context], sample])])
