"""What MLflow is told of a table: a run for it, and a run for each row and seed, for each trivial forecast and for the floor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any

import pandas as pd

from rollbench.config.canonical import flat, key, to_plain
from rollbench.config.table import Setting
from rollbench.pipeline.graph import EntryStages, Pipeline, RowStages, SettingStages
from rollbench.pipeline.run_context import RunContext
from rollbench.store import provenance
from rollbench.store.artifact import Store
from rollbench.store.redact import redact
from rollbench.tracking.background import Sender
from rollbench.tracking.client import EXPERIMENT, TrackingError
from rollbench.tracking.record import Point, Record, points

# Of a row's numbers: what is the same in all of them.
LINEAGE = ("scale", "data_key", "model_key", "rollouts_key", "results_key", "commit", "device")
COSTS = ("parameters", "calls_per_frame", "calls_per_frame_total")
OF_NO_MODEL = (
    "data",
    "test_data",
    "train_clips",
    "sampling",
    "metrics",
    "leads",
    "protocol",
)  # of a run without a model
SPENT = ("train_seconds", "seconds", "peak_memory_bytes")


def table_record(stages: Pipeline, scale: str, command: str = "") -> Record:
    """The run of a table: one for each scale and whatever else its rows share, however many of them, and seeds, are run."""
    table = stages.table
    shared = {setting.name: _shared(setting) for setting in table.settings}
    tags = {
        "table": table.name,
        "scale": scale,
        "commit": provenance.commit(),
        "mlflow.note.content": "\n\n".join(filter(None, (table.title, table.caption))),
        "mlflow.source.name": redact(command),
    }
    return Record(
        key=key({"table": table.name, "scale": scale, "settings": shared}),
        name=f"{table.name}, {scale}",
        params={"scale": scale, **dict(flat(shared[""] if len(shared) == 1 and "" in shared else shared))},
        tags={name: text for name, text in tags.items() if text},
    )


def _shared(setting: Setting) -> dict[str, Any]:
    """What the rows of a setting have in common."""
    fields = ("data", "test_data", "train_clips", "network", "training", "sampling", "metrics", "leads", "protocol")
    return {name: to_plain(getattr(setting, name)) for name in fields}


def row_record(row: RowStages, stages: SettingStages, table: Record, store: Store) -> Record:
    """The run of a row and seed: its numbers by lead, its training history, all that it was made from and what that cost."""
    from rollbench.results.frame import history, row_results

    numbers = row_results(row, stages, table.tags["table"], table.tags["scale"], store)
    first = numbers.iloc[0]
    own = {"method": row.row.method, "network": row.model.network}
    made_from = {**_shared(row.setting), **to_plain(own), "seed": row.seed}
    costs = {name: first[name].item() for name in COSTS}
    return _record(
        table,
        f"{row.row.name}, seed {row.seed}",
        numbers,
        {**made_from, **costs},
        {"seed": str(row.seed)},
        [*((name, float(first[name]), 0) for name in SPENT), *history(row, store)],
    )


def entry_record(entry: EntryStages, stages: SettingStages, table: Record, store: Store) -> Record:
    """The run of an entry: its numbers by lead, and what its author states."""
    from rollbench.results.frame import entry_results

    numbers = entry_results(entry, stages, table.tags["table"], table.tags["scale"], store)
    shared = _shared(entry.setting)
    params = {name: shared[name] for name in OF_NO_MODEL} | {"stated": dict(entry.facts)}
    return _record(table, f"{entry.name}, entered", numbers, params, {}, [])


def trivial_records(stages: SettingStages, table: Pipeline, parent: Record, store: Store) -> Iterator[Record]:
    """The runs of the trivial forecasts and of the floor of a setting."""
    from rollbench.results.frame import trivial_results

    found = trivial_results(stages, table.table, parent.tags["scale"], store)
    shared = _shared(stages.setting)
    made_from = {name: shared[name] for name in OF_NO_MODEL}
    for name, numbers in found.groupby("row", sort=False):
        title = ", ".join(filter(None, (str(name), stages.setting.name)))
        yield _record(parent, title, numbers, made_from, {}, [])


def _record(
    table: Record,
    name: str,
    numbers: pd.DataFrame,
    params: dict[str, Any],
    tags: dict[str, str],
    more: list[Point],
) -> Record:
    first = numbers.iloc[0]
    metrics = numbers.groupby("metric", sort=False).first()
    said = {
        **{name: str(first[name]) for name in ("table", "setting", "row", "kind") if first[name]},
        **tags,
        **{name: str(first[name]) for name in LINEAGE if isinstance(first[name], str)},
        "data_kind": str(first["data"]),
        **{f"evaluator.{metric}": str(evaluator) for metric, evaluator in metrics["evaluator"].items()},
        **{f"n.{metric}": str(n) for metric, n in metrics["n"].items()},
        "mlflow.source.git.commit": str(first["commit"]),
    }
    return Record(
        key=key({"run": table.key, "name": name, "results": said["results_key"]}),
        name=name,
        params=dict(flat(params)),
        tags=said,
        points=(*points(numbers.to_dict("records")), *more),
        parent=table,
    )


class Recorder:
    """MLflow as a table in the making sees it. It never makes the work wait or fail; see `Sender`."""

    def __init__(self, stages: Pipeline, place: RunContext, uri: str, line: Callable[[str], None]) -> None:
        self.stages, self.place, self.line = stages, place, line
        self.table = table_record(stages, place.scale, place.command)
        self.rows: dict[str, dict[int, str]] = {}  # row → seed → its record's key
        self.sender = Sender(uri, place.store, place.out.parent, line)
        try:
            self.recorded = self.sender.tracking.recorded(self.table) if self.sender.tracking else {}
        except TrackingError:  # gone in this moment: each row is looked for as it is sent
            self.recorded = {}

    def record(self, row: RowStages) -> None:
        """Record a finished row, once."""
        if row.seed in self.rows.get(row.row.name, {}):
            return
        (setting,) = (s for s in self.stages.settings if s.setting == row.setting)
        self._add(row_record(row, setting, self.table, self.place.store), row.row.name, row.seed)

    def finish(self, shown: Pipeline | None = None) -> dict[str, Any]:
        """Record the rows that were finished before, the trivial forecasts and the floor; returns where the numbers are recorded.

        shown: the rows of the report, if they are more than those of this run.
        """
        self.stages = shown or self.stages
        for row in self.stages.rows:
            self.record(row)
        for setting in self.stages.settings:
            for entry in setting.entries:
                record = entry_record(entry, setting, self.table, self.place.store)
                self._add(record, entry.name, 0)
            for record in trivial_records(setting, self.stages, self.table, self.place.store):
                # a report looks runs up by row and seed: in a table of several settings a trivial forecast has no name of its own
                name = record.tags["row"] if len(self.stages.settings) == 1 else record.name
                self._add(record, name, self.stages.table.seeds[0])
        self.sender.settle()
        known = {**self.recorded, **self.sender.sent}
        runs = {
            row: {seed: known[record] for seed, record in seeds.items() if record in known}
            for row, seeds in self.rows.items()
        }
        left = self.sender.told()
        place = {"uri": redact(self.sender.uri), "experiment": EXPERIMENT}
        return {**place, **({"not sent": left} if left else {}), "runs": {row: ids for row, ids in runs.items() if ids}}

    def keep(self) -> None:
        """Keep the report, with its tables, figures and films, with the table's run."""
        self.sender.add(replace(self.table, report=self.place.out.name))
        self.sender.settle()

    def _add(self, record: Record, row: str, seed: int) -> None:
        self.rows.setdefault(row, {})[seed] = record.key
        if record.key not in self.recorded:
            self.sender.add(record)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        ended = "" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        if ended == "FAILED":
            self.sender.settle()
        self.sender.stop()
        if ended:
            self.sender.end(self.table, ended)
        if left := self.sender.told():
            self.line(left)
