"""A search as a value: which methods are tried, how long each is trained before the worse ones stop, and what tells them apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from rollbench.config.sampling import Sampling
from rollbench.config.table import Row, Setting, Table
from rollbench.errors import UserError, did_you_mean

DIGITS = 1000  # places between the ends of a range


@dataclass(frozen=True)
class Uniform:
    """A field that takes values strictly between two numbers, in steps of a thousandth of the way."""

    field: str
    low: float
    high: float

    @property
    def said(self) -> str:
        return f"{self.field} between {self.low:g} and {self.high:g}"

    def at(self, share: float) -> float:
        """The value at a share of the way, 0 <= share < 1."""
        return round(self.low + (self.high - self.low) * (1 + int(share * (DIGITS - 1))) / DIGITS, 12)


@dataclass(frozen=True)
class Choice:
    """A field that takes one of some values."""

    field: str
    among: tuple[str, ...]

    @property
    def said(self) -> str:
        return f"{self.field} one of {', '.join(self.among)}"

    def at(self, share: float) -> str:
        return self.among[int(share * len(self.among))]


@dataclass(frozen=True)
class Search:
    """A race of candidates whose winner becomes a row of a table.

    All candidates are trained to the first rung. One continues to the next if its proxy is among the best of those that reached the rung
    before it (ASHA). The best at the last rung is trained to the end. The proxy is the CRPS of short rollouts of clips that are neither
    trained on nor scored in the table; lower is better.
    """

    name: str
    title: str
    table: Table  # one setting, with the rows that stand beside the winner
    base: Any  # the method whose fields are searched
    space: tuple[Uniform | Choice, ...]  # those fields and their values
    name_template: str  # a candidate's name, with its fields in braces
    proxy: Sampling  # the rollouts behind the proxy
    trials: int = 32  # candidates
    rungs: int = 3  # at most
    reduction: int = 3  # a rung lies this many times as far as the one before, and one candidate in so many continues
    share: float = 0.5  # of the training at the last rung
    seed: int = 0  # shifts the candidates

    def __post_init__(self) -> None:
        if len(self.table.settings) != 1:
            raise UserError(f"{self.name}: a search has one setting, its table has {len(self.table.settings)}")
        known = [field.name for field in fields(self.base)]
        for axis in self.space:
            if axis.field not in known:
                raise UserError(f"{self.name} searches {axis.field!r}; {did_you_mean(axis.field, known)}")
        for name, least in (("trials", 2), ("rungs", 1), ("reduction", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} = {getattr(self, name)} is below {least}; choose at least that")
        if not 0 < self.share < 1:
            raise UserError(f"share = {self.share}: the last rung lies within the training; choose 0.5")
        if self.proxy.samples < 2:
            raise UserError(f"proxy.samples = {self.proxy.samples}: the CRPS of one film is blind to spread; choose 2")

    @property
    def setting(self) -> Setting:
        return self.table.settings[0]

    @property
    def axis(self) -> str:
        """The field on the axis of its picture."""
        return next((axis.field for axis in self.space if isinstance(axis, Uniform)), self.space[0].field)

    @cached_property
    def candidates(self) -> tuple[Row, ...]:
        """The rows that race. They fill the space evenly however many there are: the additive recurrence of the generalised golden
        ratio (Roberts, 2018), whose first n points are those of every longer search too."""
        root = 1.0
        for _ in range(64):  # of x^(d + 1) = x + 1
            root = (1 + root) ** (1 / (len(self.space) + 1))
        return tuple(self._candidate(number, root) for number in range(1, self.trials + 1))

    def _candidate(self, number: int, root: float) -> Row:
        points = ((0.5 + self.seed * math.pi + number / root ** (place + 1)) % 1 for place in range(len(self.space)))
        found = {axis.field: axis.at(point) for axis, point in zip(self.space, points, strict=True)}
        try:
            method = replace(self.base, **found)
        except ValueError as error:
            raise UserError(f"{self.name}: candidate {number} breaks a rule: {error}") from None
        return Row(self.name_template.format(label=method.label, **found), method, priority=1)

    def steps(self, training_steps: int) -> tuple[int, ...]:
        """The optimiser steps at which the rungs lie, as many as fit."""
        last = max(1, int(self.share * training_steps))
        lower = [k for k in range(self.rungs) if self.reduction**k <= last][-1]
        first = last // self.reduction**lower
        return tuple(first * self.reduction**k for k in range(lower + 1))

    def with_candidates(self) -> Table:
        """The table with all candidates as rows, and test clips held out for the proxy."""
        if self.proxy.horizon > self.setting.sampling.horizon:
            raise UserError(
                f"proxy.horizon = {self.proxy.horizon} exceeds the table's of {self.setting.sampling.horizon} frames; "
                "a proxy's films are the shorter ones"
            )
        rows = (*self.candidates, *self.setting.rows)
        return replace(self.table, settings=(replace(self.setting, rows=rows, held_out=self.proxy.contexts),))
