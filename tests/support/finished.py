"""A finished table in a store, of made-up numbers: what stands behind a run in MLflow, without computing it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from experiments.table8 import TABLE
from rollbench.config.scale import at_scale, scale
from rollbench.config.table import Setting
from rollbench.pipeline.graph import HISTORY, RESULTS, Pipeline, Stage, build_pipeline
from rollbench.store.artifact import Store

ROWS = ("MSE (2-1)", "Rolling Diffusion (init noise) (2-4)")
TRIVIAL = (("persistence", "baseline"), ("climatology", "baseline"), ("real vs real", "floor"))
MADE = {"seconds": 1.5, "device": "a processor", "commit": "f00d" * 10}
STEPS = 5


def stages(rows: Sequence[str] = ROWS, name: str = "smoke") -> Pipeline:
    return build_pipeline(at_scale(TABLE, scale(name)), rows)


def finish(stages: Pipeline, store: Store) -> None:
    """Publish all stages of a table."""
    for stage in stages.stages():
        artifact, files, facts = stage.artifact(store), [], {}
        if stage.kind == "model":
            history = [{"step": step, "loss": 1 / (step + 1)} for step in range(STEPS)]
            files, facts = (
                [artifact.write(HISTORY, json.dumps({"history": history}).encode())],
                {"parameters": 1234, "peak_memory_bytes": 2**20, "device": MADE["device"], "device_seconds": 1.5},
            )
        if stage.kind == "results":
            files = [artifact.write(RESULTS, _results(stage, stages))]
        artifact.commit(files, title=stage.title, configuration=stage.configuration(), made=MADE, **facts)


def value(row: str, metric: str, lead: int | None) -> float:
    """The number of a row, some thirds that no decimal text holds unless it has all digits."""
    return len(row) / 3 + (lead or 0) + (0.1 if metric == "mse" else 0.0)


def _results(stage: Stage, stages: Pipeline) -> bytes:
    for setting in stages.settings:
        if stage == setting.trivial:
            return _parquet(setting.setting, TRIVIAL)
        for row in setting.rows:
            if stage == row.results:
                return _parquet(setting.setting, ((row.row.name, "method"),))
    raise KeyError(stage)


def _parquet(setting: Setting, rows: Sequence[tuple[str, str]]) -> bytes:
    lines: list[dict[str, Any]] = []
    for row, kind in rows:
        for metric in setting.metrics:
            for lead in (None,) if metric.startswith("fvd") else setting.leads:
                number = value(row, metric, lead)
                interval = {"low": number - 1 / 7, "high": number + 1 / 7, "replicates": [number] * 3}
                said = {"row": row, "kind": kind, "metric": metric, "lead": lead, "n": 16, "evaluator": f"{metric}-1"}
                lines.append({**said, "value": number, **interval})
    sink = io.BytesIO()
    pd.DataFrame(lines).to_parquet(sink)
    return sink.getvalue()
