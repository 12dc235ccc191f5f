"""Sends records to MLflow from a thread of its own: no row waits for a server, and none fails with it.

A record goes into the outbox, then to MLflow, then out of the outbox. While the server is away it is asked again every `RETRY` seconds
for as long as the work lasts, and at its end until it has been away for `PATIENCE` seconds. What is left then stays in the outbox.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rollbench.store.artifact import Store
from rollbench.store.filesystem import StorageError
from rollbench.store.redact import redact
from rollbench.tracking.client import Tracking, Unavailable, open_tracking
from rollbench.tracking.outbox import Outbox
from rollbench.tracking.record import Record

RETRY, PATIENCE = 5.0, 60.0  # seconds
TRIES = 3  # of a record that a server, though it is there, does not take


class Sender:
    """One thread, one MLflow. line: says a line to the person who waits. reports: the folder of reports.

    Raises UserError for an MLflow that can never be used; one that is away is told, once.
    """

    def __init__(self, uri: str, store: Store, reports: Path, line: Callable[[str], None]) -> None:
        self.uri, self.outbox, self.reports, self.line = uri, Outbox(store), reports, line
        self.tracking: Tracking | None = None
        self.sent: dict[str, str] = {}  # a record's key → the run's id
        self._waiting: dict[str, Record] = {}  # by entry, in the order of arrival
        self._tries: Counter[str] = Counter()
        self._away: float | None = None  # since when
        self._why = ""
        self._stopped = False
        self._changed = threading.Condition()
        try:
            self.tracking = open_tracking(uri)
        except Unavailable as error:
            self._away, self._why = time.monotonic(), str(error)
            line(f"{error}: the work goes on, and what cannot be sent waits in {self.outbox} for `rollbench track`")
        self._reached = self.tracking is not None
        self._thread = threading.Thread(target=self._work, daemon=True, name="sender")
        self._thread.start()

    def add(self, record: Record) -> None:
        """Have it sent. It is safe on disk when this returns."""
        self.outbox.add(record)
        with self._changed:
            self._waiting[record.entry] = record
            self._changed.notify_all()

    def settle(self) -> int:
        """Wait until all is sent, or until the server has been away for `PATIENCE` seconds, or all along. How many records are left."""
        with self._changed:
            while self._open() and not self._given_up():
                self._changed.wait(RETRY / 10)
            return len(self._waiting)

    def stop(self, patience: float = 2.0) -> None:
        """End the thread, at the latest when the call that it is in returns."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(patience)

    def end(self, record: Record, status: str) -> None:
        """Say of a run that it FAILED or was KILLED, if that is possible now. After `stop`."""
        if self.tracking is not None and self._away is None:
            with contextlib.suppress(Exception):
                self.tracking.end(record, status)

    def told(self) -> str:
        """What is left and what to do about it, "" if nothing is."""
        left = len(self._waiting)
        if not left:
            return ""
        why = self._why or f"MLflow at {redact(self.uri)} was not told all"
        send = f"rollbench track --storage {shlex.quote(str(self.outbox.store))}"
        return f"{why}: {runs(left)} in {self.outbox}; `{send}` sends what waits there"

    def _open(self) -> list[Record]:
        """What is still to be tried."""
        return [record for entry, record in self._waiting.items() if self._tries[entry] < TRIES]

    def _given_up(self) -> bool:
        away = self._away is not None and (not self._reached or time.monotonic() - self._away > PATIENCE)
        return away or not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopped:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or (self._away is None and self._open()), timeout=RETRY)
                records = self._open()
            for record in records:
                if self._stopped or not self._attempt(record):
                    break

    def _attempt(self, record: Record) -> bool:
        """Send a record. False if MLflow is away, so that the others need not be tried."""
        began = time.monotonic()
        try:
            self.tracking = self.tracking or open_tracking(self.uri)
            run_id = self.tracking.send(record, self.reports)
        except Exception as error:  # whatever MLflow does, the work goes on
            return self._failed(record, error, began)
        with contextlib.suppress(StorageError):  # what stays is sent again by `rollbench track`, which changes nothing
            self.outbox.drop(record)
        with self._changed:
            back, self._away, self._reached = self._away is not None, None, True
            self.sent[record.key] = run_id
            self._waiting.pop(record.entry, None)
            self._changed.notify_all()
        if back:
            self.line(f"MLflow at {redact(self.uri)} is back")
        return True

    def _failed(self, record: Record, error: Exception, began: float) -> bool:
        """Whether MLflow is there all the same, and the fault lies with the record."""
        try:
            self.tracking = open_tracking(self.uri)
        except Exception as gone:
            with self._changed:
                news, self._why = self._away is None, str(gone)
                self._away = began if self._away is None else self._away
            if news:
                self.line(f"{gone}: it is asked again while the work goes on")
            return False
        with self._changed:
            self._tries[record.entry] += 1
            self._why = f"MLflow at {redact(self.uri)} does not take {record.name!r} ({error})"
            self._changed.notify_all()
        return True


def runs(count: int) -> str:
    return "1 run waits" if count == 1 else f"{count} runs wait"
