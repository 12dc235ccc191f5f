"""What is recorded of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rollbench.config.canonical import key
from rollbench.store.manifest import PLAIN_NAME

Point = tuple[str, float, int]  # metric, value, step


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
class Record:
    """What one MLflow run is to hold. It takes texts and numbers alone: no path, no address, no secret.

    key: by which the run is found again, wherever it was begun. points: metric, value and step (a lead in frames, a training step,
    or 0). parent: the run of the table that this one belongs to; None for a table's own. report: the name of the folder, among the
    reports, that is kept with the run.
    """

    key: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: tuple[Point, ...] = ()
    parent: Record | None = None
    report: str = ""

    def __post_init__(self) -> None:
        if self.report and not PLAIN_NAME.fullmatch(self.report):
            raise ValueError(f"report {self.report!r} is not the name of a folder")

    @property
    def entry(self) -> str:
        """The name of its folder: a table's run may have several reports."""
        return key({"run": self.key, "report": self.report})


def _record(value: Any) -> Record:
    """A record from its JSON. Anybody may have written it: what is none raises one of five errors."""
    points = tuple((_is(name, str), float(number), _is(step, int)) for name, number, step in value["points"])
    parent = None if value["parent"] is None else _record(value["parent"])
    params, tags = (
        {_is(name, str): _is(text, str) for name, text in _is(value[field], dict).items()}
        for field in ("params", "tags")
    )
    key, name, report = (_is(value[field], str) for field in ("key", "name", "report"))
    return Record(key, name, params, tags, points, parent, report)


def _is(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not a {kind.__name__}")
    return value
