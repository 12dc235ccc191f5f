"""Where numbers are recorded for people to browse and compare: MLflow. The only file that imports it.

    experiment "rollbench"
      └─ a run per table (the parent)
           └─ a run per row and seed (a child): metrics by lead as steps, training history, parameters, lineage as tags

MLFLOW_TRACKING_URI names a server or a database; without it everything goes into a sqlite file of one's own. Nothing is
read back for computing: the store holds the numbers, MLflow shows them. `Tracking.find` tells what is recorded already.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import sqlite3
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from rollbench.spec import BadInput

# Read by mlflow as it is imported: no list of migrations, no "View run at …", no telemetry, no search for git.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

EXPERIMENT = "rollbench"
TIMEOUT = 5.0  # seconds that a server may take to say that it is there
METRICS_PER_CALL, PARAMS_PER_CALL = 1000, 100  # mlflow's limits on one batch
PARAM_LENGTH, TAG_LENGTH, KEY_LENGTH = 6000, 8000, 250  # mlflow's limits in characters

Point = tuple[str, float, int]  # metric, value, step


class Unavailable(RuntimeError):
    """Recording failed for longer than mlflow's own retries (some minutes). The store has the numbers: run again."""


def open_tracking(uri: str | None, default_root: Path) -> Tracking:
    """The place to record to: `uri`, else MLFLOW_TRACKING_URI, else the file mlflow.db in `default_root`.

    Raises BadInput within about `TIMEOUT` seconds where it cannot be reached or opened, naming it and two ways out.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(default_root).absolute()}/mlflow.db"
    try:
        if uri.startswith("sqlite:///"):
            return _open_file(Path(uri.removeprefix("sqlite:///")).absolute())
        _check_server(uri)
        return _open(uri, artifacts=None)  # the server's own place for artifacts
    except Exception as error:  # mlflow, its databases and its clouds raise what they like
        raise BadInput(
            f"MLflow at {without_secret(uri)} cannot be used ({_first_line(error)}); start it or correct "
            "MLFLOW_TRACKING_URI, or unset it to record into a sqlite file beside the results"
        ) from None


def without_secret(uri: str) -> str:
    """`uri` without user and password, fit for a log."""
    return re.sub(r"//[^/@]*@", "//", uri)


def points(rows: Iterable[Mapping[Any, Any]]) -> list[Point]:
    """Tidy result rows (metric, lead, value, low, high) as points: `fsd`, `fsd_low`, `fsd_high`, the lead as step (0
    for a metric of whole clips)."""
    found: list[Point] = []
    for row in rows:
        lead = row["lead"]
        step = 0 if lead is None or lead != lead else int(lead)
        for suffix, column in (("", "value"), ("_low", "low"), ("_high", "high")):
            if row.get(column) is not None:
                found.append((f"{row['metric']}{suffix}", float(row[column]), step))
    return found


@dataclass(frozen=True)
class Tracking:
    """An open MLflow store and the experiment in it that holds our runs. Open one per process; it takes a second."""

    uri: str
    client: _Client
    experiment: str

    def table_run(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """A new run for a table; a context manager, at whose end it is FINISHED, FAILED or KILLED."""
        return self._new(name, params, tags)

    def find(self, tags: Mapping[str, str]) -> str | None:
        """The id of the newest finished run that carries all of `tags`, else None."""
        wanted = [f"tags.`{_key(key)}` = {_quoted(_tag(value))}" for key, value in tags.items()]
        query = " and ".join([*wanted, "attributes.status = 'FINISHED'"])
        runs = self.client.search_runs([self.experiment], query, max_results=1, order_by=["attributes.start_time DESC"])
        return runs[0].info.run_id if runs else None

    def run(self, run_id: str) -> Run:
        """A run that exists, to read from or add to."""
        return Run(self, self.client.get_run(run_id).info.run_id)

    def compare(self, run_ids: Sequence[str]) -> list[Logged]:
        """What the runs recorded, in the order asked for: the same numbers that went in."""
        return [self._logged(run_id) for run_id in run_ids]

    def _new(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        texts = {_key(key): _tag(value) for key, value in tags.items()}
        run = Run(self, self.client.create_run(self.experiment, run_name=name, tags=texts).info.run_id)
        run._params(params)
        return run

    def _logged(self, run_id: str) -> Logged:
        data = self.client.get_run(run_id).data
        metrics = {
            key: {m.step: m.value for m in self.client.get_metric_history(run_id, key)} for key in sorted(data.metrics)
        }
        return Logged(run_id, data.tags.get("mlflow.runName", ""), dict(data.params), dict(data.tags), metrics)


@dataclass(frozen=True)
class Logged:
    """One run as recorded. metrics: key → step → value (a step is a lead in frames, or a training step)."""

    run_id: str
    name: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, dict[int, float]]


@dataclass(frozen=True)
class Run:
    """One MLflow run. As a context manager it ends with its block: FINISHED, FAILED on an error, KILLED on Ctrl-C."""

    tracking: Tracking
    id: str

    def row(self, name: str, seed: int, params: Mapping[str, Any], tags: Mapping[str, str]) -> Run:
        """A child of this run for one row and seed; a context manager too."""
        lineage = {"row": name, "seed": str(seed), "mlflow.parentRunId": self.id}
        return self.tracking._new(f"{name}, seed {seed}", {**params, "seed": seed}, {**tags, **lineage})

    def metrics(self, values: Iterable[Point]) -> None:
        """Record (metric, value, step), a thousand a call: results by lead (see `points`) or a training history."""
        now = round(time.time() * 1000)
        entries = (Metric(_key(key), float(value), now, int(step)) for key, value, step in values)
        for part in _chunks(entries, METRICS_PER_CALL):
            self.tracking.client.log_batch(self.id, metrics=part)

    def tags(self, tags: Mapping[str, str]) -> None:
        entries = (RunTag(_key(key), _tag(value)) for key, value in tags.items())
        for part in _chunks(entries, PARAMS_PER_CALL):
            self.tracking.client.log_batch(self.id, tags=part)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file (or of a folder with all in it) with the run."""
        keep = self.tracking.client.log_artifacts if Path(path).is_dir() else self.tracking.client.log_artifact
        keep(self.id, str(path), folder)

    def finish(self, status: str = "FINISHED") -> None:
        self.tracking.client.set_terminated(self.id, status)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.finish("FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED")

    def _params(self, params: Mapping[str, Any]) -> None:
        """Nested parameters under dotted names; where a value is too long for mlflow, all of them as a file besides."""
        flat = dict(_flat(params))
        for part in _chunks((Param(_key(key), value[:PARAM_LENGTH]) for key, value in flat.items()), PARAMS_PER_CALL):
            self.tracking.client.log_batch(self.id, params=part)
        if any(len(value) > PARAM_LENGTH for value in flat.values()):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "parameters.json"
                path.write_text(json.dumps(flat, indent=1, ensure_ascii=False))
                self.artifact(path)


class _Client:
    """mlflow's client, whose failures are one line of ours that names the place."""

    def __init__(self, uri: str) -> None:
        self._uri, self._client = uri, MlflowClient(tracking_uri=uri)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def guarded(*arguments: Any, **words: Any) -> Any:
            try:
                return call(*arguments, **words)
            except (MlflowException, OSError) as error:
                raise Unavailable(f"MLflow at {without_secret(self._uri)}: {_first_line(error)}") from error

        return guarded


def _open(uri: str, artifacts: str | None) -> Tracking:
    client = _Client(uri)
    return Tracking(uri, client, _experiment(client, artifacts))


def _open_file(database: Path) -> Tracking:
    """One process at a time: two that make the tables of a new file at once break each other's migrations."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _check_database(database)
        return _open(f"sqlite:///{database}", (database.parent / "mlflow-artifacts").as_uri())


def _experiment(client: _Client, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return str(client.create_experiment(EXPERIMENT, artifact_location=artifacts))
        except Unavailable:  # another process may have been faster
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise BadInput(f"its experiment {EXPERIMENT!r} is deleted: mlflow experiments restore -x {found.experiment_id}")
    return str(found.experiment_id)


def _check_database(path: Path) -> None:
    """A sqlite file that can be written, or a place where one can be made: mlflow alone would retry for an hour."""
    connection = sqlite3.connect(path, timeout=TIMEOUT)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    finally:
        connection.close()


def _check_server(uri: str) -> None:
    """Something listens there; mlflow alone would retry for minutes (a server) or an hour (a database)."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        try:
            urllib.request.urlopen(without_secret(uri).rstrip("/") + "/health", timeout=TIMEOUT).close()
        except urllib.error.HTTPError as error:  # any answer will do, a refusal too: mlflow's client says more about it
            error.close()
    elif parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT).close()


def _first_line(error: Exception) -> str:
    text = str(getattr(error, "reason", None) or error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:200]


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)


def _key(name: str) -> str:
    """A name that mlflow takes: letters, digits and `_-. :/`, at most 250 of them."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)[:KEY_LENGTH]


def _tag(value: str) -> str:
    return str(value)[:TAG_LENGTH]


def _quoted(text: str) -> str:
    """As mlflow's filters want it; one with both kinds of quotes cannot be asked for."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _chunks(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while part := list(islice(iterator, size)):
        yield part
