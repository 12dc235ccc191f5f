"""Where an experiment's work goes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rollbench.errors import UserError
from rollbench.pipeline.estimate import missing_bytes
from rollbench.pipeline.graph import Stage
from rollbench.store.artifact import Store
from rollbench.store.filesystem import absolute


@dataclass(frozen=True)
class RunContext:
    """Where an experiment's results go, and what its report says of the run."""

    store: Store  # of the stages
    out: Path  # the report's folder
    scale: str  # with the fields that --set changed
    command: str  # as typed, without secrets
    preview: bool = False  # whether trainings save pictures of a sample to `out`


def check_out(out: str, name: str) -> None:
    """Fail early if --out is not a writable directory."""
    path = Path(absolute(out), name)
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"--out {out!r}: {str(there)!r} is not a folder; name another")
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".probe-", dir=there))
    except OSError as error:
        raise UserError(f"--out {out!r}: {str(there)!r} cannot be written ({error.strerror}); name another") from None


def check_storage(store: Store, needed: Mapping[Stage, int]) -> None:
    """Refuse a storage that cannot be written, or lacks the space for the missing stages of these sizes."""
    store.check_writable()
    store.check_space(missing_bytes(needed, store))
