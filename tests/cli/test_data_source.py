"""Where a table's clips come from is planned, and checked, before anything is read: what cannot be is refused before it is ingested."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import netcdf_file

from experiments import table3, table8
from rollbench.cli.experiment import run
from rollbench.engine import ingest


@pytest.fixture
def no_ingest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "ingest_splits", lambda *_: pytest.fail("files were ingested"))


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """Twenty trajectories of a flow, 40 frames of 16 x 16: two of them are for testing."""
    (tmp_path / "flows").mkdir()
    rng = np.random.default_rng(0)
    for run_ in range(20):
        with netcdf_file(tmp_path / "flows" / f"run{run_}.nc", "w") as file:
            for name, size in (("time", 40), ("y", 16), ("x", 16)):
                file.createDimension(name, size)
            for name in ("u", "v"):
                file.createVariable(name, "f", ("time", "y", "x"))[:] = rng.normal(size=(40, 16, 16))
    return tmp_path / "flows"


def told(capsys: pytest.CaptureFixture[str], table: Any, *arguments: str) -> tuple[int, str, str]:
    code = run(table, ["--scale", "smoke", "--set", "sampling.contexts=2", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_missing_folder_is_named_also_in_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    for more in ((), ("--dry-run",)):
        code, out, err = told(capsys, table3.TABLE, "--data", "folder:/nope", *more)
        assert (code, out) == (2, "") and "'/nope' does not exist" in err and err.count("\n") == 1


@pytest.mark.usefixtures("no_ingest")
def test_files_are_planned_from_their_listing(capsys: pytest.CaptureFixture[str], flows: Path) -> None:
    code, out, err = told(capsys, table8.TABLE, "--data", f"fields:{flows}", "--dry-run")
    assert code == 0, err
    assert f"to be ingested from {flows}" in out and "2 test clips" in out
    assert not Path("store").exists()


@pytest.mark.usefixtures("no_ingest")
@pytest.mark.parametrize(
    ("arguments", "argv"),
    [
        (["--rows", "Rolling (2-4)"], "unknown row"),
        (["--workers", "64"], "exceeds the 2 micro-batches"),
        (["--set", 'metrics=["psnr"]'], "metric 'psnr' is not one of a flow"),
        (["--set", "sampling.horizon=64", "--set", "leads=[1]"], "exceed"),
    ],
)
def test_rules_are_checked_before_files_are_read(
    capsys: pytest.CaptureFixture[str], flows: Path, arguments: list[str], argv: str
) -> None:
    code, out, err = told(capsys, table8.TABLE, "--data", f"fields:{flows}", *arguments)
    assert (code, out) == (2, "") and argv in err and err.count("\n") == 1, err


@pytest.mark.usefixtures("no_ingest")
def test_videos_are_refused_where_a_flow_is_scored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from PIL import Image

    for video in range(20):
        (tmp_path / "films" / f"v{video}").mkdir(parents=True)
        for frame in range(12):
            Image.new("RGB", (16, 16)).save(tmp_path / "films" / f"v{video}" / f"{frame}.png")
    code, _, err = told(capsys, table8.TABLE, "--data", f"folder:{tmp_path / 'films'}")
    assert code == 2 and "metric 'fsd' is not one of a video" in err


def test_a_plan_of_real_data_says_what_ingests_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, table3.TABLE, "--data", "real", "--dry-run")
    assert code == 0
    assert "not ingested yet: `rollbench ingest kinetics600 --source PATH --split train" in out
    code, out, _ = told(capsys, table3.TABLE, "--dry-run")
    assert code == 0 and "not ingested yet" not in out
