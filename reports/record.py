"""The report as JSON: every number with all its digits, its keys, and the words around it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from reports import words
from reports.cells import Cell
from reports.layout import Block, Line, Report


def record(report: Report) -> str:
    """The whole report as JSON text. The replicates stay with the results that `results_key` names."""
    text = report.text
    content = {
        "table": text.name,
        "title": text.title,
        "caption": text.caption,
        "scale": report.scale,
        "scale_text": report.scale_text,
        "protocol": report.protocol,
        "command": report.command,
        "tracking": report.tracking,
        "not_run": report.absent,
        "blocks": [_block(report, block) for block in report.blocks],
        "claims": [dataclasses.asdict(verdict) for verdict in report.verdicts],
        "paper": [dataclasses.asdict(value) for value in report.published],
        "paper_label": report.paper_label if report.published else None,
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _block(report: Report, block: Block) -> dict[str, Any]:
    lines = [_line(report, line) for line in block.lines]
    return {"metric": block.metric, "label": block.text.label, "leads": block.leads, "lines": lines}


def _line(report: Report, line: Line) -> dict[str, Any]:
    mine = [
        None if cell is None else _cell(report, cell) | {"best": best}
        for cell, best in zip(line.cells, line.best, strict=True)
    ]
    return {
        "row": line.row,
        "kind": line.kind,
        "cells": mine,
        "paper": [None if p is None else p.value for p in line.published],
    }


def _cell(report: Report, cell: Cell) -> dict[str, Any]:
    values = {
        f.name: getattr(cell, f.name)
        for f in dataclasses.fields(cell)
        if f.name not in ("replicates", "traces", "row", "kind")
    }
    traces = [dataclasses.asdict(t) | {"run": words.run_id(report.tracking, cell.row, t.seed)} for t in cell.traces]
    return values | {"seeds": cell.seeds, "replicates": len(cell.replicates), "made_by": traces}
