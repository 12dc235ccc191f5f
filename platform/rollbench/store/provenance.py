"""What made a number: the commit, the versions, the device. Written into every stage's manifest, beside its content, not into its key."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "ray", "numpy", "scipy", "pyarrow", "mlflow")
CHECKOUT = Path(__file__).resolve().parents[3]


@functools.cache
def commit() -> str:
    """The checkout's commit, with "+changes" where files differ from it; outside a checkout, "files " and a digest of the source.

    A driver tells its workers by ROLLBENCH_COMMIT, since the code that travels to them has no history.
    """
    if told := os.environ.get("ROLLBENCH_COMMIT"):
        return told
    if not (CHECKOUT / ".git").exists():
        return f"files {_digest()}"
    try:
        head = subprocess.run(
            ["git", "-C", CHECKOUT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        status = subprocess.run(
            ["git", "-C", CHECKOUT, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return f"files {_digest()}"
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def _digest() -> str:
    """The first digits of the sha256 of this package's source."""
    folder, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def processor() -> str:
    """The CPU's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def made(seconds: float, device: str | None = None) -> dict[str, Any]:
    """The facts about one stage's making: seconds of wall time and where, with what."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "commit": commit(),
        "device": device or processor(),
        "python": sys.version.split()[0],
        "seconds": round(seconds, 3),
        "versions": installed,
    }


def peak_memory() -> int:
    """The largest memory of this process so far, in bytes, without the files that it has mapped: data is no cost of a model.

    Linux keeps the peak of both together; the files' part is taken as it is now, when all that were read are mapped.
    """
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    with contextlib.suppress(OSError, ValueError):
        sizes = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        largest -= int(sizes.get("RssFile", "0 kB").split()[0]) * 1024
    return largest


def forget_peak_memory() -> None:
    """Count `peak_memory` from here on, where Linux allows it: a process that is kept did other work before."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
