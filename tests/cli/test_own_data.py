"""Data of a user's own is checked against what a table needs before anything is ingested or trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import table3, table8
from rollbench.cli import data_source
from rollbench.cli.errors import run_guarded
from rollbench.cli.experiment import run
from rollbench.engine import ingest
from rollbench.errors import UserError
from rollbench.pipeline import corpora
from rollbench.store.artifact import Store


@pytest.fixture
def no_ingest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "ingest_splits", lambda *_: pytest.fail("files were ingested"))


def flow(folder: Path, rows: int, columns: int) -> Path:
    xarray = pytest.importorskip("xarray", reason="pip install -e '.[fields]'")
    pytest.importorskip("h5netcdf", reason="pip install -e '.[fields]'")
    folder.mkdir()
    u, v = np.random.default_rng(0).normal(size=(2, 20, 40, rows, columns))
    axes = ("sample", "time", "y", "x")
    xarray.Dataset({"u": (axes, u), "v": (axes, v)}).to_netcdf(folder / "a.nc", engine="h5netcdf")
    return folder


def planned(source: Path, *arguments: str) -> int:
    return run(
        table8.TABLE, ["--scale", "smoke", "--set", "sampling.contexts=2", "--data", f"fields:{source}", *arguments]
    )


@pytest.mark.usefixtures("no_ingest")
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_grid_that_no_network_takes_is_refused_with_the_nearest_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    assert planned(flow(tmp_path / "odd", 21, 17), *more) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "frames of 21x17 do not fit the network" in error
    assert "rows and columns must be multiples of" in error and "for instance to 20x16" in error


@pytest.mark.usefixtures("no_ingest")
def test_a_grid_that_another_network_takes_is_refused_with_that_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = flow(tmp_path / "small", 12, 12)
    assert planned(source, "--dry-run") == 2
    advice = capsys.readouterr().err.split("choose --set ")[1].strip()
    assert planned(source, "--dry-run", "--set", advice) == 0, capsys.readouterr().err


@pytest.mark.usefixtures("no_ingest")
def test_rectangular_frames_are_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(flow(tmp_path / "wide", 16, 24), "--dry-run") == 0, capsys.readouterr().err


@pytest.mark.parametrize(("rows", "columns"), [(16, 24), (24, 16), (16, 16)])
def test_vorticity_and_divergence_of_rectangular_frames(rows: int, columns: int) -> None:
    """A shear in a box of square cells, 2 pi wide: u = mean of sin(k y) over a cell's height has the vorticity -k cos(k y)."""
    from rollbench.physics.frames import divergence, vorticity

    h = 2 * np.pi / columns
    k = 2 * np.pi / (rows * h)
    edges = h * np.arange(rows + 1)
    u = (np.cos(k * edges[:-1]) - np.cos(k * edges[1:])) / (k * h)
    frames = np.stack([np.broadcast_to(u[:, None], (rows, columns)), np.zeros((rows, columns))])
    centres = (edges[:-1] + edges[1:]) / 2
    assert np.allclose(vorticity(frames), -k * np.cos(k * centres)[:, None], atol=1e-12)
    assert np.abs(divergence(frames)).max() < 1e-12


def manifest(std: list[float], kind: str = "flow") -> dict[str, Any]:
    channels = [{"name": "u", "unit": "m/s"}, {"name": "v", "unit": "m/s"}]
    return {"key": "k", "kind": kind, "frame_shape": [2, 16, 16], "channels": channels, "mean": [1.0, 0.0], "std": std}


def test_a_constant_channel_is_named_with_the_way_out() -> None:
    setting = replace(table8.TABLE.settings[0], network=replace(table8.TABLE.settings[0].network, grid=16))
    data_source._check_frames(setting, manifest([1.0, 1.0]))
    with pytest.raises(
        UserError, match="channel v of corpus k is constant.* leave it out: .*--variables u --kind field"
    ):
        data_source._check_frames(setting, manifest([1.0, 0.0]))
    assert corpora.constant_channels(manifest([1e-16, 1.0])) == ["u"]
    assert corpora.constant_channels(manifest([0.0, 0.0], "video")) == []


def test_own_videos_are_cut_at_the_stride_of_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strides = []

    def expected(value: Any, *_: Any) -> None:
        strides.append(value.stride)
        raise UserError("enough")

    monkeypatch.setattr(corpora.CorpusStage, "of", expected)
    for setting in table3.TABLE.settings:
        with pytest.raises(UserError, match="enough"):
            data_source._of_files(setting, "folder", tmp_path, Store(str(tmp_path)), planning=True)
    assert strides == [8, 1]


def test_an_error_of_the_system_without_a_file_does_not_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise ConnectionError("nobody answers")

    assert run_guarded(work) == 2
    assert capsys.readouterr().err == "rollbench: the system reports ConnectionError: nobody answers\n"
