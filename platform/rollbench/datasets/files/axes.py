"""What the variables of a file are together: a field [trajectory, time, channel, y, x], whatever the order of their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollbench.datasets.files.arrays import Variable
from rollbench.errors import UserError, did_you_mean

NAMES = {
    "trajectory": ("trajectory", "traj", "sample", "simulation", "sim", "run", "member", "ensemble", "batch", "n"),
    "time": ("time", "t", "frame", "step"),
    "y": ("y", "lat", "latitude", "row", "height", "j"),
    "x": ("x", "lon", "longitude", "col", "column", "width", "i"),
    "channel": ("channel", "channels", "c", "variable", "component"),
}
DROPPED = "-"  # an axis of one entry, of no meaning here
ROLE = {name: role for role, names in NAMES.items() for name in names}
NEEDED = ("time", "y", "x")
SECONDS = {"ms": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0,
           "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """Variables of one file. axes: of each variable, the roles of its axes. shape: channels, y, x of a frame. dt: s, between two
    frames; 1 where the file does not say."""

    variables: tuple[Variable, ...]
    axes: tuple[tuple[str, ...], ...]
    trajectories: int
    frames: int
    shape: tuple[int, int, int]
    channels: tuple[tuple[str, str], ...]
    dt: float

    def read(self, trajectory: int, times: range) -> np.ndarray:
        """float32 [time, channel, y, x]."""
        at = slice(times.start, times.stop, times.step)
        parts = [_part(v, axes, trajectory, at) for v, axes in zip(self.variables, self.axes, strict=True)]
        return np.concatenate(parts, axis=1)

    def not_finite(self, frames: np.ndarray, times: range) -> str:
        """What is wrong with frames [time, channel, y, x] that are not all finite, or "". times: where they lie in the file."""
        bad = np.argwhere(~np.isfinite(frames))
        if not len(bad):
            return ""
        time, channel, y, x = bad[0]
        name = self.channels[channel][0]
        many = f"{len(bad)} values are not finite, the first" if len(bad) > 1 else "1 value is not finite, that"
        return f"{many} of {name!r} at frame {times[time]}, y {y}, x {x}"


def field_of(found: Sequence[Variable], wanted: Sequence[str], dims: Sequence[str], dt: float, where: str) -> Field:
    """The field in a file's variables: those called `wanted`, or all that have the axes of one.

    dims: the names of the axes, where they have none. dt: s, between two frames; 0: as the file says. Raises BadInput for what
    does not go together.
    """
    by_name = {v.name: v for v in found}
    for name in wanted:
        if name not in by_name:
            raise UserError(f"{where} has no variable {name!r}; {did_you_mean(name, by_name)}")
    named = [by_name[name] for name in wanted] or sorted(found, key=lambda v: v.name)
    roles = {v.name: axes_of(v, dims) for v in named}
    lacking = [v for v in named if not roles[v.name]]
    chosen = [v for v in named if roles[v.name]]
    if not chosen or (wanted and lacking):
        shown = "; ".join(f"{v.name} [{_axes_text(v)}]" for v in lacking[:4]) or "no numeric array"
        raise UserError(
            f"{where} has no field with the axes time, y and x: {shown}; name the axes in their order, as in --dims time y x "
            f"channel (of {', '.join(NAMES)}, and {DROPPED} for an axis of one entry)"
        )
    sizes = {v.name: dict(zip(roles[v.name], v.shape, strict=True)) for v in chosen}
    first = chosen[0].name
    for name, size in sizes.items():
        for role in ("trajectory", "time", "y", "x"):
            if size.get(role) != sizes[first].get(role):
                raise UserError(
                    f"{where}: {name!r} has {size.get(role)} along {role} where {first!r} has {sizes[first].get(role)}: the "
                    "variables of a field share their grid; choose with --variables"
                )
    size = sizes[first]
    channels = tuple(channel for v in chosen for channel in _channels(v, sizes[v.name].get("channel")))
    return Field(
        variables=tuple(chosen),
        axes=tuple(roles[v.name] for v in chosen),
        trajectories=size.get("trajectory", 1),
        frames=size["time"],
        shape=(len(channels), size["y"], size["x"]),
        channels=channels,
        dt=dt or _interval(found, size["time"], where) or 1.0,
    )


def axes_of(variable: Variable, dims: Sequence[str]) -> tuple[str, ...]:
    """The roles of a variable's axes, () if it is no field."""
    rank = len(variable.shape)
    if dims:
        plain = [dim for dim in dims if dim != "channel"]
        roles = tuple(dims) if rank == len(dims) else tuple(plain) if rank == len(plain) else ()
    else:
        sized = zip(variable.dims, variable.shape, strict=True)
        roles = tuple(ROLE.get(dim.lower(), DROPPED if size == 1 else "?") for dim, size in sized)
    known = [role for role in roles if role != DROPPED]
    dropped = [size for role, size in zip(roles, variable.shape, strict=False) if role == DROPPED]
    good = "?" not in roles and set(NEEDED) <= set(roles) and len(set(known)) == len(known) and set(dropped) <= {1}
    return roles if good else ()


def _part(variable: Variable, axes: tuple[str, ...], trajectory: int, times: slice) -> np.ndarray:
    """float32 [time, channel, y, x] of one variable."""
    chosen: dict[str, int | slice] = {"trajectory": trajectory, "time": times, DROPPED: 0}
    values = variable.read(tuple(chosen.get(role, slice(None)) for role in axes))
    kept = [role for role in axes if role not in ("trajectory", DROPPED)]
    if "channel" not in kept:
        kept, values = [*kept, "channel"], values[..., None]
    return values.transpose([kept.index(role) for role in ("time", "channel", "y", "x")])


def _channels(variable: Variable, count: int | None) -> list[tuple[str, str]]:
    if count in (None, 1):
        return [(variable.name, variable.unit)]
    return [(f"{variable.name}/{i}", variable.unit) for i in range(count or 0)]


def _interval(found: Sequence[Variable], frames: int, where: str) -> float:
    """s between two frames by the file's own time, 0 where it has none."""
    times = [v for v in found if ROLE.get(v.name.rsplit("/", 1)[-1].lower()) == "time" and v.shape == (frames,)]
    if not times or frames < 2:
        return 0.0
    try:
        steps = np.diff(times[0].part((slice(None),)).astype(np.float64))
    except UserError as reason:
        raise UserError(f"{where}: {times[0].name!r} cannot be read ({reason})") from None
    step = float(np.median(steps))
    if not (step > 0 and np.abs(steps - step).max() <= 0.01 * step):
        raise UserError(
            f"{where}: the steps of {times[0].name!r} lie between {steps.min():g} and {steps.max():g}: frames come at equal "
            "intervals; give the interval with --dt if they do"
        )
    unit = (times[0].unit.split() or ["s"])[0].lower()
    seconds = SECONDS.get(unit, SECONDS.get(unit.removesuffix("s"), 0.0))
    if not seconds:
        raise UserError(f"{where}: time is in {unit!r}, of which nothing is known; give the interval with --dt")
    return float(f"{step * seconds:.9g}")


def _axes_text(variable: Variable) -> str:
    return ", ".join(f"{dim or '?'} {size}" for dim, size in zip(variable.dims, variable.shape, strict=True))
