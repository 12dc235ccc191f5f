"""What a report says of a table: its settings, their rows in order, and the words around the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.model.metrics import METRICS
from rollbench.config.table import Claim
from rollbench.errors import UserError, did_you_mean


@dataclass(frozen=True)
class RowText:
    """One row. name: unique in the table. printed: the paper's row, verbatim, where it is not `name`. setting: the
    paper's words that tell rows of one printed name apart ("stride=8 steps=24 (5-11)"), "" where they are not needed.
    """

    name: str
    printed: str = ""
    setting: str = ""

    @property
    def key(self) -> tuple[str, str | None]:
        """Under which the paper's values are looked up: row and, if needed, setting."""
        return self.printed or self.name, self.setting or None


@dataclass(frozen=True)
class SettingText:
    """What some rows of a table share.

    name: "" where the table has one setting. printed: the paper's words for it, with which the settings of its published
    rows begin ("stride=8 steps=24"). rows: in order; those without results are listed as not run. metrics: in order, of
    those in METRICS. leads: frames after the context, for the metrics that have them. frame_seconds: time between two
    frames, None where a frame has no duration worth printing. protocol: how the numbers were made. scale_text: what the
    scale is here, and whether data is real or a stand-in.
    """

    name: str
    rows: tuple[RowText, ...]
    metrics: tuple[str, ...]
    leads: tuple[int, ...] = ()
    frame_seconds: float | None = None
    protocol: str = ""
    scale_text: str = ""
    printed: str = ""

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric not in METRICS:
                raise UserError(f"unknown metric {metric!r}; {did_you_mean(metric, METRICS)}")
        if not (self.rows and self.metrics):
            raise UserError(f"setting {self.name!r}: a table needs rows and metrics; got {self.rows}, {self.metrics}")
        by_lead = [metric for metric in self.metrics if not METRICS[metric].whole]
        if by_lead and not self.leads:
            raise UserError(
                f"setting {self.name!r}: {by_lead[0]!r} is given by lead, and there are no leads; use (1, 2, 4)"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows)

    def columns(self, metric: str) -> tuple[int | None, ...]:
        """The leads of a metric's columns: one None where its value is for the whole clip."""
        return (None,) if METRICS[metric].whole else self.leads


@dataclass(frozen=True)
class TableText:
    """What a report says of a table.

    name: the folder, e.g. "table8". published: the paper's number of the table, e.g. "8", "" where there is none.
    """

    name: str
    title: str
    caption: str
    settings: tuple[SettingText, ...]
    published: str = ""
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        if not self.settings:
            raise UserError(f"{self.name}: a table needs at least one setting")
        self._once("setting", (setting.name for setting in self.settings))
        self._once("row", (row.name for setting in self.settings for row in setting.rows))

    def _once(self, what: str, names: Iterable[str]) -> None:
        names = list(names)
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UserError(f"{self.name} has two {what}s {twice[0]!r}: a name tells a {what} from all others")

    @property
    def several(self) -> bool:
        """Whether a setting's name must be said."""
        return len(self.settings) > 1
