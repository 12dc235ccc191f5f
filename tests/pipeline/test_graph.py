"""The graph: what shares a stage, what a missing stage takes with it, and what a change of one field leaves alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.table8 import TABLE
from rollbench.config.scale import at_scale, scale
from rollbench.pipeline.estimate import missing_bytes, stage_bytes, storage_bytes
from rollbench.pipeline.graph import TableWork, absent, lay_out, prepare
from rollbench.store.artifact import Store

SMOKE = at_scale(TABLE, scale("smoke"))
NAMES = ("MSE (2-1)", "Rolling Diffusion (init noise) (2-8)", "Rolling 10-Ensemble (2-8)")


@pytest.fixture
def finished(tmp_path: Path) -> tuple[TableWork, Store]:
    """All stages published, with a file of two bytes each."""
    store, works = Store(str(tmp_path)), lay_out(SMOKE, NAMES)
    for work in works.works():
        stage = work.stage(store)
        stage.publish([stage.write("a.bin", b"ab")])
    return works, store


def kinds(works: TableWork, store: Store) -> list[str]:
    return [f"{work.kind} {work.title}" for work in absent(works.works(), store)]


def test_an_ensemble_shares_the_model_of_its_members() -> None:
    one, rolling, ensemble = lay_out(SMOKE, NAMES).rows
    assert rolling.model == ensemble.model != one.model
    assert rolling.clips.key != ensemble.clips.key
    assert [len(group) for group in lay_out(SMOKE, NAMES).by_model()] == [2, 1]


def test_nothing_is_absent_when_all_is_there(finished: tuple[TableWork, Store]) -> None:
    assert kinds(*finished) == []


def test_a_deleted_stage_takes_along_what_hangs_on_it_and_nothing_else(finished: tuple[TableWork, Store]) -> None:
    works, store = finished
    works.rows[0].model.stage(store).remove()
    assert [k.split()[0] for k in kinds(works, store)] == ["model", "clips", "features", "results"]
    prepare(absent(works.works(), store), store)
    assert not works.rows[0].results.stage(store).exists()
    assert works.rows[1].results.stage(store).manifest() is not None
    works.settings[0].data.stage(store).remove()
    assert len(kinds(works, store)) == len(list(works.works()))


def test_damage_is_named_and_the_rest_of_the_stage_kept(finished: tuple[TableWork, Store]) -> None:
    works, store = finished
    data = works.settings[0].data
    stage = data.stage(store)
    stage.publish([*(stage.manifest() or {})["files"], stage.write("b.bin", b"cd")])
    (Path(stage.path) / "a.bin").write_bytes(b"xx")
    found = absent(works.works(), store)
    assert "a.bin" in found[data].reason
    prepare(found, store)
    assert set(stage.receipts()) == {"b.bin"}


def test_more_resamples_redo_the_results_alone() -> None:
    before = {w.key for w in lay_out(SMOKE, NAMES).works()}
    after = {w.kind for w in lay_out(replace(SMOKE, resamples=77), NAMES).works() if w.key not in before}
    assert after == {"results"}


def test_another_sampler_keeps_data_and_models() -> None:
    before = {w.key for w in lay_out(SMOKE, NAMES).works()}
    (setting,) = SMOKE.settings
    changed = replace(SMOKE, settings=(replace(setting, sampling=replace(setting.sampling, sampler="ddim")),))
    assert {w.kind for w in lay_out(changed, NAMES).works() if w.key not in before} == {"clips", "features", "results"}


def test_seeds_share_the_data(tmp_path: Path) -> None:
    works = lay_out(replace(SMOKE, seeds=(0, 1)), NAMES)
    assert len(works.rows) == 6 and len({row.model.key for row in works.rows}) == 4
    assert sum(work.kind == "data" for work in works.works()) == 1


def test_what_is_there_needs_no_room(finished: tuple[TableWork, Store]) -> None:
    """Of an unfinished stage what has a receipt, of one that is made again what goes before it."""
    works, store = finished
    sizes, data = stage_bytes(works), works.settings[0].data
    assert missing_bytes(sizes, store) == 0
    works.rows[0].clips.stage(store).remove()
    assert missing_bytes(sizes, store) == sizes[works.rows[0].clips]
    data.stage(store).reopen(())
    assert missing_bytes(sizes, store) == storage_bytes(works) - 2 * (len(sizes) - 1), (
        "the files of two bytes are there"
    )
    data.stage(store).write("b.bin", bytes(1000))
    assert missing_bytes(sizes, store) == storage_bytes(works) - 2 * (len(sizes) - 1) - 1000


def test_rows_that_share_a_model_store_it_once() -> None:
    sizes = stage_bytes(lay_out(SMOKE, NAMES))
    assert [work.kind for work in sizes] == ["data", "model", "clips", "model", "clips", "clips"]
