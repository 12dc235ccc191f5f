"""Any videos: a folder of video files and of folders of images, or a text file that lists such paths, one a line.

A folder that holds images is one video, its frames in the order of their names, with numbers in them read as numbers (frame_2
comes before frame_10). Videos are shared out between the training and the test split by the sha256 of their names, and come in
that order within each. The clips of a video are consecutive, from its first frame on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from evaluators.listing import IMAGES, VIDEOS, ending, images_of, media
from rollbench.datasets.files.base import Item, SkippedItem, Source, option, rank, split_by_hash
from rollbench.datasets.files.videos import Videos
from rollbench.errors import UserError


@dataclass(frozen=True)
class Folder(Videos):
    """Clips uint8 [frames, size, size, 3] of any videos; the fields of `Videos`, and test_fraction: the least share of the
    videos, from 0 to 1, that is kept for testing."""

    test_fraction: float = option(0.1, "share of the videos that is kept for testing, from 0 to 1")

    cli_name: ClassVar[str] = "folder"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.test_fraction <= 1:
            raise UserError(f"folder: test_fraction = {self.test_fraction} must lie between 0 and 1")

    def listed(self, root: Path) -> Source:
        files, bad = _listed_in(root) if root.is_file() else _in_folder(root)
        videos = sorted({_video(name) for name, _ in files})
        if not videos:
            raise UserError(
                f"no videos in {str(root)!r}: files ending in {' '.join(VIDEOS)} and folders of images "
                f"({' '.join(IMAGES)}) are read"
            )
        own = split_by_hash(videos, self.split, self.test_fraction)
        if not own:
            raise UserError(f"the split {self.split!r} is empty at --test-fraction {self.test_fraction}; 0.1 is usual")
        items = tuple(Item(name) for name in sorted(own, key=rank))
        return self.of(root, [name for name, _ in files], items, bad)

    def paths(self, root: Path, item: Item) -> list[Path]:
        path = (root.parent if root.is_file() else root) / item.name
        if not path.is_dir():
            return [path]
        return images_of(path)


def _video(name: str) -> str:
    """The video that a file belongs to: the file itself, or the folder of an image."""
    return name if ending(name) in VIDEOS else PurePosixPath(name).parent.as_posix()


def _in_folder(root: Path) -> tuple[list[tuple[str, int]], list[SkippedItem]]:
    if not root.is_dir():
        raise UserError(f"source {str(root)!r} does not exist: give a folder of videos, or a text file that lists some")
    files, left_out = media(root)
    return files, [SkippedItem(name, reason) for name, reason in left_out]


def _listed_in(sheet: Path) -> tuple[list[tuple[str, int]], list[SkippedItem]]:
    """The files of a list, by their paths relative to it (or absolute), and the lines that lead nowhere."""
    try:
        lines = sheet.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"source {str(sheet)!r} is no list of paths: give a folder, or a text file") from None
    files, bad = [], []
    for line in (line for line in map(str.strip, lines) if line and not line.startswith("#")):
        path = sheet.parent / line
        if path.is_dir():
            inside, left_out = _in_folder(path)
            files += [(f"{line.rstrip('/')}/{name}", size) for name, size in inside]
            bad += [SkippedItem(f"{line.rstrip('/')}/{item.source}", item.reason) for item in left_out]
        elif path.is_file() and ending(line) in VIDEOS:
            files.append((line, path.stat().st_size))
        else:
            words = "is no video" if path.is_file() else "does not exist"
            bad.append(SkippedItem(line, f"{sheet.name} names it and it {words}", fatal=True))
    return files, bad
