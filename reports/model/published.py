"""The published numbers as data: `paper.yaml`, each value with its paper, table, verbatim row, setting and protocol.

A value of the paper reaches a report only from here. The loader refuses an incomplete record and names the file, the
record and what is missing, so that every number has its protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rollbench.errors import UserError, did_you_mean

PAPER = Path(__file__).parents[1] / "paper.yaml"
WHOLE = "whole"  # the `leads` of a table whose values stand for a whole clip
TABLE_FIELDS = {"table", "title", "setting", "protocol", "comparable", "metrics", "leads", "rows"}
OPTIONAL = {"setting", "comparable"}


@dataclass(frozen=True)
class Published:
    """One published value."""

    paper: str  # with its version
    table: str  # its number in the paper
    row: str  # verbatim
    setting: str  # data and sizes of the run
    metric: str  # "fsd", "mse", "fvd", or "printed" for a hyperparameter
    lead: int | None  # frames after the context, None for a whole clip
    value: float | str | tuple[Any, ...]  # as printed
    protocol: str  # as far as the paper states it
    note: str = ""  # an oddity of the value
    comparable: tuple[str, ...] = ()  # names of our protocols whose numbers can be compared with it

    def __post_init__(self) -> None:
        for name in ("paper", "table", "row", "setting", "metric", "value", "protocol"):
            if getattr(self, name) in (None, "", ()):
                raise UserError(f"{name} is missing: a published number needs its {name}")

    @property
    def number(self) -> float:
        """The value as a number. Raises UserError where the paper prints a text or a list."""
        if isinstance(self.value, (int, float)):
            return float(self.value)
        raise UserError(f"{self.row!r} ({self.setting}) prints {self.value!r}, which is not a number; read `value`")


class Paper:
    """All published values of one file, looked up by what the table prints."""

    def __init__(self, values: Iterable[Published], titles: Mapping[str, str]) -> None:
        self.values = tuple(values)
        self.titles = dict(titles)

    def of(self, table: str, metric: str | None = None) -> tuple[Published, ...]:
        """The values of a table in the paper's order. Raises UserError for an unknown table."""
        if table not in self.titles:
            raise UserError(f"unknown table {table!r}; {did_you_mean(table, self.titles)}")
        return tuple(v for v in self.values if v.table == table and metric in (None, v.metric))

    def rows(self, table: str) -> tuple[str, ...]:
        """The verbatim row names of a table, each once, in the paper's order."""
        return tuple(dict.fromkeys(v.row for v in self.of(table)))

    def look_up(
        self, table: str, row: str, metric: str, lead: int | None = None, setting: str | None = None
    ) -> Published:
        """The one value with these names; `setting` selects among rows of one name.

        Raises UserError with the nearest right choice for a row, metric or lead that is not printed, and with the
        settings of a row that has several.
        """
        matches = [v for v in self.of(table) if v.row == row]
        if not matches:
            raise UserError(f"table {table} has no row {row!r}; {did_you_mean(row, self.rows(table))}")
        for field, wanted in (("metric", metric), ("lead", lead), ("setting", setting)):
            if field == "setting" and wanted is None:
                continue
            printed = [getattr(v, field) for v in matches]
            matches = [v for v in matches if getattr(v, field) == wanted]
            if not matches:
                choices = list(dict.fromkeys(map(str, printed)))
                raise UserError(
                    f"table {table}, row {row!r} has no {field} {wanted!r}; {did_you_mean(str(wanted), choices)}"
                )
        if len(matches) > 1:
            raise UserError(
                f"table {table} has several rows {row!r}: name the setting, one of {[v.setting for v in matches]}"
            )
        return matches[0]

    def get(
        self, table: str, row: str, metric: str, lead: int | None = None, setting: str | None = None
    ) -> Published | None:
        """As `look_up`, and None where the paper prints no such value."""
        matches = [v for v in self.of(table, metric) if (v.row, v.lead) == (row, lead) and setting in (None, v.setting)]
        return self.look_up(table, row, metric, lead, setting) if matches else None


@cache
def paper() -> Paper:
    """The numbers of the Rolling Diffusion paper."""
    return load(PAPER)


def load(path: Path) -> Paper:
    """Read a file of published numbers. Raises UserError naming the file, the record and the missing or unknown
    field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path.name} is not YAML ({' '.join(str(error).split())[:200]})") from None
    _require(content, ("paper", "tables"), path.name, "the file", ("paper", "tables"))
    values: list[Published] = []
    titles: dict[str, str] = {}
    for number, table in enumerate(_listed(content, "tables", path.name, "the file"), start=1):
        where = f"table {table.get('table', f'#{number} of the list') if isinstance(table, Mapping) else f'#{number}'}"
        _require(table, TABLE_FIELDS - OPTIONAL, path.name, where, TABLE_FIELDS)
        titles[str(table["table"])] = str(table["title"])
        for index, row in enumerate(_listed(table, "rows", path.name, where), start=1):
            name = f"{where}, row {row.get('row', f'#{index}') if isinstance(row, Mapping) else f'#{index}'!r}"
            values += _values(content["paper"], table, row, path.name, name)
    return Paper(values, titles)


def _values(source: str, table: Mapping[str, Any], row: Mapping[str, Any], file: str, name: str) -> list[Published]:
    """The records of one row: one for each of its metrics and leads."""
    metrics = [str(metric) for metric in _listed(table, "metrics", file, name)]
    needed = {"row", *metrics} | ({"setting"} if "setting" not in table else set())
    _require(row, needed, file, name, needed | {"setting", "note"})
    leads = [None] if table["leads"] == WHOLE else _listed(table, "leads", file, name)
    comparable = tuple(_listed({"comparable": [], **table}, "comparable", file, name))
    records = []
    for metric in metrics:
        printed = [row[metric]] if table["leads"] == WHOLE else row[metric]
        if not isinstance(printed, list) or len(printed) != len(leads):
            raise UserError(f"{file}, {name}: {metric} must have one value for each of the {len(leads)} leads {leads}")
        for lead, value in zip(leads, printed, strict=True):
            try:
                record = Published(
                    paper=source, table=str(table["table"]), row=row["row"],
                    setting=row.get("setting", table.get("setting")), metric=metric, lead=lead,
                    value=tuple(value) if isinstance(value, list) else value, protocol=table["protocol"],
                    note=row.get("note", ""), comparable=comparable,
                )  # fmt: skip
            except UserError as error:
                raise UserError(f"{file}, {name}, {metric} at lead {lead}: {error}") from None
            records.append(record)
    return records


def _listed(record: Mapping[str, Any], field: str, file: str, name: str) -> list[Any]:
    """The field of a record that must be a list."""
    if not isinstance(record[field], list):
        raise UserError(f"{file}, {name}: the field {field!r} must be a list, not {record[field]!r:.40}")
    return list(record[field])


def _require(record: Any, needed: Iterable[str], file: str, name: str, known: Iterable[str]) -> None:
    if not isinstance(record, Mapping):
        raise UserError(f"{file}, {name}: a record is a mapping of fields, not {type(record).__name__}")
    for field in sorted(needed):
        if record.get(field) in (None, "", []):
            raise UserError(f"{file}, {name}: the field {field!r} is missing; every published number needs it")
    for field in record:
        if field not in set(known):
            raise UserError(f"{file}, {name}: unknown field {field!r}; {did_you_mean(str(field), sorted(known))}")
