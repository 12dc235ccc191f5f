"""The tidy frame of a table: one row per row × metric × lead × seed, each with its interval, its cost and the keys that made it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from rollbench.config.source import sources
from rollbench.config.table import Setting, Table
from rollbench.datasets.ingested import Ingested
from rollbench.pipeline.graph import (
    HISTORY,
    RESULTS,
    EntryStages,
    Pipeline,
    Results,
    RowStages,
    SettingStages,
    Stage,
    build_pipeline,
)
from rollbench.pipeline.pending import missing
from rollbench.store.artifact import Store


def table_results(stages: Pipeline, scale: str, store: Store) -> pd.DataFrame:
    """The numbers of all rows that have results, of the trivial forecasts and of the floors."""
    frames = [
        frame
        for setting in stages.settings
        for frame in (
            *(row_results(row, setting, stages.table.name, scale, store) for row in setting.rows if _done(row, store)),
            *(entry_results(e, setting, stages.table.name, scale, store) for e in setting.entries if _done(e, store)),
            trivial_results(setting, stages.table, scale, store),
        )
    ]
    return pd.concat(frames, ignore_index=True)


def with_finished_rows(stages: Pipeline, store: Store, names: Sequence[str] = ()) -> Pipeline:
    """The pipeline with every row of its table (or of `names`) that is finished and undamaged in storage, whichever run computed it."""
    table, requested = stages.table, {setting.trivial.key: setting for setting in stages.settings}
    settings = []
    for setting in build_pipeline(table, names or [row.name for row in table.rows]).settings:
        ours = requested.get(setting.trivial.key)
        computed = {row.results.key for row in ours.rows} if ours else set()
        rows = tuple(row for row in setting.rows if row.results.key in computed or not missing(row.stages(), store))
        if ours or (rows and not missing((setting.data, setting.test_data, setting.reference, setting.trivial), store)):
            settings.append(replace(setting, rows=rows, entries=ours.entries if ours else ()))
    return Pipeline(table, tuple(settings))


def _done(row: RowStages | EntryStages, store: Store) -> bool:
    return row.results.artifact(store).manifest() is not None


def row_results(row: RowStages, stages: SettingStages, table: str, scale: str, store: Store) -> pd.DataFrame:
    """The numbers of one row and seed with their cost and lineage."""
    manifests = {stage.kind: stage.artifact(store).manifest() or {} for stage in row.stages()}
    sampling, provenance = row.setting.sampling, {kind: m["made"] for kind, m in manifests.items()}
    plan = row.row.method.plan(sampling.horizon, sampling.calls_of(row.row.method))
    return _read(row.results, store).assign(
        table=table,
        setting=row.setting.name,
        row=row.row.name,
        kind="method",
        scale=scale,
        data=data_kind(row.setting),
        seed=row.seed,
        calls_per_frame=float(plan.calls_per_frame),
        calls_per_frame_total=float(plan.calls_per_frame_total),
        parameters=manifests["model"]["parameters"],
        train_steps=row.setting.training.steps,
        train_seconds=manifests["model"]["device_seconds"],
        peak_memory_bytes=manifests["model"]["peak_memory_bytes"],
        seconds=sum(provenance[kind]["seconds"] for kind in ("rollouts", "features", "results")),
        **_lineage(stages, row.results, row.model, row.rollouts),
        commit=_commit(provenance["results"]["commit"], row.row.method, row.model.network, row.model.data.data),
        device=manifests["model"]["device"],
    )


def entry_results(entry: EntryStages, stages: SettingStages, table: str, scale: str, store: Store) -> pd.DataFrame:
    """The numbers of one entry, with the costs that its author states."""
    made = [(stage.artifact(store).manifest() or {})["made"] for stage in entry.stages()]
    calls = entry.facts.get("calls_per_frame")
    return _read(entry.results, store).assign(
        table=table,
        setting=entry.setting.name,
        row=entry.name,
        kind="entry",
        scale=scale,
        data=data_kind(entry.setting),
        seed=0,
        calls_per_frame=calls,
        calls_per_frame_total=calls,
        parameters=entry.facts.get("parameters"),
        train_steps=None,
        train_seconds=entry.facts.get("train_seconds"),
        peak_memory_bytes=None,
        seconds=sum(m["seconds"] for m in made),
        **_lineage(stages, entry.results, None, entry.rollouts),
        commit=made[-1]["commit"],
        device=made[-1]["device"],
    )


def data_kind(setting: Setting) -> str:
    """Where the clips come from, one of `reports.model.cells.DATA`."""
    if isinstance(setting.data, Ingested):
        return setting.data.serves
    return "simulated" if setting.stand_in is None else "stand-in"


def history(row: RowStages, store: Store) -> list[tuple[str, float, int]]:
    """The training history of a row's model as (metric, value, step)."""
    artifact = row.model.artifact(store)
    entry = artifact.file(HISTORY)
    entries = json.loads(artifact.read(entry).to_pybytes())["history"]
    return [
        (f"train_{name}", value, entry["step"]) for entry in entries for name, value in entry.items() if name != "step"
    ]


def trivial_results(stages: SettingStages, table: Table, scale: str, store: Store) -> pd.DataFrame:
    """The trivial forecasts and the floor of a setting."""
    provenance = (stages.trivial.artifact(store).manifest() or {})["made"]
    return _read(stages.trivial, store).assign(
        table=table.name,
        setting=stages.setting.name,
        scale=scale,
        data=data_kind(stages.setting),
        seed=table.seeds[0],
        calls_per_frame=None,
        calls_per_frame_total=None,
        parameters=None,
        train_steps=None,
        train_seconds=None,
        peak_memory_bytes=None,
        seconds=provenance["seconds"],
        **_lineage(stages, stages.trivial),
        commit=provenance["commit"],
        device=provenance["device"],
    )


def _read(stage: Stage, store: Store) -> pd.DataFrame:
    artifact = stage.artifact(store)
    entry = artifact.file(RESULTS)
    return pa.parquet.read_table(pa.BufferReader(artifact.read(entry))).to_pandas()


def _commit(commit: str, *values: Any) -> str:
    """The commit of this project, and file and digest of each class that is not part of it."""
    return ", ".join([commit, *sorted({f"{source.file} {source.digest}" for source in sources(*values).values()})])


def _lineage(
    stages: SettingStages, results: Results, model: Stage | None = None, rollouts: Stage | None = None
) -> dict[str, Any]:
    return {
        "data_key": stages.data.key,
        "model_key": model.key if model else None,
        "rollouts_key": rollouts.key if rollouts else None,
        "features_key": results.features.key if results.features else None,
        "reference_key": results.reference.key,
        "results_key": results.key,
    }
