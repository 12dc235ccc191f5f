"""`rollbench compare`: the runs that are meant, where they differ, and MLflow's own numbers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from reports.format import bounds
from rollbench.cli import compare
from rollbench.cli.main import main
from rollbench.pipeline.graph import build_pipeline
from rollbench.pipeline.run_context import RunContext
from rollbench.store.artifact import Store
from rollbench.tracking.client import Tracking, open_tracking
from rollbench.tracking.recorder import Recorder
from tests.support import finished
from tests.support.finished import ROWS, TRIVIAL, value
from tests.support.mlflow_server import empty_database


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of two rows with two seeds each, recorded beside its stages."""
    folder = tmp_path_factory.mktemp("recorded") / "store"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(empty_database())
    stages = build_pipeline(replace(finished.stages().table, seeds=(0, 1)), ROWS)
    store = Store(str(folder))
    finished.finish(stages, store)
    with Recorder(
        stages, RunContext(store, folder / "out/table8", "smoke", ""), f"sqlite:///{folder}/mlflow.db", print
    ) as recorder:
        recorder.finish()
    return folder


@pytest.fixture
def tracking(storage: Path) -> Tracking:
    return open_tracking(f"sqlite:///{storage}/mlflow.db")


@pytest.fixture
def shown(storage: Path, capsys: pytest.CaptureFixture[str]):
    """What the command prints; a refusal's one line."""

    def show(*argv: str) -> str:
        code = main(["compare", *argv, "--storage", str(storage)])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "") if out else (code == 2 and err.count("\n") == 1), err
        return out or err

    return show


def test_numbers_stand_side_by_side_with_their_intervals(shown) -> None:
    lines = shown(*ROWS, "--metric", "fsd").splitlines()
    start = lines.index("fsd")
    for line, lead in zip(lines[start + 1 :], (1, 2, 4, 8), strict=True):
        found = re.fullmatch(r"  lead (\d) +(\S+ \[\S+, \S+\]) +(\S+ \[\S+, \S+\])", line)
        assert found is not None and int(found[1]) == lead, line
        for text, row in zip((found[2], found[3]), ROWS, strict=True):
            number = value(row, "fsd", lead)
            a, low, high = bounds(number, number - 1 / 7, number + 1 / 7)
            assert text == f"{a} [{low}, {high}]"


def test_parameters_that_differ_come_first_and_no_others(shown) -> None:
    text = shown(*ROWS)
    head, _, _ = text.partition("\nfsd\n")
    assert re.search(r"^method +Regression +Rolling$", head, re.M) and re.search(
        r"^method.generated +1 +4$", head, re.M
    )
    assert "training.steps" not in head and "method.clean" not in head and "commit" not in head
    assert text.index("method.generated") < text.index("lead 1")


def test_json_has_all_digits_and_they_are_mlflows(shown, tracking: Tracking) -> None:
    runs = json.loads(shown(*ROWS, "--json"))["runs"]
    for run, row in zip(runs, ROWS, strict=True):
        held = tracking.read(run["id"]).metrics
        for lead in (1, 2, 4, 8):
            found = run["metrics"]["mse"][str(lead)]
            assert found == {"value": held["mse"][lead], "low": held["mse_low"][lead], "high": held["mse_high"][lead]}
            assert found["value"] == value(row, "mse", lead)


def test_a_run_is_found_by_its_id_its_beginning_its_row_and_its_table(shown, tracking: Tracking) -> None:
    (run,) = tracking.search(f"attributes.run_name = '{ROWS[0]}, seed 1'")
    for resources_from in (run.run_id, run.run_id[:12], f"{ROWS[0]}, seed 1"):
        assert [found["id"] for found in json.loads(shown(resources_from, "--json"))["runs"]] == [run.run_id]
    newest = next(tracking.search(f"tags.row = '{ROWS[0]}'"))
    assert json.loads(shown(ROWS[0], "--json"))["runs"][0]["id"] == newest.run_id
    (parent,) = (run for run in tracking.search() if "row" not in run.tags)
    for resources_from in ("table8", parent.run_id):
        names = [run["name"] for run in json.loads(shown(resources_from, "--json"))["runs"]]
        assert set(names[:4]) == {f"{row}, seed {seed}" for row in ROWS for seed in (0, 1)}
        assert set(names[4:]) == {name for name, _ in TRIVIAL}


def test_training_is_shown_when_asked_for(shown) -> None:
    text = shown(ROWS[0], "--metric", "train_loss")
    assert "step 4" in text and "0.200" in text and "lead" not in text and "train_loss" not in shown(ROWS[0])


def test_what_is_not_there_is_one_line_with_the_nearest(
    shown, tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no run 'MSE (2-2)'" in (line := shown("MSE (2-2)")) and "did you mean 'MSE (2-1)'?" in line
    assert "no metric 'fds' in these runs; did you mean 'fsd'?" in shown(ROWS[0], "--metric", "fds")
    for odd in ('it\'s "both"', "it's", "back\\slash", "`tick`", "%", "' or '' = '", "\n"):
        assert "no run" in shown(odd)
    monkeypatch.setattr(compare, "ID_PREFIX", re.compile("[0-9a-f]*"))
    assert "is a prefix of the ids of 8 runs" in shown("")  # as any prefix that several share


def test_places_without_runs_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "a", "--storage", str(tmp_path / "none")]) == 2
    assert "nothing is recorded in" in capsys.readouterr().err and not (tmp_path / "none").exists()
    assert main(["compare", "a", "--tracking-uri", "http://127.0.0.1:9"]) == 2
    assert "cannot be reached" in capsys.readouterr().err


def test_columns_have_letters() -> None:
    assert [compare._letter(place) for place in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]
