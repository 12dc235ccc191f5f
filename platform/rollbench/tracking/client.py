"""Where numbers are recorded for people to browse and compare: MLflow. The only file that imports it.

    experiment "rollbench"
      └─ a run per table (the parent): what its rows share as parameters, its report as artifacts
           └─ a run per row and seed (a child): metrics by lead as steps, training history, parameters, lineage as tags

MLFLOW_TRACKING_URI names a server or a database; without it everything goes into a sqlite file of one's own. Nothing is
read back for computing: the store holds the numbers, MLflow shows them. A run carries the key of its record as the tag
`record`, by which it is found again: sending a record twice, or one half of it and then all, gives one run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from rollbench.errors import UserError
from rollbench.store.filesystem import Storage, absolute
from rollbench.store.redact import redact, short_message
from rollbench.tracking.record import Record

# Read by mlflow as it is imported: no list of migrations, no "View run at …", no telemetry, no search for git. What cannot be
# sent waits in the outbox, so that a server that is away is asked by us, again and again, instead of once for four minutes.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

EXPERIMENT = "rollbench"
TIMEOUT = 5.0  # seconds that a server may take to say that it is there
METRICS_PER_CALL, PARAMS_PER_CALL, RUNS_PER_CALL = 1000, 100, 1000  # mlflow's limits on one batch
PARAM_LENGTH, TAG_LENGTH, KEY_LENGTH = 6000, 8000, 250  # mlflow's limits in characters; a stage's manifest has it all
RECORD, PARENT = "record", "mlflow.parentRunId"


class TrackingError(RuntimeError):
    """MLflow does not do what was asked: one line that says why."""


class Unavailable(TrackingError):
    """MLflow is away: no connection, no answer, or an error of its own. Another time it may work."""


def tracking_uri(uri: str | None, store: Storage, out: str | Path) -> str:
    """Where to record: `uri`, else MLFLOW_TRACKING_URI, else a sqlite file in the storage, or in `out` if the storage is not a folder."""
    folder = store.path if store.local else absolute(str(out))
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder}/mlflow.db"


def open_tracking(uri: str) -> Tracking:
    """MLflow at `uri`, within about `TIMEOUT` seconds. Raises Unavailable where nobody answers now, and UserError for a place that
    can never serve: no such kind of place, no database, no permission."""
    try:
        if uri.startswith("sqlite:///"):
            return _open_file(Path(uri.removeprefix("sqlite:///")).absolute())
        _check_server(uri)
        return _open(uri, artifacts=None)  # the server's own place for artifacts
    except Unavailable as error:
        raise Unavailable(f"MLflow at {redact(uri)} cannot be reached ({error})") from None
    except Exception as error:  # mlflow, its databases and its clouds raise what they like
        raise UserError(
            f"MLflow at {redact(uri)} cannot be used ({_first_line(error)}); correct --tracking-uri or "
            "MLFLOW_TRACKING_URI, or leave it out to record into a sqlite file beside the results"
        ) from None


@dataclass(frozen=True)
class LoggedRun:
    """One run as recorded, and when, in seconds since 1970. metrics: name → step (a lead in frames, or a training step) → value."""

    run_id: str
    name: str
    recorded: float
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, dict[int, float]]


@dataclass(frozen=True)
class Tracking:
    """An open MLflow store and the experiment in it that holds our runs. Open one per process; it takes a second."""

    uri: str
    client: _Client
    experiment: str

    @property
    def place(self) -> str:
        """Its address, fit to be shown."""
        return redact(self.uri)

    # --- writing -------------------------------------------------------------------------------------------------------------
    def send(self, record: Record, reports: Path) -> str:
        """Make MLflow hold `record`, its table's run first; what is there already stays. Returns the run's id.

        reports: the folder of reports. The run of a table is finished when a report of it is kept, others when they hold all.
        """
        lineage = {PARENT: self.send(record.parent, reports)} if record.parent else {}
        run = self._one(record, lineage)
        run_id: str = run.info.run_id
        if run.info.status == "FINISHED" and (record.parent is not None or record.report == ""):
            return run_id
        params = _texts(record.params, PARAM_LENGTH, known=run.data.params)
        for part in _chunks(map(Param, params, params.values()), PARAMS_PER_CALL):
            self.client.log_batch(run_id, params=part)
        now = run.info.start_time  # one time for all, so that a point that was sent before is the same point
        metrics = (Metric(_key(name), value, now, step) for name, value, step in record.points)
        for part in _chunks(metrics, METRICS_PER_CALL):
            self.client.log_batch(run_id, metrics=part)
        if record.parent is not None or (record.report and self._keep(run, record, reports / record.report)):
            self.client.set_terminated(run_id, "FINISHED")
        return run_id

    def end(self, record: Record, status: str) -> None:
        """Say of a run that was begun that it FAILED or was KILLED."""
        run = self._first(record)
        if run is not None:
            self.client.set_terminated(run.info.run_id, status)

    def _keep(self, run: Any, record: Record, report: Path) -> bool:
        """A copy of a report's folder with the run. False if that is what it has already."""
        name, digest = f"report.{record.report}", _digest(report)
        if run.data.tags.get(name) == digest and run.info.status == "FINISHED":
            return False
        self.client.log_artifacts(run.info.run_id, str(report), record.report)
        tags = _texts({**record.tags, name: digest}, TAG_LENGTH)
        self.client.log_batch(run.info.run_id, tags=list(map(RunTag, tags, tags.values())))
        return True

    def _one(self, record: Record, lineage: Mapping[str, str]) -> Any:
        """The run of a record, made if there is none. Of two processes that make it at the same moment, one gives way."""
        run = self._first(record)
        if run is None:
            tags = _texts({**record.tags, **lineage, RECORD: record.key}, TAG_LENGTH)
            made = self.client.create_run(self.experiment, run_name=record.name, tags=tags)
            run = self._first(record) or made
            if run.info.run_id != made.info.run_id:
                self.client.delete_run(made.info.run_id)
        return run

    def _first(self, record: Record) -> Any:
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        query = f"tags.{RECORD} = '{record.key}'"
        found = self.client.search_runs([self.experiment], query, max_results=1, order_by=order)
        return found[0] if found else None

    # --- reading -------------------------------------------------------------------------------------------------------------
    def search(self, query: str = "") -> Iterator[LoggedRun]:
        """The runs that a query of MLflow's finds, the newest first; of each metric the last value alone."""
        token, order = None, ["attributes.start_time DESC"]
        while True:
            page = self.client.search_runs([self.experiment], query, 1, RUNS_PER_CALL, order, token)
            yield from map(_logged, page)
            if not (token := page.token):
                return

    def recorded(self, table: Record) -> dict[str, str]:
        """The finished runs of a table: the key of each record → the run's id."""
        parent = self._first(table)
        return {run.tags[RECORD]: run.run_id for run in self.rows(parent.info.run_id)} if parent else {}

    def rows(self, table_run: str) -> Iterator[LoggedRun]:
        """The finished runs of a table's rows."""
        return self.search(f"tags.`{PARENT}` = '{table_run}' and attributes.status = 'FINISHED'")

    def read(self, run_id: str, metrics: Iterable[str] | None = None) -> LoggedRun:
        """A run with all steps of these metrics, or of all: the same numbers that went in."""
        run = _logged(self.client.get_run(run_id))
        names = run.metrics if metrics is None else metrics
        history = {name: self.client.get_metric_history(run_id, name) for name in names}
        return replace(run, metrics={name: {m.step: m.value for m in found} for name, found in history.items()})


def _logged(run: Any) -> LoggedRun:
    info, data = run.info, run.data
    last = {name: {0: value} for name, value in data.metrics.items()}
    return LoggedRun(info.run_id, info.run_name, info.start_time / 1000, dict(data.params), dict(data.tags), last)


class _Client:
    """mlflow's client, whose failures are one line of ours, and `Unavailable` where a server gives no proper answer."""

    def __init__(self, uri: str) -> None:
        self._uri, self._client = uri, MlflowClient(tracking_uri=uri)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def run_guarded(*arguments: Any, **words: Any) -> Any:
            try:
                return call(*arguments, **words)
            except Exception as error:  # mlflow, its databases and its clouds raise what they like
                away = self._uri.startswith("http") and is_transient(error)
                raise (Unavailable if away else TrackingError)(_first_line(error)) from error

        return run_guarded


def is_transient(error: Exception) -> bool:
    """Whether an error of a server may be over another time: it is overloaded, away or ill, and does not refuse what was asked."""
    if not isinstance(error, MlflowException):
        return isinstance(error, OSError)
    code = error.get_http_status_code()
    return code >= 500 or code in (408, 429)


def _open(uri: str, artifacts: str | None) -> Tracking:
    client = _Client(uri)
    return Tracking(uri, client, _experiment(client, artifacts))


def _open_file(database: Path) -> Tracking:
    """One process at a time: two that make the tables of a new file at once break each other's migrations."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _check_database(database)
        return _open(f"sqlite:///{quote(str(database))}", (database.parent / "mlflow-artifacts").as_uri())


def _experiment(client: _Client, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
        except TrackingError:  # another process may have been faster
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(
            f"its experiment {EXPERIMENT!r} is deleted: mlflow experiments restore -x {found.experiment_id}"
        )
    return str(found.experiment_id)


def _check_database(path: Path) -> None:
    """A sqlite file that can be written, or room for one: mlflow alone would retry for an hour."""
    connection = sqlite3.connect(path, timeout=TIMEOUT)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise Unavailable(str(error)) from None
        raise
    finally:
        connection.close()


def _check_server(uri: str) -> None:
    """Something listens there; mlflow alone would retry for minutes (a server) or an hour (a database)."""
    parts = urlsplit(uri)
    try:
        if parts.scheme in ("http", "https"):
            place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/health"
            urllib.request.urlopen(place, timeout=TIMEOUT).close()
        elif parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT).close()
    except (
        urllib.error.HTTPError
    ) as error:  # any other answer will do, a refusal too: mlflow's client says more about it
        error.close()
        if error.code >= 500:
            raise Unavailable(f"it answers {error.code} {error.reason}") from None
    except OSError as error:
        raise Unavailable(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    told = getattr(error, "reason", None)
    return short_message(told if isinstance(told, Exception) else error).rstrip(".")[:200]


def _digest(folder: Path) -> str:
    """The sha256 of all names and bytes in a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()


def _key(name: str) -> str:
    """A name that mlflow takes: letters, digits and `_-. :/`, at most 250 of them."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)[:KEY_LENGTH]


def _texts(texts: Mapping[str, str], length: int, known: Iterable[str] = ()) -> dict[str, str]:
    """Names and texts as mlflow takes them, those that it has not got yet."""
    return {_key(name): text[:length] for name, text in texts.items() if _key(name) not in known}


def _chunks(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while part := list(islice(iterator, size)):
        yield part
