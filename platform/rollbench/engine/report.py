"""From finished stages to the report: figures, one test clip rolled out by every row, and the texts that say what was done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.figures import over_leads
from reports.films import rollout_film, rollout_picture
from reports.index import index
from reports.published import paper
from reports.render import render
from reports.texts import RowText, SettingText, TableText
from rollbench.engine.place import Place
from rollbench.engine.shards import read_split
from rollbench.physics.frames import vorticity
from rollbench.pipeline import RowWork, TableWork
from rollbench.store import Store, tensor_of

SHOWN = 0  # the test clip in pictures and films: the first, whatever it looks like


def report(works: TableWork, results: pd.DataFrame, place: Place, tracking: dict[str, Any]) -> Path:
    """Write tables, figures and the film of a table into `place.out`; returns the path of its page."""
    table = works.table
    names = tuple(row.name for row in table.rows)
    seconds = table.data.frame_interval
    published = [p for p in paper().of(table.published, "fsd") if p.row in names] if table.published else []
    films = _films(works, place.store)
    results = results.assign(setting="", data="simulated")
    figures = [
        *over_leads(results, "fsd", published, place.out, rows=names, frame_seconds=seconds),
        *over_leads(results, "mse_ratio", (), place.out, rows=names, frame_seconds=seconds),
        *rollout_picture(films, table.leads, place.out, frame_seconds=seconds),
    ]
    film = rollout_film(films, place.out / "rollouts.webp", frame_seconds=seconds)
    rows = tuple(RowText(name) for name in names)
    setting = SettingText("", rows, table.metrics, table.leads, seconds, protocol=_protocol(works))
    text = TableText(table.name, table.title, _caption(works), (setting,), table.published, table.claims)
    page = render(
        results,
        text,
        place.out,
        figures=figures,
        films=[film],
        command=place.command,
        scale_text=place.scale_text,
        tracking=tracking,
    )
    index(place.out.parent)
    return page


def _films(works: TableWork, store: Store) -> dict[str, np.ndarray]:
    """Vorticity [frames, y, x] of one test clip over the horizon: the truth, then each row's film of the first seed."""
    horizon = works.table.sampling.horizon
    truth = read_split(works.data.stage(store), "test", SHOWN + 1).clips[SHOWN][-horizon:]
    rows = [row for row in works.rows if row.seed == works.table.seeds[0]]
    return {"truth": vorticity(np.ascontiguousarray(truth))} | {
        row.row.name: vorticity(_film(row, store)) for row in rows
    }


def _film(row: RowWork, store: Store) -> np.ndarray:
    stage = row.clips.stage(store)
    first = (stage.manifest() or {})["files"][0]
    return tensor_of(stage.read_table(first), "frames")[SHOWN]


def _caption(works: TableWork) -> str:
    return (
        f"Kolmogorov flow from {works.table.rows[0].method.clean} context frames; one frame is {works.table.data.frame_interval} s. "
        "One network and one training budget for all rows, and equal network calls per emitted frame (a regression needs fewer)."
    )


def _protocol(works: TableWork) -> str:
    """What a number means here: what is compared with what, how many, and what the interval answers for."""
    table, sampling = works.table, works.table.sampling
    return (
        f"FSD between {sampling.contexts} generated and {sampling.contexts} real test trajectories at each lead: |rfft2(u, ortho)| of the "
        "horizontal velocity in m/s, DC kept, one distance per lead, no pooling. MSE in m²/s², the mean over both velocity components and "
        "all cells, one film per context; its ratio is to the MSE of the mean training frame. The scored horizon is the last "
        f"{sampling.horizon} frames of each test trajectory; the context lies right before it. Intervals: 95 %, {table.resamples} common "
        "resamples of trajectories; they answer for the films, the training seed is another source of variation unless several seeds are "
        f"given. The floor compares the test split with {sampling.contexts} training trajectories at the same times. Sampler: "
        f"{sampling.sampler}. A run shorter than the paper's averages its weights with a shorter memory than 0.9999 (see Training)."
    )
