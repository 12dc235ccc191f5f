"""The processes of a driver's own Ray: found by what they call themselves, met in the middle of a stage, and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rollbench.store.artifact import MANIFEST, RECEIPT
from rollbench.store.lease import CLAIM


def of_session(leader: int) -> dict[int, str]:
    """The processes of a session, each with the title that Ray gave it."""
    found = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            if session == leader:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found


def under_way(store: Path, kind: str, files: int = 0) -> Path | None:
    """The folder of a stage of that kind which is claimed, has at least so many files, and is not finished."""
    for claim in store.glob(f"{kind}/*/{CLAIM}"):
        if len(list(claim.parent.glob(f"*{RECEIPT}"))) >= files and not (claim.parent / MANIFEST).exists():
            return claim.parent
    return None


@contextlib.contextmanager
def frozen(leader: int, stages: Callable[[str], bool]) -> Iterator[list[int]]:
    """The processes of a session whose title is right, stopped meanwhile."""
    chosen = [pid for pid, title in of_session(leader).items() if stages(title)]
    for pid in chosen:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield chosen
    finally:
        for pid in chosen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def kill_one(
    leader: int, store: Path, kind: str, stages: Callable[[str], bool], files: int = 0, seconds: float = 240
) -> str:
    """Kill one process whose title is right while a stage of that kind is under way; returns its title."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if under_way(store, kind, files):
            with frozen(leader, stages) as chosen:
                if chosen and under_way(store, kind, files):  # still: what is frozen cannot finish it
                    title = of_session(leader)[chosen[0]]
                    os.kill(chosen[0], signal.SIGKILL)
                    return title
        time.sleep(0.01)
    raise AssertionError(
        f"no stage of kind {kind} was under way with a process to kill in {seconds} s: {of_session(leader)}"
    )


def kill_when(driver: subprocess.Popen[bytes], ready: Callable[[], Any]) -> None:
    """Kill a driver that leads a session, and all its processes, as soon as it is ready for that."""
    while not ready():
        assert driver.poll() is None, "the run ended before it was killed"
        time.sleep(0.005)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()


def end_session(leader: int) -> None:
    """Kill whatever a driver left."""
    for pid in of_session(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
