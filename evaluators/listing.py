"""The clips under a folder: video files, and folders of images whose frames they are. `rollbench fvd` and `rollbench ingest` share it.

Hidden files and folders are left out, linked folders are followed, links that lead nowhere or to a folder above them, pipes
and devices are listed as left out. Images beside or above videos are their thumbnails, not the frames of a clip.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path, PurePosixPath

VIDEOS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".gif")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
Files = list[tuple[str, int]]  # names relative to the source, bytes
LeftOut = list[tuple[str, str]]  # names relative to the source, reasons


def walk(root: Path, top: Path | None = None) -> tuple[Files, LeftOut]:
    """The files under `top` (by default `root`) in the order of names, and the links that cannot be followed.

    Raises OSError for a folder that cannot be listed.
    """
    files: Files = []
    left_out: LeftOut = []

    def enter(folder: Path, above: tuple[str, ...]) -> None:
        for name in sorted(name for name in os.listdir(folder) if not name.startswith(".")):
            path = folder / name
            relative = path.relative_to(root).as_posix()
            try:
                status = path.stat()
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP):
                    raise
                left_out.append((relative, "a link that leads nowhere"))
                continue
            if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
                left_out.append((relative, "not a regular file"))
            elif not path.is_dir():
                files.append((relative, status.st_size))
            elif (real := os.path.realpath(path)) in above:
                left_out.append((relative, "a link to a folder above it"))
            else:
                enter(path, (*above, real))

    enter(top or root, (os.path.realpath(top or root),))
    return sorted(files), left_out


def media(root: Path, others: tuple[str, ...] = ()) -> tuple[Files, LeftOut]:
    """The videos, images and files with `others` as endings under a folder, and what is left out of those."""
    files, left_out = walk(root)
    files = [file for file in files if ending(file[0]) in (*VIDEOS, *IMAGES, *others)]
    left_out = [link for link in left_out if ending(link[0]) in (*VIDEOS, *IMAGES, *others) or "folder" in link[1]]
    folders = {parent for name, _ in files if ending(name) not in IMAGES for parent in PurePosixPath(name).parents}
    thumbnails = {name for name, _ in files if ending(name) in IMAGES and PurePosixPath(name).parent in folders}
    left_out += [(name, "an image beside videos") for name in sorted(thumbnails)]
    return [file for file in files if file[0] not in thumbnails], left_out


def ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def natural(name: str) -> list[tuple[int, str]]:
    """A key that compares the numbers in names as numbers: frame_2 comes before frame_10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts if part]


def images_of(folder: Path) -> list[Path]:
    """The images in a folder, in the order of their frames."""
    names = [name for name in os.listdir(folder) if ending(name) in IMAGES and not name.startswith(".")]
    return [folder / name for name in sorted(names, key=natural)]
