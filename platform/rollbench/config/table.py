"""Frozen values that say what is to be computed, and the key that follows from them.

A run is a value: nested frozen dataclasses of plain fields. `canonical` writes such a value as JSON in exactly one way, and
`key` is the sha256 of that text, so equal work has an equal address on every machine and a changed field a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rollbench.config.sampling import Sampling
from rollbench.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Row:
    """One row of a table: a method under a name."""

    name: str
    method: Any
    priority: int  # a small scale runs the rows with the lowest numbers (see `Scale.rows`)
    paper_name: str = ""  # under which the paper's values are looked up; "": `name`
    network: Any = None  # of this row alone; None: that of the setting


@dataclass(frozen=True)
class Claim:
    """A qualitative statement of the paper, as a relation that an interval can decide.

    It reads: metric(left) `relation` factor · metric(right), at each of `leads` that was measured.
    """

    text: str
    source: str  # where the paper says so
    metric: str
    left: str  # a row
    relation: str  # "<", ">" or "≈"
    right: str | float  # a row, or a number
    factor: float = 1.0
    tolerance: float = 0.25  # of "≈": the largest relative difference
    leads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.relation not in ("<", ">", "≈"):
            raise UserError(f"relation {self.relation!r} is not one of '<', '>', '≈'")


@dataclass(frozen=True)
class Setting:
    """What some rows of a table share: data, network, training, sampling and metrics."""

    data: Any  # the data set
    network: Any  # a value with `build(frame_shape, clean, generated)`
    training: Any  # see `rollbench.training.Training`
    sampling: Sampling
    train_clips: int  # clips in the training split; the test split has `sampling.contexts`
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    leads: tuple[int, ...] = ()  # frames after the context at which metrics are computed
    protocol: str = ""  # how FVD scores clips, see `evaluators.protocols`
    name: str = ""  # "" where the table has one setting
    paper_name: str = ""  # with the method's label, the setting under which the paper's values are looked up
    stand_in: Any = None  # the data set for machines without `data`
    test_data: Any = None  # the data set of the test clips, if it is another
    held_out: int = 0  # further test clips to choose by, which are never scored
    step_frames: int | None = None  # frames per optimiser step, at most; None: training.batch windows for every row
    micro_frames: int | None = None  # frames per micro-batch, at most; None: training.micro_batch windows for every row

    def __post_init__(self) -> None:
        frames, horizon = self.data.frames, self.sampling.horizon
        if not self.rows:
            raise UserError(f"setting {self.name!r} has no rows: give at least one")
        for row in self.rows:
            window, clean = row.method.window, row.method.clean
            if window > frames:
                raise UserError(
                    f"row {row.name!r}: a window of {window} frames is larger than the clip of {frames}; "
                    f"use data.frames >= {window} or a smaller window"
                )
            if clean + horizon > frames:
                raise UserError(
                    f"row {row.name!r}: {clean} context frames + a horizon of {horizon} exceed the clip of {frames} "
                    f"frames; the longest horizon that fits is {frames - clean}"
                )
        if self.leads and not 1 <= min(self.leads) <= max(self.leads) <= horizon:
            raise UserError(f"leads {self.leads} must lie between 1 and the horizon of {horizon} frames")
        if self.sampling.clip and self.data.kind != "video":
            raise UserError(
                f"sampling.clip = True: a {self.data.kind} has no pixel range to clip to; use sampling.clip=false"
            )
        films = self.sampling.contexts * self.sampling.samples
        if self.train_clips < films:
            raise UserError(
                f"train_clips = {self.train_clips} is below the {films} films of a row: the real-vs-real floor sets as many "
                f"training clips against the test split; use train_clips >= {films}, or fewer sampling.contexts or samples"
            )

    def training_of(self, row: Row) -> Any:
        """The training of a row: as many windows per step as `step_frames` allows, in whole micro-batches. It depends on no other row."""
        if self.step_frames is None:
            return self.training
        window = row.method.window
        batch = max(1, min(self.training.batch, self.step_frames // window))
        micro_batch = max(1, min(self.training.unit, batch, (self.micro_frames or self.step_frames) // window))
        return replace(self.training, batch=batch - batch % micro_batch, micro_batch=micro_batch)

    def steps_text(self) -> str:
        """The training budget in words: "1,000 steps of 32 windows of 3 frames, or 16 of 6"."""
        sizes = {(self.training_of(row).batch, row.method.window): None for row in self.rows}
        (batch, window), *others = sorted(sizes, key=lambda size: size[1])
        rest = "".join(f", or {more} of {length}" for more, length in others)
        return f"{self.training.steps:,} steps of {batch} windows of {window} frames{rest}"

    @property
    def clean(self) -> int:
        """The longest context of the rows."""
        return max(row.method.clean for row in self.rows)


@dataclass(frozen=True)
class Curve:
    """A picture of a search: `metric` (at `lead`, where it has leads) of some rows over a parameter or a cost.

    points: (row, the curve it lies on, its x). x: the words below the axis, or the column of the results that is a cost (then the
    points' own x is not read).
    """

    metric: str
    x: str
    points: tuple[tuple[str, str, float], ...]
    lead: int | None = None


@dataclass(frozen=True)
class Table:
    """A table as a value: settings with their rows, and what the paper claims about them."""

    name: str  # of the report's folder
    title: str
    published: str  # the number of the paper's table, "" for none
    settings: tuple[Setting, ...]
    caption: str = ""
    claims: tuple[Claim, ...] = ()
    curves: tuple[Curve, ...] = ()  # further figures
    seeds: tuple[int, ...] = (0,)  # training seeds of every row
    resamples: int = 1000  # bootstrap resamples behind each interval

    def __post_init__(self) -> None:
        if not self.settings:
            raise UserError(f"{self.name} has no settings: give at least one")
        names = [row.name for row in self.rows]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UserError(f"{self.name} has two rows {twice[0]!r}: a row's name tells it from all others")

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all settings, in the table's order."""
        return tuple(row for setting in self.settings for row in setting.rows)

    def row(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise UserError(f"unknown row {name!r}; {did_you_mean(name, [r.name for r in self.rows])}")


@dataclass(frozen=True)
class Figure:
    """A figure of the paper: a picture of some rows of a table.

    draw: "rollouts" (frames of each method below each other), "strips" (as rollouts, of several clips) or "over leads" (`metric`).
    shows: what is drawn of a flow, "vorticity" or "velocity". rows: those drawn, all of the table where it is empty.
    """

    name: str
    title: str
    table: Table
    draw: str
    metric: str = ""
    shows: str = "vorticity"
    rows: tuple[str, ...] = ()
