"""Files of an object store on this machine's own disk: fetched once for all processes of a node, and memory-mapped from there.

A file is named by its sha256, so it is never out of date. Who fetches it checks it on its way and then gives it its name; whoever finds
that name, at the right size, trusts it. Two who fetch the same file at once write two partial files, of which one stays. The folder may
be deleted at any time, also under running work: what is mapped stays so, the rest is fetched again. A file that would leave less than
`MARGIN` of the disk free is refused, before anything is fetched where that is known.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa

from rollbench.errors import UserError
from rollbench.store.filesystem import StorageError
from rollbench.store.tempfiles import orphans, owned_name

VARIABLE = "ROLLBENCH_CACHE"
MARGIN = 1 << 30  # bytes of the disk that are left to others
PARTIAL = ".partial-"


def folder() -> Path:
    """`shards` in $ROLLBENCH_CACHE, else a folder of this user's own in the system's temporary one; made where it is missing."""
    own = os.environ.get(VARIABLE)
    path = Path(own).expanduser() / "shards" if own else Path(tempfile.gettempdir(), f"rollbench-shards-{os.getuid()}")
    try:
        path.mkdir(mode=0o755 if own else 0o700, parents=True, exist_ok=True)
        if not own and path.lstat().st_uid != os.getuid():  # there anyone may have made it
            raise UserError(f"the cache {path} is another user's; set {VARIABLE} to a folder of your own")
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def open_cached(name: str, size: int, chunks: Callable[[], Iterable[bytes]]) -> pa.Buffer:
    """The file of this name, a sha256, and size in bytes, memory-mapped. chunks: fetches it, and raises if it is not what it should be."""
    at = folder() / name
    if not _is_there(at, size):
        _fetch(at, size, chunks)
    return pa.memory_map(str(at)).read_buffer()


def check_free_space(files: Iterable[tuple[str, int]]) -> None:
    """Refuse files, given by name and size, that the disk has no room for beside what is there; delete what killed processes left."""
    at = folder()
    for left in orphans(at, PARTIAL):
        left.unlink(missing_ok=True)
    missing = sum(size for name, size in files if not _is_there(at / name, size))
    free = shutil.disk_usage(at).free
    if missing and missing + MARGIN > free:
        raise UserError(
            f"the cache {at} on {platform.node()} has {free / 1e9:.1f} GB free where {missing / 1e9:.1f} GB are to be fetched into it and "
            f"{MARGIN / 1e9:.1f} GB are left to others; set {VARIABLE} to a folder on a larger disk"
        )


def _is_there(at: Path, size: int) -> bool:
    try:
        return at.stat().st_size == size
    except OSError:
        return False


def _fetch(at: Path, size: int, chunks: Callable[[], Iterable[bytes]]) -> None:
    check_free_space([(at.name, size)])
    partial = at.with_name(f"{owned_name(PARTIAL)}{os.urandom(4).hex()}")
    try:
        with partial.open("wb") as out:
            for chunk in chunks():
                out.write(chunk)
        partial.replace(at)
    except StorageError:  # of where it comes from
        raise
    except OSError as error:
        raise _unwritable(at.parent, error) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"the cache {path} cannot be written ({error.strerror}); set {VARIABLE} to a folder on another disk"
    )
