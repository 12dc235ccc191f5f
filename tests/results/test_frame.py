"""A report shows every finished row of its table in storage, whichever run computed it."""

from __future__ import annotations

from pathlib import Path

from rollbench.pipeline.graph import Pipeline, build_pipeline
from rollbench.results.frame import table_results, with_finished_rows
from rollbench.store.artifact import Store
from tests.support import finished

EARLIER, NOW = finished.ROWS


def shown(stages: Pipeline, store: Store) -> list[str]:
    return [row.row.name for row in with_finished_rows(stages, store).rows]


def test_rows_of_an_earlier_run_stay(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    finished.finish(finished.stages((EARLIER,)), store)
    now = finished.stages((NOW,))
    finished.finish(now, store)
    assert shown(now, store) == [EARLIER, NOW]
    frame = table_results(with_finished_rows(now, store), "smoke", store)
    assert {EARLIER, NOW, "persistence", "real vs real"} <= set(frame["row"])


def test_rows_that_are_incomplete_or_damaged_are_left_out(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    earlier, now = finished.stages((EARLIER,)), finished.stages((NOW,))
    finished.finish(earlier, store)
    finished.finish(now, store)
    (row,) = earlier.rows
    history = tmp_path / "model" / row.model.key / "history.json"
    history.write_bytes(history.read_bytes()[:-1])
    assert shown(now, store) == [NOW]
    row.model.artifact(store).remove()
    assert shown(now, store) == [NOW]


def test_rows_of_another_scale_or_setting_are_not_shown(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    finished.finish(finished.stages((EARLIER,), name="laptop"), store)
    now = finished.stages((NOW,))
    finished.finish(now, store)
    assert shown(now, store) == [NOW]
    assert shown(build_pipeline(now.table, [EARLIER, NOW]), store) == [EARLIER, NOW], "rows of this run are kept"
