"""What MLflow has not been told yet: a folder of the store for each run, there until the run is sent.

    <root>/outbox/<key>/manifest.json     the run's name, parameters, tags and numbers, and those of the table it belongs to

An entry is written before the first attempt to send it and deleted after the last, so that nothing is lost with a process, a
machine or a server. Sending it twice changes nothing: a run is found again by its record's key (`Tracking.send`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from rollbench.store.artifact import MANIFEST, Store
from rollbench.tracking.record import Record, _record

KIND = "outbox"


class Outbox:
    """The records in a store that wait to be sent."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __str__(self) -> str:
        return f"{str(self.store).rstrip('/')}/{KIND}"

    def add(self, record: Record) -> None:
        self.store.artifact(KIND, record.entry).commit([], record=dataclasses.asdict(record))

    def drop(self, record: Record) -> None:
        self.store.artifact(KIND, record.entry).remove()

    def waiting(self) -> Iterator[Record | str]:
        """Every record that waits, runs of rows first; in place of one that cannot be read, the path of its entry."""
        found = [record for entry in self.store.keys(KIND) if (record := self._read(entry)) is not None]
        yield from sorted(found, key=lambda record: isinstance(record, str) or bool(record.report))

    def _read(self, entry: str) -> Record | str | None:
        artifact = self.store.artifact(KIND, entry)
        manifest = artifact.manifest()
        if manifest is None:
            unfinished = artifact.get(MANIFEST) is None
            return None if unfinished else artifact.path
        try:
            record = _record(manifest["record"])
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            return artifact.path
        return record if record.entry == entry else artifact.path
