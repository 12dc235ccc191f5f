"""The report as JSON: every number with all its digits, its keys, its texts, and a checksum.

`table.json` holds the sha256 of its own content and of every other file of the report. `load` and `load_results` refuse a file that
was edited by hand; `verify` checks them all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.model.cells import Cell
from reports.model.report import Block, Report, TableRow, paper_key
from reports.model.verdict import RULE
from reports.writers import phrases
from rollbench.config.table import Setting
from rollbench.errors import UserError

TABLE, RESULTS = "table.json", "results.parquet"
VERSION = 2  # of the record: 2 renamed "printed" to "paper_name" and a block's "lines" to "rows", and lists "files"


def record(report: Report, files: Sequence[Path], pictures: Sequence[Path] = ()) -> str:
    """The whole report as JSON text. files: all other files of the report, written before; one is results.parquet, which holds the
    replicates. pictures: its figures and animations among them.
    """
    table = report.table
    content = {
        "version": VERSION,
        "table": table.name,
        "title": table.title,
        "published": table.published,
        "headline": phrases.headline(report),
        "judged": phrases.verdict_counts(report),
        "caption": table.caption,
        "scale": report.scale,
        "scale_text": report.scale_text,
        "settings": [_setting(report, setting) for setting in table.settings],
        "command": report.command,
        "tracking": report.tracking,
        "not_run": report.absent,
        "blocks": [_block(report, block) for block in report.blocks],
        "claims": [dataclasses.asdict(claim) for claim in report.claims],
        "paper": [dataclasses.asdict(value) for value in report.published],
        "rule": RULE,
        "config": report.config,
        "pictures": [path.name for path in pictures],
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)},
    }
    return with_checksum(content)


def with_checksum(content: Mapping[str, Any]) -> str:
    """A record as JSON text, with its checksum."""
    plain = json.loads(json.dumps(content, allow_nan=False, default=str))  # as `load` reads it: tuples are lists
    return json.dumps(plain | {"digest": checksum(plain)}, indent=1, ensure_ascii=False) + "\n"


def checksum(content: dict[str, Any]) -> str:
    """The sha256 of a record's content, whatever its indentation and order of keys."""
    bare = {name: value for name, value in content.items() if name != "digest"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load(path: Path) -> dict[str, Any]:
    """The content of a table.json, or of the one in a folder. Raises UserError if it was changed."""
    path = path / TABLE if path.is_dir() else path
    again = (
        "its numbers are not the measured ones; run the table's command again, which recomputes only what is missing"
    )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give a folder that holds a report's {TABLE}"
        ) from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): {again}") from None
    if not isinstance(content, dict) or content.get("digest") != checksum(content):
        raise UserError(f"{path} was edited or is incomplete, its checksum does not match: {again}")
    return content


def load_results(folder: Path) -> pd.DataFrame:
    """The tidy results behind a report. Raises UserError if they were changed."""
    if why := _changed(folder, RESULTS, load(folder).get("files", {}).get(RESULTS, "")):
        raise UserError(f"{folder / RESULTS} {why}; run the table's command again")
    return pd.read_parquet(folder / RESULTS)


def verify(folder: Path) -> list[str]:
    """What is wrong with the files of a report, a line for each; empty if nothing is. Raises UserError without a readable record."""
    files = load(folder).get("files")
    if files is None:
        raise UserError(f"{folder / TABLE} lists no files, an earlier version wrote it; run the table's command again")
    return [f"{folder / name} {why}" for name, sha256 in files.items() if (why := _changed(folder, name, sha256))]


def listed_files(folder: Path) -> set[str]:
    """The names of the files that an earlier report in this folder lists; none if its record cannot be read."""
    try:
        content = json.loads((folder / TABLE).read_text(encoding="utf-8"))
        names = {*content.get("files", ()), *content.get("pictures", ())}
    except (OSError, ValueError, AttributeError, TypeError):
        return set()
    return {
        name for name in names if isinstance(name, str) and name == Path(name).name and name not in ("", "..", TABLE)
    }


def _changed(folder: Path, name: str, sha256: str) -> str:
    """Why a file is not the one that was written, "" if it is."""
    path = folder / name
    if name != Path(name).name or not path.is_file():
        return "is missing"
    return (
        ""
        if hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        else f"was changed: its sha256 does not match {TABLE}"
    )


def _setting(report: Report, setting: Setting) -> dict[str, Any]:
    rows = [{"name": row.name, "paper": paper_key(setting, row)} for row in setting.rows]
    texts = dataclasses.asdict(report.notes_of(setting))
    head = {"name": setting.name, "paper_name": setting.paper_name, "frame_seconds": setting.data.frame_interval}
    return head | texts | {"rows": rows}


def _block(report: Report, block: Block) -> dict[str, Any]:
    head = {"setting": block.setting.name, "metric": block.metric, "label": block.text.label, "leads": block.leads}
    references = [{"row": r.name, "paper": [p and p.value for p in r.published]} for r in block.references]
    return head | {"rows": [_row(report, row) for row in block.rows], "published_rows": references}


def _row(report: Report, row: TableRow) -> dict[str, Any]:
    cells = [
        None if cell is None else _cell(report, cell) | {"best": best}
        for cell, best in zip(row.cells, row.best, strict=True)
    ]
    return {
        "row": row.name,
        "kind": row.kind,
        "cells": cells,
        "paper": [p and p.value for p in row.published],
        "verdicts": [dataclasses.asdict(v) if v.verdict else None for v in row.verdicts],
    }


def _cell(report: Report, cell: Cell) -> dict[str, Any]:
    values = {
        f.name: getattr(cell, f.name)
        for f in dataclasses.fields(cell)
        if f.name not in ("replicates", "traces", "row", "kind")
    }
    traces = [dataclasses.asdict(t) | {"run": phrases.run_id(report.tracking, cell.row, t.seed)} for t in cell.traces]
    return values | {"seeds": cell.seeds, "replicates": len(cell.replicates), "made_by": traces}
