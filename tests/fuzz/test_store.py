"""Altered stages: whatever a manifest, a receipt or a file says, a stage is read whole, called damaged or made again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollbench.errors import UserError
from rollbench.pipeline.corpora import KIND, manifests
from rollbench.pipeline.graph import Data
from rollbench.pipeline.pending import clear_stale, missing
from rollbench.store.artifact import MANIFEST, RECEIPT, Artifact, Damaged, Store
from rollbench.store.manifest import checksum
from rollbench.store.tensors import tensor_column
from rollbench.tracking.outbox import Outbox
from rollbench.tracking.record import Record
from tests.support.fuzzing import campaign, mutated, torn

WORK = Data("anything", 1, 1, title="a stage")
NAME = "part-00000.arrow"


@contextmanager
def made() -> Iterator[tuple[Store, Artifact, dict[str, Any]]]:
    """A finished stage with one file, and beside the storage a file that is none of its business."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x").write_bytes(b"secret")
        store = Store(f"{folder}/store")
        artifact = WORK.artifact(store)
        table = pa.table({"clip_id": ["a", "b"], "frames": tensor_column(np.zeros((2, 3, 1, 2, 2), np.float32))})
        yield store, artifact, artifact.commit([artifact.write_table(NAME, table)], made={"seconds": 1})


def example_of() -> tuple[dict[str, Any], dict[str, Any], bytes]:
    with made() as (_, artifact, manifest):
        receipt = json.loads((Path(artifact.path) / f"{NAME}{RECEIPT}").read_bytes())
        return manifest, receipt, (Path(artifact.path) / NAME).read_bytes()


ORIGINAL, RECEIPTED, ARROW = example_of()
elsewhere = ORIGINAL | {"files": [RECEIPTED | {"name": "../../../x"}]}
resealed = elsewhere | {"seal": checksum(elsewhere)}


def resealed_mutation(value: Any) -> Any:
    """With a seal of its own, without which a change is told at once: what remains has to be understood."""
    return value | {"seal": checksum(value)} if isinstance(value, dict) else value


def read(store: Store, artifact: Artifact) -> None:
    """All that a run does with what it finds; only Damaged, or BadInput for a newer schema, may come out."""
    root = Path(store.path)
    try:
        found = missing([WORK], store)
        artifact.receipts()
        if WORK not in found:
            for table in artifact.tables():
                assert table.num_rows >= 0
        clear_stale(found, store)
    except (Damaged, UserError) as error:
        assert str(error).count("\n") == 0
    assert (root.parent / "x").read_bytes() == b"secret"
    assert sorted(p.name for p in root.parent.iterdir()) == ["store", "x"]


@campaign(150)
@given(st.one_of(mutated(ORIGINAL), mutated(ORIGINAL).map(resealed_mutation)))
@example(elsewhere)
@example(resealed)
@example(resealed_mutation(ORIGINAL | {"schema_version": True}))
@example(resealed_mutation(ORIGINAL | {"files": [RECEIPTED, RECEIPTED]}))
@example(resealed_mutation(ORIGINAL | {"files": [RECEIPTED | {"bytes": -1}]}))
def test_a_manifest_that_was_altered(value: Any) -> None:
    with made() as (store, artifact, _):
        (Path(artifact.path) / MANIFEST).write_text(json.dumps(value))
        read(store, artifact)


@campaign(100)
@given(st.one_of(mutated(RECEIPTED).map(lambda v: json.dumps(v).encode()), torn(json.dumps(RECEIPTED).encode())))
@example(json.dumps(RECEIPTED | {"name": "../../../x", "bytes": 6}).encode())
@example(b"[" * 100_000)
def test_a_receipt_that_was_altered(data: bytes) -> None:
    with made() as (store, artifact, _):
        artifact.delete(MANIFEST)
        (Path(artifact.path) / f"{NAME}{RECEIPT}").write_bytes(data)
        for receipt in artifact.receipts().values():
            assert receipt["name"] == NAME
            try:
                artifact.read(receipt)
            except Damaged:
                pass


@campaign(80)
@given(torn(ARROW))
@example(b"")
def test_a_file_that_was_torn(data: bytes) -> None:
    with made() as (store, artifact, manifest):
        (Path(artifact.path) / NAME).write_bytes(data)
        if data == ARROW:
            return
        assert NAME in missing([WORK], store)[WORK].damaged
        with pytest.raises(Damaged):
            list(artifact.tables())


@campaign(60)
@given(torn(ARROW))
@example(b"")
@example(ARROW[:-20])
def test_a_file_that_is_no_arrow_and_has_its_receipt(data: bytes) -> None:
    """Its bytes are those that were written, and they make no sense: damage all the same, or the table that they are."""
    with made() as (store, artifact, _):
        artifact.commit([artifact.write(NAME, data)])
        read(store, artifact)


RECORD = Record(
    "r", "a row", {"p": "1"}, {"table": "table8"}, (("fsd", 0.5, 1),), Record("t", "a table", {}, {}), "table8"
)


def waiting() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        Outbox(store).add(RECORD)
        return store.artifact("outbox", RECORD.entry).manifest() or {}


WAITING = waiting()


@campaign(100)
@given(mutated(WAITING).map(resealed_mutation))
@example(resealed_mutation(WAITING | {"record": WAITING["record"] | {"report": "../x"}}))
@example(resealed_mutation(WAITING | {"record": WAITING["record"] | {"points": [["fsd", 10**400, 1]]}}))
@example(resealed_mutation(WAITING | {"record": WAITING["record"] | {"points": 5}}))
def test_an_entry_of_the_outbox_that_was_altered(value: Any) -> None:
    """It is the record that was written, or its path is told."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        artifact = store.artifact("outbox", RECORD.entry)
        artifact.put(MANIFEST, json.dumps(value).encode())
        try:
            found = list(Outbox(store).waiting())
        except UserError:  # a newer schema
            return
        for record in found:
            assert record == artifact.path or (isinstance(record, Record) and record.report in ("", "table8"))


@campaign(60)
@given(mutated(ORIGINAL).map(resealed_mutation))
def test_a_corpus_that_was_altered_is_listed_or_not(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.artifact(KIND, "0" * 20).put(MANIFEST, json.dumps(value).encode())
        try:
            assert len(list(manifests(store))) <= 1
        except UserError:
            pass
