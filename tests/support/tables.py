"""Tables for tests of the reports: real `Setting`s and `Row`s whose data and methods have only what a report reads."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from rollbench.config.sampling import Sampling
from rollbench.config.table import Row, Setting


def table_row(name: str, paper_name: str = "", label: str = "") -> Row:
    return Row(name, SimpleNamespace(window=1, clean=1, label=label), 1, paper_name)


def table_setting(name: str, rows: Iterable[Row], *, frame_seconds: float | None = None, **fields: Any) -> Setting:
    data = SimpleNamespace(frames=101, frame_interval=frame_seconds)
    sampling = Sampling(horizon=100, contexts=2)
    return Setting(data, None, None, sampling, 2, tuple(rows), name=name, **fields)
