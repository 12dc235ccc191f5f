"""From the tidy results to the cells of a table: a value with its interval, and with all that made it.

A row of the results is one table × row × metric × lead × seed. A cell is what a table prints there: the seeds pooled
(see `reports.intervals`). A number without its artefacts (replicates, keys, commit, evaluator) refuses to become a
cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evaluators.uncertainty import LEAST, interval
from reports.intervals import Floats, pool
from rollbench.spec import BadInput, nearest

KINDS = ("method", "baseline", "floor")
ARTEFACTS: Mapping[str, tuple[str, ...]] = {  # what must have made a number, by the kind of its row
    "method": ("evaluator", "data_key", "model_key", "clips_key", "results_key", "commit"),
    "baseline": ("evaluator", "data_key", "results_key", "commit"),
    "floor": ("evaluator", "data_key", "results_key", "commit"),
}
COLUMNS = (
    "table", "row", "kind", "metric", "lead", "scale", "seed", "value", "n", "replicates", "evaluator",
    "calls_per_frame", "calls_per_frame_total", "parameters", "train_steps", "train_seconds", "peak_memory_bytes",
    "data_key", "model_key", "clips_key", "results_key", "commit", "device", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Trace:
    """What made the number of one seed: content keys of its stages, commit, device; seconds of generating and
    scoring.
    """

    seed: int
    value: float
    data_key: str
    model_key: str
    clips_key: str
    results_key: str
    commit: str
    device: str
    seconds: float | None


@dataclass(frozen=True)
class Cell:
    """One number of a table, apart from its display.

    value: mean over seeds; low, high: its 95 % interval. n: trajectories behind each seed's number. calls_per_frame:
    network evaluations per emitted frame once rolling; calls_per_frame_total: with the init phase spread over the
    film. train_seconds, seconds: sums over seeds; peak_memory_bytes: the largest. None where a quantity does not
    apply (a baseline has no parameters).
    """

    row: str
    kind: str
    metric: str
    lead: int
    scale: str
    value: float
    low: float
    high: float
    n: int
    replicates: Floats = field(repr=False, compare=False)
    evaluator: str
    calls_per_frame: float | None
    calls_per_frame_total: float | None
    parameters: int | None
    train_steps: int | None
    train_seconds: float | None
    peak_memory_bytes: int | None
    seconds: float | None
    traces: tuple[Trace, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(trace.seed for trace in self.traces)


Cells = Mapping[tuple[str, str, int], Cell]  # by (row, metric, lead)


def cells(results: pd.DataFrame) -> dict[tuple[str, str, int], Cell]:
    """The cells of one table, seeds pooled.

    Raises BadInput for a missing column, a number without its artefacts, a number given twice, or results that must
    not stand in one table: of several scales, evaluators of a metric, or numbers of replicates.
    """
    for column in COLUMNS:
        if column not in results.columns:
            raise BadInput(f"the results lack the column {column!r}; {nearest(column, map(str, results.columns))}")
    if results.empty:
        raise BadInput("the results are empty: run at least one row before rendering")
    for record in results.to_dict("records"):
        _proven(record)
    _one(results, ["table"], "scale")
    _one(results, ["metric"], "evaluator")
    grouped = results.sort_values("seed", kind="stable").groupby(["row", "metric", "lead"], sort=False)
    return {(str(r), str(m), int(group["lead"].iloc[0])): _cell(group) for (r, m, _), group in grouped}


def _proven(record: Mapping[Any, Any]) -> None:
    """Refuse a number whose value or artefacts are missing."""
    where = f"row {record['row']!r}, {record['metric']} at lead {record['lead']}, seed {record['seed']}"
    if record["kind"] not in KINDS:
        raise BadInput(f"{where}: unknown kind {record['kind']!r}; {nearest(str(record['kind']), KINDS)}")
    if not np.isfinite(record["value"]):
        raise BadInput(f"{where}: the value {record['value']} is not finite, so it cannot be printed")
    replicates = record["replicates"]
    if (
        not isinstance(replicates, (list, tuple, np.ndarray))
        or len(replicates) < LEAST
        or not np.all(np.isfinite(replicates))
    ):
        raise BadInput(
            f"{where}: a number without its artefacts: its interval needs at least {LEAST} finite replicates"
        )
    if not record["n"] >= 1:
        raise BadInput(f"{where}: a number without its artefacts: n = {record['n']} trajectories")
    for name in ARTEFACTS[record["kind"]]:
        if not isinstance(record[name], str) or not record[name]:
            raise BadInput(f"{where}: a number without its artefacts: {name} is missing; score the row again")


def _one(results: pd.DataFrame, by: list[str], column: str) -> None:
    """Refuse several values of `column` among the results that are alike in `by`."""
    for name, group in results.groupby(by):
        if group[column].nunique() > 1:
            found = sorted(map(str, group[column].unique()))
            raise BadInput(
                f"{' '.join(map(str, name))}: one table cannot hold several of {column} {found}; render them apart"
            )


def _cell(group: pd.DataFrame) -> Cell:
    """The cell of one (row, metric, lead): its seeds pooled."""
    first = group.iloc[0]
    where = f"row {first['row']!r}, {first['metric']} at lead {first['lead']}"
    if group["seed"].duplicated().any():
        raise BadInput(f"{where}: a seed is given twice; one number for each seed")
    lengths = {len(r) for r in group["replicates"]}
    if len(lengths) > 1 or group["n"].nunique() > 1:
        raise BadInput(f"{where}: the seeds differ in n or in replicates ({sorted(lengths)}); score them alike")
    value, replicates = pool(
        group["value"].to_numpy(float), np.array([np.asarray(r, float) for r in group["replicates"]])
    )
    low, high = interval(value, replicates, positive=True)
    return Cell(
        row=str(first["row"]), kind=str(first["kind"]), metric=str(first["metric"]), lead=int(first["lead"]),
        scale=str(first["scale"]), value=value, low=low, high=high, n=int(first["n"]), replicates=replicates,
        evaluator=str(first["evaluator"]), calls_per_frame=_number(group["calls_per_frame"].mean()),
        calls_per_frame_total=_number(group["calls_per_frame_total"].mean()),
        parameters=_whole(group["parameters"].max()), train_steps=_whole(group["train_steps"].max()),
        train_seconds=_number(group["train_seconds"].sum(min_count=1)),
        seconds=_number(group["seconds"].sum(min_count=1)),
        peak_memory_bytes=_whole(group["peak_memory_bytes"].max()),
        traces=tuple(_trace(r) for r in group.to_dict("records")),
    )  # fmt: skip


def _trace(record: Mapping[Any, Any]) -> Trace:
    keys = ("data_key", "model_key", "clips_key", "results_key", "commit", "device")
    texts = {key: record[key] if isinstance(record[key], str) else "" for key in keys}
    return Trace(seed=int(record["seed"]), value=float(record["value"]), seconds=_number(record["seconds"]), **texts)


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
