"""The figures of a table, from finished stages: curves over leads and over parameters, and samples of one test clip by every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reports.figures.over_leads import over_leads
from reports.figures.rollouts import rollout_animation, rollout_picture, rollout_strip
from reports.figures.sweeps import COSTS, cost_quality, over_parameter
from reports.model.metrics import METRICS
from reports.model.published import Published, paper
from reports.model.verdict import OTHER_DATA
from rollbench.config.table import Curve, Figure, Table
from rollbench.physics.frames import vorticity
from rollbench.pipeline.frames import loaded, read_range
from rollbench.pipeline.graph import EntryStages, Pipeline, RowStages, SettingStages
from rollbench.pipeline.run_context import RunContext
from rollbench.results.frame import data_kind
from rollbench.store.artifact import Store
from rollbench.store.tensors import tensor_of

CLIP = 0  # index of the test clip in pictures and animations: the first, so that nobody chooses it
COLUMNS = 8  # largest number of frames in a picture of a flow
MAX_CONTEXT = 5  # largest number of context frames at the left of a video's strip
MAX_ROWS = 24  # largest number of rows in pictures and animations


@dataclass(frozen=True)
class Pictures:
    """The files of a report's pictures."""

    figures: list[Path]
    animations: list[Path]


def pictures(stages: Pipeline, results: pd.DataFrame, context: RunContext, figure: Figure | None) -> Pictures:
    """Draw all pictures of a table, or those of one figure."""
    drawn = Pictures(_curves(stages.table, results, context.out) if figure is None else [], [])
    for stage in stages.settings:
        suffix = "" if len(stages.settings) == 1 else "-" + _file_name(stage.setting.name)
        if figure is None or figure.draw == "over leads":
            metrics = stage.setting.metrics if figure is None else (figure.metric,)
            own = results[results["setting"] == stage.setting.name]
            drawn.figures.extend(_over_leads(stage, own, metrics, stages.table.published, context.out, suffix))
        if figure is None or figure.draw != "over leads":
            figures, animation = _rollout_pictures(stage, context, figure.shows if figure else "vorticity", suffix)
            drawn.figures.extend(figures)
            drawn.animations.append(animation)
    return drawn


def _over_leads(
    stage: SettingStages, results: pd.DataFrame, metrics: Sequence[str], published: str, out: Path, suffix: str
) -> list[Path]:
    setting = stage.setting
    rows = (*(row.name for row in setting.rows), *(entry.name for entry in stage.entries))
    figures: list[Path] = []
    for metric in metrics:
        if METRICS[metric].whole or len(setting.leads) < 2:
            continue
        comparable = published and data_kind(setting) not in OTHER_DATA
        theirs = [p for p in paper().of(published, metric) if p.row in rows] if comparable else []
        figures += over_leads(
            results,
            metric,
            theirs,
            out,
            rows=rows,
            frame_seconds=setting.data.frame_interval,
            name=f"{metric}_over_leads{suffix}",
        )
    return figures


def _rollout_pictures(stage: SettingStages, context: RunContext, shows: str, suffix: str) -> tuple[list[Path], Path]:
    """Samples of one clip by every row, as a picture (of videos: strips that start with the last context frames) and an animation."""
    setting, name = stage.setting, f"rollouts{suffix}"
    video, seconds = setting.data.kind == "video", setting.data.frame_interval
    context_frames = min(setting.clean, MAX_CONTEXT) if video else 0
    samples = _shown_clips(stage, context.store, shows, context_frames)
    cut = f"the first {MAX_ROWS} rows" if len({row.row.name for row in stage.rows}) > MAX_ROWS else ""
    setting_label = ", ".join(filter(None, (setting.name, cut)))
    if video:
        figures = rollout_strip(
            samples, context.out, context=context_frames, setting=setting_label, frame_seconds=seconds, name=name
        )
    else:
        leads = setting.leads or _spread(setting.sampling.horizon)
        figures = rollout_picture(
            samples, leads, context.out, kind=shows, setting=setting_label, frame_seconds=seconds, name=name
        )
    kind = "video" if video else shows
    animation = context.out / f"{name}.webp"
    rollout_animation(
        samples, animation, kind=kind, context=context_frames, setting=setting_label, frame_seconds=seconds
    )
    return figures, animation


def _curves(table: Table, results: pd.DataFrame, out: Path) -> list[Path]:
    """The pictures over a parameter or a cost. Row names are unique, so rows of several settings can share one picture."""
    figures: list[Path] = []
    methods = results[results["kind"] == "method"]
    for curve in table.curves:
        chosen = methods[methods["row"].isin([row for row, _, _ in curve.points]) & (methods["metric"] == curve.metric)]
        settings = list(dict.fromkeys(chosen["setting"]))
        one = results[results["setting"].isin(settings)] if len(settings) == 1 else chosen.assign(setting="")
        if one["row"].nunique() < 2:
            continue
        leads = sorted(lead for lead in set(one["lead"].dropna()) if curve.lead is None or lead <= curve.lead)
        lead = int(leads[-1]) if leads and not METRICS[curve.metric].whole else None
        name = f"{curve.metric}_{_file_name('over ' + curve.x + ' ' + ' '.join(settings))}"
        if curve.x in COSTS:
            lines = {row: line for row, line, _ in curve.points}
            figures += cost_quality(one, curve.metric, out, cost=curve.x, lead=lead, curves=lines, name=name)
        else:
            points = {row: (line, x) for row, line, x in curve.points}
            figures += over_parameter(
                one,
                curve.metric,
                points,
                out,
                x_label=curve.x,
                lead=lead,
                published=_published(table, curve, lead),
                name=name,
            )
    return figures


def _published(table: Table, curve: Curve, lead: int | None) -> dict[str, Published]:
    """The paper's values of a curve's rows, where it prints them."""
    values = {}
    for setting in table.settings:
        for row in setting.rows:
            label = f"{setting.paper_name} {row.method.label}" if setting.paper_name else None
            known = (
                row.name in {name for name, _, _ in curve.points}
                and table.published
                and data_kind(setting) not in OTHER_DATA
            )
            value = (
                paper().get(table.published, row.paper_name or row.name, curve.metric, lead, label) if known else None
            )
            if value is not None:
                values[row.name] = value
    return values


def _file_name(label: str) -> str:
    return "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in label).split())


def _spread(horizon: int) -> tuple[int, ...]:
    """At most COLUMNS leads: powers of two, then the horizon."""
    doubling = [2**i for i in range(horizon.bit_length()) if 2**i < horizon]
    return (*doubling[-COLUMNS + 1 :], horizon)


def _shown_clips(stage: SettingStages, store: Store, shows: str, context_frames: int) -> Mapping[str, np.ndarray]:
    """One test clip as it is drawn: the truth, then a sample of each row (at most MAX_ROWS) by the first seed, each after the same
    `context_frames` real frames."""
    horizon = stage.setting.sampling.horizon
    (clip,) = read_range(stage.test_data, store, "test", CLIP, 1).clips
    past = clip[len(clip) - horizon - context_frames : len(clip) - horizon]
    drawn_rows = [row for row in stage.rows if row.seed == stage.rows[0].seed][:MAX_ROWS]
    samples = {"truth": clip[-horizon:]} | {row.row.name: _sample(row, store) for row in drawn_rows}
    samples |= {entry.name: _sample(entry, store) for entry in stage.entries[: MAX_ROWS - len(drawn_rows)]}
    return {
        name: as_drawn(np.ascontiguousarray(np.concatenate([past, sample])), stage.setting.data.kind, shows)
        for name, sample in samples.items()
    }


def as_drawn(sample: np.ndarray, kind: str, shows: str) -> np.ndarray:
    """A sample [t, c, y, x] as it is drawn: colours [t, y, x, 3] of a video, vorticity or the first component [t, y, x] of a flow."""
    if kind == "video":
        return np.ascontiguousarray(np.moveaxis(sample, 1, -1))
    return vorticity(sample) if kind == "flow" and shows == "vorticity" else sample[:, 0]


def _sample(row: RowStages | EntryStages, store: Store) -> np.ndarray:
    artifact = row.rollouts.artifact(store)
    first = (artifact.manifest() or {})["files"][0]
    return loaded(tensor_of(artifact.read_table(first), "frames"), row.setting.data.kind == "video")[CLIP]
