"""Opens the place where work lies, on any pyarrow filesystem, and says how often a request to it is made again.

A request to an object store that meets no connection, no answer, half an answer, "slow down" or an error of the server is made again up
to `ATTEMPTS` times, after a random wait of up to 1, 2, 4, 8, 16 and then 20 s: a storage may be away for about a minute. This is the AWS
client's own way (`AwsStandardS3RetryStrategy`), and every request of ours is safe to repeat, because a file's bytes follow from its name.
What a second try cannot mend is told at once: no permission, no such bucket, a wrong name. Google's client retries alike for 15 minutes.
A local disk is asked once.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from pyarrow import fs as pafs

from rollbench.errors import UserError
from rollbench.store.redact import _shown, short_message

ATTEMPTS = 10  # of one request
PROBE_ATTEMPTS = 3  # of the first, which finds a mistyped address: some seconds
VANISHED = "NO_SUCH_KEY"  # the AWS client's word, where a file is deleted between its question for the size and that for the bytes
WORKING_DIRS = "working_dir_files"  # the folder in which Ray unpacks what `ray job submit --working-dir` brought


class StorageError(OSError, RuntimeError):
    """The storage failed us: full, gone, or closed to us. One line that names the path; what is finished is kept."""

    def __str__(self) -> str:
        return str(self.strerror)


@dataclass(frozen=True, repr=False)
class Storage:
    """A place to keep files: a local path or a URI of pyarrow's (`s3://bucket/path`, `gs://…`).

    `root` may hold credentials (better give them by the environment or the machine's role); people are shown `str(store)`.
    """

    root: str

    def __post_init__(self) -> None:
        if "://" not in self.root:
            object.__setattr__(self, "root", absolute(self.root))

    def __str__(self) -> str:
        return _shown(self.root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __getstate__(self) -> dict[str, str]:
        return {"root": self.root}  # each process opens its own: a copied S3 client would forget how often to retry

    @cached_property
    def _opened(self) -> tuple[pafs.FileSystem, str]:
        return open_storage(self.root)

    @property
    def filesystem(self) -> pafs.FileSystem:
        return self._opened[0]

    @property
    def path(self) -> str:
        return self._opened[1]

    @property
    def local(self) -> bool:
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    @contextlib.contextmanager
    def wrap_errors(self, verb: str, path: str, size: int | None = None) -> Iterator[None]:
        """Within this context an error of the storage is told in our words, with the path and how much was to be written."""
        try:
            yield
        except StorageError:
            raise
        except OSError as error:
            much = "" if size is None else f" ({size:,} bytes)"
            text = f"storage {self}: cannot {verb} {path}{much}: {short_message(error, self.root)}; what is finished is kept"
            raise StorageError(error.errno, text) from error

    def check_writable(self) -> None:
        """Write and delete a small file, so that an unwritable storage is known before any work starts."""
        filesystem, path = open_storage(self.root, PROBE_ATTEMPTS)
        probe = f"{path}/.probe-{uuid.uuid4().hex}"
        try:
            if self.local:
                filesystem.create_dir(path, recursive=True)
            with filesystem.open_output_stream(probe) as out:
                out.write(b"rollbench")
            filesystem.delete_file(probe)
        except OSError as error:
            raise UserError(
                f"storage {str(self)!r} cannot be written ({short_message(error, self.root)}); choose another with --storage"
            ) from None

    def check_space(self, needed: int) -> None:
        """Refuse a plan that needs more bytes than the disk has free; object stores have no such limit."""
        if not self.local:
            return
        free = os.statvfs(self.path)
        available = free.f_bavail * free.f_frsize
        if needed > available:
            raise UserError(
                f"the plan needs {needed / 1e9:.1f} GB but storage {str(self)!r} has {available / 1e9:.1f} GB free; "
                "use a smaller --scale or another --storage"
            )


@contextlib.contextmanager
def ignore_missing() -> Iterator[None]:
    """Within this context a file that is not there, or is deleted while it is read, is no error."""
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        if VANISHED not in str(error):
            raise


def open_storage(root: str, attempts: int = ATTEMPTS) -> tuple[pafs.FileSystem, str]:
    """The filesystem of `root`, a folder or a URI, and the path on it."""
    if "://" not in root:
        return pafs.LocalFileSystem(), root
    try:
        filesystem, path = pafs.FileSystem.from_uri(root)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"storage {_shown(root)!r} cannot be opened ({short_message(error, root)}); use a folder or s3://bucket/path"
        ) from None
    if not path.strip("/"):
        raise UserError(f"storage {_shown(root)!r} does not name a folder; use a folder or s3://bucket/path")
    if isinstance(filesystem, pafs.S3FileSystem):
        _, (options,) = filesystem.__reduce__()
        patience = pafs.AwsStandardS3RetryStrategy(max_attempts=attempts)
        # A small file is one request instead of three.
        filesystem = pafs.S3FileSystem(**{**options, "allow_delayed_open": True}, retry_strategy=patience)
    return filesystem, path.rstrip("/")


def absolute(path: str) -> str:
    """A path as all processes of a run mean it. A relative one starts at the working directory; in a job that brought its own, which Ray
    deletes some time after the job, it starts at `~/rollbench`."""
    here = Path.cwd()
    return str((Path.home() / "rollbench" if WORKING_DIRS in here.parts else here) / Path(path).expanduser())
