"""A scale is a row of caps: a table at a scale is the table with every size field at most the cap.

The paper's scale caps nothing. No code anywhere asks for a scale's name, so a small run takes the same path as a large one.
One number follows the caps without being one: the learning rate grows as the network's width shrinks (lr · width is kept, the
width rule of maximal-update parametrisation, arXiv 2203.03466), because 1e-4 belongs to a network of 1,024 channels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from rollbench.spec import BadInput, Table, nearest

NO_CAP = 2**62


@dataclass(frozen=True)
class Scale:
    """Upper bounds, one per size field. Rows are taken by priority, leads up to the horizon, seeds from the first."""

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

    def __post_init__(self) -> None:
        for field in fields(self)[1:]:
            if getattr(self, field.name) < 1:
                raise BadInput(f"scale {self.name!r}: {field.name} = {getattr(self, field.name)} is below 1")


# fmt: off
#               grid  frame frames train contexts levels width blocks network steps  batch micro horizon calls group resamples rows seeds
_CAPS = {
    "smoke":   (  32,   16,    12,   32,      16,     2,   16,     1,     8,    12,   16,    8,      8,    2,   16,      100,   3,    1),
    "laptop":  (  32,   16,    32,  384,     128,     2,   64,     1,     8,   300,   32,   16,     24,    4,   32,      500,   5,    1),
    "lab":     ( 128,   64,   200, 4096,     512,     4,  256,     3,    64, 50000,   64,   64,     48,   16,   64,     1000,  11,    3),
    "paper":   (NO_CAP,) * 18,
}
# fmt: on
SCALES = {name: Scale(name, *caps) for name, caps in _CAPS.items()}


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
            learning_rate=t.learning_rate * max(table.network.channels) / max(network.channels),
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
