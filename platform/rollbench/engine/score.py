"""From features to numbers with intervals, in the Ray Tune trial of a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from rollbench.engine.evaluate import TRIVIAL
from rollbench.engine.run_stage import StageOutput
from rollbench.pipeline.graph import RESULTS, Reference, Results, Stage
from rollbench.pipeline.measure import Columns, ReferenceColumns
from rollbench.store.artifact import Store
from rollbench.store.lease import check_node_sees
from rollbench.store.tensors import tensor_of


def score(stage: Results, store: Store) -> StageOutput:
    """Columns of a row against the reference: every metric at every lead with its interval, as results.parquet."""
    check_node_sees(stage.artifact(store))
    if stage.features is None:
        raise ValueError(f"{stage} has no features: the trivial forecasts are scored by score_trivial")
    samples = _columns(stage.features, store)
    return _results(stage, store, _numbers(stage, samples, _sides(stage.reference, store)))


def score_trivial(stage: Results, store: Store) -> StageOutput:
    """The trivial forecasts and the real-vs-real floor, scored like a row."""
    check_node_sees(stage.artifact(store))
    reference = stage.reference
    sides = _sides(reference, store)
    names = {"floor": ("real vs real", "floor"), **{name: (name, "baseline") for name in TRIVIAL}}
    numbers = (
        {**number, "row": row, "kind": kind}
        for part, (row, kind) in names.items()
        for number in _numbers(stage, _columns(reference, store, part), sides)
    )
    return _results(stage, store, numbers)


def _numbers(stage: Results, samples: Columns, sides: ReferenceColumns) -> Iterable[dict[str, Any]]:
    measures, scoring = stage.reference.measures, stage.scoring
    return (number for measure in measures for number in measure.numbers(samples, sides, scoring))


def _sides(reference: Reference, store: Store) -> ReferenceColumns:
    truth = _table(reference, store, "truth")
    return ReferenceColumns(
        tuple(truth.column("clip_id").to_pylist()), _arrays(truth), _columns(reference, store, "climatology")
    )


def _columns(stage: Stage, store: Store, part: str = "") -> Columns:
    return _arrays(_table(stage, store, part))


def _table(stage: Stage, store: Store, part: str) -> pa.Table:
    """The columns of all clips, in their order; of a reference those of one part."""
    artifact = stage.artifact(store)
    files = (artifact.manifest() or {"files": []})["files"]
    return pa.concat_tables(artifact.read_table(f) for f in files if not part or f["name"].startswith(f"{part}-"))


def _arrays(table: pa.Table) -> Columns:
    return {name: tensor_of(table, name) for name in table.column_names if name != "clip_id"}


def _results(stage: Stage, store: Store, numbers: Iterable[dict[str, Any]]) -> StageOutput:
    frame = pd.DataFrame(list(numbers)).astype({"lead": "float64"})  # not a number: of the whole clip
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
    return StageOutput([stage.artifact(store).write(RESULTS, sink.getvalue())])
