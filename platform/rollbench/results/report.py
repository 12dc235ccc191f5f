"""From finished stages to the report: the texts that say what was done, around the numbers and pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from evaluators import protocols
from reports.index import index
from reports.model.metrics import METRICS
from reports.model.report import Notes
from reports.render import render
from rollbench.config.canonical import to_plain
from rollbench.config.table import Figure, Setting
from rollbench.pipeline.graph import Pipeline
from rollbench.pipeline.measures import protocol_of
from rollbench.pipeline.run_context import RunContext
from rollbench.results.figures import pictures
from rollbench.results.frame import data_kind


def report(
    stages: Pipeline, results: pd.DataFrame, place: RunContext, tracking: dict[str, Any], figure: Figure | None = None
) -> Path:
    """Write tables, figures and films into `place.out`; returns the path of its page."""
    table, drawn = stages.table, pictures(stages, results, place, figure)
    page = render(
        results,
        replace(table, name=figure.name, title=figure.title) if figure else table,
        place.out,
        figures=drawn.figures,
        animations=drawn.films,
        command=place.command,
        scale_text=f"scale “{place.scale}”",
        tracking=tracking,
        notes={setting.name: _notes(setting, table.resamples) for setting in table.settings},
        config=to_plain(table),
    )
    index(place.out.parent)
    return page


# --- words --------------------------------------------------------------------------------------------------------------------
def _notes(setting: Setting, resamples: int) -> Notes:
    return Notes(protocol=_protocol(setting, resamples), scale_text=_sizes(setting))


def _sizes(setting: Setting) -> str:
    t, s = setting.training, setting.sampling
    not_the_papers = {
        "stand-in": "a stand-in, not the paper's data: ",
        "own": "data of one's own, not the paper's: ",
        "part": "part of the paper's data: ",
    }
    source = not_the_papers.get(data_kind(setting), "")
    return (
        f"{source}{setting.data.describe()}; {setting.train_clips:,} training and {s.contexts:,} test clips, {t.steps:,} training steps "
        f"of {t.batch} windows, {s.calls_per_frame} network calls per frame"
        f"{' in all' * (s.accounting == 'total')}, horizon {s.horizon} frames"
        + (f", {s.samples} samples of each clip" if s.samples > 1 else "")
    )


ACCOUNTING = {
    "steady": "Network calls per frame are equal once films are rolling; what it takes to start one comes on top, as in the paper "
    "(--set sampling.accounting=total counts it in).",
    "total": "Network calls are equal in all, what it takes to start a film counted in.",
}


def _protocol(setting: Setting, resamples: int) -> str:
    """What a number means here: what is compared with what, how many, and what the interval answers for."""
    sampling, words = setting.sampling, []
    if {"fsd", "fsd_diagonal"} & set(setting.metrics):
        words.append(
            f"FSD between {sampling.contexts} generated and {sampling.contexts} real test clips at each lead: |rfft2(u, ortho)| of the "
            "horizontal velocity, DC kept, one distance per lead, no pooling."
        )
    if setting.protocol and any(METRICS[metric].whole for metric in setting.metrics):
        protocol = protocols.named(setting.protocol)
        frames = protocol.context + sampling.horizon
        mine = protocol_of(setting.protocol, frames, sampling.contexts, sampling.samples)
        words.append(
            f"FVD by the protocol {mine.key}: I3D logits of clips of {frames} frames, the {protocol.context} context frames included, "
            f"resized as “{protocol.resize}”, {sampling.contexts} clips of {sampling.samples} sample(s) against as many real ones, "
            f"read as {mine.reading} ({protocol.source})."
        )
    if {"mse", "mse_ratio"} & set(setting.metrics):
        unit = "on pixels from 0 to 1" if setting.data.kind == "video" else "in the data's units squared"
        words.append(
            f"MSE {unit}, the mean over channels and cells; its ratio is to the MSE of the mean training frame."
        )
    words.append(ACCOUNTING[sampling.accounting])
    words.append(
        f"The scored horizon is the last {sampling.horizon} frames of each test clip; the context lies right before it. Intervals: 95 %, "
        f"{resamples} common resamples of clips; they answer for the films, the training seed is another source of variation unless "
        f"several seeds are given. The floor sets {sampling.contexts * sampling.samples} training clips against the test split. They "
        "continue other clips: a film that continues the very clip it is set against can score below the floor at short leads. Sampler: "
        f"{sampling.sampler}. "
        "A run shorter than the paper's averages its weights with a shorter memory than 0.9999 (see Training)."
    )
    if sampling.degradation is not None:
        words.append(f"Contexts are degraded before sampling: {sampling.degradation}.")
    return " ".join(words)
