"""MLflow keeps what it is sent, once: a real sqlite store, a real server, and places that are not there."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollbench.errors import UserError
from rollbench.store.artifact import Store
from rollbench.tracking import client
from rollbench.tracking.client import Tracking, Unavailable, open_tracking, tracking_uri
from rollbench.tracking.record import Record, points
from tests.support.mlflow_server import Server, empty_database, free_port

ROWS = [
    {"metric": "fsd", "lead": 1, "value": 14.25, "low": 13.0, "high": 15.125},
    {"metric": "fsd", "lead": 24, "value": 1 / 3, "low": 0.1, "high": 0.7},
    {"metric": "fvd", "lead": None, "value": 2.0, "low": None, "high": None},
]
HISTORY = [("loss", 1 / (step + 1), step) for step in range(2500)]


def table(key: str) -> Record:
    return Record(f"table-{key}", "table8, laptop", {"scale": "laptop"}, {"table": "table8"})


def row(key: str) -> Record:
    """A row as the engine records it: numbers by lead, a history of more than two batches, parameters, lineage."""
    tags = {"row": "rolling (2-4)", "results_key": key}
    return Record(
        key,
        "rolling (2-4), seed 3",
        {"method": "Rolling", "method.clean": "2"},
        tags,
        (*points(ROWS), *HISTORY),
        table(key),
    )


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    """One store for all tests of this file: making its tables takes more than a second."""
    database = tmp_path_factory.mktemp("sqlite") / "mlflow.db"
    database.write_bytes(empty_database())
    return open_tracking(f"sqlite:///{database}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server of our own on the loopback interface."""
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server.address
    server.kill()


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A folder of reports with one in it."""
    folder = tmp_path / "out/table8"
    folder.mkdir(parents=True)
    (folder / "table.html").write_text("a table")
    return folder.parent


def check(place: Tracking, run_id: str) -> None:
    """Every number, parameter and tag of `row` comes back as it went in."""
    logged = place.read(run_id)
    assert logged.metrics["fsd"] == {1: 14.25, 24: 1 / 3}
    assert logged.metrics["fsd_low"] == {1: 13.0, 24: 0.1} and logged.metrics["fsd_high"] == {1: 15.125, 24: 0.7}
    assert logged.metrics["fvd"] == {0: 2.0} and "fvd_low" not in logged.metrics
    assert logged.metrics["loss"] == {step: 1 / (step + 1) for step in range(2500)}
    assert logged.params == {"method": "Rolling", "method.clean": "2"}
    assert (logged.name, logged.tags["row"]) == ("rolling (2-4), seed 3", "rolling (2-4)")
    parent = place.client.get_run(logged.tags["mlflow.parentRunId"])
    assert (parent.info.status, parent.data.tags["table"], parent.data.params) == (
        "FINISHED",
        "table8",
        {"scale": "laptop"},
    )
    assert [file.path for file in place.client.list_artifacts(parent.info.run_id, "table8")] == ["table8/table.html"]


def test_what_sqlite_was_sent_comes_back(sqlite: Tracking, reports: Path) -> None:
    run_id = sqlite.send(row("given"), reports)
    assert (
        sqlite.client.get_run(sqlite.send(table("given"), reports)).info.status == "RUNNING"
    )  # until it has its report
    sqlite.send(replace(table("given"), report="table8"), reports)
    check(sqlite, run_id)
    folder = Path(sqlite.uri.removeprefix("sqlite:///")).parent  # artifacts lie beside the database
    assert [path.read_text() for path in folder.glob("mlflow-artifacts/*/artifacts/table8/table.html")] == ["a table"]


def test_what_a_server_was_sent_comes_back(server: str, reports: Path) -> None:
    place = open_tracking(server)
    run_id = place.send(row("given"), reports)
    place.send(replace(table("given"), report="table8"), reports)
    check(place, run_id)
    assert place.recorded(table("given")) == {"given": run_id} and place.recorded(table("other")) == {}


def test_sending_again_changes_nothing(sqlite: Tracking, reports: Path) -> None:
    kept = replace(table("again"), report="table8")
    first = [sqlite.send(record, reports) for record in (row("again"), kept)]
    before = dump(sqlite)
    assert [sqlite.send(record, reports) for record in (row("again"), kept)] == first
    assert dump(sqlite) == before


def test_half_a_run_is_made_whole_without_doubling_a_point(
    sqlite: Tracking, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server dies after the second batch of numbers; sent again, the run is as if nothing had been."""
    calls: list[str] = []

    class Dies:
        def __getattr__(self, name: str) -> Any:
            if name == "log_batch":
                calls.append(name)
                if len(calls) == 5:  # the table's parameters, the row's, and two batches of its numbers are there
                    raise Unavailable("gone")
            return getattr(sqlite.client, name)

    dies: Any = Dies()
    with pytest.raises(Unavailable):
        replace(sqlite, client=dies).send(row("half"), reports)
    assert sqlite.recorded(table("half")) == {}
    run_id = sqlite.send(row("half"), reports)
    sqlite.send(replace(table("half"), report="table8"), reports)
    check(sqlite, run_id)
    assert all(
        len(sqlite.client.get_metric_history(run_id, name)) == count for name, count in (("fsd", 2), ("loss", 2500))
    )


def test_who_comes_second_gives_way(sqlite: Tracking, reports: Path) -> None:
    """Another process makes the run between our search for it and our making it."""
    theirs: list[str] = []

    class Late:
        def __getattr__(self, name: str) -> Any:
            return getattr(sqlite.client, name)

        def create_run(self, *arguments: Any, **words: Any) -> Any:
            if not theirs:
                theirs.append(sqlite.send(table("race"), reports))
            return sqlite.client.create_run(*arguments, **words)

    late: Any = Late()
    assert replace(sqlite, client=late).send(table("race"), reports) == theirs[0]
    assert [run.run_id for run in sqlite.search("tags.record = 'table-race'")] == theirs


def dump(place: Tracking) -> list[str]:
    with sqlite3.connect(place.uri.removeprefix("sqlite:///")) as connection:
        return list(connection.iterdump())


def test_two_processes_that_send_the_same_make_one_run(tmp_path: Path) -> None:
    """Opening a new store is silent too, and safe from two processes."""
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    code = (
        "import pathlib, rollbench.tracking.client as t; from tests.tracking.test_tracking import row;"
        f"place = t.open_tracking({uri!r}); [place.send(row(str(i)), pathlib.Path()) for i in range(3)]"
    )
    root = Path(client.__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root.parent}{os.pathsep}{root}"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=200)
        assert (process.returncode, out, err) == (0, "", "")
    found = list(open_tracking(uri).search())
    assert sorted(run.tags["record"] for run in found) == ["0", "1", "2", "table-0", "table-1", "table-2"]


def test_long_and_many_parameters_are_taken(sqlite: Tracking, reports: Path) -> None:
    many = {f"p{i}": str(i) for i in range(250)}
    wide = Record(
        "wide", "wide", {**many, "layout": "x" * 7000, "odd(name)": "y"}, {"note": "z" * 9000}, parent=table("wide")
    )
    logged = sqlite.read(sqlite.send(wide, reports))
    assert {key: logged.params[key] for key in many} == many
    assert (
        logged.params["layout"] == "x" * 6000
        and logged.params["odd_name_"] == "y"
        and logged.tags["note"] == "z" * 8000
    )


def test_nothing_is_reported_to_mlflows_makers() -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def test_where_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the stages, or where MLFLOW_TRACKING_URI says, or where the option says; with an object store, among the reports."""
    store = Store(str(tmp_path / "store"))
    remote = Store("s3://key:secret@bucket/rollbench?region=eu-west-1")
    assert tracking_uri(None, store, "out") == f"sqlite:///{tmp_path}/store/mlflow.db"
    assert tracking_uri(None, remote, "out") == f"sqlite:///{tmp_path}/out/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://a")
    assert (tracking_uri(None, store, "out"), tracking_uri("http://b", store, "out")) == ("http://a", "http://b")


def test_a_closed_port_is_away_at_once_and_no_secret_is_told() -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="MLflow at http://.*127.0.0.1:.*refused") as caught:
        open_tracking(f"http://user:secret@127.0.0.1:{free_port()}")
    assert time.monotonic() - began < 30 and "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_away_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(Unavailable, match="timed out"):
            open_tracking(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert 0.5 <= time.monotonic() - began < 30  # mlflow alone would retry for minutes


def test_a_server_that_has_gone_is_one_line() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match=address):
        Tracking(address, client._Client(address), "1").recorded(table("0123abcd"))


def test_a_place_that_can_never_serve_is_bad_input(tmp_path: Path) -> None:
    junk = tmp_path / "junk.db"
    junk.write_text("this is no database, and mlflow alone would try it for an hour")
    for uri, words in [
        (f"sqlite:///{junk}", "not a database"),
        (f"sqlite:///{junk}/mlflow.db", "exists"),
        (f"file://{tmp_path}/runs", "maintenance"),
        ("nonsense://place", "unsupported"),
    ]:
        with pytest.raises(UserError, match=words):
            open_tracking(uri)
