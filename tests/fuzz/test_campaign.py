"""The campaigns of bad input at length: the same strategies, ten times as many examples, and other ones each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TIMES = os.environ.get("ROLLBENCH_FUZZ", "10")
SURFACES = sorted(path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_long_campaign(surface: str, root: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", "1800", f"tests/fuzz/{surface}"]
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "ROLLBENCH_FUZZ": TIMES}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
