"""MLflow that is away: from the start, in the middle, for ever. No row waits or fails, nothing is lost, nothing is sent twice."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollbench.cli.main import main
from rollbench.pipeline.graph import Pipeline
from rollbench.pipeline.run_context import RunContext
from rollbench.store.artifact import MANIFEST, Store
from rollbench.tracking import background
from rollbench.tracking.background import Sender
from rollbench.tracking.client import Tracking, open_tracking
from rollbench.tracking.outbox import Outbox
from rollbench.tracking.record import Record
from rollbench.tracking.recorder import Recorder
from tests.support import finished
from tests.support.mlflow_server import Server, empty_database

PARENT = Record("parent", "table8, smoke", {}, {"table": "table8"})


def numbered(count: int) -> list[Record]:
    return [Record(f"r{i}", f"row {i}", {}, {"table": "table8"}, (("fsd", i / 3, 1),), PARENT) for i in range(count)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    yield server
    server.kill()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/mlflow.db").write_bytes(empty_database())
    return Store(str(tmp_path / "store"))


@pytest.fixture
def stages(store: Store, tmp_path: Path) -> Pipeline:
    """A finished table and its report."""
    stages = finished.stages()
    finished.finish(stages, store)
    (tmp_path / "out/table8").mkdir(parents=True)
    (tmp_path / "out/table8/table.html").write_text("a table")
    return stages


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RETRY", 0.3)


def numbers(tracking: Tracking) -> dict[str, dict[str, dict[int, float]]]:
    return {run.name: tracking.read(run.run_id).metrics for run in tracking.search() if "row" in run.tags}


def test_a_server_that_is_not_there_stops_nothing_and_is_sent_all_later(
    stages: Pipeline, store: Store, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole story: a warning, a finished table, an outbox, `rollbench track` too early, in time, and once more."""
    said: list[str] = []
    place = RunContext(store, tmp_path / "out/table8", "smoke", "")
    with Recorder(stages, place, server.address, said.append) as recorder:
        summary = recorder.finish()
        recorder.keep()
    assert len(said) == 2, said
    assert f"MLflow at {server.address} cannot be reached (Connection refused): the work goes on" in said[0]
    assert f"6 runs wait in {store}/outbox; `rollbench track --storage {store}` sends" in said[1]
    assert "5 runs wait" in summary["not sent"] and summary["runs"] == {}
    words = ["track", "--storage", str(store), "--tracking-uri", server.address]
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "0 of 6 runs sent, the others wait" in err
    server.start()
    assert main(words) == 0
    assert capsys.readouterr().out == f"table8: 6 runs sent to {server.address}\n"
    assert main(words) == 0
    assert capsys.readouterr().out == f"nothing waits in {store}/outbox\n"

    with Recorder(
        stages, place, f"sqlite:///{store.path}/mlflow.db", said.append
    ) as recorder:  # as if it had never been away
        recorder.finish()
        recorder.keep()
    here, there = open_tracking(f"sqlite:///{store.path}/mlflow.db"), open_tracking(server.address)
    assert numbers(here) == numbers(there) and len(numbers(there)) == 5
    assert [run.name for run in there.search()].count("table8, smoke") == 1
    (parent,) = there.search("attributes.status = 'FINISHED' and attributes.run_name = 'table8, smoke'")
    assert [file.path for file in there.client.list_artifacts(parent.run_id, "table8")] == ["table8/table.html"]


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back_holds_every_number_once(
    stages: Pipeline, store: Store, tmp_path: Path, server: Server, hasty: None
) -> None:
    said: list[str] = []
    place = RunContext(store, tmp_path / "out/table8", "smoke", "")
    server.start()
    with Recorder(stages, place, server.address, said.append) as recorder:
        recorder.record(stages.rows[0])
        assert recorder.sender.settle() == 0
        server.kill()
        recorder.record(stages.rows[1])
        until(lambda: bool(said))
        assert "cannot be reached" in said[0] and "asked again" in said[0] and list(Outbox(store).waiting())
        server.start()
        summary = recorder.finish()
        recorder.keep()
    assert said[1:] == [f"MLflow at {server.address} is back"] and "not sent" not in summary
    tracking = open_tracking(server.address)
    for row in stages.rows:
        run_id = summary["runs"][row.row.name][0]
        for lead in (1, 2, 4, 8):
            assert tracking.read(run_id).metrics["fsd"][lead] == finished.value(row.row.name, "fsd", lead)
        assert len(tracking.client.get_metric_history(run_id, "fsd")) == 4
    assert len(list(tracking.search())) == 6 and list(Outbox(store).waiting()) == []


@pytest.mark.slow
def test_a_server_that_never_comes_back_is_given_up(
    stages: Pipeline, store: Store, tmp_path: Path, server: Server, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "PATIENCE", 1.5)
    said: list[str] = []
    server.start()
    with Recorder(
        stages, RunContext(store, tmp_path / "out/table8", "smoke", ""), server.address, said.append
    ) as recorder:
        recorder.record(stages.rows[0])
        assert recorder.sender.settle() == 0
        server.kill()
        summary = recorder.finish()
        recorder.keep()
    assert set(summary["runs"]) == {stages.rows[0].row.name}
    waiting = [record for record in Outbox(store).waiting() if isinstance(record, Record)]
    assert len(waiting) == 5 and "5 runs wait" in said[-1]


def test_what_a_server_does_not_take_does_not_hold_up_the_rest(store: Store, tmp_path: Path, hasty: None) -> None:
    bad = Record("bad", "bad", {}, {"table": "table8"}, (("fsd", 1.0, 2**80),), PARENT)
    said: list[str] = []
    one = Sender(f"sqlite:///{store.path}/mlflow.db", store, tmp_path, said.append)
    for record in (bad, *numbered(2)):
        one.add(record)
    assert one.settle() == 1 and set(one.sent) == {"r0", "r1"}
    one.stop()
    assert "does not take 'bad'" in one.told() and "1 run waits" in one.told()
    assert list(Outbox(store).waiting()) == [bad]


def test_a_record_is_on_disk_before_it_is_sent(store: Store) -> None:
    """What a process that is killed leaves behind is sent by the next `rollbench track`, numbers of all kinds included."""
    record = Record("k", "n", {"β": "½"}, {"table": "t"}, (("a", 1 / 3, 1), ("b", float("inf"), 0)), PARENT, "")
    Outbox(store).add(record)
    assert list(Outbox(Store(store.root)).waiting()) == [record]
    Outbox(store).drop(record)
    assert list(Outbox(store).waiting()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(report="../../etc"),
        lambda record: record.update(name=["x"]),
        lambda record: record.pop("points"),
        lambda record: record.update(parent="x"),
        lambda record: record.update(points=[["fsd", "much", 1]]),
        lambda record: record.update(points=[["fsd", 10**400, 1]]),
        lambda record: record.update(params={"a": 1}),
        lambda record: record.update(key="another"),
    ],
)
def test_an_entry_that_somebody_else_wrote_is_named_and_not_sent(
    store: Store, change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sealed one that was edited, and one that carries no seal but makes no sense, or would read another folder."""
    outbox, record = Outbox(store), numbered(1)[0]
    outbox.add(record)
    path = Path(store.path) / "outbox" / record.entry / MANIFEST
    content = json.loads(path.read_text())
    change(content["record"])
    for checksum in (True, False):
        if not checksum:
            del content["seal"]
        path.write_text(json.dumps(content))
        assert list(outbox.waiting()) == [str(path.parent)]
    assert main(["track", "--storage", str(store)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and str(path.parent) in err and "cannot be read" in err and "Traceback" not in err


def test_an_entry_that_is_being_written_is_passed_over(store: Store) -> None:
    (Path(store.path) / "outbox/0123").mkdir(parents=True)
    assert list(Outbox(store).waiting()) == []


def test_a_report_that_is_elsewhere_is_asked_for(
    stages: Pipeline, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Recorder(
        stages, RunContext(store, tmp_path / "out/table8", "smoke", ""), "http://127.0.0.1:9", print
    ) as recorder:
        recorder.keep()
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(["track", "--storage", str(store)]) == 1
    assert "there is no report out/table8 to send; say where with --out" in capsys.readouterr().err
    assert main(["track", "--storage", str(store), "--out", str(tmp_path / "elsewhere")]) == 0
    assert "table8: 1 run sent" in capsys.readouterr().out


def until(done: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
