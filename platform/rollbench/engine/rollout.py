"""Rolls out a trained model: Ray actors that each hold the model process groups of test clips.

A group is a fixed range of test clips and one network batch per sample. The noise of a sample is seeded by (run seed, clip id, sample), so
samples depend neither on the number of groups per call nor on the number of actors.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rollbench.config.sampling import Degradation
from rollbench.diffusion.denoiser import PIXEL_RANGE, Denoiser
from rollbench.diffusion.rollout import rollout
from rollbench.engine.actor_pool import ActorPool
from rollbench.engine.model import load_denoiser, own_device
from rollbench.engine.run_stage import StageOutput, write_missing
from rollbench.models.precision import computing
from rollbench.pipeline.frames import Normalisation, Split, read_range, stored
from rollbench.pipeline.graph import Rollouts
from rollbench.progress import Progress
from rollbench.store.artifact import Store
from rollbench.store.tensors import tensor_column


def generate(stage: Rollouts, store: Store, progress: Progress, pool: ActorPool) -> StageOutput:
    """Roll out the missing groups."""
    sampling = stage.sampling
    pending, label = groups(sampling.contexts, sampling.group), f"roll out {stage.title}"
    write = pool.write(RolloutWriter, stage, store)
    return StageOutput(write_missing(stage.artifact(store), pending, progress, label, "groups", write))


def groups(contexts: int, group: int) -> list[dict[str, Any]]:
    """The groups of test clips, the unit of work of every stage after the model."""
    return [{"name": f"part-{g:05d}.arrow", "group": g} for g in range(-(-contexts // group))]


class RolloutWriter:
    """Holds one model and turns group numbers into shards of samples. denoiser: the model, by default that of the finished stage."""

    def __init__(self, stage: Rollouts, store: Store, denoiser: Denoiser | None = None) -> None:
        self.stage, self.store, self.artifact = stage, store, stage.artifact(store)
        self.normalisation = Normalisation.of(stage.model.data, store)
        self.device = own_device()
        self.denoiser = (denoiser or load_denoiser(stage.model, store)).to(self.device)
        self.denoiser.clip = PIXEL_RANGE if stage.sampling.clip else None

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        sampling = self.stage.sampling
        split, films = self.films(shard["group"])
        frames = stored(films.reshape(-1, *films.shape[2:]), self.normalisation.video)
        ids = [name for name in split.ids for _ in range(sampling.samples)]
        samples = list(range(sampling.samples)) * len(split.ids)
        return self.artifact.write_table(
            shard["name"], pa.table({"clip_id": ids, "sample": samples, "frames": tensor_column(frames)})
        )

    def films(self, group: int) -> tuple[Split, np.ndarray]:
        """The real clips of a group, and films [k, samples, horizon, c, y, x] from their contexts."""
        sampling = self.stage.sampling
        first = group * sampling.group
        count = min(sampling.group, sampling.contexts - first)
        split = read_range(self.stage.test_data, self.store, "test", self.stage.first + first, count)
        return split, self.from_contexts(split)

    def from_contexts(self, split: Split) -> np.ndarray:
        """Samples [k, samples, horizon, c, y, x] from the contexts of clips, in the data's units."""
        sampling = self.stage.sampling
        past = np.stack([context(clip, self.stage.method.clean, sampling.horizon) for clip in split.clips])
        seen = self.normalisation.apply(past)
        if sampling.degradation is not None:
            seen = degraded(seen, split.ids, sampling.degradation)
        return np.stack([self._sample(seen, split.ids, sample) for sample in range(sampling.samples)], axis=1)

    def _sample(self, seen: np.ndarray, ids: Any, sample: int) -> np.ndarray:
        """One film [k, horizon, c, y, x] of each context, in the data's units."""
        sampling, method = self.stage.sampling, self.stage.method
        with torch.inference_mode(), computing(sampling.precision, self.device):
            films = rollout(
                self.denoiser,
                method,
                torch.from_numpy(seen).to(self.device),
                sampling.horizon,
                sampling.calls_of(method),
                seed=self.stage.seed,
                ids=ids,
                sample=sample,
                sampler=sampling.sampler,
            )
        return self.normalisation.undo(films.float().cpu().numpy())


def context(clip: np.ndarray, count: int, horizon: int) -> np.ndarray:
    """The `count` frames before the last `horizon` ones: what is scored is the end of a clip, past a flow's spin-up."""
    end = len(clip) - horizon
    return clip[end - count : end]


def degraded(seen: np.ndarray, ids: Any, how: Degradation) -> np.ndarray:
    """Contexts [k, clean, c, y, x] as networks see them, with lost frames replaced and noise added, each clip's its own."""
    kept = max(1, seen.shape[1] - how.dropped)
    seen = np.concatenate([seen[:, :kept], np.repeat(seen[:, kept - 1 : kept], seen.shape[1] - kept, axis=1)], axis=1)
    noise = [np.random.default_rng([1, zlib.crc32(name.encode())]).standard_normal(seen.shape[1:]) for name in ids]
    return (seen + how.noise * np.stack(noise)).astype(np.float32)
