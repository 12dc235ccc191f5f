"""What fault tests compare with: one table, made once, undisturbed."""

from __future__ import annotations

import pytest

from tests.faults.table import SMALL, Undisturbed, digests


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("undisturbed")
    SMALL.make(str(home / "store"), home / "out")
    return Undisturbed(SMALL, digests(str(home / "store")), SMALL.numbers(home / "out"))
