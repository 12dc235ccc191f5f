"""The tidy frame of a table: one row per row × metric × lead × seed, each with its interval, its cost and the keys that made it."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from rollbench.engine.evaluate import RESULTS
from rollbench.engine.train import HISTORY
from rollbench.pipeline import RowWork, TableWork, Work
from rollbench.store import Store


def table_results(works: TableWork, scale: str, store: Store) -> pd.DataFrame:
    """All rows that have results, the trivial forecasts and the floor."""
    frames = [row_results(row, works, scale, store) for row in works.rows if row.results.stage(store).manifest()]
    return pd.concat([*frames, _trivial(works, scale, store)], ignore_index=True)


def row_results(row: RowWork, works: TableWork, scale: str, store: Store) -> pd.DataFrame:
    """The numbers of one row and seed with their cost and lineage."""
    manifests = {work.kind: work.stage(store).manifest() or {} for work in row.works()}
    numbers = _read(row.results, store)
    sampling, made = works.table.sampling, {kind: m["made"] for kind, m in manifests.items()}
    plan = row.row.method.plan(sampling.horizon, sampling.calls_per_frame)
    return numbers.assign(
        table=works.table.name,
        row=row.row.name,
        kind="method",
        scale=scale,
        seed=row.seed,
        calls_per_frame=float(plan.calls_per_frame),
        calls_per_frame_total=float(plan.calls_per_frame_total),
        parameters=manifests["model"]["parameters"],
        train_steps=works.table.training.steps,
        train_seconds=made["model"]["seconds"],
        peak_memory_bytes=manifests["model"]["peak_memory_bytes"],
        seconds=sum(made[kind]["seconds"] for kind in ("clips", "features", "results")),
        **_lineage(works.data, row.model, row.clips, row.results),
        commit=made["results"]["commit"],
        device=made["model"]["device"],
    )


def history(row: RowWork, store: Store) -> list[tuple[str, float, int]]:
    """The training history of a row's model as (metric, value, step)."""
    stage = row.model.stage(store)
    (receipt,) = (f for f in (stage.manifest() or {})["files"] if f["name"] == HISTORY)
    found = json.loads(stage.read(receipt).to_pybytes())["history"]
    return [
        (f"train_{name}", value, entry["step"]) for entry in found for name, value in entry.items() if name != "step"
    ]


def _trivial(works: TableWork, scale: str, store: Store) -> pd.DataFrame:
    made = (works.trivial.stage(store).manifest() or {})["made"]
    return _read(works.trivial, store).assign(
        table=works.table.name,
        scale=scale,
        seed=works.table.seeds[0],
        calls_per_frame=None,
        calls_per_frame_total=None,
        parameters=None,
        train_steps=None,
        train_seconds=None,
        peak_memory_bytes=None,
        seconds=made["seconds"],
        **_lineage(works.data, None, None, works.trivial),
        commit=made["commit"],
        device=made["device"],
    )


def _read(work: Work, store: Store) -> pd.DataFrame:
    stage = work.stage(store)
    (receipt,) = (f for f in (stage.manifest() or {})["files"] if f["name"] == RESULTS)
    return pa.parquet.read_table(pa.BufferReader(stage.read(receipt))).to_pandas()


def _lineage(data: Work, model: Work | None, clips: Work | None, results: Work) -> dict[str, Any]:
    return {
        "data_key": data.key,
        "model_key": model.key if model else None,
        "clips_key": clips.key if clips else None,
        "results_key": results.key,
    }
