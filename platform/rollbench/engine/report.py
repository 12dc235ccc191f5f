"""From finished stages to the report: figures, one test clip rolled out by every row, and the texts that say what was done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluators import protocols
from reports.figures import over_leads
from reports.films import rollout_film, rollout_picture
from reports.index import index
from reports.metrics import METRICS
from reports.published import paper
from reports.render import render
from reports.texts import RowText, SettingText, TableText
from rollbench.engine.place import Place
from rollbench.engine.results import data_kind
from rollbench.engine.shards import loaded, read_range
from rollbench.measures import protocol_of
from rollbench.physics.frames import vorticity
from rollbench.pipeline import RowWork, SettingWork, TableWork
from rollbench.spec import Figure, Setting, Table
from rollbench.store import Store, tensor_of

SHOWN = 0  # the test clip in pictures and films: the first, whatever it looks like
COLUMNS = 8  # frames of a film in a picture, at most


def report(
    works: TableWork, results: pd.DataFrame, place: Place, tracking: dict[str, Any], figure: Figure | None = None
) -> Path:
    """Write tables, figures and films into `place.out`; returns the path of its page."""
    figures: list[Path] = []
    films: list[Path] = []
    for work in works.settings:
        drawn, moving = _pictures(work, results[results["setting"] == work.setting.name], works, place, figure)
        figures += drawn
        films += moving
    page = render(
        results,
        text(works.table, place.scale, figure),
        place.out,
        figures=figures,
        films=films,
        command=place.command,
        scale_text=f"scale “{place.scale}”",
        tracking=tracking,
    )
    index(place.out.parent)
    return page


# --- words --------------------------------------------------------------------------------------------------------------------
def text(table: Table, scale: str, figure: Figure | None = None) -> TableText:
    """What the report says of a table."""
    return TableText(
        name=figure.name if figure else table.name,
        title=figure.title if figure else table.title,
        caption=table.caption,
        published=table.published,
        claims=table.claims,
        settings=tuple(_setting(setting, table.resamples, scale) for setting in table.settings),
    )


def _setting(setting: Setting, resamples: int, scale: str) -> SettingText:
    printed = [row.printed or row.name for row in setting.rows]
    several = bool(setting.printed)
    return SettingText(
        name=setting.name,
        printed=setting.printed,
        rows=tuple(
            RowText(row.name, words, f"{setting.printed} {row.method.label}" if several else "")
            for row, words in zip(setting.rows, printed, strict=True)
        ),
        metrics=setting.metrics,
        leads=setting.leads,
        frame_seconds=setting.data.frame_interval,
        protocol=_protocol(setting, resamples),
        scale_text=_sizes(setting),
    )


def _sizes(setting: Setting) -> str:
    t, s = setting.training, setting.sampling
    source = {"real": "", "simulated": "", "stand-in": "a stand-in, not the paper's data: "}[data_kind(setting)]
    return (
        f"{source}{setting.data.describe()}; {setting.train_clips:,} training and {s.contexts:,} test clips, {t.steps:,} training steps "
        f"of {t.batch} windows, {s.calls_per_frame} network calls per frame, horizon {s.horizon} frames"
        + (f", {s.samples} samples of each clip" if s.samples > 1 else "")
    )


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
    words.append(
        f"The scored horizon is the last {sampling.horizon} frames of each test clip; the context lies right before it. Intervals: 95 %, "
        f"{resamples} common resamples of clips; they answer for the films, the training seed is another source of variation unless "
        f"several seeds are given. The floor compares the test split with {sampling.contexts} training clips. Sampler: {sampling.sampler}. "
        "A run shorter than the paper's averages its weights with a shorter memory than 0.9999 (see Training)."
    )
    if sampling.degradation is not None:
        words.append(f"Contexts are degraded before sampling: {sampling.degradation}.")
    return " ".join(words)


# --- pictures -----------------------------------------------------------------------------------------------------------------
def _pictures(
    work: SettingWork, results: pd.DataFrame, works: TableWork, place: Place, figure: Figure | None
) -> tuple[list[Path], list[Path]]:
    """Curves over leads, the rollouts of one clip as a picture, and as a film."""
    setting, rows = work.setting, tuple(row.name for row in work.setting.rows)
    tail = "" if len(works.settings) == 1 else "-" + "".join(c if c.isalnum() else "-" for c in setting.name)
    shows = figure.shows if figure else "vorticity"
    figures: list[Path] = []
    for metric in setting.metrics:
        wanted = figure is None or (figure.draw == "over leads" and metric == (figure.metric or metric))
        if METRICS[metric].whole or not wanted or len(setting.leads) < 2:
            continue
        published = (
            [p for p in paper().of(works.table.published, metric) if p.row in rows] if works.table.published else []
        )
        figures += over_leads(
            results, metric, published, place.out,
            rows=rows, frame_seconds=setting.data.frame_interval, name=f"{metric}_over_leads{tail}",
        )  # fmt: skip
    films = _films(work, place.store, shows)
    seconds = setting.data.frame_interval
    leads = setting.leads or _spread(setting.sampling.horizon)
    figures += rollout_picture(films, leads, place.out, frame_seconds=seconds, name=f"rollouts{tail}")
    film = rollout_film(films, place.out / f"rollouts{tail}.webp", frame_seconds=seconds)
    return figures, [film]


def _spread(horizon: int) -> tuple[int, ...]:
    """Leads that tell a film: doubling, then the last."""
    doubling = [2**i for i in range(horizon.bit_length()) if 2**i < horizon]
    return (*doubling[-COLUMNS + 1 :], horizon)


def _films(work: SettingWork, store: Store, shows: str) -> Mapping[str, np.ndarray]:
    """One test clip over the horizon, as it is drawn: the truth, then each row's film of the first seed."""
    horizon = work.setting.sampling.horizon
    (clip,) = read_range(work.tested, store, "test", SHOWN, 1).clips
    seeds = [row.seed for row in work.rows]
    films = {"truth": clip[-horizon:]} | {row.row.name: _film(row, store) for row in work.rows if row.seed == seeds[0]}
    return {name: drawn(np.ascontiguousarray(film), work.setting.data.kind, shows) for name, film in films.items()}


def drawn(film: np.ndarray, kind: str, shows: str) -> np.ndarray:
    """A film [t, c, y, x] as it is drawn: colours [t, y, x, 3] of a video, vorticity or the first component [t, y, x] of a flow."""
    if kind == "video":
        return np.moveaxis(film, 1, -1)
    return vorticity(film) if kind == "flow" and shows == "vorticity" else film[:, 0]


def _film(row: RowWork, store: Store) -> np.ndarray:
    stage = row.clips.stage(store)
    first = (stage.manifest() or {})["files"][0]
    return loaded(tensor_of(stage.read_table(first), "frames"), row.setting.data.kind == "video")[SHOWN]
