"""From the tidy results to the cells of a table: a value with its interval and its provenance.

A row of the results is one table × setting × row × metric × lead × seed; the lead is missing where a metric is of the
whole clip. A cell pools the seeds (see `model.seeds`). A number without its replicates, keys, commit or evaluator is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from evaluators.uncertainty import LEAST, interval
from reports.model.metrics import METRICS
from reports.model.seeds import Floats, pool
from rollbench.errors import UserError, did_you_mean

KINDS = ("method", "entry", "baseline", "floor")
COMPETING = ("method", "entry")  # the kinds among which the best is marked
DATA = ("real", "part", "own", "stand-in", "simulated")
ARTEFACTS: Mapping[str, tuple[str, ...]] = {  # required of a number, by the kind of its row
    "method": (
        "evaluator",
        "data_key",
        "model_key",
        "rollouts_key",
        "features_key",
        "reference_key",
        "results_key",
        "commit",
    ),
    "entry": ("evaluator", "data_key", "rollouts_key", "features_key", "reference_key", "results_key", "commit"),
    "baseline": ("evaluator", "data_key", "reference_key", "results_key", "commit"),
    "floor": ("evaluator", "data_key", "reference_key", "results_key", "commit"),
}
TEXTS, NUMBERS = (
    ("table", "setting", "row", "kind", "metric", "scale", "data"),
    ("value", "n", "seed"),
)  # of every result
COSTS = (  # numbers that may be missing
    "lead", "calls_per_frame", "calls_per_frame_total", "parameters", "train_steps", "train_seconds", "peak_memory_bytes", "seconds",
)  # fmt: skip
LARGEST = 1e300  # squares and sums of larger numbers overflow
COLUMNS = (
    "table", "setting", "row", "kind", "metric", "lead", "scale", "data", "seed", "value", "n", "replicates", "evaluator",
    "calls_per_frame", "calls_per_frame_total", "parameters", "train_steps", "train_seconds", "peak_memory_bytes",
    "data_key", "model_key", "rollouts_key", "features_key", "reference_key", "results_key", "commit", "device", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """Where the number of one seed comes from: its value, the content keys of its stages, commit and device."""

    seed: int
    value: float
    data_key: str
    model_key: str
    rollouts_key: str
    features_key: str
    reference_key: str
    results_key: str
    commit: str
    device: str
    seconds: float | None  # rollout and scoring


@dataclass(frozen=True)
class Cell:
    """One number of a table. Costs are None where they do not apply: a baseline has no parameters."""

    setting: str
    row: str
    kind: str  # one of KINDS
    metric: str
    lead: int | None  # frames after the context, None for the whole clip
    scale: str
    data: str  # one of DATA
    value: float  # mean over seeds
    low: float  # of its 95 % interval
    high: float
    n: int  # clips behind each seed's number
    replicates: Floats = field(repr=False, compare=False)
    evaluator: str
    calls_per_frame: float | None  # network evaluations per emitted frame, without the first window
    calls_per_frame_total: float | None  # the same over the whole rollout, with the first window
    parameters: int | None
    train_steps: int | None
    train_seconds: float | None  # sum over seeds
    peak_memory_bytes: int | None  # the largest of the seeds
    seconds: float | None  # rollout and scoring, sum over seeds
    traces: tuple[Provenance, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(trace.seed for trace in self.traces)


Cells = Mapping[tuple[str, str, int | None], Cell]  # of one setting, by (row, metric, lead)


def cells(results: pd.DataFrame) -> dict[str, Cells]:
    """The cells of one table by setting, seeds pooled.

    Raises UserError for a missing column, a number without its provenance, a duplicate, or results that one table cannot
    hold: of several scales, of several kinds of data or evaluators (so of several protocols) in a setting, or with
    different numbers of replicates.
    """
    results = checked(results)
    _one(results, ["table"], "scale")
    _one(results, ["setting"], "data")
    _one(results, ["setting", "metric"], "evaluator")
    by_setting: dict[str, dict[tuple[str, str, int | None], Cell]] = {}
    by = ["setting", "row", "metric", "lead"]
    for _, group in results.sort_values("seed", kind="stable").groupby(by, sort=False, dropna=False):
        cell = _cell(group)
        by_setting.setdefault(cell.setting, {})[cell.row, cell.metric, cell.lead] = cell
    return dict(by_setting)


def checked(results: pd.DataFrame) -> pd.DataFrame:
    """The results with numeric columns. Raises UserError for a value of the wrong type and a number without its provenance."""
    for column in COLUMNS:
        if column not in results.columns:
            raise UserError(
                f"the results lack the column {column!r}; {did_you_mean(column, map(str, results.columns))}"
            )
    if results.empty:
        raise UserError("the results are empty: run at least one row before rendering")
    for record in results.to_dict("records"):
        _typed(record)
        _proven(record)
    mixed = [column for column in (*NUMBERS, *COSTS) if results[column].dtype == object]
    return results.assign(**{name: [np.nan if pd.isna(v) else float(v) for v in results[name]] for name in mixed})


def _typed(record: Mapping[Any, Any]) -> None:
    """Refuse a value that is not of its column's type."""
    where = f"row {record['row']!r:.80}, {record['metric']!r:.80}"
    for column in COLUMNS:
        value = record[column]
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        if column == "replicates" or (missing and column not in (*TEXTS, *NUMBERS)):
            continue
        if column in NUMBERS + COSTS:
            number = isinstance(value, (int, float, np.integer, np.floating)) and -LARGEST < value < LARGEST
            whole = column not in ("n", "seed", "lead", "parameters", "train_steps") or (number and value == int(value))
            if not number or not whole:
                raise UserError(
                    f"{where}: {column} = {str(value)[:40]!r} is no number, or not finite; score the row again"
                )
        elif not isinstance(value, str) or value != value.encode("utf-8", "replace").decode():
            raise UserError(f"{where}: {column} = {value!r:.40} is no text; score the row again")


def _proven(record: Mapping[Any, Any]) -> None:
    """Refuse a number whose value or provenance is missing."""
    where = f"{_where(record)}, seed {record['seed']}"
    for column, known in (("kind", KINDS), ("data", DATA)):
        if record[column] not in known:
            raise UserError(f"{where}: unknown {column} {record[column]!r}; {did_you_mean(str(record[column]), known)}")
    if not _are_replicates(record["replicates"]):
        raise UserError(
            f"{where}: a number without its artefacts: its interval needs at least {LEAST} finite replicates"
        )
    if not record["n"] >= 1:
        raise UserError(f"{where}: a number without its artefacts: n = {record['n']} clips")
    for name in ARTEFACTS[record["kind"]]:
        if not isinstance(record[name], str) or not record[name]:
            raise UserError(f"{where}: a number without its artefacts: {name} is missing; score the row again")


def _are_replicates(value: Any) -> bool:
    if not isinstance(value, (list, tuple, np.ndarray)) or len(value) < LEAST:
        return False
    try:
        replicates = np.asarray(value, float)
    except (TypeError, ValueError, OverflowError):
        return False
    return replicates.ndim == 1 and bool((np.abs(replicates) < LARGEST).all())


def _where(record: Mapping[Any, Any] | pd.Series) -> str:
    """Row, metric and lead of a number, for a message."""
    lead = "" if pd.isna(record["lead"]) else f" at lead {record['lead']:g}"
    return f"row {record['row']!r}, {record['metric']}{lead}"


def _one(results: pd.DataFrame, by: list[str], column: str) -> None:
    """Refuse several values of `column` among the results that are equal in `by`."""
    for name, group in results.groupby(by):
        if group[column].nunique() > 1:
            values = sorted(map(str, group[column].unique()))
            raise UserError(
                f"{' '.join(map(str, filter(None, name)))}: one table cannot hold several of {column} {values}; "
                "render each in its own table"
            )


def _cell(group: pd.DataFrame) -> Cell:
    """The cell of one (setting, row, metric, lead): its seeds pooled."""
    first = group.iloc[0]
    where, metric = _where(first), str(first["metric"])
    if group["seed"].duplicated().any():
        raise UserError(f"{where}: a seed is given twice; one number for each seed")
    lengths = {len(r) for r in group["replicates"]}
    if len(lengths) > 1 or group["n"].nunique() > 1:
        raise UserError(f"{where}: the seeds differ in n or in replicates ({sorted(lengths)}); score them alike")
    value, replicates = pool(
        group["value"].to_numpy(float), np.array([np.asarray(r, float) for r in group["replicates"]])
    )
    low, high = interval(value, replicates, positive=metric not in METRICS or METRICS[metric].positive)
    return Cell(
        setting=str(first["setting"]), row=str(first["row"]), kind=str(first["kind"]), metric=metric,
        lead=_whole(first["lead"]), scale=str(first["scale"]), data=str(first["data"]), value=value, low=low, high=high,
        n=int(first["n"]), replicates=replicates, evaluator=str(first["evaluator"]),
        calls_per_frame=_number(group["calls_per_frame"].mean()),
        calls_per_frame_total=_number(group["calls_per_frame_total"].mean()),
        parameters=_whole(group["parameters"].max()), train_steps=_whole(group["train_steps"].max()),
        train_seconds=_number(group["train_seconds"].sum(min_count=1)),
        seconds=_number(group["seconds"].sum(min_count=1)),
        peak_memory_bytes=_whole(group["peak_memory_bytes"].max()),
        traces=tuple(_trace(r) for r in group.to_dict("records")),
    )  # fmt: skip


def _trace(record: Mapping[Any, Any]) -> Provenance:
    keys = tuple(column for column in COLUMNS if column.endswith("_key")) + ("commit", "device")
    texts = {key: record[key] if isinstance(record[key], str) else "" for key in keys}
    return Provenance(
        seed=int(record["seed"]), value=float(record["value"]), seconds=_number(record["seconds"]), **texts
    )


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
