"""Kinetics-600: ten-second videos of people doing things, as public mirrors lay them out.

    <source>/<split>/<label>/<id>_<start>_<end>.mp4        also without labels, without times, as mkv, webm or avi
    <source>/[annotations/]*.csv                           optional: label, youtube_id, time_start, time_end, split

A video is known by the eleven characters of its YouTube id, whatever its file is called. Videos come in the order of the sha256
of their ids, which mixes the labels: the first n clips of a split are a fair sample, the same for every method and mirror.
The clips of a video are consecutive, from its first frame on.

With annotations, they say which split a video belongs to: what they name and the source lacks is an error (--skip-bad goes on
without it; videos vanish from mirrors), and what they do not name is left out. Both are listed in the manifest.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evaluators.listing import VIDEOS
from rollbench.datasets.files.base import Item, SkippedItem, Source, files_under, rank, require_folder
from rollbench.datasets.files.videos import Videos
from rollbench.errors import UserError, did_you_mean

CALLED = {"train": ("train",), "val": ("val", "validation", "validate", "valid"), "test": ("test",)}
NAME = re.compile(r"^(?P<id>[\w-]{11})(_\d+_\d+)?$")  # the second part: seconds from and to


@dataclass(frozen=True)
class Kinetics600(Videos):
    """Clips uint8 [frames, size, size, 3], with the fields of `Videos`: size in cells, stride, frames, clips of each video, crop, filter,
    check, and fps for videos that do not say theirs."""

    cli_name: ClassVar[str] = "kinetics600"
    splits: ClassVar[tuple[str, ...]] = tuple(CALLED)
    test_splits: ClassVar[tuple[str, ...]] = ("val", "test")

    def listed(self, root: Path) -> Source:
        require_folder(root, "Kinetics' videos")
        top = _folder(root, self.split)
        annotated, sheets = _annotations(root, self.split)
        if top is None and not annotated:
            there = [path.name for path in sorted(root.iterdir()) if path.is_dir()]
            raise UserError(
                f"source {str(root)!r} has no folder for the split {self.split!r} and no csv that says what belongs "
                f"to it; {did_you_mean(self.split, there) if there else 'it has no folders at all'}"
            )
        files = [(n, b) for n, b in files_under(root, top) if Path(n).suffix.lower() in VIDEOS]
        if not files:
            raise UserError(f"no videos in {str(top or root)!r}: files ending in {' '.join(VIDEOS)} are read")
        items, bad = _matched([name for name, _ in files], annotated)
        return self.of(root, [name for name, _ in (*files, *sheets)], items, bad)

    def clip_name(self, item: Item) -> str:
        return video_id(item.name)


def video_id(name: str) -> str:
    """The YouTube id in a file's name, or the name where there is none."""
    stem = Path(name).stem
    found = NAME.match(stem)
    return found["id"] if found else stem


def _folder(root: Path, split: str) -> Path | None:
    """The folder of a split: val, validation, val_256 …, or the source itself if that is its name."""
    for path in sorted(p for p in root.iterdir() if p.is_dir()):
        if path.name.lower().split("_")[0] in CALLED[split]:
            return path
    return root if root.name.lower().split("_")[0] in CALLED[split] else None


def _annotations(root: Path, split: str) -> tuple[dict[str, str], list[tuple[str, int]]]:
    """The ids that a split's annotations name, each with the sheet that does, and the sheets as files of the source."""
    named: dict[str, str] = {}
    sheets = []
    for path in sorted([*root.glob("*.csv"), *root.glob("annotations/*.csv")]):
        sheet = path.relative_to(root).as_posix()
        fields, rows = _rows(path)
        columns = {(name or "").strip().lower(): name for name in fields}
        column = columns.get("youtube_id") or columns.get("id")
        if column is None:
            raise UserError(f"{path} has columns {', '.join(columns)}: youtube_id (or id) is needed")
        own = columns.get("split")
        for row in rows:
            its = (row[own] or "" if own else path.stem).strip().lower()
            if its in CALLED[split]:
                named[(row[column] or "").strip()] = sheet
        sheets.append((sheet, path.stat().st_size))
    return named, sheets


def _rows(path: Path) -> tuple[Sequence[str], list[dict[str, str]]]:
    """The columns of a sheet and its rows."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            return rows.fieldnames or (), list(rows)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no sheet of commas in UTF-8 ({error}); save it as such, or take it away") from None


def _matched(names: list[str], annotated: dict[str, str]) -> tuple[tuple[Item, ...], tuple[SkippedItem, ...]]:
    """The files that are read, in order, and what is wrong with the others."""
    first: dict[str, str] = {}
    bad = []
    for name in names:
        found = video_id(name)
        if annotated and found not in annotated:
            bad.append(SkippedItem(name, "no annotation names it for this split"))
        elif found in first:
            bad.append(SkippedItem(name, f"the same video as {first[found]}"))
        else:
            first[found] = name
    for lacking in sorted(set(annotated) - set(first)):
        close = did_you_mean(lacking, [video_id(name) for name in names]).split("?")[0] if len(names) < 1000 else ""
        words = f"{annotated[lacking]} names it and the source lacks it"
        bad.append(SkippedItem(lacking, words + (f" ({close}?)" if "did you" in close else ""), fatal=True))
    return tuple(Item(first[found]) for found in sorted(first, key=rank)), tuple(bad)
