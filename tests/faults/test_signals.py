"""SIGTERM to the whole process group, as Slurm, systemd and `timeout` send it: a clean end within 10 s."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollbench.store.artifact import MANIFEST
from tests.faults.processes import end_session, of_session, under_way
from tests.faults.table import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
STOPPED = "stopped; finished stages are kept, run the same command to resume"

MOMENTS: dict[str, Callable[[Path, str], object]] = {
    "start": lambda store, log: "stages are done" in log,
    "simulation": lambda store, log: under_way(store, "data"),
    "rollout": lambda store, log: under_way(store, "rollouts"),
}


@pytest.fixture
def leaders() -> Iterator[list[int]]:
    """Session leaders whose sessions are killed after the test."""
    started: list[int] = []
    yield started
    for leader in started:
        end_session(leader)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143)])
def test_a_signal_to_the_process_group(
    tmp_path: Path, leaders: list[int], moment: str, number: signal.Signals, code: int
) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    driver = SMALL.start(str(store), tmp_path / "out", log=log)
    leaders.append(driver.pid)
    while not MOMENTS[moment](store, log.read_text()):
        assert driver.poll() is None, log.read_text()
        time.sleep(0.02)
    finished = set(store.glob(f"*/*/{MANIFEST}"))
    os.killpg(driver.pid, number)
    assert driver.wait(10) == code, log.read_text()
    lines = log.read_text().splitlines()
    assert lines[-1] == STOPPED and not [
        line for line in lines if "***" in line or "Traceback" in line or ".cc:" in line
    ]
    assert finished <= set(store.glob(f"*/*/{MANIFEST}"))
    end = time.monotonic() + 10
    while alive := of_session(driver.pid):
        assert time.monotonic() < end, alive
        time.sleep(0.1)
