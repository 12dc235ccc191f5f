"""What fault tests compare with: one table, made once, undisturbed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.table import Small, digests

# Long enough in each stage to be met in its middle.
SMALL = Small(
    rows=("Rolling Diffusion (init noise) (2-4)",),
    changes=("training.steps=60", "train_clips=16", "sampling.group=1", "sampling.calls_per_frame=8"),
)


@dataclass(frozen=True)
class Undisturbed:
    """The digest of every stage of `table`, and every number of its report."""

    table: Small
    digests: dict[str, str]
    numbers: list[tuple[str, float]]

    def equals(self, storage: str, out: Path) -> None:
        """Fails unless the storage and the report agree with ours to the last digit."""
        assert digests(storage) == self.digests
        assert self.table.numbers(out) == self.numbers and len(self.numbers) > 50


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("undisturbed")
    SMALL.make(str(home / "store"), home / "out")
    return Undisturbed(SMALL, digests(str(home / "store")), SMALL.numbers(home / "out"))
