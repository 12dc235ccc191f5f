"""A whole table, made by its own command, while its MLflow server dies and comes back; then again with none at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbench.cli.main import main
from rollbench.store.artifact import Store
from rollbench.tracking import background
from rollbench.tracking.background import Sender
from rollbench.tracking.client import open_tracking
from tests.support.mlflow_server import Server, empty_database
from tests.tracking.test_background import numbered

TINY = [
    "--scale",
    "smoke",
    "--set",
    "training.steps=4",
    "--set",
    "train_clips=16",
    "--set",
    "sampling.group=8",
    "--rows",
    "MSE (2-1)",
]
Numbers = dict[tuple[str, str, int], tuple[float, float, float]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    yield server
    server.kill()


def start(root: Path, home: Path, address: str) -> subprocess.Popen[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")} | {
        "MLFLOW_TRACKING_URI": address
    }
    command = [
        sys.executable,
        root / "experiments/table8.py",
        *TINY,
        "--name",
        "table8",
        "--storage",
        home / "store",
        "--out",
        home / "out",
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def in_the_table(home: Path) -> Numbers:
    report = json.loads((home / "out/table8/table.json").read_text())
    return {
        (line["row"], block["metric"], cell["lead"]): (cell["value"], cell["low"], cell["high"])
        for block in report["blocks"]
        for line in block["rows"]
        for cell in line["cells"]
        if cell is not None
    }


def in_mlflow(address: str, wanted: Numbers) -> Numbers:
    tracking = open_tracking(address)
    runs = {run.tags["row"]: tracking.read(run.run_id).metrics for run in tracking.search() if "row" in run.tags}
    found = {}
    for row, metric, lead in wanted:
        value, low, high = (runs[row][f"{metric}{end}"][lead] for end in ("", "_low", "_high"))
        found[row, metric, lead] = (value, low, high)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_dies_in_mid_run_holds_the_tables_numbers_and_so_does_a_later_one(
    root: Path, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = start(root, tmp_path, server.start().address)
    while not list((tmp_path / "store").glob("model/*")):
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.05)
    server.kill()
    while not list((tmp_path / "store").glob("outbox/*/manifest.json")):  # the row is done, and cannot be sent
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.05)
    server.start()
    out, err = driver.communicate(timeout=600)
    assert driver.returncode == 0 and "Traceback" not in err, err
    wanted = in_the_table(tmp_path)
    assert len(wanted) == 4 * 3 * 4 and in_mlflow(server.address, wanted) == wanted
    assert list(Store(str(tmp_path / "store")).keys("outbox")) == []

    later = Server(tmp_path / "later")
    driver = start(root, tmp_path, later.address)
    out, err = driver.communicate(timeout=600)
    assert driver.returncode == 0 and "Traceback" not in err and err.count(later.address) == 2, err
    assert "nothing to compute" in err and "5 runs wait" in err and in_the_table(tmp_path) == wanted
    try:
        later.start()
        words = [
            "track",
            "--storage",
            str(tmp_path / "store"),
            "--out",
            str(tmp_path / "out"),
            "--tracking-uri",
            later.address,
        ]
        assert main(words) == 0 and "table8: 5 runs sent" in capsys.readouterr().out
        assert in_mlflow(later.address, wanted) == wanted
    finally:
        later.kill()


@pytest.mark.slow
def test_a_server_that_hangs_is_given_up_and_sent_all_when_it_wakes(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections and says nothing, which mlflow alone would wait for, minutes at a time."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr("rollbench.tracking.client.TIMEOUT", 1.0)
    monkeypatch.setattr(background, "RETRY", 0.3)
    monkeypatch.setattr(background, "PATIENCE", 2.0)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/mlflow.db").write_bytes(empty_database())
    said: list[str] = []
    one = Sender(server.start().address, Store(str(tmp_path / "store")), tmp_path, said.append)
    assert server.process is not None
    os.killpg(server.process.pid, signal.SIGSTOP)
    for record in numbered(3):
        one.add(record)
    assert one.settle() == 3 and "timed out" in said[0]
    os.killpg(server.process.pid, signal.SIGCONT)
    end = time.monotonic() + 60
    while one.told():
        assert time.monotonic() < end
        time.sleep(0.1)
    one.stop()
    assert said[1:] == [f"MLflow at {server.address} is back"] and len(one.sent) == 3
