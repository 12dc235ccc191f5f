"""What MLflow is told of a table: numbers by lead to the last digit, what made them, each once, and no secret."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.table8 import TABLE
from rollbench.config.canonical import flat, to_plain
from rollbench.config.sampling import Sampling
from rollbench.config.scale import at_scale, scale
from rollbench.pipeline.graph import Pipeline, build_pipeline
from rollbench.pipeline.run_context import RunContext
from rollbench.store.artifact import Store
from rollbench.tracking.client import PARENT, LoggedRun, Tracking, open_tracking, tracking_uri
from rollbench.tracking.recorder import Recorder
from tests.support import finished
from tests.support.finished import MADE, ROWS, STEPS, TRIVIAL, value
from tests.support.mlflow_server import empty_database

LEADS = (1, 2, 4, 8)


@pytest.fixture
def place(tmp_path: Path) -> RunContext:
    out = tmp_path / "out/table8"
    out.mkdir(parents=True)
    (out / "table.html").write_text("a table")
    (out / "rollouts.webp").write_bytes(b"a film")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/mlflow.db").write_bytes(empty_database())
    return RunContext(
        Store(str(tmp_path / "store")), out, "smoke", "python experiments/table8.py --storage s3://key:hunter2@bucket/x"
    )


def recorded(stages: Pipeline, place: RunContext, uri: str | None = None) -> tuple[dict[str, Any], Tracking]:
    """Record a finished table; what the report is told, and the place where it is recorded."""
    said: list[str] = []
    uri = tracking_uri(uri, place.store, place.out.parent)
    with Recorder(stages, place, uri, said.append) as recorder:
        summary = recorder.finish()
        recorder.keep()
    assert said == []
    return summary, open_tracking(uri)


def expected(row: str) -> dict[str, dict[int, float]]:
    """A row's numbers as MLflow is to hold them."""
    numbers = {metric: {lead: value(row, metric, lead) for lead in LEADS} for metric in ("fsd", "mse", "mse_ratio")}
    ends = {
        f"{metric}{end}": {lead: number + by for lead, number in of.items()}
        for metric, of in numbers.items()
        for end, by in (("_low", -1 / 7), ("_high", 1 / 7))
    }
    return {**numbers, **ends}


def differences(logged: LoggedRun, row: str) -> list[str]:
    """Where MLflow's numbers are not those of the results, exactly."""
    return [name for name, numbers in expected(row).items() if logged.metrics.get(name) != numbers]


def test_a_table_is_a_run_and_each_row_its_child(place: RunContext) -> None:
    stages = finished.stages()
    finished.finish(stages, place.store)
    summary, tracking = recorded(stages, place)
    (parent,) = tracking.search("tags.table = 'table8' and attributes.run_name = 'table8, smoke'")
    assert parent.params["training.steps"] == "12" and parent.params["data"] == "Kolmogorov"
    assert parent.tags["scale"] == "smoke" and "Kolmogorov flow" in parent.tags["mlflow.note.content"]
    assert {run.run_id for run in tracking.rows(parent.run_id)} == {
        i for ids in summary["runs"].values() for i in ids.values()
    }
    assert set(summary["runs"]) == {*ROWS, *(name for name, _ in TRIVIAL)} and "not sent" not in summary
    for row, kind in (*((name, "method") for name in ROWS), *TRIVIAL):
        logged = tracking.read(summary["runs"][row][0])
        assert differences(logged, row) == [] and (logged.tags["kind"], logged.tags[PARENT]) == (kind, parent.run_id)
    kept = [file.path for file in tracking.client.list_artifacts(parent.run_id, "table8")]
    assert kept == ["table8/rollouts.webp", "table8/table.html"]
    assert list(place.store.keys("outbox")) == []


def test_a_row_says_what_made_it_and_what_it_cost(place: RunContext) -> None:
    stages = finished.stages()
    finished.finish(stages, place.store)
    summary, tracking = recorded(stages, place)
    logged, row = tracking.read(summary["runs"][ROWS[1]][0]), stages.rows[1]
    assert logged.name == f"{ROWS[1]}, seed 0"
    keys = {
        "data_key": stages.settings[0].data.key,
        "model_key": row.model.key,
        "rollouts_key": row.rollouts.key,
        "results_key": row.results.key,
    }
    tags = {
        **keys,
        "commit": MADE["commit"],
        "device": MADE["device"],
        "evaluator.fsd": "fsd-1",
        "n.fsd": "16",
        "scale": "smoke",
    }
    assert tags.items() <= logged.tags.items() and logged.tags["data_kind"] == "simulated"
    made_from = {
        "method": "Rolling",
        "method.init": "clip",
        "network.channels": "[16, 16]",
        "training.learning_rate": "0.005",
        "seed": "0",
    }
    assert made_from.items() <= logged.params.items() and logged.params["parameters"] == "1234"
    assert logged.params["sampling.calls_per_frame"] == "2" and logged.params["data.viscosity"] == "[0.0005, 0.005]"
    assert logged.metrics["train_loss"] == {step: 1 / (step + 1) for step in range(STEPS)}
    assert (logged.metrics["train_seconds"], logged.metrics["peak_memory_bytes"]) == ({0: 1.5}, {0: 2.0**20})


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("fsd", {1: 1.0}), ("mse_low", {}), ("fsd", {lead: value(ROWS[0], "fsd", lead) + 1e-12 for lead in LEADS})],
)
def test_a_number_that_differs_is_found(name: str, numbers: dict[int, float]) -> None:
    whole = LoggedRun("", "", 0.0, {}, {}, expected(ROWS[0]))
    assert differences(whole, ROWS[0]) == []
    assert differences(replace(whole, metrics={**whole.metrics, name: numbers}), ROWS[0]) == [name]


def test_again_nothing_is_sent_and_more_rows_join_the_table(place: RunContext) -> None:
    stages = finished.stages(ROWS[:1])
    finished.finish(stages, place.store)
    first, tracking = recorded(stages, place)
    before = dump(tracking)
    assert recorded(stages, place)[0] == first and dump(tracking) == before
    more = replace(finished.stages(), table=replace(stages.table, seeds=(0, 1)))
    more = build_pipeline(more.table, ROWS)
    finished.finish(more, place.store)
    second, _ = recorded(more, place)
    assert second["runs"][ROWS[0]][0] == first["runs"][ROWS[0]][0] and set(second["runs"][ROWS[1]]) == {0, 1}
    parents = {run.tags[PARENT] for run in tracking.search() if PARENT in run.tags}
    assert len(parents) == 1, "rows and seeds that come later belong to the same table"


def test_another_size_is_another_table(place: RunContext) -> None:
    for steps in (11, 12):
        setting = finished.stages().settings[0].setting
        table = replace(TABLE, settings=(replace(setting, training=replace(setting.training, steps=steps)),))
        stages = build_pipeline(at_scale(table, scale("smoke")), ROWS[:1])
        finished.finish(stages, place.store)
        _, tracking = recorded(stages, place)
    assert len({run.tags[PARENT] for run in tracking.search() if PARENT in run.tags}) == 2


def test_a_table_of_several_settings(place: RunContext) -> None:
    """Its rows are told apart by their names, its trivial forecasts by the settings' names; parameters stand under those."""
    setting = at_scale(TABLE, scale("smoke")).settings[0]
    rows = {row.name: row for row in setting.rows}
    slow = replace(setting, name="slow", rows=(rows[ROWS[0]],))
    fast = replace(setting, name="fast", rows=(rows[ROWS[1]],), sampling=replace(setting.sampling, calls_per_frame=1))
    stages = build_pipeline(replace(TABLE, settings=(slow, fast)), ROWS)
    finished.finish(stages, place.store)
    summary, tracking = recorded(stages, place)
    assert set(summary["runs"]) == {
        *ROWS,
        *(f"{name}, {setting}" for name, _ in TRIVIAL for setting in ("slow", "fast")),
    }
    logged = {run.name: run for run in tracking.search()}
    assert logged["table8, smoke"].params["fast.sampling.calls_per_frame"] == "1"
    assert [logged[f"{row}, seed 0"].tags["setting"] for row in ROWS] == ["slow", "fast"]


def test_no_secret_reaches_mlflow_or_the_outbox(place: RunContext, tmp_path: Path) -> None:
    stages = finished.stages(ROWS[:1])
    finished.finish(stages, place.store)
    _, tracking = recorded(stages, place)
    assert "hunter2" not in "\n".join(dump(tracking))
    said: list[str] = []
    with Recorder(stages, place, "http://user:hunter2@127.0.0.1:9", said.append) as recorder:
        summary = recorder.finish()
    entries = list((tmp_path / "store/outbox").glob("*/*"))
    assert len(entries) == 4
    assert "hunter2" not in str(summary) + str(said) + "".join(path.read_text() for path in entries)


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_table_that_broke_off_says_so_and_keeps_its_rows(
    place: RunContext, error: type[BaseException], status: str
) -> None:
    stages = finished.stages()
    finished.finish(stages, place.store)
    uri = tracking_uri(None, place.store, place.out.parent)
    with pytest.raises(error), Recorder(stages, place, uri, print) as recorder:
        recorder.record(stages.rows[0])
        recorder.sender.settle()
        raise error
    tracking = open_tracking(uri)
    (parent,) = tracking.search("tags.table = 'table8' and attributes.run_name = 'table8, smoke'")
    assert tracking.client.get_run(parent.run_id).info.status == status
    assert [run.tags["row"] for run in tracking.rows(parent.run_id)] == [ROWS[0]]


def test_names_of_parameters_are_readable() -> None:
    value = to_plain({"sampling": Sampling(horizon=8), "nested": [{"is": "A", "b": 1}, {"is": "B"}]})
    found = dict(flat(value))
    assert (
        found["sampling"] == "Sampling" and found["sampling.horizon"] == "8" and found["sampling.degradation"] == "null"
    )
    assert (found["nested.0"], found["nested.0.b"], found["nested.1"]) == ("A", "1", "B")


def dump(tracking: Tracking) -> Sequence[str]:
    with sqlite3.connect(tracking.uri.removeprefix("sqlite:///")) as connection:
        return list(connection.iterdump())
