"""From features to numbers with intervals, in the Ray Tune trial of a row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from rollbench.engine.evaluate import TRIVIAL
from rollbench.engine.run_stage import Product
from rollbench.pipeline.graph import RESULTS, Work
from rollbench.pipeline.measures import Columns, Sides
from rollbench.store.artifact import Store
from rollbench.store.lease import check_seen
from rollbench.store.tensors import tensor_of


def score(work: Work, store: Store) -> Product:
    """Columns of a row against the reference: every metric at every lead with its interval, as results.parquet."""
    check_seen(work.stage(store))
    features, reference = work.needs
    fake = _columns(features, store)
    return _results(work, store, _numbers(work, fake, _sides(reference, store)))


def score_trivial(work: Work, store: Store) -> Product:
    """The trivial forecasts and the real-vs-real floor, scored like a row."""
    check_seen(work.stage(store))
    (reference,) = work.needs
    sides = _sides(reference, store)
    names = {"floor": ("real vs real", "floor"), **{name: (name, "baseline") for name in TRIVIAL}}
    numbers = (
        {**number, "row": row, "kind": kind}
        for part, (row, kind) in names.items()
        for number in _numbers(work, _columns(reference, store, part), sides)
    )
    return _results(work, store, numbers)


def _numbers(work: Work, fake: Columns, sides: Sides) -> Iterable[dict[str, Any]]:
    measures, how = work.needs[0].made_from["measures"], work.made_from["scoring"]
    return (number for measure in measures for number in measure.numbers(fake, sides, how))


def _sides(reference: Work, store: Store) -> Sides:
    truth = _table(reference, store, "truth")
    return Sides(tuple(truth.column("clip_id").to_pylist()), _arrays(truth), _columns(reference, store, "climatology"))


def _columns(work: Work, store: Store, part: str = "") -> Columns:
    return _arrays(_table(work, store, part))


def _table(work: Work, store: Store, part: str) -> pa.Table:
    """The columns of all clips, in their order; of a reference those of one part."""
    stage = work.stage(store)
    files = (stage.manifest() or {"files": []})["files"]
    return pa.concat_tables(stage.read_table(f) for f in files if not part or f["name"].startswith(f"{part}-"))


def _arrays(table: pa.Table) -> Columns:
    return {name: tensor_of(table, name) for name in table.column_names if name != "clip_id"}


def _results(work: Work, store: Store, numbers: Iterable[dict[str, Any]]) -> Product:
    frame = pd.DataFrame(list(numbers)).astype({"lead": "float64"})  # not a number: of the whole clip
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
    return Product([work.stage(store).write(RESULTS, sink.getvalue())])
