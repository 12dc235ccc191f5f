"""MLflow keeps what it is given: a real sqlite store, a real server, and places that are not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbench import tracking
from rollbench.spec import BadInput
from rollbench.tracking import open_tracking, points

ROWS = [
    {"metric": "fsd", "lead": 1, "value": 14.25, "low": 13.0, "high": 15.125},
    {"metric": "fsd", "lead": 24, "value": 1 / 3, "low": 0.1, "high": 0.7},
    {"metric": "mse", "lead": 1, "value": 2.0, "low": None, "high": None},
]
LINEAGE = {"results_key": "0123abcd", "commit": "f00d"}


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> tracking.Tracking:
    """One store for all tests of this file: making its tables takes more than a second."""
    return open_tracking(None, tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server of our own on the loopback interface."""
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "kept")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *options, *places],
        cwd=folder,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=(folder / "log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, folder / "log", process)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)


def record(place: tracking.Tracking, key: str, folder: Path) -> str:
    """A table with one row, as the engine records it; returns the row's run."""
    picture = folder / "figure.txt"
    picture.write_text("a figure")
    with place.table_run("table8, laptop", {"scale": "laptop"}, {"table": "table8"}) as parent:
        parent.artifact(picture)
        with parent.row("rolling (2-4)", 3, {"method": {"clean": 2, "generated": 4}}, {"results_key": key}) as child:
            child.metrics(points(ROWS))
            child.metrics([("loss", 1 / (step + 1), step) for step in range(2500)])
    return child.id


def check(place: tracking.Tracking, run_id: str) -> None:
    """Every number, parameter and tag of `record` comes back as it went in."""
    (logged,) = place.compare([run_id])
    assert logged.metrics["fsd"] == {1: 14.25, 24: 1 / 3}
    assert logged.metrics["fsd_low"] == {1: 13.0, 24: 0.1} and logged.metrics["fsd_high"] == {1: 15.125, 24: 0.7}
    assert logged.metrics["mse"] == {1: 2.0} and "mse_low" not in logged.metrics
    assert logged.metrics["loss"] == {step: 1 / (step + 1) for step in range(2500)}
    assert logged.params == {"method.clean": "2", "method.generated": "4", "seed": "3"}
    assert (logged.name, logged.tags["row"]) == ("rolling (2-4), seed 3", "rolling (2-4)")
    parent = place.client.get_run(logged.tags["mlflow.parentRunId"])
    assert (parent.info.status, parent.data.tags["table"]) == ("FINISHED", "table8")
    assert [file.path for file in place.client.list_artifacts(parent.info.run_id)] == ["figure.txt"]


def test_what_sqlite_was_given_comes_back(sqlite: tracking.Tracking, tmp_path: Path) -> None:
    check(sqlite, record(sqlite, "given", tmp_path))


def test_what_a_server_was_given_comes_back(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    place = open_tracking(None, tmp_path / "unused")
    check(place, record(place, "given", tmp_path))
    assert not (tmp_path / "unused").exists()


def test_a_recorded_row_is_found_and_no_other(sqlite: tracking.Tracking, tmp_path: Path) -> None:
    run_id = record(sqlite, "0123abcd", tmp_path)
    assert sqlite.find({"results_key": "0123abcd", "seed": "3"}) == run_id
    assert sqlite.find({"results_key": "0123abcd", "seed": "4"}) is None
    assert sqlite.find({"results_key": "0123abce"}) is None


def test_names_with_quotes_and_brackets_are_found(sqlite: tracking.Tracking) -> None:
    with sqlite.table_run("t", {}, {"row": "Kolmogorov's (2-4), 50 % \u03b2 = 0.5"}) as run:
        pass
    assert sqlite.find({"row": "Kolmogorov's (2-4), 50 % \u03b2 = 0.5"}) == run.id


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_row_that_broke_off_is_recorded_as_such_and_not_found(
    sqlite: tracking.Tracking, error: type[BaseException], status: str
) -> None:
    run = sqlite.table_run("table8", {}, {"results_key": status})
    with pytest.raises(error), run:
        raise error
    assert sqlite.client.get_run(run.id).info.status == status
    assert sqlite.find({"results_key": status}) is None


def test_another_process_finds_the_row(sqlite: tracking.Tracking, tmp_path: Path) -> None:
    run_id = record(sqlite, "elsewhere", tmp_path)
    assert in_another_process(sqlite.uri, "print(place.find({'results_key': 'elsewhere'}))").strip() == run_id


def test_opening_a_new_store_is_silent_and_safe_from_two_processes(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    code = "place.table_run('t', {}, {}).finish(); print(len(place.client.search_runs([place.experiment])) in (1, 2))"
    both = [start(uri, code) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out.strip(), err) == (0, "True", "")


def start(uri: str, code: str) -> subprocess.Popen[str]:
    head = f"import pathlib, rollbench.tracking; place = rollbench.tracking.open_tracking({uri!r}, pathlib.Path())"
    command = [sys.executable, "-c", f"{head}; {code}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def in_another_process(uri: str, code: str) -> str:
    process = start(uri, code)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_long_and_many_parameters_are_kept(sqlite: tracking.Tracking, tmp_path: Path) -> None:
    many = {f"p{i}": i for i in range(250)}
    with sqlite.table_run("wide", {**many, "layout": "x" * 7000, "odd(name)": "y"}, {"note": "z" * 9000}) as run:
        pass
    (logged,) = sqlite.compare([run.id])
    assert {key: logged.params[key] for key in many} == {key: str(value) for key, value in many.items()}
    assert logged.params["layout"] == "x" * 6000 and logged.params["odd_name_"] == "y"
    whole = Path(sqlite.client.download_artifacts(run.id, "parameters.json", str(tmp_path)))
    assert '"layout": "' + "x" * 7000 + '"' in whole.read_text()


def test_artifacts_lie_beside_the_database(sqlite: tracking.Tracking, tmp_path: Path) -> None:
    record(sqlite, "beside", tmp_path)
    folder = Path(sqlite.uri.removeprefix("sqlite:///")).parent
    assert [path.read_text() for path in folder.glob("mlflow-artifacts/*/artifacts/figure.txt")][:1] == ["a figure"]


def test_a_closed_port_is_bad_input_at_once(tmp_path: Path) -> None:
    address = f"http://user:secret@127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(BadInput, match="MLflow at http://127.0.0.1:.*refused.*or unset it") as caught:
        open_tracking(address, tmp_path)
    assert time.monotonic() - began < 30 and "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_has_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mlflow retries for minutes; what then comes is an error of ours, which names the place."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{free_port()}"
    gone = tracking.Tracking(address, tracking._Client(address), "1")
    with pytest.raises(tracking.Unavailable, match=address):
        gone.find({"results_key": "0123abcd"})


def test_a_server_that_says_nothing_is_bad_input_after_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "TIMEOUT", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(BadInput, match="timed out"):
            open_tracking(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
    assert 0.5 <= time.monotonic() - began < 30  # mlflow alone would retry for minutes


def test_a_place_that_cannot_be_a_store_is_bad_input(tmp_path: Path) -> None:
    junk = tmp_path / "junk.db"
    junk.write_text("this is no database, and mlflow alone would try it for an hour")
    for uri, reason in [
        (f"sqlite:///{junk}", "not a database"),
        (f"sqlite:///{junk}/mlflow.db", "exists"),
        (f"file://{tmp_path}/runs", "maintenance"),
        (f"postgresql://127.0.0.1:{free_port()}/runs", "refused"),
        ("nonsense://place", "unsupported"),
    ]:
        with pytest.raises(BadInput, match=reason):
            open_tracking(uri, tmp_path)
