"""How many CPUs this process may use: those of the machine, less what its affinity or its container's quota keeps from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def processors() -> int:
    """CPUs to work on, at least one."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        own = Path("/proc/self/cgroup").read_text()
    except OSError:
        own = ""
    return max(1, int(min([there, *quotas(own)])))


def quotas(own: str, mount: Path = CGROUPS) -> Iterator[float]:
    """CPUs that each control group around this process grants. own: the lines of /proc/self/cgroup."""
    for line in own.splitlines():
        number, kinds, path = (line.split(":", 2) + ["", ""])[:3]
        if number == "0":
            yield from (_share(*_words(folder / "cpu.max")) for folder in _upwards(mount, path))
        elif "cpu" in kinds.split(","):
            for folder in (top for name in (kinds, "cpu") for top in _upwards(mount / name, path)):
                yield _share(*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us"))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """The group's folder and those of the groups it lies in. In a container the path may be the host's, and only the mount is there."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return (mount.joinpath(*parts[:count]) for count in range(len(parts) + 1))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _share(quota: str = "max", period: str = "100000", *_: str) -> float:
    """CPUs of a quota per period, both in microseconds; "max" and -1 are none."""
    try:
        granted = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return float("inf")
    return granted if granted > 0 else float("inf")
