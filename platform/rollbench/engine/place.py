"""Where an experiment's work goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollbench.store import Store


@dataclass(frozen=True)
class Place:
    """store: of the stages. out: the report's folder. scale: its name. command: what was typed."""

    store: Store
    out: Path
    scale: str
    command: str
