"""The report as JSON: every number with all its digits, its keys, and the words around it, sealed by a digest.

`table.json` holds the sha256 of its own content and of `results.parquet` beside it, so that numbers which were edited by
hand are not taken for numbers that were measured: `load` and `load_results` refuse them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.model.cells import Cell
from reports.model.labels import SettingText
from reports.model.report import Block, Report, TableRow
from reports.model.verdict import RULE
from reports.writers import phrases
from rollbench.errors import UserError

TABLE, RESULTS = "table.json", "results.parquet"


def record(report: Report, results: bytes, pictures: Sequence[Path] = ()) -> str:
    """The whole report as JSON text. results: the bytes of results.parquet, where the replicates stay. pictures: the
    files of its figures and films.
    """
    text = report.text
    content = {
        "table": text.name,
        "title": text.title,
        "published": text.published,
        "headline": phrases.headline(report),
        "judged": phrases.judged(report),
        "caption": text.caption,
        "scale": report.scale,
        "scale_text": report.scale_text,
        "settings": [_setting(setting) for setting in text.settings],
        "command": report.command,
        "tracking": report.tracking,
        "not_run": report.absent,
        "blocks": [_block(report, block) for block in report.blocks],
        "claims": [dataclasses.asdict(verdict) for verdict in report.verdicts],
        "paper": [dataclasses.asdict(value) for value in report.published],
        "rule": RULE,
        "config": report.config,
        "pictures": [path.name for path in pictures],
        "results": {"file": RESULTS, "sha256": hashlib.sha256(results).hexdigest()},
    }
    return sealed(content)


def sealed(content: Mapping[str, Any]) -> str:
    """A record as JSON text, with its digest."""
    plain = json.loads(json.dumps(content, allow_nan=False, default=str))  # as it will be read: tuples are lists
    return json.dumps(plain | {"digest": digest(plain)}, indent=1, ensure_ascii=False) + "\n"


def digest(content: dict[str, Any]) -> str:
    """The sha256 of a record's content, however its text is laid out."""
    bare = {name: value for name, value in content.items() if name != "digest"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load(path: Path) -> dict[str, Any]:
    """The content of a table.json, or of the one in a folder. Raises BadInput where it is not what `record` wrote."""
    path = path / TABLE if path.is_dir() else path
    again = "the numbers are not those that were measured; run the table's command again, it computes nothing twice"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give a folder that holds a report's {TABLE}"
        ) from None
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error}): {again}") from None
    if not isinstance(content, dict) or content.get("digest") != digest(content):
        raise UserError(f"{path} was changed by hand or torn, its digest does not match: {again}")
    return content


def load_results(folder: Path) -> pd.DataFrame:
    """The tidy results behind a report. Raises BadInput where they are not those that the report was made from."""
    wanted = load(folder)["results"]
    path = folder / wanted["file"]
    found = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(found).hexdigest() != wanted["sha256"]:
        raise UserError(
            f"{path} is missing or was changed, its digest does not match {TABLE}; run the table's command again"
        )
    return pd.read_parquet(io.BytesIO(found))


def _setting(setting: SettingText) -> dict[str, Any]:
    said = {name: getattr(setting, name) for name in ("name", "printed", "protocol", "scale_text", "frame_seconds")}
    return said | {"rows": [dataclasses.asdict(row) for row in setting.rows]}


def _block(report: Report, block: Block) -> dict[str, Any]:
    lines = [_line(report, line) for line in block.lines]
    head = {"setting": block.setting.name, "metric": block.metric, "label": block.text.label, "leads": block.leads}
    references = [{"row": r.row, "paper": [p and p.value for p in r.published]} for r in block.references]
    return head | {"lines": lines, "published_rows": references}


def _line(report: Report, line: TableRow) -> dict[str, Any]:
    mine = [
        None if cell is None else _cell(report, cell) | {"best": best}
        for cell, best in zip(line.cells, line.best, strict=True)
    ]
    return {
        "row": line.row,
        "kind": line.kind,
        "cells": mine,
        "paper": [p and p.value for p in line.published],
        "verdicts": [dataclasses.asdict(said) if said.verdict else None for said in line.judgements],
    }


def _cell(report: Report, cell: Cell) -> dict[str, Any]:
    values = {
        f.name: getattr(cell, f.name)
        for f in dataclasses.fields(cell)
        if f.name not in ("replicates", "traces", "row", "kind")
    }
    traces = [dataclasses.asdict(t) | {"run": phrases.run_id(report.tracking, cell.row, t.seed)} for t in cell.traces]
    return values | {"seeds": cell.seeds, "replicates": len(cell.replicates), "made_by": traces}
