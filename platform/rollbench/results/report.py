"""From finished stages to the report: numbers, figures and the texts of each setting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from reports.index import index
from reports.model.report import Notes
from reports.render import render
from rollbench.config.canonical import to_plain
from rollbench.config.table import Figure, Setting, Table
from rollbench.pipeline.graph import Pipeline
from rollbench.pipeline.run_context import RunContext
from rollbench.results.figures import pictures
from rollbench.results.frame import data_kind
from rollbench.results.protocol import protocol_text


def report(
    stages: Pipeline, results: pd.DataFrame, context: RunContext, tracking: dict[str, Any], figure: Figure | None = None
) -> Path:
    """Write tables, figures and animations into `context.out`; returns the path of the page."""
    table, drawn = stages.table, pictures(stages, results, context, figure)
    page = render(
        results,
        _of_figure(table, figure) if figure else table,
        context.out,
        figures=drawn.figures,
        animations=drawn.animations,
        command=context.command,
        scale_text=f"scale “{context.scale}”",
        tracking=tracking,
        notes={setting.name: _notes(setting, table.resamples) for setting in table.settings},
        config=to_plain(table),
    )
    index(context.out.parent)
    return page


def _of_figure(table: Table, figure: Figure) -> Table:
    """The table with the title of a figure of the paper; on the user's own data that of the table stays."""
    own = any(data_kind(setting) == "own" for setting in table.settings)
    return replace(table, name=figure.name, title=table.title if own else figure.title)


def _notes(setting: Setting, resamples: int) -> Notes:
    return Notes(protocol=protocol_text(setting, resamples), scale_text=_sizes(setting))


SOURCES = {
    "stand-in": "a stand-in, not the paper's data: ",
    "own": "the user's own data, not the paper's: ",
    "part": "part of the paper's data: ",
}


def _sizes(setting: Setting) -> str:
    """The data and the sizes of a run."""
    s = setting.sampling
    return (
        f"{SOURCES.get(data_kind(setting), '')}{setting.data.describe()}; {setting.train_clips:,} training and {s.contexts:,} test "
        f"clips, training of {setting.steps_text()}, {s.calls_per_frame} network calls per frame"
        f"{' over the whole rollout' * (s.accounting == 'total')}, horizon {s.horizon} frames"
        + (f", {s.samples} samples of each clip" if s.samples > 1 else "")
    )
