"""From the tidy results to the cells of a table: a value with its interval, and with all that made it.

A row of the results is one table × setting × row × metric × lead × seed; the lead is missing where a metric belongs to
the whole clip. A cell is what a table prints there: the seeds pooled (see `reports.intervals`). A number without its
artefacts (replicates, keys, commit, evaluator) refuses to become a cell.
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

KINDS = ("method", "baseline", "floor")
DATA = ("real", "part", "own", "stand-in", "simulated")
ARTEFACTS: Mapping[str, tuple[str, ...]] = {  # what must have made a number, by the kind of its row
    "method": ("evaluator", "data_key", "model_key", "rollouts_key", "results_key", "commit"),
    "baseline": ("evaluator", "data_key", "results_key", "commit"),
    "floor": ("evaluator", "data_key", "results_key", "commit"),
}
TEXTS, NUMBERS = (
    ("table", "setting", "row", "kind", "metric", "scale", "data"),
    ("value", "n", "seed"),
)  # of every result
COSTS = (  # numbers that may be missing
    "lead", "calls_per_frame", "calls_per_frame_total", "parameters", "train_steps", "train_seconds", "peak_memory_bytes", "seconds",
)  # fmt: skip
LARGEST = 1e300  # squares and sums of larger numbers are no numbers
COLUMNS = (
    "table", "setting", "row", "kind", "metric", "lead", "scale", "data", "seed", "value", "n", "replicates", "evaluator",
    "calls_per_frame", "calls_per_frame_total", "parameters", "train_steps", "train_seconds", "peak_memory_bytes",
    "data_key", "model_key", "rollouts_key", "results_key", "commit", "device", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """What made the number of one seed: content keys of its stages, commit, device; seconds of generating and
    scoring.
    """

    seed: int
    value: float
    data_key: str
    model_key: str
    rollouts_key: str
    results_key: str
    commit: str
    device: str
    seconds: float | None


@dataclass(frozen=True)
class Cell:
    """One number of a table, apart from its display.

    lead: frames after the context, None for the whole clip. data: one of DATA. value: mean over seeds; low, high: its
    95 % interval. n: clips behind each seed's number. calls_per_frame: network evaluations per emitted frame once
    rolling; calls_per_frame_total: with the init phase spread over the film. train_seconds, seconds: sums over seeds;
    peak_memory_bytes: the largest. None where a quantity does not apply (a baseline has no parameters).
    """

    setting: str
    row: str
    kind: str
    metric: str
    lead: int | None
    scale: str
    data: str
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
    traces: tuple[Provenance, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(trace.seed for trace in self.traces)


Cells = Mapping[tuple[str, str, int | None], Cell]  # of one setting, by (row, metric, lead)


def cells(results: pd.DataFrame) -> dict[str, Cells]:
    """The cells of one table by setting, seeds pooled.

    Raises BadInput for a missing column, a number without its artefacts, a number given twice, or results that must
    not stand in one table: of several scales, of several kinds of data or evaluators (so of several protocols) in a
    setting, or with other numbers of replicates.
    """
    results = checked(results)
    _one(results, ["table"], "scale")
    _one(results, ["setting"], "data")
    _one(results, ["setting", "metric"], "evaluator")
    found: dict[str, dict[tuple[str, str, int | None], Cell]] = {}
    by = ["setting", "row", "metric", "lead"]
    for _, group in results.sort_values("seed", kind="stable").groupby(by, sort=False, dropna=False):
        cell = _cell(group)
        found.setdefault(cell.setting, {})[cell.row, cell.metric, cell.lead] = cell
    return dict(found)


def checked(results: pd.DataFrame) -> pd.DataFrame:
    """The results, every number of them a number. Raises BadInput for what is none, and for a number without its artefacts."""
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
    """Refuse what is no number where a number belongs, and no text where a text does."""
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
    """Refuse a number whose value or artefacts are missing."""
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
        found = np.asarray(value, float)
    except (TypeError, ValueError, OverflowError):
        return False
    return found.ndim == 1 and bool((np.abs(found) < LARGEST).all())


def _where(record: Mapping[Any, Any] | pd.Series) -> str:
    """The place of a number in words."""
    lead = "" if pd.isna(record["lead"]) else f" at lead {record['lead']:g}"
    return f"row {record['row']!r}, {record['metric']}{lead}"


def _one(results: pd.DataFrame, by: list[str], column: str) -> None:
    """Refuse several values of `column` among the results that are alike in `by`."""
    for name, group in results.groupby(by):
        if group[column].nunique() > 1:
            found = sorted(map(str, group[column].unique()))
            raise UserError(
                f"{' '.join(map(str, filter(None, name)))}: one table cannot hold several of {column} {found}; "
                "render them apart"
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
    keys = ("data_key", "model_key", "rollouts_key", "results_key", "commit", "device")
    texts = {key: record[key] if isinstance(record[key], str) else "" for key in keys}
    return Provenance(
        seed=int(record["seed"]), value=float(record["value"]), seconds=_number(record["seconds"]), **texts
    )


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
