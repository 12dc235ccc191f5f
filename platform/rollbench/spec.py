"""Frozen values that say what is to be computed, and the key that follows from them.

A run is a value: nested frozen dataclasses of plain fields. `canonical` writes such a value as JSON in exactly one way, and
`key` is the sha256 of that text, so equal work has an equal address on every machine and a changed field a new one.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

KEY_LENGTH = 20  # hex digits of a key: 80 bits, no accidental collision, and short enough for a folder's name
CALLS = re.compile(r"-?\d{1,9}(/\d{1,9})?", re.ASCII)  # no exponent: 1e999999999 is a number that no memory holds
SAMPLERS = ("ancestral", "ddim")  # of a network's answer, the next frames; see diffusion/step.py


class BadInput(ValueError):
    """The user's input breaks a rule. One line: the value, the rule, the nearest right choice. The commands exit with 2."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """The words that end an error about an unknown name: the closest choice, then all of them.

    A choice with every word of `name` is closer than one that is merely spelt alike.
    """
    choices = list(choices)
    words = name.lower().split()
    holding = [c for c in choices if words and all(w in c.lower().split() for w in words)]
    close = holding[:1] or difflib.get_close_matches(name, choices, n=1, cutoff=0.3)
    listed = ", ".join(repr(c) for c in choices)
    return f"did you mean {close[0]!r}? Choices: {listed}" if close else f"choices: {listed}"


def canonical(value: Any) -> str:
    """`value` as JSON in exactly one way: sorted keys, no spaces, a dataclass with its name under "is".

    Raises TypeError for what has no exact JSON form (so that a key never depends on a `repr`) and ValueError for a number
    that is not finite.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def plain(value: Any) -> Any:
    """`value` as dicts, lists, strings, numbers, booleans and None; see `canonical`.

    A field with the metadata `keyed: False` is left out: it says how to compute, and changes nothing that is computed.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.metadata.get("keyed", True)
        }
        return {"is": type(value).__name__, **fields}
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise TypeError("only text can be a key in canonical JSON")
        return {k: plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in canonical JSON: every number must be finite")
        return value
    raise TypeError(f"{type(value).__name__} has no canonical JSON form; use a frozen dataclass of plain fields")


def key(value: Any) -> str:
    """The content key of a value: the first hex digits of the sha256 of its canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:KEY_LENGTH]


@dataclass(frozen=True)
class Row:
    """One row of a table: its name and the method that makes it.

    priority: rows with the lowest numbers are the ones that a small scale runs (see `Scale.rows`).
    printed: the row's name in the paper, the look-up key of the published numbers, where it is not `name` itself.
    """

    name: str
    method: Any
    priority: int
    printed: str = ""


@dataclass(frozen=True)
class Claim:
    """A qualitative statement of the paper, as a relation that an interval can decide.

    It reads: metric(left) `relation` factor · right, at each lead of `leads` that was measured; `right` is a row or a number.
    For "≈" the two must lie within the relative `tolerance`.
    """

    text: str
    source: str
    metric: str
    left: str
    relation: str
    right: str | float
    factor: float = 1.0
    tolerance: float = 0.25
    leads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.relation not in ("<", ">", "≈"):
            raise BadInput(f"relation {self.relation!r} is not one of '<', '>', '≈'")


@dataclass(frozen=True)
class Degradation:
    """What is done to the context before a film is made from it. noise: white, in standard deviations of the training frames.
    dropped: the last so many context frames are lost, and the one before stands in their place.
    """

    noise: float = 0.0
    dropped: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.noise < math.inf and self.dropped >= 0):
            raise BadInput(
                f"noise = {self.noise}, dropped = {self.dropped}: neither can be negative; 0 leaves the context alone"
            )


@dataclass(frozen=True)
class Sampling:
    """How films are made and counted: the equal-cost side of a comparison.

    horizon: frames per film. calls_per_frame: network evaluations per emitted frame, equal for every method; a fraction such as
    "100/11" where it is no whole number. accounting: whether they are those of a frame once a film is rolling, what it takes to start
    on top ("steady", as the paper counts), or those of the whole film over its frames ("total"). contexts: test clips. samples: films
    (or ensemble means) of each. group: films that one network call carries; fixed, so that the arithmetic does not depend on the batch
    size or the number of actors. precision: of the network, see `models.precision`.
    """

    horizon: int = 48
    calls_per_frame: int | str = 32
    contexts: int = 1024
    group: int = 32
    samples: int = 1
    sampler: str = "ancestral"
    degradation: Degradation | None = None
    accounting: Literal["steady", "total"] = "steady"
    precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        for name, choices in (("accounting", ("steady", "total")), ("precision", ("fp32", "bf16"))):
            if getattr(self, name) not in choices:
                raise BadInput(f"unknown {name} {getattr(self, name)!r}; {nearest(getattr(self, name), choices)}")
        for name in ("horizon", "contexts", "group", "samples"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} = {getattr(self, name)} is below 1: a film needs at least one of each")
        try:
            if not CALLS.fullmatch(str(self.calls_per_frame)):
                raise ValueError
            calls = Fraction(self.calls_per_frame)
        except (ValueError, ZeroDivisionError):
            shown = repr(self.calls_per_frame)[:40]
            raise BadInput(f"calls_per_frame = {shown} is no number of calls; write 32 or 100/11") from None
        if calls <= 0:
            raise BadInput(
                f"calls_per_frame = {self.calls_per_frame} is not positive; a frame of a diffusion costs 1 or more"
            )
        if self.sampler not in SAMPLERS:
            raise BadInput(f"unknown sampler {self.sampler!r}; {nearest(self.sampler, SAMPLERS)}")
        if self.contexts < 2:
            raise BadInput(f"contexts = {self.contexts}: a distance between distributions needs at least 2 films")

    @property
    def calls(self) -> Fraction:
        """calls_per_frame as an exact number."""
        return Fraction(self.calls_per_frame)

    def calls_of(self, method: Any) -> Fraction:
        """The calls per steady frame at which a film of `method` costs what `accounting` says. Raises ValueError for too few."""
        if self.accounting == "steady":
            return self.calls
        return method.calls_per_frame_for(self.horizon, math.floor(self.calls * self.horizon) * method.members)


@dataclass(frozen=True)
class Setting:
    """What some rows of a table share: what is trained on what, what is rolled out, and what is asked of the films.

    name: tells the settings of one table apart, "" where there is one. printed: the paper's words for it, with which (and with the
    method's label) its published numbers are found. data: the data set; stand_in: the data set for machines that do not have it.
    tested: the data set of the test clips where it differs from the one trained on. train_clips: clips in the training split; the
    test split has `sampling.contexts`, and `held_out` more to choose by, which are never scored. metrics, leads: which numbers, and
    at which frames after the context. protocol: how the video distance scores clips (`evaluators.protocols`).
    """

    data: Any
    network: Any
    training: Any
    sampling: Sampling
    train_clips: int
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    leads: tuple[int, ...] = ()
    protocol: str = ""
    name: str = ""
    printed: str = ""
    stand_in: Any = None
    tested: Any = None
    held_out: int = 0

    def __post_init__(self) -> None:
        frames, horizon = self.data.frames, self.sampling.horizon
        if not self.rows:
            raise BadInput(f"setting {self.name!r} has no rows: give at least one")
        for row in self.rows:
            window, clean = row.method.window, row.method.clean
            if window > frames:
                raise BadInput(
                    f"row {row.name!r}: a window of {window} frames is larger than the clip of {frames}; "
                    f"use data.frames >= {window} or a smaller window"
                )
            if clean + horizon > frames:
                raise BadInput(
                    f"row {row.name!r}: {clean} context frames + a horizon of {horizon} exceed the clip of {frames} "
                    f"frames; the longest horizon that fits is {frames - clean}"
                )
        if self.leads and not 1 <= min(self.leads) <= max(self.leads) <= horizon:
            raise BadInput(f"leads {self.leads} must lie between 1 and the horizon of {horizon} frames")
        films = self.sampling.contexts * self.sampling.samples
        if self.train_clips < films:
            raise BadInput(
                f"train_clips = {self.train_clips} is below the {films} films of a row: the real-vs-real floor sets as many "
                f"training clips against the test split; use train_clips >= {films}, or fewer sampling.contexts or samples"
            )

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
    """A table of the paper as a value: its settings, its rows, and what the paper claims of them.

    published: the number of the paper's table, "" for none. resamples: bootstrap draws behind each interval.
    """

    name: str
    title: str
    published: str
    settings: tuple[Setting, ...]
    caption: str = ""
    claims: tuple[Claim, ...] = ()
    curves: tuple[Curve, ...] = ()
    seeds: tuple[int, ...] = (0,)
    resamples: int = 1000

    def __post_init__(self) -> None:
        if not self.settings:
            raise BadInput(f"{self.name} has no settings: give at least one")
        names = [row.name for row in self.rows]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise BadInput(f"{self.name} has two rows {twice[0]!r}: a row's name tells it from all others")

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all settings, in the table's order."""
        return tuple(row for setting in self.settings for row in setting.rows)

    def row(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise BadInput(f"unknown row {name!r}; {nearest(name, [r.name for r in self.rows])}")


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
