"""What a data set read from files is: a value whose fields are options, a listing of a source, and clips out of it.

`listed` looks at names, sizes and headers alone and refuses what cannot be a source at all. `read` turns some of its items into
clips, alike whichever others it is given with them. What cannot be read is never replaced by something else: it comes out as
`SkippedItem`, with its reason, and stands in the corpus' manifest.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from evaluators.listing import walk
from rollbench.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Item:
    """A part of a source that is read at a time: a file, a folder of images, or the clip `at` some place of a file."""

    name: str  # relative to the source
    at: tuple[int, ...] = ()


@dataclass(frozen=True)
class Clip:
    """One clip of a source."""

    id: str
    frames: np.ndarray  # uint8 [t, y, x, 3] or float32 [t, c, y, x]
    source: str  # the item's name
    start: int  # the index of its first frame in the source
    dt: float  # s between two frames


@dataclass(frozen=True)
class SkippedItem:
    """An item that is skipped."""

    source: str
    reason: str
    fatal: bool = False  # the source is refused because of it, unless --skip-bad is given


FileEntry = tuple[str, int, str]  # name relative to the source, bytes, fingerprint


@dataclass(frozen=True)
class Source:
    """One split of a source."""

    root: Path
    files: tuple[FileEntry, ...]  # all that the clips depend on
    items: tuple[Item, ...]  # in the order of the corpus' clips
    clips: int  # at most so many of each item
    shape: tuple[int, int, int]  # channels, y, x of a frame
    channels: tuple[tuple[str, str], ...]  # (name, unit)
    missing: tuple[SkippedItem, ...] = ()  # known to be unusable

    def __post_init__(self) -> None:
        for name, _, _ in self.files:
            text(name)


def option(default: Any, text: str, choices: Sequence[str] = (), least: int = 1) -> Any:
    """A field of a data set that is also an option of `rollbench ingest`, with its line of help. least: of a whole number."""
    return field(default=default, metadata={"help": text, "choices": tuple(choices), "least": least})


@dataclass(frozen=True)
class FromFiles:
    """The base of data sets that are read from files."""

    split: str = "train"

    splits: ClassVar[tuple[str, ...]] = ("train", "test")  # the names that `split` may have
    test_splits: ClassVar[tuple[str, ...]] = ("test",)  # those that can serve as the test split, the preferred first
    cli_name: ClassVar[str]  # in commands

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value, choices = getattr(self, f.name), self.splits if f.name == "split" else f.metadata.get("choices")
            if choices and value not in choices:
                raise UserError(f"{self.cli_name}: {f.name} {value!r} is unknown; {did_you_mean(str(value), choices)}")
            if isinstance(f.default, float):
                object.__setattr__(self, f.name, float(value))  # 0 and 0.0 are one key
            if isinstance(f.default, int) and value < (least := f.metadata["least"]):
                raise UserError(f"{self.cli_name}: {f.name} = {value} is below {least}; the smallest is {least}")

    @property
    def command(self) -> str:
        """The command that ingests this data set."""
        return self.command_for("PATH", "train", self.test_splits[0])

    def command_for(self, source: str, *splits: str) -> str:
        """The command that ingests some splits of a source."""
        words = [f"rollbench ingest {self.cli_name} --source {source} --split {' '.join(splits)}"]
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name != "split" and value != f.default:
                words.append(f"--{f.name.replace('_', '-')} {' '.join(value) if isinstance(value, tuple) else value}")
        return " ".join(words)

    def listed(self, root: Path) -> Source:
        """What the source has of this split."""
        raise NotImplementedError

    def read(self, root: Path, items: Sequence[Item]) -> Iterator[Clip | SkippedItem]:
        """The clips of some items, in their order."""
        raise NotImplementedError


class SourceError(RuntimeError):
    """A source cannot be read as it was listed. What is in it may be whole, so nothing is left out for it: the work stops."""


def source_fails(root: Path, name: str, error: OSError) -> SourceError | UserError:
    """What stops an ingest at a file that it has listed, by what the system says of it."""
    words = f"{name!r} of the source {str(root)!r} cannot be read ({error.strerror or error})"
    if isinstance(error, PermissionError):
        return UserError(f"{words}: let this user read it, or take it out of the source")
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{words} and was there before; bring it back, or run the same command on what is there now")
    return SourceError(
        f"{words}, which is no fault of what it holds; what is finished is kept, run the same command to go on"
    )


BLOCK, BLOCKS = 64 << 10, 4  # bytes and number of the parts that a fingerprint reads


def entries(base: Path, names: Iterable[str]) -> tuple[FileEntry, ...]:
    """The files (and Zarr folders) of a source with their sizes and fingerprints, in the order of `names`."""
    with ThreadPoolExecutor(16) as threads:  # most of the time is the storage's latency
        return tuple(threads.map(lambda name: _entry(base / name, name), names))


def _entry(path: Path, name: str) -> FileEntry:
    try:
        if not path.is_dir():
            return (name, path.stat().st_size, fingerprint(path))
        parts = [_entry(path / part, part) for part, _ in files_under(path)]
        return (name, sum(size for _, size, _ in parts), hashlib.sha256(repr(sorted(parts)).encode()).hexdigest())
    except OSError as error:
        raise source_fails(path.parent, name, error) from None


def fingerprint(path: Path) -> str:
    """The sha256 of a file of at most 256 KiB; of a larger one, of four blocks of 64 KiB from its start to its end, its size and
    the time of its last change.

    So 1 TB of videos of 2.5 MB costs 100 GB of reading, 1 TB in files of 1 GB costs 256 MB. A copy that does not preserve the
    time is another source, which costs an ingest and never gives the numbers of other data.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size <= BLOCK * BLOCKS:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns // 10**9}".encode())
        for i in range(BLOCKS):
            file.seek((status.st_size - BLOCK) * i // (BLOCKS - 1))
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


def files_under(root: Path, top: Path | None = None) -> list[tuple[str, int]]:
    """(name relative to `root`, bytes) of every file under `top` (by default `root`), in the order of names; no hidden ones.

    Raises OSError for a folder that cannot be listed.
    """
    return walk(root, top)[0]


def raised(error: OSError) -> None:
    """For `os.walk`, which passes over a folder that it cannot list."""
    raise error


def require_folder(root: Path, holding: str) -> None:
    if not root.is_dir():
        raise UserError(f"source {str(root)!r} is no folder: give --source the folder with {holding}")


def rank(name: str) -> str:
    """Names in the order of their ranks come in an order that looks random and is the same everywhere."""
    return hashlib.sha256(text(name).encode()).hexdigest()


def text(name: str) -> str:
    """A file's name, if it is text: it becomes part of ids and manifests."""
    if name.isascii() or name.encode(errors="replace").decode() == name:
        return name
    raise UserError(f"the name of the file {ascii(name)} is no UTF-8; rename it")


def split_by_hash(names: Iterable[str], split: str, test_fraction: float) -> set[str]:
    """The names that belong to a split: the first of them by `rank` are the test split."""
    ranked = sorted(set(names), key=rank)
    tests = test_count(len(ranked), test_fraction, ranked[0])
    return set(ranked[:tests] if split == "test" else ranked[tests:])


def test_count(count: int, test_fraction: float, first: str) -> int:
    """How many of `count` things are for testing: at least that fraction, and not all of them unless it is 1."""
    if count < 2 and 0 < test_fraction < 1:
        raise UserError(
            f"{first!r} alone cannot be trained on and tested with: give more, or --test-fraction 0 for a training split "
            "without a test split, or 1"
        )
    most = count - 1 if test_fraction < 1 else count
    return min(math.ceil(test_fraction * count - 1e-9), most)
