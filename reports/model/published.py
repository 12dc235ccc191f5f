"""The published numbers as data: `paper.yaml`, each value with its paper, table, verbatim row, setting and protocol.

A value of the paper reaches a report only from here. The loader refuses an incomplete record and names the file, the
record and what is missing, so that no number stands without its protocol.
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
    """One published value.

    paper: what was read, with its version. table: the paper's number of the table. row: verbatim. setting: what it
    was run on. metric: "fsd", "mse", "fvd", or "printed" for a hyperparameter. lead: frames after the context, None
    for a whole clip. value: as printed: a number, a text or a tuple. protocol: how it was made, as far as stated.
    note: what is odd about it, in our words. comparable: the names of our protocols whose numbers can be set against it.
    """

    paper: str
    table: str
    row: str
    setting: str
    metric: str
    lead: int | None
    value: float | str | tuple[Any, ...]
    protocol: str
    note: str = ""
    comparable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("paper", "table", "row", "setting", "metric", "value", "protocol"):
            if getattr(self, name) in (None, "", ()):
                raise UserError(f"{name} is missing: a published number needs its {name}")

    @property
    def number(self) -> float:
        """The value as a number. Raises BadInput where the paper prints a text or a list."""
        if isinstance(self.value, (int, float)):
            return float(self.value)
        raise UserError(f"{self.row!r} ({self.setting}) prints {self.value!r}, which is no number; read `value`")


class Paper:
    """All published values of one file, looked up by what the table prints."""

    def __init__(self, values: Iterable[Published], titles: Mapping[str, str]) -> None:
        self.values = tuple(values)
        self.titles = dict(titles)

    def of(self, table: str, metric: str | None = None) -> tuple[Published, ...]:
        """The values of a table in the paper's order. Raises BadInput for an unknown table."""
        if table not in self.titles:
            raise UserError(f"unknown table {table!r}; {did_you_mean(table, self.titles)}")
        return tuple(v for v in self.values if v.table == table and metric in (None, v.metric))

    def rows(self, table: str) -> tuple[str, ...]:
        """The verbatim row names of a table, each once, in the paper's order."""
        return tuple(dict.fromkeys(v.row for v in self.of(table)))

    def look_up(
        self, table: str, row: str, metric: str, lead: int | None = None, setting: str | None = None
    ) -> Published:
        """The one value printed there; `setting` tells rows of one name apart.

        Raises BadInput naming the nearest right choice for a row, metric or lead that is not printed, and the
        settings where a row has several.
        """
        found = [v for v in self.of(table) if v.row == row]
        if not found:
            raise UserError(f"table {table} has no row {row!r}; {did_you_mean(row, self.rows(table))}")
        for field, asked in (("metric", metric), ("lead", lead), ("setting", setting)):
            if field == "setting" and asked is None:
                continue
            there = [getattr(v, field) for v in found]
            found = [v for v in found if getattr(v, field) == asked]
            if not found:
                choices = list(dict.fromkeys(str(x) for x in there))
                raise UserError(
                    f"table {table}, row {row!r} has no {field} {asked!r}; {did_you_mean(str(asked), choices)}"
                )
        if len(found) > 1:
            raise UserError(
                f"table {table} has several rows {row!r}: name the setting, one of {[v.setting for v in found]}"
            )
        return found[0]

    def get(
        self, table: str, row: str, metric: str, lead: int | None = None, setting: str | None = None
    ) -> Published | None:
        """As `look_up`, and None where the paper prints no such value."""
        found = [v for v in self.of(table, metric) if (v.row, v.lead) == (row, lead) and setting in (None, v.setting)]
        return self.look_up(table, row, metric, lead, setting) if found else None


@cache
def paper() -> Paper:
    """The numbers of the Rolling Diffusion paper."""
    return load(PAPER)


def load(path: Path) -> Paper:
    """Read a file of published numbers. Raises BadInput naming the file, the record and the missing or unknown
    field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path.name} is no YAML ({' '.join(str(error).split())[:200]})") from None
    _require(content, ("paper", "tables"), path.name, "the file", ("paper", "tables"))
    values: list[Published] = []
    titles: dict[str, str] = {}
    for number, table in enumerate(_listed(content, "tables", path.name, "the file"), start=1):
        where = f"table {table.get('table', f'#{number} of the list') if isinstance(table, Mapping) else f'#{number}'}"
        _require(table, TABLE_FIELDS - OPTIONAL, path.name, where, TABLE_FIELDS)
        titles[str(table["table"])] = str(table["title"])
        for place, row in enumerate(_listed(table, "rows", path.name, where), start=1):
            name = f"{where}, row {row.get('row', f'#{place}') if isinstance(row, Mapping) else f'#{place}'!r}"
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
