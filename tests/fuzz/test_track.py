"""`rollbench track` on altered outboxes, with no server: what waits stays, and one line says why; what cannot be read is told."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from rollbench.cli.main import main
from rollbench.store.artifact import MANIFEST, Store
from rollbench.tracking.outbox import KIND
from tests.fuzz.test_store import RECORD, WAITING  # type: ignore[import-not-found]
from tests.support.fuzzing import campaign, is_one_line, mutated, told, torn

AWAY = "http://127.0.0.1:9"  # nothing listens there


@campaign(12)
@given(st.one_of(mutated(WAITING).map(lambda value: json.dumps(value).encode()), torn(json.dumps(WAITING).encode())))
@example(json.dumps(WAITING | {"record": 5}).encode())
@example(json.dumps(WAITING | {"record": WAITING["record"] | {"tags": {}}}).encode())
def test_what_cannot_be_sent_stays(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage = Store(folder).artifact(KIND, RECORD.entry)
        stage.put(MANIFEST, data)
        arguments: list[Any] = ["track", "--storage", folder, "--out", folder, "--tracking-uri", AWAY]
        code, out, err = told(main, arguments)
        assert code in (0, 2) and (code == 0 or (out == "" and is_one_line(err))), err
        assert stage.get(MANIFEST) == data
