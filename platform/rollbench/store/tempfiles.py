"""Names of temporary files and folders that say whose they are: a process that is killed cannot tidy up, so that others do it later."""

from __future__ import annotations

import os
import platform
import re
import zlib
from pathlib import Path

OWNER = re.compile(r"(?P<here>[0-9a-f]{8})-(?P<pid>\d+)-")


def owned_name(prefix: str) -> str:
    """What the name of something temporary of this process begins with."""
    return f"{prefix}{_here()}-{os.getpid()}-"


def orphans(folder: Path, prefix: str) -> list[Path]:
    """What processes of this machine that are gone have left in a folder."""
    found = ((path, OWNER.match(path.name.removeprefix(prefix))) for path in folder.glob(f"{prefix}*"))
    return [path for path, owner in found if owner and owner["here"] == _here() and _gone(int(owner["pid"]))]


def _here() -> str:
    """Where a number of a process means one: this machine, and within it this namespace of processes, such as a container's."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        namespace = ""
    return f"{zlib.crc32(f'{platform.node()} {namespace}'.encode()):08x}"


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # another user's
        return False
    return False
