"""What the variables of a file are together: a field [trajectory, time, channel, y, x], whatever the order of their axes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rollbench.datasets.files.arrays import Variables, values
from rollbench.errors import UserError, did_you_mean

NAMES = {
    "trajectory": ("trajectory", "traj", "sample", "simulation", "sim", "run", "member", "number", "realization", "ensemble", "batch", "n"),
    "time": ("time", "t", "frame", "step", "valid_time", "times"),
    "y": ("y", "lat", "latitude", "row", "height", "j", "south_north", "rlat", "nlat"),
    "x": ("x", "lon", "longitude", "col", "column", "width", "i", "west_east", "rlon", "nlon"),
    "channel": ("channel", "channels", "c", "variable", "component"),
}  # fmt: skip
DROPPED = "-"  # an axis of one entry, of no meaning here
ROLE = {name: role for role, names in NAMES.items() for name in names}
BY_AXIS = {"T": "time", "Y": "y", "X": "x"}
STANDARD = {"time": "time", "latitude": "y", "grid_latitude": "y", "projection_y_coordinate": "y", "longitude": "x",
            "grid_longitude": "x", "projection_x_coordinate": "x", "realization": "trajectory"}  # fmt: skip
NEEDED = frozenset({"time", "y", "x"})
SECONDS = {"ns": 1e-9, "nanosecond": 1e-9, "us": 1e-6, "µs": 1e-6, "microsecond": 1e-6, "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3,
           "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
           "d": 86400.0, "day": 86400.0, "week": 7 * 86400.0}  # fmt: skip
SECONDS_360 = {"month": 30 * 86400.0, "year": 360 * 86400.0}  # in the calendar 360_day


@dataclass(frozen=True)
class Field:
    """The variables of one file that are its channels."""

    simulations: tuple[tuple[Any, ...], ...]  # of each group of the file, its variables (xarray.Variable)
    axes: tuple[tuple[str, ...], ...]  # of each variable, the roles of its axes
    trajectories: int
    frames: int
    shape: tuple[int, int, int]  # channels, y, x of a frame
    channels: tuple[tuple[str, str], ...]  # (name, unit)
    dt: float  # s, between two frames; 1 where the file has no time
    descending: tuple[str, ...]  # of y and x, the axes whose coordinates decrease
    time: float  # the first frame's time in the file's own unit; nan where the file has no time
    unit: str  # of the file's time

    def read(self, trajectory: int, times: range, ascending: bool = False) -> np.ndarray:
        """float32 [time, channel, y, x]; ascending: with rows and columns in the order of increasing coordinates."""
        simulation, own = divmod(trajectory, self.trajectories // len(self.simulations))
        chosen: dict[str, int | slice] = {
            "trajectory": own,
            "time": slice(times.start, times.stop, times.step),
            DROPPED: 0,
        }
        pairs = zip(self.simulations[simulation], self.axes, strict=True)
        frames = np.concatenate([_part(v, axes, chosen) for v, axes in pairs], axis=1)
        flips = [slice(None, None, -1 if ascending and role in self.descending else 1) for role in ("y", "x")]
        return np.ascontiguousarray(frames[..., flips[0], flips[1]])

    def not_finite(self, frames: np.ndarray, times: range) -> str:
        """What is wrong with frames [time, channel, y, x] that are not all finite, or "". times: their numbers in the file."""
        bad = np.argwhere(~np.isfinite(frames))
        if not len(bad):
            return ""
        time, channel, y, x = bad[0]
        name = self.channels[channel][0]
        many = f"{len(bad)} values are not finite, the first" if len(bad) > 1 else "1 value is not finite, that"
        return f"{many} of {name!r} at frame {times[time]}, y {y}, x {x}"


def field_of(variables: Variables, names: Sequence[str], dims: Sequence[str], dt: float, where: str) -> Field:
    """The field in a file's variables: those called `names`, or all that have the axes of one.

    dims: the names of the axes, where they have none. dt: s, between two frames; 0: by the file's time. Raises UserError for
    variables that do not go together.
    """
    groups = simulations(variables)
    first = groups[0]
    roles = {name: axes_of(first, name, dims) for name in first}
    if not any(roles.values()):  # a frame per file needs no axis of time
        roles = {name: axes_of(first, name, dims, needed={"y", "x"}) for name in first}
    chosen = _chosen(first, roles, names, where)
    sizes = {name: dict(zip(roles[name], first[name].shape, strict=True)) for name in chosen}
    _check_grids(sizes, where)
    size = {"time": 1, **sizes[chosen[0]]}
    channels = tuple(c for n in chosen for c in _channels(n, _unit(first[n]), sizes[n].get("channel")))
    step, time, unit = _times(first, size["time"], size.get("trajectory", 1), where) if not dt else (dt, np.nan, "")
    return Field(
        simulations=tuple(tuple(group[name] for name in chosen) for group in groups),
        axes=tuple(roles[name] for name in chosen),
        trajectories=size.get("trajectory", 1) * len(groups),
        frames=size["time"],
        shape=(len(channels), size["y"], size["x"]),
        channels=channels,
        dt=step or 1.0,
        descending=_descending(first, chosen[0], roles[chosen[0]]),
        time=time,
        unit=unit,
    )


def joined_field(fields: Sequence[Field], dt: float) -> Field:
    """The trajectory of files that hold one frame each, in their order. Raises UserError if their times are not in that order."""
    times = np.array([field.time for field in fields])
    step = dt or (0.0 if np.isnan(times).any() else interval(times, fields[0].unit, "", "the files: ", "time"))
    return replace(fields[0], frames=len(fields), dt=step or 1.0)


def simulations(variables: Variables) -> list[dict[str, Any]]:
    """The variables of each simulation: of each numbered group of a file whose groups are alike, else of the file.

    PDEBench stores one group per simulation ("0000/data"). Variables outside groups are shared by all.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, variable in variables.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group if rest else "", {})[rest or name] = variable
    shared = groups.pop("", {})
    alike = len({tuple((name, v.shape) for name, v in sorted(group.items())) for group in groups.values()}) == 1
    if len(groups) > 1 and alike and all(re.search(r"\d$", name) for name in groups):
        return [{**shared, **groups[name]} for name in sorted(groups)]
    return [dict(variables)]


def axes_of(variables: Variables, name: str, dims: Sequence[str], needed: Set[str] = NEEDED) -> tuple[str, ...]:
    """The roles of a variable's axes, () if it lacks one that is needed."""
    variable = variables[name]
    if dims:
        plain = [dim for dim in dims if dim != "channel"]
        roles = tuple(dims) if variable.ndim == len(dims) else tuple(plain) if variable.ndim == len(plain) else ()
    else:
        roles = tuple(_role(variables, name, dim) for dim in variable.dims)
    known = [role for role in roles if role != DROPPED]
    dropped = [size for role, size in zip(roles, variable.shape, strict=False) if role == DROPPED]
    good = "?" not in roles and needed <= set(roles) and len(set(known)) == len(known) and set(dropped) <= {1}
    return roles if good else ()


def _role(variables: Variables, name: str, dim: str) -> str:
    """The role of a dimension by its coordinate's `axis` or `standard_name`, or by its name."""
    coordinate = _coordinate(variables, name, dim)
    attributes: Mapping[str, Any] = {} if coordinate is None else coordinate.attrs
    stated = BY_AXIS.get(str(attributes.get("axis", "")).upper()) or STANDARD.get(
        str(attributes.get("standard_name", ""))
    )
    other = DROPPED if variables[name].sizes[dim] == 1 else "?"
    return stated or ROLE.get(dim.lower(), other)


def _coordinate(variables: Variables, name: str, dim: str) -> Any:
    """The coordinate variable of a dimension, from the variable's group or the nearest one above; None without one."""
    folder = name.rpartition("/")[0]
    while True:
        found = variables.get(f"{folder}/{dim}".strip("/"))
        if found is not None and found.ndim == 1:
            return found
        if not folder:
            return None
        folder = folder.rpartition("/")[0]


def _chosen(variables: Variables, roles: Mapping[str, tuple[str, ...]], names: Sequence[str], where: str) -> list[str]:
    """The variables that become channels, in their order."""
    for name in names:
        if name not in variables:
            raise UserError(f"{where} has no variable {name!r}; {did_you_mean(name, variables)}")
    chosen = [name for name in names or sorted(variables) if roles[name]]
    lacking = [name for name in names or sorted(variables) if not roles[name]]
    if not chosen or (names and lacking):
        shown = "; ".join(f"{name} [{_axes_text(variables[name])}]" for name in lacking[:4]) or "no numeric array"
        raise UserError(
            f"{where} has no field with the axes time, y and x: {shown}; name the axes in their order, as in --dims time y x "
            f"channel (of {', '.join(NAMES)}, and {DROPPED} for an axis of one entry)"
        )
    return chosen


def _check_grids(sizes: Mapping[str, Mapping[str, int]], where: str) -> None:
    first, common = next(iter(sizes.items()))
    for name, size in sizes.items():
        for role in ("trajectory", "time", "y", "x"):
            if size.get(role) != common.get(role):
                raise UserError(
                    f"{where}: {name!r} has {size.get(role)} along {role} where {first!r} has {common.get(role)}: the "
                    "variables of a field share their grid; choose with --variables"
                )


def _part(variable: Any, axes: tuple[str, ...], chosen: Mapping[str, int | slice]) -> np.ndarray:
    """float32 [time, channel, y, x] of one variable."""
    index = {dim: chosen[role] for dim, role in zip(variable.dims, axes, strict=True) if role in chosen}
    with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite, and is reported as such
        part = values(variable, **index).astype(np.float32)
    roles = [role for role in axes if role not in ("trajectory", DROPPED)]
    for role in ("time", "channel"):
        if role not in roles:
            roles, part = [*roles, role], part[..., None]
    return part.transpose([roles.index(role) for role in ("time", "channel", "y", "x")])


def _channels(name: str, unit: str, count: int | None) -> list[tuple[str, str]]:
    return [(name, unit)] if count in (None, 1) else [(f"{name}/{i}", unit) for i in range(count or 0)]


def _unit(variable: Any) -> str:
    unit = variable.attrs.get("units", "")
    return unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)


def _descending(variables: Variables, name: str, axes: tuple[str, ...]) -> tuple[str, ...]:
    """Of y and x, those whose coordinates decrease throughout."""
    pairs = [(role, _coordinate(variables, name, dim)) for dim, role in zip(variables[name].dims, axes, strict=True)]
    steps = {role: np.diff(values(c)) for role, c in pairs if role in ("y", "x") and c is not None}
    return tuple(role for role, step in steps.items() if len(step) and (step < 0).all())


def _is_time(variables: Variables, name: str) -> bool:
    leaf = re.sub(r"[-_ ]coordinates?$", "", name.rpartition("/")[2].lower())
    attributes = variables[name].attrs
    return "time" in (
        ROLE.get(leaf),
        STANDARD.get(str(attributes.get("standard_name"))),
        BY_AXIS.get(str(attributes.get("axis"))),
    )


def _times(variables: Variables, frames: int, trajectories: int, where: str) -> tuple[float, float, str]:
    """s between two frames by the file's own time (0 without one), the time of the first frame, and its unit.

    A time has one value per frame, or one per trajectory and frame; PDEBench stores one more than frames.
    """
    shapes = [(*n, frames + more) for n in ((), (trajectories,)) for more in (0, 1)] + ([()] if frames == 1 else [])
    names = [name for name in variables if _is_time(variables, name) and variables[name].shape in shapes]
    if not names:
        return 0.0, np.nan, ""
    name, unit = names[0], _unit(variables[names[0]])
    try:
        times = values(variables[name]).astype(np.float64)
    except UserError as error:
        raise UserError(f"{where}: {name!r} cannot be read ({error})") from None
    return (
        interval(times, unit, str(variables[name].attrs.get("calendar", "")), f"{where}: ", name),
        float(times.flat[0]),
        unit,
    )


def interval(times: np.ndarray, unit: str, calendar: str, where: str, name: str) -> float:
    """s between two frames at `times` [..., frames], 0 for a single one. Raises UserError for unequal steps and unknown units."""
    steps = np.diff(np.atleast_1d(times))
    if not steps.size:
        return 0.0
    step = float(np.median(steps))
    if not (step > 0 and np.abs(steps - step).max() <= 0.01 * step):
        raise UserError(
            f"{where}the steps of {name!r} lie between {steps.min():g} and {steps.max():g}: frames come at equal "
            "intervals; give the interval with --dt if they do"
        )
    word = (unit.split() or ["s"])[0].lower()
    known = {**SECONDS, **SECONDS_360} if calendar == "360_day" else SECONDS
    seconds = known.get(word, known.get(word.removesuffix("s"), 0.0))
    if not seconds:
        raise UserError(f"{where}time is in {word!r}, which has no fixed length; give the interval with --dt")
    return float(f"{step * seconds:.9g}")


def _axes_text(variable: Any) -> str:
    pairs = zip(variable.dims, variable.shape, strict=True)
    return ", ".join(f"{'?' if re.fullmatch(r'(phony_)?dim_[0-9]+', dim) else dim} {size}" for dim, size in pairs)
