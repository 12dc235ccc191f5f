"""A scale is a row of caps: a table at a scale is the table with every size field at most the cap.

The paper's scale caps nothing. No code anywhere asks for a scale's name, so a small run takes the same path as a large one.
One field is a floor instead: 1e-4 belongs to a network of 1,024 channels and 100,000 steps; small networks and short runs learn
better with larger steps (at the laptop's size the loss on held-out clips falls up to about 5e-3).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from rollbench.spec import BadInput, Table, nearest

NO_CAP = 2**62


@dataclass(frozen=True)
class Scale:
    """Upper bounds, one per size field, and the learning rate's floor.

    Rows are taken by priority, leads up to the horizon, seeds from the first.
    """

    name: str
    grid: int = NO_CAP  # cells per side of the simulation
    frame_grid: int = NO_CAP  # cells per side of a frame
    frames: int = NO_CAP  # frames per trajectory
    train_clips: int = NO_CAP  # trajectories in the training split
    contexts: int = NO_CAP  # trajectories in the test split
    levels: int = NO_CAP  # resolutions of the network
    width: int = NO_CAP  # channels per level
    blocks: int = NO_CAP  # residual blocks per level
    network_grid: int = NO_CAP  # cells per side that the network sees: a frame beyond it is patched
    steps: int = NO_CAP  # optimiser steps
    batch: int = NO_CAP  # windows per step
    micro_batch: int = NO_CAP  # windows per forward pass
    horizon: int = NO_CAP  # frames per film
    calls: int = NO_CAP  # network calls per emitted frame
    group: int = NO_CAP  # films per network call
    resamples: int = NO_CAP  # bootstrap draws
    rows: int = NO_CAP  # rows run unless --rows names them
    seeds: int = NO_CAP  # training seeds per row
    learning_rate: float = 0.0  # at least this

    def __post_init__(self) -> None:
        for field in fields(self)[1:-1]:
            if getattr(self, field.name) < 1:
                raise BadInput(f"scale {self.name!r}: {field.name} = {getattr(self, field.name)} is below 1")


# fmt: off
_CAPS: dict[str, tuple[Any, ...]] = {  #         smoke  laptop     lab
    "grid":          (  32,     32,    128),
    "frame_grid":    (  16,     16,     64),
    "frames":        (  12,     32,    200),
    "train_clips":   (  32,    384,  4_096),
    "contexts":      (  16,    128,    512),
    "levels":        (   2,      2,      4),
    "width":         (  16,     64,    256),
    "blocks":        (   1,      1,      3),
    "network_grid":  (   8,      8,     64),
    "steps":         (  12,  1_000, 50_000),
    "batch":         (  16,     32,     64),
    "micro_batch":   (   8,     16,     64),
    "horizon":       (   8,     24,     48),
    "calls":         (   2,      4,     16),
    "group":         (  16,     32,     64),
    "resamples":     ( 100,    500,  1_000),
    "rows":          (   2,      5,     11),
    "seeds":         (   1,      1,      3),
    "learning_rate": (5e-3,   5e-3,   5e-4),
}
# fmt: on
SCALES = {
    name: Scale(name, **{field: caps[column] for field, caps in _CAPS.items()})
    for column, name in enumerate(("smoke", "laptop", "lab"))
} | {"paper": Scale("paper")}


def scale(name: str) -> Scale:
    """The named scale; BadInput with the nearest name otherwise."""
    if name not in SCALES:
        raise BadInput(f"unknown scale {name!r}; {nearest(name, SCALES)}")
    return SCALES[name]


def at_scale(table: Table, caps: Scale) -> Table:
    """`table` with every size field at most its cap: an elementwise minimum."""
    network = table.network.capped(levels=caps.levels, width=caps.width, blocks=caps.blocks, grid=caps.network_grid)
    t, s = table.training, table.sampling
    horizon = min(s.horizon, caps.horizon)
    return replace(
        table,
        data=replace(
            table.data,
            grid=min(table.data.grid, caps.grid),
            frame_grid=min(table.data.frame_grid, caps.frame_grid),
            frames=min(table.data.frames, caps.frames),
        ),
        network=network,
        training=replace(
            t,
            steps=min(t.steps, caps.steps),
            batch=min(t.batch, caps.batch),
            micro_batch=min(t.micro_batch, caps.micro_batch),
            learning_rate=max(t.learning_rate, caps.learning_rate),
        ),
        sampling=replace(
            s,
            horizon=horizon,
            calls_per_frame=min(s.calls_per_frame, caps.calls),
            contexts=min(s.contexts, caps.contexts),
            group=min(s.group, caps.group),
        ),
        train_clips=min(table.train_clips, caps.train_clips),
        leads=tuple(lead for lead in table.leads if lead <= horizon),
        seeds=table.seeds[: caps.seeds],
        resamples=min(table.resamples, caps.resamples),
    )


def default_rows(table: Table, caps: Scale) -> tuple[str, ...]:
    """The rows a scale runs unless told otherwise: those of lowest priority number, in the table's own order."""
    chosen = sorted(table.rows, key=lambda row: row.priority)[: caps.rows]
    return tuple(row.name for row in table.rows if row in chosen)
