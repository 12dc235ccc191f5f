"""The pictures of a table, from finished stages: curves over leads and over parameters, and one test clip rolled out by every row."""

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
from rollbench.config.table import Curve, Figure, Table
from rollbench.physics.frames import vorticity
from rollbench.pipeline.frames import loaded, read_range
from rollbench.pipeline.graph import EntryStages, Pipeline, RowStages, SettingStages
from rollbench.pipeline.run_context import RunContext
from rollbench.store.artifact import Store
from rollbench.store.tensors import tensor_of

SHOWN = 0  # the test clip in pictures and films: the first, whatever it looks like
COLUMNS = 8  # frames of a film in a picture, at most
GIVEN = 5  # context frames in front of a video's strip, at most
PICTURED = 24  # rows in pictures and films, at most: a film has room for some forty


@dataclass(frozen=True)
class Drawn:
    """The files of pictures and of films."""

    figures: list[Path]
    films: list[Path]


def pictures(stages: Pipeline, results: pd.DataFrame, place: RunContext, figure: Figure | None) -> Drawn:
    """All pictures of a table; of a figure only what it draws."""
    found = Drawn(_curves(stages.table, results, place.out) if figure is None else [], [])
    for stage in stages.settings:
        tail = "" if len(stages.settings) == 1 else "-" + _file_name(stage.setting.name)
        if figure is None or figure.draw == "over leads":
            metrics = stage.setting.metrics if figure is None else (figure.metric,)
            own = results[results["setting"] == stage.setting.name]
            found.figures.extend(_over_leads(stage, own, metrics, stages.table.published, place.out, tail))
        if figure is None or figure.draw != "over leads":
            figures, film = _of_films(stage, place, figure.shows if figure else "vorticity", tail)
            found.figures.extend(figures)
            found.films.append(film)
    return found


def _over_leads(
    stage: SettingStages, results: pd.DataFrame, metrics: Sequence[str], published: str, out: Path, tail: str
) -> list[Path]:
    setting = stage.setting
    rows = (*(row.name for row in setting.rows), *(entry.name for entry in stage.entries))
    figures: list[Path] = []
    for metric in metrics:
        if METRICS[metric].whole or len(setting.leads) < 2:
            continue
        theirs = [p for p in paper().of(published, metric) if p.row in rows] if published else []
        figures += over_leads(
            results,
            metric,
            theirs,
            out,
            rows=rows,
            frame_seconds=setting.data.frame_interval,
            name=f"{metric}_over_leads{tail}",
        )
    return figures


def _of_films(stage: SettingStages, place: RunContext, shows: str, tail: str) -> tuple[list[Path], Path]:
    """One clip rolled out by every row: a picture (of a video as strips, its last context frames in front), and a film."""
    setting, name = stage.setting, f"rollouts{tail}"
    video, seconds = setting.data.kind == "video", setting.data.frame_interval
    given = min(setting.clean, GIVEN) if video else 0
    films = _films(stage, place.store, shows, given)
    cut = f"the first {PICTURED} rows" if len({row.row.name for row in stage.rows}) > PICTURED else ""
    told = ", ".join(filter(None, (setting.name, cut)))
    if video:
        figures = rollout_strip(films, place.out, context=given, setting=told, frame_seconds=seconds, name=name)
    else:
        leads = setting.leads or _spread(setting.sampling.horizon)
        figures = rollout_picture(films, leads, place.out, kind=shows, setting=told, frame_seconds=seconds, name=name)
    kind = "video" if video else shows
    film = place.out / f"{name}.webp"
    rollout_animation(films, film, kind=kind, context=given, setting=told, frame_seconds=seconds)
    return figures, film


def _curves(table: Table, results: pd.DataFrame, out: Path) -> list[Path]:
    """The pictures of a search. Its rows may come from several settings: they are told apart by their names."""
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
    found = {}
    for setting in table.settings:
        for row in setting.rows:
            words = f"{setting.paper_name} {row.method.label}" if setting.paper_name else None
            known = row.name in {name for name, _, _ in curve.points} and table.published
            value = (
                paper().get(table.published, row.paper_name or row.name, curve.metric, lead, words) if known else None
            )
            if value is not None:
                found[row.name] = value
    return found


def _file_name(words: str) -> str:
    return "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in words).split())


def _spread(horizon: int) -> tuple[int, ...]:
    """Leads that tell a film: doubling, then the last."""
    doubling = [2**i for i in range(horizon.bit_length()) if 2**i < horizon]
    return (*doubling[-COLUMNS + 1 :], horizon)


def _films(stage: SettingStages, store: Store, shows: str, given: int) -> Mapping[str, np.ndarray]:
    """One test clip, as it is drawn: the truth, then the film of each row (or the first PICTURED) by the first seed, each behind the same
    `given` real frames."""
    horizon = stage.setting.sampling.horizon
    (clip,) = read_range(stage.test_data, store, "test", SHOWN, 1).clips
    past = clip[len(clip) - horizon - given : len(clip) - horizon]
    pictured = [row for row in stage.rows if row.seed == stage.rows[0].seed][:PICTURED]
    films = {"truth": clip[-horizon:]} | {row.row.name: _film(row, store) for row in pictured}
    films |= {entry.name: _film(entry, store) for entry in stage.entries[: PICTURED - len(pictured)]}
    return {
        name: as_drawn(np.ascontiguousarray(np.concatenate([past, film])), stage.setting.data.kind, shows)
        for name, film in films.items()
    }


def as_drawn(film: np.ndarray, kind: str, shows: str) -> np.ndarray:
    """A film [t, c, y, x] as it is drawn: colours [t, y, x, 3] of a video, vorticity or the first component [t, y, x] of a flow."""
    if kind == "video":
        return np.ascontiguousarray(np.moveaxis(film, 1, -1))
    return vorticity(film) if kind == "flow" and shows == "vorticity" else film[:, 0]


def _film(row: RowStages | EntryStages, store: Store) -> np.ndarray:
    artifact = row.rollouts.artifact(store)
    first = (artifact.manifest() or {})["files"][0]
    return loaded(tensor_of(artifact.read_table(first), "frames"), row.setting.data.kind == "video")[SHOWN]
