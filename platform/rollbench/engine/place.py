"""Where a table's work goes, and the words that say what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollbench.store import Store


@dataclass(frozen=True)
class Place:
    """store: of the stages. out: the report's folder. scale, scale_text: its name and what it means. command: what was typed."""

    store: Store
    out: Path
    scale: str
    scale_text: str
    command: str
