"""A scale is a row of caps: a table at a scale is the table with every size field at most the cap.

The paper's scale caps nothing. Nothing that computes a number looks at a scale's name, so a small run takes the same path as a large one;
only a verdict does (`reports/model/verdict.py`), because the paper's values are compared with numbers of its own sizes only.
The learning rate has a floor instead: 1e-4 belongs to a network of 1,024 channels and 100,000 steps; small networks and short runs
learn better with larger steps (at the laptop's size the loss on held-out clips falls up to about 5e-3). A `Recipe` holds the choices in
which small networks and short runs differ from the paper, one for flows and one for videos.

Sharding a model and recomputing activations save memory, cost time and change no result. Networks under a cap on their width fit in memory
as they are, so a scale with such a cap does neither, whatever the table asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from rollbench.config.canonical import canonical
from rollbench.config.sampling import Sampling
from rollbench.config.search import Search
from rollbench.config.table import Setting, Table
from rollbench.errors import UserError, did_you_mean

NO_CAP = 2**62


@dataclass(frozen=True)
class Recipe:
    """Network, training and sampler at a scale. Sizes are upper bounds; of the others, the default leaves the table's value."""

    widths: tuple[int, ...] = ()  # channels of each level, finest first; no more levels than these
    blocks: tuple[int, ...] = ()  # residual blocks of each level
    grid: int = NO_CAP  # cells per side that the network sees: a frame beyond it is patched
    dropout: float = 1.0  # of each level
    shift: bool = False  # temporal shift in convolutional blocks
    context: str = ""  # how the clean frames enter
    steps: int = NO_CAP  # optimiser steps
    step_frames: int = NO_CAP  # frames per step: windows per step times their length
    micro_frames: int = NO_CAP  # frames per micro-batch, alike
    optimiser: str = ""
    sampler: str = ""
    clip: bool = False  # predictions to the pixel range

    def __post_init__(self) -> None:
        for name in ("grid", "steps", "step_frames", "micro_frames", "widths", "blocks"):
            value = getattr(self, name)
            if min(value if isinstance(value, tuple) else (value,), default=1) < 1:
                raise UserError(f"{name} = {value} is below 1")


@dataclass(frozen=True)
class Scale:
    """Upper bounds, one per size field, the learning rate's floor, and recipes.

    Rows are taken by priority, leads up to the horizon, seeds from the first.
    """

    name: str
    grid: int = NO_CAP  # cells per side of the simulation
    frame_grid: int = NO_CAP  # cells per side of a frame of a flow
    video_side: int = NO_CAP  # per side of a frame of a video
    frames: int = NO_CAP  # frames per trajectory
    train_clips: int = NO_CAP  # trajectories in the training split
    contexts: int = NO_CAP  # clips in the test split of a flow
    video_clips: int = NO_CAP  # clips in the test split of a video: each costs a pass through I3D, for every row
    sprites: int = NO_CAP  # shapes in the world of sprites
    micro_batch: int = NO_CAP  # windows per forward pass
    horizon: int = NO_CAP  # generated frames per sample
    calls: int = NO_CAP  # network calls per emitted frame
    group: int = NO_CAP  # samples per network call
    samples: int = NO_CAP  # samples per context
    resamples: int = NO_CAP  # bootstrap draws
    rows: int = NO_CAP  # rows of a setting run unless --rows names them
    seeds: int = NO_CAP  # training seeds per row
    trials: int = NO_CAP  # candidates of a search
    learning_rate: float = 0.0  # at least this
    flow: Recipe = Recipe()
    video: Recipe = Recipe()
    looks: str = ""  # of the world of sprites; "": as the table says
    bf16: bool = True  # bf16 where a table asks for it: it makes a CPU slower
    save_memory: bool = True  # memory, at the cost of time: a table's `sharding` and `recompute` are heeded
    stand_in: bool = False  # what must be ingested is replaced by its stand-in, unless --data says otherwise

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.default == NO_CAP and getattr(self, field.name) < 1:
                raise UserError(f"scale {self.name!r}: {field.name} = {getattr(self, field.name)} is below 1")


# fmt: off
_CAPS: dict[str, tuple[Any, ...]] = {  #         smoke  laptop     lab
    "grid":          (  32,     32,    128),
    "frame_grid":    (  16,     16,     64),
    "video_side":    (  16,     32,     64),
    "frames":        (  12,     32,    200),
    "train_clips":   (  32,    384,  4_096),
    "contexts":      (  16,    128,    512),
    "video_clips":   (  12,     48,    512),
    "sprites":       (   3,      3, NO_CAP),
    "looks":         ("black", "black", ""),
    "micro_batch":   (  12,     16,     64),
    "horizon":       (   8,     24,     48),
    "calls":         (   2,      4,     16),
    "group":         (  16,     32,     64),
    "samples":       (   2,      2,      4),
    "resamples":     ( 100,    500,  1_000),
    "rows":          (   2,      5,     11),
    "seeds":         (   1,      1,      3),
    "trials":        (   4,     12,     32),
    "learning_rate": (5e-3,   5e-3,   5e-4),
    "bf16":          (False, False,   True),
    "save_memory":   (False, False,  False),
    "stand_in":      (True,   True,  False),
}
_FLOW: dict[str, tuple[Any, ...]] = {  #          smoke              laptop                   lab
    "widths":        (       (16, 16),           (64, 64), (256, 256, 256, 256)),
    "blocks":        (         (1, 1),             (1, 1),         (3, 3, 3, 3)),
    "grid":          (              8,                  8,                   64),
    "steps":         (             12,              1_000,               50_000),
    "step_frames":   (             72,                 96,                  384),
    "micro_frames":  (             36,                 48,               NO_CAP),  # two micro-batches: exact with two workers
    "sampler":       (    "multistep",        "multistep",                   ""),
}
_VIDEO: dict[str, tuple[Any, ...]] = _FLOW | {
    "widths":        (       (16, 16),      (32, 64, 128), (256, 256, 256, 256)),
    "blocks":        (         (1, 1),          (1, 1, 2),         (3, 3, 3, 3)),
    "grid":          (              8,                 16,                   64),
    "dropout":       (            0.0,                0.0,                  1.0),
    "shift":         (           True,               True,                False),
    "context":       (       "frames",           "frames",                   ""),
    "steps":         (             12,              1_300,               50_000),
    "step_frames":   (            128,                 64,                  640),
    "micro_frames":  (         NO_CAP,             NO_CAP,               NO_CAP),
    "optimiser":     (         "muon",             "muon",                   ""),
    "sampler":       (             "",                 "",                   ""),
    "clip":          (           True,               True,                False),
}
# fmt: on


def _column(table: Mapping[str, tuple[Any, ...]], column: int) -> dict[str, Any]:
    return {field: values[column] for field, values in table.items()}


SCALES = {
    name: Scale(name, **_column(_CAPS, i), flow=Recipe(**_column(_FLOW, i)), video=Recipe(**_column(_VIDEO, i)))
    for i, name in enumerate(("smoke", "laptop", "lab"))
} | {"paper": Scale("paper")}


def scale(name: str) -> Scale:
    """The named scale. Raises UserError with the nearest name."""
    if name not in SCALES:
        raise UserError(f"unknown scale {name!r}; {did_you_mean(name, SCALES)}")
    return SCALES[name]


def at_scale(table: Table, caps: Scale) -> Table:
    """`table` with every size field at most its cap: an elementwise minimum. Settings that it makes equal are one, the first."""
    return replace(
        table,
        settings=_distinct([_capped(setting, caps) for setting in table.settings]),
        seeds=table.seeds[: caps.seeds],
        resamples=min(table.resamples, caps.resamples),
    )


def search_at_scale(search: Search, caps: Scale) -> Search:
    """`search` with fewer candidates and smaller rollouts to compare them; its table is capped as any other."""
    video = search.setting.data.kind == "video"
    return replace(search, trials=min(search.trials, caps.trials), proxy=_sampling(search.proxy, caps, video))


def _sampling(s: Sampling, caps: Scale, video: bool) -> Sampling:
    recipe = caps.video if video else caps.flow
    return replace(
        s,
        horizon=min(s.horizon, caps.horizon),
        calls_per_frame=s.calls_per_frame if s.calls <= caps.calls else caps.calls,
        contexts=min(s.contexts, caps.video_clips if video else caps.contexts),
        group=min(s.group, caps.group),
        samples=min(s.samples, caps.samples),
        sampler=recipe.sampler or s.sampler,
        clip=recipe.clip or s.clip,
        precision=s.precision if caps.bf16 else "fp32",
    )


def _capped(setting: Setting, caps: Scale) -> Setting:
    t, video = setting.training, setting.data.kind == "video"
    recipe = caps.video if video else caps.flow
    sampling = _sampling(setting.sampling, caps, video)
    window = max(row.method.window for row in setting.rows)
    least = max(setting.clean + sampling.horizon, window)
    micro_batch = min(t.unit, caps.micro_batch)
    step_frames = min(setting.step_frames or NO_CAP, recipe.step_frames)
    micro_frames = min(setting.micro_frames or NO_CAP, recipe.micro_frames)
    sizes = {
        "grid": caps.grid,
        "frame_grid": caps.video_side if video else caps.frame_grid,
        "frames": caps.frames,
        "least": least,
    }
    data, stand_in, test_data = (
        value and _drawn(value.capped(**sizes), caps) for value in (setting.data, setting.stand_in, setting.test_data)
    )
    return replace(
        setting,
        data=data,
        stand_in=stand_in,
        test_data=test_data,
        network=_network(setting.network, recipe),
        rows=tuple(replace(row, network=row.network and _network(row.network, recipe)) for row in setting.rows),
        training=replace(
            t,
            steps=min(t.steps, recipe.steps),
            optimiser=recipe.optimiser or t.optimiser,
            batch=t.batch - t.batch % micro_batch,
            micro_batch=micro_batch,
            learning_rate=max(t.learning_rate, caps.learning_rate),
            precision=t.precision if caps.bf16 else "fp32",
            sharding=t.sharding if caps.save_memory else "none",
            recompute=t.recompute and caps.save_memory,
        ),
        step_frames=None if step_frames == NO_CAP else step_frames,
        micro_frames=None if micro_frames == NO_CAP else micro_frames,
        sampling=sampling,
        train_clips=min(setting.train_clips, caps.train_clips),
        leads=tuple(lead for lead in setting.leads if lead <= sampling.horizon),
    )


def _network(size: Any, recipe: Recipe) -> Any:
    """The network's configuration at this scale. One that is not of this project knows its own sizes, and stays as it is."""
    if not hasattr(size, "capped"):
        return size
    small = size.capped(recipe.widths, recipe.blocks, recipe.grid)
    return replace(
        small,
        dropout=tuple(min(rate, recipe.dropout) for rate in small.dropout),
        shift=recipe.shift or size.shift,
        context=recipe.context or size.context,
    )


def _drawn(data: Any, caps: Scale) -> Any:
    """A world of sprites as it looks at this scale; other data as they are."""
    if not hasattr(data, "looks"):
        return data
    return replace(data, sprites=min(data.sprites, caps.sprites), looks=caps.looks or data.looks)


def _distinct(settings: Sequence[Setting]) -> tuple[Setting, ...]:
    """Each setting once, whatever it and its rows are called."""
    distinct: dict[str, Setting] = {}
    for setting in settings:
        nameless = replace(
            setting, name="", rows=tuple(replace(row, name="", paper_name="", priority=0) for row in setting.rows)
        )
        distinct.setdefault(canonical(nameless), setting)
    return tuple(distinct.values())


def default_rows(table: Table, caps: Scale) -> tuple[str, ...]:
    """The rows that a scale runs by default: of each setting those of lowest priority number, in the table's own order.

    A table of one or two settings compares rows within each, so it has at least two of each; a longer one compares settings.
    """
    count = max(2 if len(table.settings) < 3 else 1, caps.rows // len(table.settings))
    chosen = {
        row.name for setting in table.settings for row in sorted(setting.rows, key=lambda row: row.priority)[:count]
    }
    return tuple(row.name for row in table.rows if row.name in chosen)
