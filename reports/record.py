"""The report as JSON: every number with all its digits, its keys, and the words around it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from reports import words
from reports.cells import Cell
from reports.layout import Block, Line, Report
from reports.texts import SettingText
from reports.verdict import RULE


def record(report: Report) -> str:
    """The whole report as JSON text. The replicates stay with the results that `results_key` names."""
    text = report.text
    content = {
        "table": text.name,
        "title": text.title,
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
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _setting(setting: SettingText) -> dict[str, Any]:
    said = {name: getattr(setting, name) for name in ("name", "printed", "protocol", "scale_text", "frame_seconds")}
    return said | {"rows": [dataclasses.asdict(row) for row in setting.rows]}


def _block(report: Report, block: Block) -> dict[str, Any]:
    lines = [_line(report, line) for line in block.lines]
    head = {"setting": block.setting.name, "metric": block.metric, "label": block.text.label, "leads": block.leads}
    references = [{"row": r.row, "paper": [p and p.value for p in r.published]} for r in block.references]
    return head | {"lines": lines, "published_rows": references}


def _line(report: Report, line: Line) -> dict[str, Any]:
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
    traces = [dataclasses.asdict(t) | {"run": words.run_id(report.tracking, cell.row, t.seed)} for t in cell.traces]
    return values | {"seeds": cell.seeds, "replicates": len(cell.replicates), "made_by": traces}
