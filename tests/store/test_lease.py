"""Two makers of one stage, as real processes, on a disk and on object storage: one works, the other waits or takes over."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollbench.store import lease
from rollbench.store.artifact import Artifact, Store
from rollbench.store.lease import CLAIM, hold_lease
from tests.faults.storage import uri

# A maker of the stage data/k: tells on its output what it hears, writes six shards of `pause` seconds each, publishes.
MAKER = """
import sys, time
from rollbench.store import Store, lease
root, pause, lease.HEARTBEAT_S, lease.STALE, lease.POLL, lease.GRACE_S = sys.argv[1], *map(float, sys.argv[2:])
artifact = Store(root).artifact("data", "k")
def tell(text): print(text, flush=True)
with lease.hold_lease(artifact, tell) as ours:
    tell("begins" if ours else "finds it made")
    if ours:
        receipts = artifact.receipts()
        for i in range(6):
            if f"{i}.bin" not in receipts:
                receipts[f"{i}.bin"] = artifact.write(f"{i}.bin", bytes(1000 * i))
                tell(f"wrote {i}")
            time.sleep(pause)
        artifact.commit(receipts.values())
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


@pytest.fixture(params=["disk", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "store")
    return uri(request.getfixturevalue("server"), f"bucket/{tmp_path.name}")


def whole(root: str) -> Artifact:
    artifact = Store(root).artifact("data", "k")
    assert artifact.damage() == {} and [f["bytes"] for f in (artifact.manifest() or {})["files"]] == [
        1000 * i for i in range(6)
    ]
    assert artifact.get(CLAIM) is None
    return artifact


def test_the_second_waits_for_the_first_and_says_for_whom(root: str) -> None:
    first = Maker(root, pause=0.2)
    first.hears("begins")
    said = Maker(root, pause=0).ends()
    assert f"data/k: {lease._user()}@" in said and f"(process {first.process.pid}, since 20" in said
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
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    for name, value in {"STALE": 0.6, "POLL": 0.05, "GRACE_S": 0.0, "HEARTBEAT_S": 0.1}.items():
        monkeypatch.setattr(lease, name, value)
    return Store(str(tmp_path)).artifact("data", "k")


def of_another_machine(**more: object) -> bytes:
    said = {
        "token": "x",
        "holder": "ada@elsewhere",
        "pid": os.getpid(),
        "process": "another-boot ns 1-1",
        "since": "then",
    }
    return json.dumps({**said, "touched": time.time(), **more}).encode()


@pytest.mark.parametrize("torn", [None, b"{torn", b"", b"[]"])
def test_a_claim_from_elsewhere_is_dead_when_nobody_touches_it(artifact: Artifact, torn: bytes | None) -> None:
    artifact.put(CLAIM, of_another_machine() if torn is None else torn)
    told: list[str] = []
    with hold_lease(artifact, told.append) as ours:
        assert ours and json.loads(artifact.get(CLAIM) or b"")["pid"] == os.getpid()
    assert "is making it; waiting" in told[0] and "has not been heard of for 1 s; taken over" in told[1]
    assert artifact.get(CLAIM) is None


def test_a_claim_from_long_ago_is_dead_at_once(artifact: Artifact) -> None:
    artifact.put(CLAIM, of_another_machine(touched=time.time() - 3600))
    told: list[str] = []
    with hold_lease(artifact, told.append) as ours:
        assert ours
    (line,) = told
    assert "ada@elsewhere" in line and "has not been heard of for 60 minutes" in line


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def looks(watch: lease.LeaseMonitor, clock: Clock, seen: bytes, seconds: float) -> list[str | None]:
    """What a watch says while it looks at the same claim every half second."""
    said = []
    for _ in range(int(seconds * 2)):
        clock.now += 0.5
        said.append(watch.dead(seen))
    return said


def touched(artifact: Artifact, seen: bytes | None) -> bytes:
    """The claim as it is after its next touch."""
    end = time.monotonic() + 60
    while (found := artifact.get(CLAIM)) == seen:
        assert time.monotonic() < end, "nobody touches it"
        time.sleep(0.01)
    assert found is not None
    return found


def test_a_claim_that_is_touched_is_never_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Touches are real, time is not: a machine may pause for as long as it likes."""
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.1)
    artifact, clock, told = Store(str(tmp_path)).artifact("data", "k"), Clock(), list[str]()
    watch, seen = lease.LeaseMonitor(clock), None
    with hold_lease(artifact, told.append) as first:
        assert first
        holder = json.loads(artifact.get(CLAIM) or b"")["process"]
        for _ in range(4):
            seen = touched(artifact, seen)
            assert not any(looks(watch, clock, seen, lease.STALE - 1))
    assert told == [] and holder == lease._process(os.getpid())
    left = of_another_machine()
    assert not any(looks(watch, clock, left, lease.STALE))
    assert "has not been heard of" in (looks(watch, clock, left, 1)[-1] or "")


def test_an_outage_of_the_storage_hands_no_claim_over() -> None:
    """Nobody can touch a claim meanwhile: it counts when there is an answer again, and again no touch."""
    clock, left = Clock(), of_another_machine()
    watch = lease.LeaseMonitor(clock)
    assert not any(looks(watch, clock, left, lease.STALE - 5))
    clock.now += 2 * lease.STALE  # the answer took so long
    assert not any(looks(watch, clock, left, lease.STALE))
    assert looks(watch, clock, left, 1)[-1] is not None


def test_of_two_who_find_a_dead_claim_one_takes_it_over_however_slow_the_disk(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact.put(CLAIM, of_another_machine(touched=time.time() - 3600))
    put, inside, most, told = Artifact.put, 0, list[int](), list[str]()

    def slow(self: Artifact, name: str, data: bytes) -> None:
        if threading.current_thread().name == "slow":
            time.sleep(0.5)
        put(self, name, data)

    def make() -> None:
        nonlocal inside
        with hold_lease(artifact, told.append):
            inside += 1
            most.append(inside)
            time.sleep(1.0)
            inside -= 1

    monkeypatch.setattr(Artifact, "put", slow)
    monkeypatch.setattr(lease, "HEARTBEAT_S", 60.0)
    monkeypatch.setattr(lease, "STALE", 60.0)
    makers = [threading.Thread(target=make, name=name) for name in ("slow", "quick")]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert most == [1, 1] and sum("taken over" in line for line in told) == 1


def test_a_touch_under_way_does_not_bring_a_claim_back(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    put, touching, done = Artifact.put, threading.Event(), threading.Event()

    def slow(self: Artifact, name: str, data: bytes) -> None:
        if threading.current_thread() is not threading.main_thread():
            touching.set()
            time.sleep(0.5)
        put(self, name, data)
        if touching.is_set():
            done.set()

    monkeypatch.setattr(Artifact, "put", slow)
    with hold_lease(artifact, print):
        assert touching.wait(60)
    assert done.wait(60) and artifact.get(CLAIM) is None


def test_a_claim_is_given_up_when_the_stage_fails(artifact: Artifact) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(artifact, print):
        raise ZeroDivisionError
    assert artifact.get(CLAIM) is None


def test_claims_are_of_one_length(tmp_path: Path) -> None:
    """So that one who reads a claim as it is touched never gets another number of bytes than the storage has announced."""
    mine = lease._new(Store(str(tmp_path)).artifact("data", "k"))
    texts = [lease._text({**mine, "pid": pid, "holder": "h" * pid}) for pid in (1, 10, 100)]
    assert {len(text) for text in texts} == {lease.LENGTH}
    assert all(lease._is(text, mine) for text in texts)
