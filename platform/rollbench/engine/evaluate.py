"""Films to features to numbers: evaluator actors reduce each film to a few vectors, and the vectors become results with intervals.

The features of a film are its spectrum (FSD) and its squared error at each lead. They are stored, so that another bootstrap
or another number of resamples never goes back to the films.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import ray.data

from evaluators import fsd, pixel, uncertainty
from rollbench.engine.cluster import WORKER_CPUS
from rollbench.engine.progress import Progress
from rollbench.engine.shards import Split, read_split
from rollbench.engine.stages import Product, write_shards
from rollbench.pipeline import Work
from rollbench.store import Stage, Store, tensor_column, tensor_of

RESULTS = "results.parquet"
# What any forecast must beat: the last context frame, and the mean training frame.
TRIVIAL = ("persistence", "climatology")


def features_of(ids: list[str], films: np.ndarray, truth: np.ndarray) -> pa.Table:
    """One row per film: its spectrum and its mean squared error at each lead.

    films, truth: [clips, leads, channels, y, x] in the data's units (m/s).
    """
    spectra = np.stack([fsd.features(films[:, k]) for k in range(films.shape[1])], axis=1)
    errors = np.stack([pixel.mse(films[:, k], truth[:, k]) for k in range(films.shape[1])], axis=1)
    return pa.table({"clip_id": ids, "spectrum": tensor_column(spectra), "squared_error": tensor_column(errors)})


def at_leads(clips: Any, leads: tuple[int, ...], horizon: int) -> np.ndarray:
    """The frames at `leads` (1 is the first after the context) of whole trajectories: [clips, leads, c, y, x]."""
    return np.stack([clip[[len(clip) - horizon + lead - 1 for lead in leads]] for clip in clips])


# --- the real side ------------------------------------------------------------------------------------------------------------
def refer(work: Work, store: Store) -> Product:
    """Features of the truth, of as many other real trajectories (the floor) and of the trivial forecasts, once per table."""
    (data,) = work.needs
    stage, made_from = work.stage(store), work.made_from
    leads, horizon, contexts = made_from["leads"], made_from["horizon"], made_from["contexts"]
    test = read_split(data.stage(store), "test", contexts)
    other = read_split(data.stage(store), "train", contexts)
    truth = at_leads(test.clips, leads, horizon)
    still = np.stack([clip[len(clip) - horizon - 1] for clip in test.clips])
    mean = np.broadcast_to(_mean_frame(data.stage(store)), truth.shape)
    films = {
        "truth": truth,
        "floor": at_leads(other.clips, leads, horizon),
        "persistence": np.broadcast_to(still[:, None], truth.shape),
        "climatology": mean,
    }
    receipts = [
        stage.write_table(f"{name}.arrow", features_of(list(test.ids), np.ascontiguousarray(film), truth))
        for name, film in films.items()
    ]
    return Product(receipts)


def _mean_frame(data: Stage) -> np.ndarray:
    """The mean frame [c, y, x] of the training split: what a forecast without information says."""
    clips = read_split(data, "train").clips
    return sum(clip.mean(0, dtype=np.float64) for clip in clips) / len(clips)


# --- the films' side ----------------------------------------------------------------------------------------------------------
def extract(work: Work, store: Store, progress: Progress, *, actors: int = 1, batch: int = 1) -> Product:
    """Reduce a row's films to features with a pool of evaluator actors."""
    clips, _ = work.needs
    stage = work.stage(store)
    films = (clips.stage(store).manifest() or {"files": []})["files"]
    shards = [{name: film[name] for name in ("name", "bytes", "sha256")} for film in films]
    extract_with = {"fn_constructor_kwargs": {"work": work, "store": store}, "batch_size": batch}
    return Product(
        write_shards(
            stage,
            shards,
            progress,
            f"evaluate {work.title}",
            "groups",
            lambda items: items.map_batches(
                Extractor, compute=ray.data.ActorPoolStrategy(size=actors), num_cpus=WORKER_CPUS, **extract_with
            ),
        )
    )


class Extractor:
    """An actor that holds the truth at the leads and turns shards of films into shards of features."""

    def __init__(self, work: Work, store: Store) -> None:
        self.clips, data = work.needs
        self.stage, self.films = work.stage(store), self.clips.stage(store)
        sampling = self.clips.made_from["sampling"]
        self.leads = work.made_from["leads"]
        test: Split = read_split(data.stage(store), "test", sampling.contexts)
        self.truth = dict(zip(test.ids, at_leads(test.clips, self.leads, sampling.horizon), strict=True))

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        receipts = [self._extract(row) for row in rows]
        return {name: [r[name] for r in receipts] for name in receipts[0]}

    def _extract(self, row: dict[str, Any]) -> dict[str, Any]:
        table = self.films.read_table({"name": row["name"], "bytes": int(row["bytes"]), "sha256": row["sha256"]})
        ids = table.column("clip_id").to_pylist()
        films = tensor_of(table, "frames")[:, [lead - 1 for lead in self.leads]]
        return self.stage.write_table(row["name"], features_of(ids, films, np.stack([self.truth[i] for i in ids])))


# --- numbers ------------------------------------------------------------------------------------------------------------------
def score(work: Work, store: Store) -> Product:
    """Features of a row against the reference: every metric at every lead with its interval, as results.parquet."""
    features, reference = work.needs
    real = _read(reference.stage(store))
    fake = _concatenate(features.stage(store))
    return _results(work, store, _numbers(fake, real, work.made_from["resamples"], reference.made_from["leads"]))


def score_trivial(work: Work, store: Store) -> Product:
    """The trivial forecasts and the real-vs-real floor, scored like a row."""
    (reference,) = work.needs
    real, leads = _read(reference.stage(store)), reference.made_from["leads"]
    names = {"floor": ("real vs real", "floor"), **{name: (name, "baseline") for name in TRIVIAL}}
    numbers = (
        {**number, "row": row, "kind": kind}
        for name, (row, kind) in names.items()
        for number in _numbers(real[name], real, work.made_from["resamples"], leads)
    )
    return _results(work, store, numbers)


def _results(work: Work, store: Store, numbers: Iterable[dict[str, Any]]) -> Product:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.Table.from_pandas(pd.DataFrame(numbers), preserve_index=False), sink)
    return Product([work.stage(store).write(RESULTS, sink.getvalue())])


def _numbers(
    fake: dict[str, np.ndarray], real: dict[str, dict[str, np.ndarray]], resamples: int, leads: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    truth, climatology = real["truth"]["spectrum"], real["climatology"]["squared_error"]
    draws = uncertainty.resamples(
        len(truth), resamples, seed=0
    )  # the same for every row: differences can be taken pair by pair
    for k, lead in enumerate(leads):
        distance = fsd.distance(truth[:, k], fake["spectrum"][:, k])
        yield _number(
            "fsd", lead, distance, fsd.bootstrap(truth[:, k], fake["spectrum"][:, k], draws), fsd.VERSION, len(truth)
        )
        error, normal = fake["squared_error"][:, k], climatology[:, k]
        means, normals = error[draws].mean(1), normal[draws].mean(1)
        yield _number("mse", lead, error.mean(), means, pixel.VERSION, len(error))
        yield _number("mse_ratio", lead, error.mean() / normal.mean(), means / normals, pixel.VERSION, len(error))


def _number(metric: str, lead: int, value: float, replicates: np.ndarray, evaluator: str, n: int) -> dict[str, Any]:
    low, high = uncertainty.interval(value, replicates, positive=True)
    return {
        "metric": metric,
        "lead": lead,
        "value": float(value),
        "low": float(low),
        "high": float(high),
        "n": n,
        "replicates": replicates.tolist(),
        "evaluator": evaluator,
    }


def _read(stage: Stage) -> dict[str, dict[str, np.ndarray]]:
    manifest = stage.manifest() or {"files": []}
    return {f["name"].removesuffix(".arrow"): _arrays(stage.read_table(f)) for f in manifest["files"]}


def _concatenate(stage: Stage) -> dict[str, np.ndarray]:
    return _arrays(pa.concat_tables(stage.tables()))


def _arrays(table: pa.Table) -> dict[str, np.ndarray]:
    return {name: tensor_of(table, name) for name in ("spectrum", "squared_error")}
