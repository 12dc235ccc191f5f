"""The graph: what shares a stage, what a missing stage takes with it, and what a change of one field leaves alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.table8 import TABLE
from rollbench.config.scale import at_scale, scale
from rollbench.pipeline.estimate import missing_bytes, stage_bytes, storage_bytes
from rollbench.pipeline.graph import Pipeline, build_pipeline
from rollbench.pipeline.pending import clear_stale, missing
from rollbench.store.artifact import Store

SMOKE = at_scale(TABLE, scale("smoke"))
NAMES = ("MSE (2-1)", "Rolling Diffusion (init noise) (2-8)", "Rolling 10-Ensemble (2-8)")


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Pipeline, Store]:
    """All stages published, with a file of two bytes each."""
    store, stages = Store(str(tmp_path)), build_pipeline(SMOKE, NAMES)
    for stage in stages.stages():
        artifact = stage.artifact(store)
        artifact.commit([artifact.write("a.bin", b"ab")])
    return stages, store


def kinds(stages: Pipeline, store: Store) -> list[str]:
    return [f"{stage.kind} {stage.title}" for stage in missing(stages.stages(), store)]


def test_an_ensemble_shares_the_model_of_its_members() -> None:
    one, rolling, ensemble = build_pipeline(SMOKE, NAMES).rows
    assert rolling.model == ensemble.model != one.model
    assert rolling.rollouts.key != ensemble.rollouts.key
    assert [len(group) for group in build_pipeline(SMOKE, NAMES).by_model()] == [2, 1]


def test_nothing_is_absent_when_all_is_there(finished: tuple[Pipeline, Store]) -> None:
    assert kinds(*finished) == []


def test_a_deleted_stage_takes_along_what_hangs_on_it_and_nothing_else(finished: tuple[Pipeline, Store]) -> None:
    stages, store = finished
    stages.rows[0].model.artifact(store).remove()
    assert [k.split()[0] for k in kinds(stages, store)] == ["model", "rollouts", "features", "results"]
    clear_stale(missing(stages.stages(), store), store)
    assert not stages.rows[0].results.artifact(store).exists()
    assert stages.rows[1].results.artifact(store).manifest() is not None
    stages.settings[0].data.artifact(store).remove()
    assert len(kinds(stages, store)) == len(list(stages.stages()))


def test_damage_is_named_and_the_rest_of_the_stage_kept(finished: tuple[Pipeline, Store]) -> None:
    stages, store = finished
    data = stages.settings[0].data
    artifact = data.artifact(store)
    artifact.commit([*(artifact.manifest() or {})["files"], artifact.write("b.bin", b"cd")])
    (Path(artifact.path) / "a.bin").write_bytes(b"xx")
    found = missing(stages.stages(), store)
    assert "a.bin" in found[data].reason
    clear_stale(found, store)
    assert set(artifact.receipts()) == {"b.bin"}


def test_more_resamples_redo_the_results_alone() -> None:
    before = {w.key for w in build_pipeline(SMOKE, NAMES).stages()}
    after = {w.kind for w in build_pipeline(replace(SMOKE, resamples=77), NAMES).stages() if w.key not in before}
    assert after == {"results"}


def test_another_sampler_keeps_data_and_models() -> None:
    before = {w.key for w in build_pipeline(SMOKE, NAMES).stages()}
    (setting,) = SMOKE.settings
    changed = replace(SMOKE, settings=(replace(setting, sampling=replace(setting.sampling, sampler="ddim")),))
    assert {w.kind for w in build_pipeline(changed, NAMES).stages() if w.key not in before} == {
        "rollouts",
        "features",
        "results",
    }


def test_seeds_share_the_data(tmp_path: Path) -> None:
    stages = build_pipeline(replace(SMOKE, seeds=(0, 1)), NAMES)
    assert len(stages.rows) == 6 and len({row.model.key for row in stages.rows}) == 4
    assert sum(stage.kind == "data" for stage in stages.stages()) == 1


def test_what_is_there_needs_no_room(finished: tuple[Pipeline, Store]) -> None:
    """Of an unfinished stage what has a receipt, of one that is made again what goes before it."""
    stages, store = finished
    sizes, data = stage_bytes(stages), stages.settings[0].data
    assert missing_bytes(sizes, store) == 0
    stages.rows[0].rollouts.artifact(store).remove()
    assert missing_bytes(sizes, store) == sizes[stages.rows[0].rollouts]
    data.artifact(store).invalidate(())
    assert missing_bytes(sizes, store) == storage_bytes(stages) - 2 * (len(sizes) - 1), (
        "the files of two bytes are there"
    )
    data.artifact(store).write("b.bin", bytes(1000))
    assert missing_bytes(sizes, store) == storage_bytes(stages) - 2 * (len(sizes) - 1) - 1000


def test_rows_that_share_a_model_store_it_once() -> None:
    sizes = stage_bytes(build_pipeline(SMOKE, NAMES))
    assert [stage.kind for stage in sizes] == ["data", "model", "rollouts", "model", "rollouts", "rollouts"]
