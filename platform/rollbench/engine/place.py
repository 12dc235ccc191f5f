"""Where an experiment's work goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rollbench.estimate import missing_bytes
from rollbench.pipeline import Work
from rollbench.store import Store


@dataclass(frozen=True)
class Place:
    """store: of the stages. out: the report's folder. scale: its name. command: what was typed."""

    store: Store
    out: Path
    scale: str
    command: str


def check_storage(store: Store, needed: Mapping[Work, int]) -> None:
    """Refuse a storage that cannot be written, or has no room for what is not there yet of stages of these sizes."""
    store.check_writable()
    store.check_space(missing_bytes(needed, store))
