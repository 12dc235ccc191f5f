"""Films from a trained model: a Ray Data pipeline over groups of clips, one model per actor.

A group holds a fixed range of test clips and is one network batch, and each film's noise is seeded by (run seed, clip id, sample).
So films depend neither on how many groups an actor is handed at a time nor on how many actors there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
import torch

from rollbench.diffusion.rollout import rollout
from rollbench.engine.cluster import WORKER_CPUS
from rollbench.engine.model import load_denoiser
from rollbench.engine.progress import Progress
from rollbench.engine.shards import Normalisation, read_split
from rollbench.engine.stages import Product, write_shards
from rollbench.pipeline import Work
from rollbench.store import Store, tensor_column


def generate(
    work: Work, store: Store, progress: Progress, *, actors: int = 1, batch: int = 1, gpus: float = 0.0
) -> Product:
    """Roll out the groups that are not there yet.

    actors: processes, each with one model. batch: groups handed to an actor at a time.
    """
    stage, sampling = work.stage(store), work.made_from["sampling"]
    groups = [{"name": f"part-{g:05d}.arrow", "group": g} for g in range(-(-sampling.contexts // sampling.group))]
    roll = {"fn_constructor_kwargs": {"work": work, "store": store}, "batch_size": batch, "num_gpus": gpus}
    return Product(
        write_shards(
            stage,
            groups,
            progress,
            f"roll out {work.title}",
            "groups",
            lambda items: items.map_batches(
                Roller, compute=ray.data.ActorPoolStrategy(size=actors), num_cpus=WORKER_CPUS, **roll
            ),
        )
    )


class Roller:
    """An actor that holds one model and the test split's contexts, and turns group numbers into shards of films."""

    def __init__(self, work: Work, store: Store) -> None:
        torch.set_num_threads(1)
        (model,) = work.needs
        (data,) = model.needs
        manifest = data.stage(store).manifest()
        self.work, self.stage = work, work.stage(store)
        self.normalisation = Normalisation.of(manifest or {})
        self.split = read_split(data.stage(store), "test")
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.denoiser = load_denoiser(model, store).to(self.device)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        receipts = [self._roll(name, int(group)) for name, group in zip(batch["name"], batch["group"], strict=True)]
        return {name: [r[name] for r in receipts] for name in receipts[0]}

    def _roll(self, name: str, group: int) -> dict[str, Any]:
        sampling, method = self.work.made_from["sampling"], self.work.made_from["method"]
        chosen = range(group * sampling.group, min((group + 1) * sampling.group, sampling.contexts))
        ids = [self.split.ids[i] for i in chosen]
        past = np.stack([context(self.split.clips[i], method.clean, sampling.horizon) for i in chosen])
        with torch.inference_mode():
            films = rollout(
                self.denoiser,
                method,
                torch.from_numpy(self.normalisation.apply(past)).to(self.device),
                sampling.horizon,
                sampling.calls_per_frame,
                seed=self.work.made_from["seed"],
                ids=ids,
                sampler=sampling.sampler,
            )
        frames = self.normalisation.undo(films.float().cpu().numpy())
        return self.stage.write_table(name, pa.table({"clip_id": ids, "frames": tensor_column(frames)}))


def context(clip: np.ndarray, clean: int, horizon: int) -> np.ndarray:
    """The `clean` frames before the last `horizon` ones: what is scored is the end of a trajectory, past the flow's spin-up."""
    end = len(clip) - horizon
    return clip[end - clean : end]
