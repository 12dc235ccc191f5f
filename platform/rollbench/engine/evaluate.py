"""From samples to features: Ray actors reduce each sample to a few vectors.

What is kept of a film is for `rollbench.pipeline.measures` to say. It is stored, so that another bootstrap, another protocol on the same
features or another number of resamples never goes back to the films.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from evaluators import weights
from rollbench.engine.actor_pool import ActorPool
from rollbench.engine.cluster import call
from rollbench.engine.model import own_device
from rollbench.engine.rollout import groups
from rollbench.engine.run_stage import StageOutput, write_missing
from rollbench.pipeline.frames import clips_of, is_video, loaded, read_range
from rollbench.pipeline.graph import Data, Features, Reference
from rollbench.pipeline.measure import EvalBatch
from rollbench.progress import Progress
from rollbench.store.artifact import Artifact, Store
from rollbench.store.tensors import tensor_column, tensor_of

WEIGHTS, MEAN = "i3d.safetensors", "mean-frame.arrow"
# What any forecast must beat: the last context frame, and the mean training frame.
TRIVIAL = ("persistence", "climatology")


PARTS = ("truth", "floor", *TRIVIAL)


MEAN_CLIPS = 1024  # training clips behind the mean frame: its own error is then a thousandth of the variance


class Evaluator:
    """Holds the networks of all measures and turns shards of films into shards of columns."""

    def __init__(self, stage: Features | Reference, store: Store) -> None:
        self.store, self.artifact = store, stage.artifact(store)
        self.test_data, self.horizon = stage.test_data, stage.horizon
        self.video = is_video(self.test_data)
        with network_weights(store) as path:
            self.reducers = [measure.reducer(path, str(own_device())) for measure in stage.measures]

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        ids, films, truth, past = self.films(item)
        seen = EvalBatch(films, truth, past, self.video)
        columns = {name: column for reduce in self.reducers for name, column in reduce(seen).items()}
        tensors = {name: tensor_column(column) for name, column in columns.items()}
        return self.artifact.write_table(item["name"], pa.table({"clip_id": ids, **tensors}))

    def films(self, item: dict[str, Any]) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
        raise NotImplementedError

    def real(self, split: str, first: int, count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Names, scored frames [k, horizon, …] and all frames before them [k, p, …] of real clips."""
        found = read_range(self.test_data, self.store, split, first, count)
        clips = np.stack(found.clips)
        return list(found.ids), clips[:, -self.horizon :], clips[:, : clips.shape[1] - self.horizon]


class RolloutFeatures(Evaluator):
    """Of a row's samples."""

    def __init__(self, stage: Features, store: Store) -> None:
        super().__init__(stage, store)
        self.rollouts = stage.rollouts

    def films(self, item: dict[str, Any]) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
        receipt = {"name": item["name"], "bytes": item["bytes"], "sha256": item["sha256"]}
        films = loaded(tensor_of(self.rollouts.artifact(self.store).read_table(receipt), "frames"), self.video)
        films = _by_clip(films, self.rollouts.samples)
        first = int(item["name"].split("-")[1].removesuffix(".arrow")) * self.rollouts.group
        ids, truth, past = self.real("test", first, len(films))
        return ids, films, truth, past[:, None]


class ReferenceFeatures(Evaluator):
    """Of the truth, of other real clips, as many as a row has films (the floor), and of the trivial forecasts, one film of a clip."""

    def __init__(self, stage: Reference, store: Store) -> None:
        super().__init__(stage, store)
        self.stage = stage
        (self.mean,) = tensor_of(self.artifact.read_table(self.artifact.receipts()[MEAN]), "mean")

    def films(self, item: dict[str, Any]) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
        group, part = self.stage.group, item["part"]
        first = item["group"] * group
        count = min(group, self.stage.contexts - first)
        ids, truth, past = self.real("test", first, count)
        if part == "floor":
            samples = self.stage.samples
            _, films, past = self.real("train", first * samples, count * samples)
            return ids, _by_clip(films, samples), truth, _by_clip(past, samples)
        films = {
            "truth": truth,
            "persistence": np.broadcast_to(past[:, -1:], truth.shape),
            "climatology": np.broadcast_to(self.mean, truth.shape),
        }[part]
        return ids, films[:, None], truth, past[:, None]


def _by_clip(films: np.ndarray, samples: int) -> np.ndarray:
    """[k · m, …] → [k, m, …]."""
    return films.reshape(-1, samples, *films.shape[1:])


def evaluate_reference(stage: Reference, store: Store, progress: Progress, pool: ActorPool) -> StageOutput:
    """Columns of the real side and of the trivial forecasts, once for all rows of a setting."""
    items = [
        {**group, "name": f"{part}-{group['name']}", "part": part}
        for part in PARTS
        for group in groups(stage.contexts, stage.group)
    ]
    artifact = stage.artifact(store)
    mean = artifact.receipts().get(MEAN) or call(_write_mean_frame, stage.test_data, artifact, store)
    write = pool.write(ReferenceFeatures, stage, store)
    return StageOutput([mean, *write_missing(artifact, items, progress, "evaluate the truth", "groups", write)])


def extract(stage: Features, store: Store, progress: Progress, pool: ActorPool) -> StageOutput:
    """Columns of a row's films."""
    films = (stage.rollouts.artifact(store).manifest() or {"files": []})["files"]
    items = [{name: film[name] for name in ("name", "bytes", "sha256")} for film in films]
    label, write = f"evaluate {stage.title}", pool.write(RolloutFeatures, stage, store)
    return StageOutput(write_missing(stage.artifact(store), items, progress, label, "groups", write))


def _write_mean_frame(data: Data, artifact: Artifact, store: Store) -> dict[str, Any]:
    """The mean frame [c, y, x] of the training split: what a forecast without information says. Of pixels, whole numbers."""
    clips = clips_of(data, store, "train", MEAN_CLIPS)
    mean = sum(clip.mean(0, dtype=np.float64) for clip in clips) / len(clips)
    frame = np.rint(mean).astype(np.uint8) if is_video(data) else mean
    return artifact.write_table(MEAN, pa.table({"mean": tensor_column(np.stack([frame]))}))


# --- the network of the video distance --------------------------------------------------------------------------------------------
def cache_i3d_weights(store: Store) -> None:
    """Find or fetch the weights of the video distance and keep them in storage, for actors on machines that reach nothing else;
    again where those in storage are damaged.

    Raises evaluators.base.UserError where they cannot be had.
    """
    artifact = _weights_stage(store)
    if artifact.damage():
        artifact.commit([artifact.write(WEIGHTS, weights.export().read_bytes())], title=weights.IDENTITY)


@contextlib.contextmanager
def network_weights(store: Store) -> Iterator[str | None]:
    """A path of the weights kept in storage; None where no table needed them."""
    artifact = _weights_stage(store)
    manifest = artifact.manifest()
    if manifest is None:
        yield None
    elif store.local:
        yield f"{artifact.path}/{WEIGHTS}"
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / WEIGHTS
            path.write_bytes(artifact.read(manifest["files"][0]))
            yield str(path)


def _weights_stage(store: Store) -> Artifact:
    return store.artifact("weights", weights.IDENTITY.replace(":", "-"))
