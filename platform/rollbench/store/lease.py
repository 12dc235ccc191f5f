"""One maker for a stage at a time: a small file in its folder names the process that makes it, and is touched while that one lives.

Two drivers on one storage share their work this way: who comes second waits, says for whom, and goes on with what the first has made, or
takes over when the first has died. On a disk a claim is exact: it is made by a file's creation, and taken over under a lock of the kernel.
Two can come in all the same where a file system has no locks, where a frozen maker thaws just as it is taken over, and on an object
store, which writes whatever it is told (pyarrow asks for no condition): there if two begin within a request's time of each other, or if
one's request to take over arrives more than `GRACE_S` seconds after another's. Then work is wasted and nothing else, because every file of
a stage is written whole and has the same bytes whoever writes it.

A claim is no lock that can be left behind. Its holder is dead if it ran on this machine and its process is gone; elsewhere, if the claim
has not changed for `STALE` seconds of our own clock, in which we have looked again and again, or was last touched longer ago than any
two clocks differ (`LONG_AGO`).
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollbench.errors import UserError
from rollbench.store.artifact import Artifact
from rollbench.store.filesystem import StorageError

CLAIM, LOCK = ".claim", ".claim-lock"
HEARTBEAT_S, STALE, LONG_AGO = (
    5.0,
    30.0,
    600.0,
)  # seconds between touches; without one; without one by the machines' clocks
LENGTH = 1024  # bytes of a claim, blanks at its end
# Seconds between looks at another's claim; seconds for another who takes over at the same moment to be seen.
POLL, GRACE_S = 0.5, 1.0


@contextlib.contextmanager
def hold_lease(artifact: Artifact, line: Callable[[str], None]) -> Iterator[bool]:
    """Within this context this process alone makes `artifact`. Yields False where another has finished it meanwhile.

    line: is told for whom we wait.
    """
    mine = _new(artifact)
    _acquire(artifact, mine, line)
    ended = threading.Event()
    beating = threading.Thread(target=_heartbeat, args=(artifact, mine, ended), daemon=True)
    beating.start()
    try:
        yield artifact.manifest() is None
    finally:
        ended.set()
        beating.join()  # a touch under way would bring back the claim that is dropped here
        with contextlib.suppress(StorageError):
            if _is(artifact.get(CLAIM), mine):
                artifact.delete(CLAIM)
                if artifact.store.local:
                    artifact.delete(LOCK)


def check_node_sees(artifact: Artifact, *sources: Path) -> None:
    """Refuse work on a node that does not see what the others see: the claim of the stage it works for, and the sources of its data.

    Nodes may join a cluster at any time, and with a disk of its own one would write where nobody looks.
    """
    if artifact.store.local and artifact.get(CLAIM) is None and artifact.manifest() is None:
        blind = f"storage {str(artifact.store)!r}"
    elif missing := [source for source in sources if not source.exists()]:
        blind = f"--source {missing[0]}"
    else:
        return
    raise UserError(f"{blind} is not seen by node {platform.node()}; every node that joins the cluster has to share it")


def _new(artifact: Artifact) -> dict[str, Any]:
    """What a claim of this process says."""
    return {
        "token": uuid.uuid4().hex,
        "stage": str(artifact),
        "holder": f"{_user()}@{platform.node()}",
        "pid": os.getpid(),
        "process": _process(os.getpid()),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def _acquire(artifact: Artifact, mine: dict[str, Any], line: Callable[[str], None]) -> None:
    """Return when the claim is ours or the stage is finished."""
    watch, waiting = LeaseMonitor(), False
    while not artifact.create_exclusive(CLAIM, _text(mine)):
        found = artifact.get(CLAIM)
        if found is None:
            continue
        if (why := watch.dead(found)) is not None:
            if _taken_over(artifact, mine, found):
                line(f"  {artifact}: {_holder(found)} began it and {why}; taken over")
                return
        elif not waiting:
            line(f"  {artifact}: {_holder(found)} is making it; waiting")
            waiting = True
        if artifact.manifest() is not None:
            return
        time.sleep(POLL)


def _taken_over(artifact: Artifact, mine: dict[str, Any], dead: bytes) -> bool:
    """Whether ours has replaced the claim of a dead maker, and nobody else's has."""
    with _alone(artifact) as alone:
        if not alone or artifact.get(CLAIM) != dead:
            return False
        artifact.put(CLAIM, _text(mine))
    time.sleep(GRACE_S)
    return _is(artifact.get(CLAIM), mine)


@contextlib.contextmanager
def _alone(artifact: Artifact) -> Iterator[bool]:
    """Whether no other process is in here, as far as the storage can tell. A lock ends with the process that holds it."""
    if not artifact.store.local:
        yield True
        return
    path = f"{artifact.path}/{LOCK}"
    with artifact.store.wrap_errors("write", path):
        file = open(path, "wb")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass  # a file system without locks
        yield True


@dataclass
class LeaseMonitor:
    """Looks at a claim again and again, and tells when nobody touches it any more.

    Only time in which we look counts: while the storage is away no maker can touch its claim, and while we are frozen we see nothing.
    """

    clock: Callable[[], float] = time.monotonic
    seen: bytes = b""
    since: float = 0.0
    looked: float = 0.0

    def dead(self, claim: bytes) -> str | None:
        """Why the holder of `claim` is taken for dead, or None."""
        now = self.clock()
        if claim != self.seen or now - self.looked > STALE / 3:
            self.seen, self.since = claim, now
        self.looked = now
        holder = _read(claim)
        process = str(holder.get("process", ""))
        here, _, _ = _process(os.getpid()).rpartition(" ")
        if here and process.startswith(here + " ") and _process(holder.get("pid")) != process:
            return "its process is gone"
        if now - self.since > STALE:
            return f"has not been heard of for {STALE:.0f} s"
        touched = holder.get("touched")
        if isinstance(touched, (int, float)) and time.time() - touched > LONG_AGO:
            return f"has not been heard of for {(time.time() - touched) / 60:.0f} minutes"
        return None


def _heartbeat(artifact: Artifact, mine: dict[str, Any], ended: threading.Event) -> None:
    """Touch the claim until it is another's: who was frozen for longer than `STALE` lost it, and may go on all the same."""
    while not ended.wait(HEARTBEAT_S):
        with contextlib.suppress(StorageError):  # a storage that is away comes back, or fails the stage itself
            if not _is(artifact.get(CLAIM), mine) or ended.is_set():
                return
            artifact.put(CLAIM, _text(mine))


def _text(claim: dict[str, Any]) -> bytes:
    """A claim as it is stored. All are of one length, longer than an error's text: an object store that is asked for a claim as it is
    touched or dropped may give the old length and the new answer, and a longer answer is an error to the client, a shorter one garbage.
    """
    return json.dumps({**claim, "touched": time.time()}).encode().ljust(LENGTH)


def _read(claim: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(claim or b"")
    except (ValueError, RecursionError):
        return {}  # half written by one who died in it
    return value if isinstance(value, dict) else {}


def _is(claim: bytes | None, mine: dict[str, Any]) -> bool:
    return _read(claim).get("token") == mine["token"]


def _holder(claim: bytes) -> str:
    found = _read(claim)
    return f"{found.get('holder', 'somebody')} (process {found.get('pid', '?')}, since {found.get('since', '?')})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _process(pid: object) -> str:
    """A process as nobody else is called: the machine's boot, its namespace of processes, the process and when it began; "" if gone."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        began = Path(f"/proc/{int(str(pid))}/stat").read_text().rpartition(")")[2].split()
        if began[0] in "ZX":  # dead, and only its parent has not looked yet
            return ""
        return f"{boot} {os.readlink('/proc/self/ns/pid')} {pid}-{began[19]}"
    except (OSError, ValueError, IndexError):
        return ""
