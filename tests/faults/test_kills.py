"""SIGKILL of a training worker, a rollout actor, an evaluator actor and the driver: the table comes out the same to the last digit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import end_session, kill_one, of_session, under_way
from tests.faults.table import Undisturbed, digests

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Driver:
    """A driver with a home of its own for storage, report and log."""

    def __init__(self, undisturbed: Undisturbed, home: Path, *more: str) -> None:
        self.expected, self.home, self.store, self.log = undisturbed, home, home / "store", home / "log"
        self.process: subprocess.Popen[bytes] = undisturbed.table.start(
            str(self.store), home / "out", *more, log=self.log
        )

    def ends_right(self) -> str:
        """Wait for the end and compare; what the driver said."""
        code = self.process.wait(600)
        said = self.log.read_text()
        assert code == 0, said[-4000:]
        self.expected.equals(str(self.store), self.home / "out")
        return said


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose drivers are gone when the test is."""
    yield tmp_path
    for log in tmp_path.glob("*.pid"):
        end_session(int(log.read_text()))


def start(undisturbed: Undisturbed, home: Path, *more: str) -> Driver:
    driver = Driver(undisturbed, home, *more)
    (home / f"{driver.process.pid}.pid").write_text(str(driver.process.pid))
    return driver


def an_actor(title: str) -> bool:
    """A process of ours that computes, as Ray titles it: ray::Worker.write(), ray::RayTrainWorker…, ray::MapWorker(…)."""
    return re.match(r"ray::(_?Worker\b|RayTrainWorker|MapWorker|TrainWorker)", title) is not None


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_worker_is_killed(undisturbed: Undisturbed, home: Path, workers: int) -> None:
    driver = start(undisturbed, home, "--workers", str(workers))
    kill_one(driver.process.pid, driver.store, "model", lambda title: training(title, workers))
    driver.ends_right()


def training(title: str, workers: int) -> bool:
    return an_actor(title) if workers == 1 else "TrainWorker" in title


@pytest.mark.parametrize(("kind", "files"), [("rollouts", 1), ("features", 0)])
def test_an_actor_that_rolls_out_or_evaluates_is_killed(
    undisturbed: Undisturbed, home: Path, kind: str, files: int
) -> None:
    driver = start(undisturbed, home)
    kill_one(driver.process.pid, driver.store, kind, an_actor, files)
    driver.ends_right()


@pytest.mark.parametrize("kind", ["data", "model", "rollouts"])
def test_the_driver_is_killed_and_its_successor_goes_on(undisturbed: Undisturbed, home: Path, kind: str) -> None:
    """The driver alone: its Ray is left to notice, as after a lost terminal. What was finished then is not made again."""
    driver = start(undisturbed, home)
    while under_way(driver.store, kind) is None:
        assert driver.process.poll() is None, driver.log.read_text()
        time.sleep(0.01)
    os.kill(driver.process.pid, signal.SIGKILL)
    driver.process.wait()
    kept = digests(str(driver.store))
    assert 0 <= len(kept) < len(undisturbed.digests) and not any(name.startswith(kind) for name in kept)
    said = start(undisturbed, home).ends_right()
    count = len(undisturbed.digests)
    assert f"{len(kept)} of {count} stages are done" in said
    assert not [title for title in of_session(driver.process.pid).values() if "raylet" in title]


def test_two_drivers_at_once_make_every_stage_once(undisturbed: Undisturbed, home: Path) -> None:
    table = undisturbed.table
    drivers = []
    for name in ("one", "two"):
        (home / name).mkdir()
        driver = table.start(str(home / "store"), home / name / "out", log=home / name / "log")
        (home / f"{driver.pid}.pid").write_text(str(driver.pid))
        drivers.append(driver)
    codes = [driver.wait(600) for driver in drivers]
    said = [(home / name / "log").read_text() for name in ("one", "two")]
    assert codes == [0, 0], "\n".join(said)
    for name in ("one", "two"):
        undisturbed.equals(str(home / "store"), home / name / "out")
    assert any("is making it; waiting" in words and "made by another" in words for words in said), said
    made = [line.split()[-1] for words in said for line in words.splitlines() if re.search(r" s   /", line)]
    assert len(made) == len(set(made)) == len(undisturbed.digests), "a stage was made twice"
