"""Any folder or list of videos and images; the two splits share no video."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rollbench.datasets.files.base import Clip, SkippedItem
from rollbench.datasets.files.folder import Folder
from rollbench.errors import UserError
from tests.support.clips import blocks, enlarged, write_video

TRUTH = blocks(12, 8, 8)
VALUE = Folder(size=8, frames=4, test_fraction=0)


def images(folder: Path, pictures: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"frame_{number}.png")


def read(value: Folder, root: Path) -> dict[str, Clip | SkippedItem]:
    return {found.source: found for found in value.read(root, value.listed(root).items)}


def test_videos_and_folders_of_images(tmp_path: Path) -> None:
    write_video(tmp_path / "deep" / "a.mkv", enlarged(TRUTH))
    images(tmp_path / "images", enlarged(TRUTH))
    (tmp_path / "notes.txt").write_text("nothing to see")
    found = read(Folder(size=8, frames=12, test_fraction=0), tmp_path)
    assert set(found) == {"deep/a.mkv", "images"}
    for clip in found.values():  # of images, frame_2 comes before frame_10
        assert isinstance(clip, Clip) and np.array_equal(clip.frames, TRUTH)


def test_a_folder_of_images_alone(tmp_path: Path) -> None:
    images(tmp_path / "a", enlarged(TRUTH))
    (clip,) = read(VALUE, tmp_path / "a").values()
    assert isinstance(clip, Clip) and clip.source == "." and clip.dt == 1 / 25


def test_a_list_of_paths(tmp_path: Path) -> None:
    write_video(tmp_path / "here" / "a.mkv", enlarged(TRUTH))
    images(tmp_path / "images" / "b", enlarged(TRUTH))
    far = write_video(tmp_path / "far" / "c.mkv", enlarged(TRUTH))
    write_video(tmp_path / "unlisted.mkv", enlarged(TRUTH))
    (tmp_path / "list.txt").write_text(f"here/a.mkv\n\nimages\n{far}\nhere/missing.mkv\nlist.txt\n")
    found = read(VALUE, tmp_path / "list.txt")
    assert set(found) == {"here/a.mkv", "images/b", str(far)}
    assert all(isinstance(f, Clip) for f in found.values())
    missing, wrong = VALUE.listed(tmp_path / "list.txt").missing
    assert missing == SkippedItem("here/missing.mkv", "list.txt names it and it does not exist", fatal=True)
    assert wrong == SkippedItem("list.txt", "list.txt names it and it is no video", fatal=True)


def test_splits_share_the_videos_out(tmp_path: Path) -> None:
    for n in range(20):
        (tmp_path / f"{n}.mp4").touch()
    splits = {
        s: {i.name for i in Folder(split=s, test_fraction=0.25).listed(tmp_path).items} for s in ("train", "test")
    }
    assert [len(s) for s in splits.values()] == [15, 5] and not splits["train"] & splits["test"]
    order = [i.name for i in Folder(split="test", test_fraction=1).listed(tmp_path).items]
    assert set(order[:5]) == splits["test"] and len(order) == 20
    with pytest.raises(UserError, match="the split 'test' is empty at --test-fraction 0.0"):
        Folder(split="test", test_fraction=0).listed(tmp_path)


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        VALUE.listed(tmp_path / "absent")
    with pytest.raises(UserError, match="no videos in"):
        VALUE.listed(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is no list of paths"):
        VALUE.listed(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="'a.mp4' alone cannot be trained on and tested with"):
        Folder().listed(tmp_path)


def test_fields_have_rules() -> None:
    for fields, words in (
        ({"test_fraction": 1.5}, "test_fraction = 1.5 must lie between 0 and 1"),
        ({"fps": 0}, "fps = 0.0 must be positive"),
        ({"stride": 0}, "stride = 0 is below 1"),
        ({"split": "val"}, "split 'val' is unknown"),
        ({"check": "none"}, "check 'none' is unknown"),
    ):
        with pytest.raises(UserError, match=words):
            Folder(**fields)
