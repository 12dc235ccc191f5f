"""Two makers of one stage, as real processes, on a disk and on object storage: one works, the other waits or takes over."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbench.engine import claim
from rollbench.engine.claim import CLAIM, claimed
from rollbench.store import Stage, Store
from tests.faults.storage import bucket, uri

# A maker of the stage data/k: tells on its output what it hears, writes six shards of `pause` seconds each, publishes.
MAKER = """
import sys, time
from rollbench.engine import claim
from rollbench.store import Store
root, pause, claim.BEAT, claim.STALE, claim.POLL, claim.SETTLE = sys.argv[1], *map(float, sys.argv[2:])
stage = Store(root).stage("data", "k")
def tell(text): print(text, flush=True)
with claim.claimed(stage, tell) as ours:
    tell("begins" if ours else "finds it made")
    if ours:
        receipts = stage.receipts()
        for i in range(6):
            if f"{i}.bin" not in receipts:
                receipts[f"{i}.bin"] = stage.write(f"{i}.bin", bytes(1000 * i))
                tell(f"wrote {i}")
            time.sleep(pause)
        stage.publish(receipts.values())
"""


class Maker:
    """A process that makes the stage."""

    def __init__(self, root: str, pause: float, stale: float = 30.0) -> None:
        command = [sys.executable, "-c", MAKER, root, *map(str, (pause, stale / 4, stale, 0.05, 0.3))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)

    def hears(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if words in line:
                return
        raise AssertionError(f"a maker ended without {words!r}")

    def ends(self) -> str:
        """What it said until its end."""
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return said

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket() as at:
        yield at


@pytest.fixture(params=["disk", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "store")
    return uri(request.getfixturevalue("server"), f"bucket/{tmp_path.name}")


def whole(root: str) -> Stage:
    stage = Store(root).stage("data", "k")
    assert stage.damage() == {} and [f["bytes"] for f in (stage.manifest() or {})["files"]] == [
        1000 * i for i in range(6)
    ]
    assert stage.get(CLAIM) is None
    return stage


def test_the_second_waits_for_the_first_and_says_for_whom(root: str) -> None:
    first = Maker(root, pause=0.2)
    first.hears("begins")
    said = Maker(root, pause=0).ends()
    assert f"data/k: {claim._user()}@" in said and f"(process {first.process.pid}, since 20" in said
    assert "is making it; waiting" in said and "finds it made" in said and "wrote" not in said
    first.ends()
    whole(root)


def test_of_many_at_once_one_works(tmp_path: Path) -> None:
    makers = [Maker(str(tmp_path), pause=0.05) for _ in range(5)]
    said = [maker.ends() for maker in makers]
    assert sum("begins" in words for words in said) == 1, said
    whole(str(tmp_path))


def test_a_killed_maker_is_taken_over_at_once_and_its_files_stay(root: str) -> None:
    first = Maker(root, pause=0.1)
    first.hears("wrote 2")
    first.kill()
    said = Maker(root, pause=0).ends()
    assert f"(process {first.process.pid}," in said and "its process is gone; taken over" in said
    assert "wrote 1" not in said and "wrote 5" in said
    whole(root)


def test_a_maker_that_froze_is_taken_over_and_does_no_harm_when_it_thaws(root: str) -> None:
    first = Maker(root, pause=0.1, stale=1.0)
    first.hears("wrote 1")
    first.kill(signal.SIGSTOP)
    second = Maker(root, pause=0.1, stale=1.0)
    second.hears("taken over")
    first.kill(signal.SIGCONT)
    first.ends(), second.ends()
    whole(root)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    for name, value in {"STALE": 0.6, "POLL": 0.05, "SETTLE": 0.0, "BEAT": 0.1}.items():
        monkeypatch.setattr(claim, name, value)
    return Store(str(tmp_path)).stage("data", "k")


def of_another_machine(**more: object) -> bytes:
    said = {
        "token": "x",
        "holder": "ada@elsewhere",
        "pid": os.getpid(),
        "process": "another-boot ns 1-1",
        "since": "then",
    }
    return json.dumps({**said, "touched": time.time(), **more}).encode()


@pytest.mark.parametrize("left", [of_another_machine(), b"{torn", b"", b"[]"])
def test_a_claim_from_elsewhere_is_dead_when_nobody_touches_it(stage: Stage, left: bytes) -> None:
    stage.put(CLAIM, left)
    told: list[str] = []
    with claimed(stage, told.append) as ours:
        assert ours and json.loads(stage.get(CLAIM) or b"")["pid"] == os.getpid()
    assert "is making it; waiting" in told[0] and "has not been heard of for 1 s; taken over" in told[1]
    assert stage.get(CLAIM) is None


def test_a_claim_from_long_ago_is_dead_at_once(stage: Stage) -> None:
    stage.put(CLAIM, of_another_machine(touched=time.time() - 3600))
    told: list[str] = []
    with claimed(stage, told.append) as ours:
        assert ours
    (line,) = told
    assert "ada@elsewhere" in line and "has not been heard of for 60 minutes" in line


def test_a_claim_that_is_touched_is_never_taken_over(stage: Stage) -> None:
    told: list[str] = []
    with claimed(stage, told.append) as first:
        seen = stage.get(CLAIM)
        watch, end = claim._Watch(), time.monotonic() + 1.5
        while time.monotonic() < end:
            assert watch.dead(stage.get(CLAIM) or b"") is None
            time.sleep(0.02)
        assert first and stage.get(CLAIM) != seen
    assert told == []


def test_a_claim_is_given_up_when_the_stage_fails(stage: Stage) -> None:
    with pytest.raises(ZeroDivisionError), claimed(stage, print):
        raise ZeroDivisionError
    assert stage.get(CLAIM) is None
