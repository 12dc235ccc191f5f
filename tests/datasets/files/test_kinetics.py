"""Kinetics-600 in the layouts of its mirrors; who is evaluated on what follows from the videos' ids alone."""

from pathlib import Path

import numpy as np
import pytest

from rollbench.datasets.files.base import Clip, SkippedItem, rank
from rollbench.datasets.files.kinetics import Kinetics600, video_id
from rollbench.errors import UserError
from rollbench.pipeline.corpora import CorpusStage
from tests.support.clips import blocks, enlarged, write_video

IDS = ["-0aB_cdEfGh", "0123456789a", "ZZZZZZZZZZZ", "abcdefghijk"]
CSV = "label,youtube_id,time_start,time_end,split\n"


def place(root: Path, names: list[str]) -> Path:
    """Empty files: a listing reads names and sizes alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def ids(value: Kinetics600, root: Path) -> list[str]:
    return [video_id(item.name) for item in value.listed(root).items]


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("val", [f"a label/{i}_000001_000011.mp4" for i in IDS]),
        ("validation", [f"{i}.webm" for i in IDS]),
        ("val_256", [f"x/{i}_000001_000011.mkv" for i in IDS]),
        ("k600/val", [f"{i}.avi" for i in IDS]),
    ],
)
def test_mirrors_agree_on_the_videos_and_their_order(tmp_path: Path, folder: str, names: list[str]) -> None:
    root = place(tmp_path / "k600", [f"{folder.removeprefix('k600/')}/{n}" for n in [*names, "readme.txt"]])
    place(root, [f"train/{IDS[0]}.mp4", f"{folder.removeprefix('k600/')}/.hidden.mp4"])
    assert ids(Kinetics600(split="val"), root) == sorted(IDS, key=rank) != sorted(IDS)
    if folder == "k600/val":
        assert ids(Kinetics600(split="val"), root / "val") == sorted(IDS, key=rank)


def test_annotations_say_what_belongs_to_a_split(tmp_path: Path) -> None:
    root = place(tmp_path, [f"videos/{i}_000001_000011.mp4" for i in IDS])
    rows = [f"label,{i},1,11,{split}\n" for i, split in zip(IDS, ("train", "val", "validate", "test"), strict=True)]
    (root / "k600.csv").write_text(CSV + "".join(rows))
    assert sorted(ids(Kinetics600(split="val"), root)) == sorted(IDS[1:3])
    source = Kinetics600(split="test").listed(root)
    assert [video_id(item.name) for item in source.items] == IDS[3:]
    assert ("k600.csv", (root / "k600.csv").stat().st_size) in [(name, size) for name, size, _ in source.files]
    left = {fault.source: fault for fault in source.missing}
    assert len(left) == 3 and not any(fault.fatal for fault in left.values())
    assert left[f"videos/{IDS[0]}_000001_000011.mp4"].reason == "no annotation names it for this split"


def test_annotations_of_one_split_are_known_by_their_name(tmp_path: Path) -> None:
    root = place(tmp_path, [f"val/{i}.mp4" for i in IDS])
    (root / "annotations").mkdir()
    (root / "annotations" / "val.csv").write_text("id,start,end\n" + "".join(f"{i},1,11\n" for i in IDS[:2]))
    (root / "annotations" / "train.csv").write_text("id\nnowhere_____\n")
    assert sorted(ids(Kinetics600(split="val"), root)) == sorted(IDS[:2])


def test_what_annotations_name_and_nobody_has_is_named_with_the_nearest(tmp_path: Path) -> None:
    root = place(tmp_path, [f"val/{i}.mp4" for i in IDS])
    (root / "val.csv").write_text(CSV + "".join(f"x,{i},1,11,val\n" for i in [*IDS, "abcdefghijK", "0000000000_"]))
    missing = [fault for fault in Kinetics600(split="val").listed(root).missing if fault.fatal]
    assert [fault.source for fault in missing] == ["0000000000_", "abcdefghijK"]
    assert missing[1].reason == "val.csv names it and the source lacks it (did you mean 'abcdefghijk'?)"


def test_a_video_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    root = place(tmp_path, [f"val/a/{IDS[0]}.mp4", f"val/b/{IDS[0]}_000002_000012.mp4"])
    source = Kinetics600(split="val").listed(root)
    assert [item.name for item in source.items] == [f"val/a/{IDS[0]}.mp4"]
    assert source.missing == (
        SkippedItem(f"val/b/{IDS[0]}_000002_000012.mp4", f"the same video as val/a/{IDS[0]}.mp4"),
    )


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "has no folder for the split 'val' and no csv .* it has no folders at all"),
        (["train/a.mp4", "value/b.mp4"], "has no folder for the split 'val' .* did you mean 'value'"),
        (["val/a.txt"], "no videos in .*val'"),
    ],
)
def test_sources_that_are_none_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Kinetics600(split="val").listed(place(tmp_path, names))


def test_a_csv_without_ids_is_refused(tmp_path: Path) -> None:
    (place(tmp_path, ["val/a.mp4"]) / "val.csv").write_text("name,split\na,val\n")
    with pytest.raises(UserError, match=r"has columns name, split: youtube_id \(or id\) is needed"):
        Kinetics600(split="val").listed(tmp_path)


def test_clips_and_what_is_quarantined(tmp_path: Path) -> None:
    truth = blocks(9, 8, 12)
    write_video(tmp_path / "val" / f"{IDS[0]}_000001_000011.mkv", enlarged(truth))
    write_video(tmp_path / "val" / f"{IDS[1]}.mkv", enlarged(truth[:3]))
    (tmp_path / "val" / f"{IDS[2]}.mp4").write_bytes(b"x")
    value = Kinetics600(size=8, frames=4, clips=2, split="val")
    found = {f.source: f for f in value.read(tmp_path, value.listed(tmp_path).items)}
    clips = [f for f in value.read(tmp_path, value.listed(tmp_path).items) if isinstance(f, Clip)]
    assert [c.id for c in clips] == [f"{IDS[0]}@000000", f"{IDS[0]}@000004"] and [c.start for c in clips] == [0, 4]
    assert np.array_equal(np.concatenate([c.frames for c in clips]), truth[:8, :, 2:10])
    short, broken = found[f"val/{IDS[1]}.mkv"], found[f"val/{IDS[2]}.mp4"]
    assert isinstance(short, SkippedItem) and "too short: 3 frames" in short.reason and not short.fatal
    assert isinstance(broken, SkippedItem) and "cannot be read" in broken.reason and not broken.fatal


def test_crop_filter_and_check_are_part_of_the_key(tmp_path: Path) -> None:
    root = place(tmp_path, ["val/a.mp4"])
    values = [
        Kinetics600(split="val", **change)
        for change in ({}, {"crop": "none"}, {"filter": "bicubic"}, {"check": "clip"})
    ]
    assert len({CorpusStage.of(value, root).key for value in values}) == 4


def test_a_scale_caps_sizes_and_nothing_grows() -> None:
    small = Kinetics600(size=128, frames=100).capped(grid=32, frame_grid=16, frames=12, least=18)
    assert (small.size, small.frames) == (16, 18)
    assert Kinetics600().capped(grid=10**6, frame_grid=10**6, frames=10**6, least=10**6) == Kinetics600()
