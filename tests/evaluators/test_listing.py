"""`rollbench fvd` and `rollbench ingest` read the same clips and the same frames."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluators.base import UserError
from evaluators.command import main
from evaluators.containers import stated_length
from evaluators.decode import BY_EXIF, UPRIGHT, ClipSpec, clips_of
from evaluators.listing import media, walk
from evaluators.videos import Reader
from rollbench.datasets.files.base import Clip
from rollbench.datasets.files.folder import Folder
from tests.support.clips import blocks, enlarged, turned, write_video

TRUTH = enlarged(blocks(8, 4, 4))  # frames of 32x32


def ingested(root: Path, frames: int = 4, **options: object) -> dict[str, np.ndarray | str]:
    """The clips of `rollbench ingest folder` by their names, and why items are left out."""
    value = Folder(size=32, frames=frames, test_fraction=0, crop="none", **options)  # type: ignore[arg-type]
    source = value.listed(root)
    clips = list(value.read(root, source.items))
    return {c.source: c.frames if isinstance(c, Clip) else c.reason for c in (*clips, *source.missing)}


def scored(root: Path, frames: int = 4, **options: object) -> dict[str, np.ndarray]:
    """The clips of `rollbench fvd` by their ids."""
    return {clip.id: clip.frames for clip in Reader(root, frames, **options)}  # type: ignore[arg-type]


# --- which files are clips -----------------------------------------------------------------------------------------------------
def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("a.mkv", ".b.mkv", "._a.mkv", ".ipynb_checkpoints/a-checkpoint.mkv", ".trash/x.mkv"):
        write_video(tmp_path / name, TRUTH)
    assert set(scored(tmp_path)) == {"a"} and set(ingested(tmp_path)) == {"a.mkv"}


def test_linked_folders_are_followed_and_a_loop_stops_nothing(tmp_path: Path) -> None:
    write_video(tmp_path / "elsewhere" / "b.mkv", TRUTH)
    source = tmp_path / "source"
    write_video(source / "a.mkv", TRUTH)
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    (source / "loop").symlink_to(source)
    (source / "itself").symlink_to(source / "itself")
    assert set(scored(source)) == {"a", "linked/b"}
    files, left_out = walk(source)
    assert [name for name, _ in files] == ["a.mkv", "linked/b.mkv"]
    assert left_out == [("itself", "a link that leads nowhere"), ("loop", "a link to a folder above it")]


@pytest.mark.parametrize(("name", "listed"), [("clip9.mp4", True), ("notes.txt", False)])
def test_a_dangling_link_stops_nothing(tmp_path: Path, name: str, listed: bool) -> None:
    for k in range(3):
        write_video(tmp_path / f"clip{k}.mkv", TRUTH)
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    clips = ingested(tmp_path)
    assert [isinstance(frames, np.ndarray) for frames in clips.values()].count(True) == 3
    assert clips.get(name) == ("a link that leads nowhere" if listed else None)
    assert len(scored(tmp_path)) == 3


def test_thumbnails_of_videos_are_not_a_clip(tmp_path: Path) -> None:
    for k in range(6):
        write_video(tmp_path / "in" / f"clip{k}.mkv", TRUTH)
        Image.fromarray(TRUTH[k]).save(tmp_path / "in" / f"clip{k}.jpg")
    Image.fromarray(TRUTH[0]).save(tmp_path / "overview.png")
    assert set(scored(tmp_path)) == {f"in/clip{k}" for k in range(6)}
    clips = ingested(tmp_path)
    assert [name for name, frames in clips.items() if isinstance(frames, str)] == [
        *(f"in/clip{k}.jpg" for k in range(6)),
        "overview.png",
    ]


def test_folders_of_images_are_clips_in_the_order_of_numbers(tmp_path: Path) -> None:
    for k in range(8):
        (tmp_path / "run.1").mkdir(exist_ok=True)
        Image.fromarray(TRUTH[k]).save(tmp_path / "run.1" / f"frame_{k + 5}.png")
    assert np.array_equal(scored(tmp_path, 8)["run.1"], TRUTH)
    assert np.array_equal(ingested(tmp_path, 8)["run.1"], TRUTH)
    assert Reader(tmp_path).digest() == Reader(tmp_path).digest()


@pytest.mark.parametrize("name", ["http:a.mkv", "concat:b|c.mkv", "a%03d.mkv", "pipe:0.mkv"])
def test_a_name_is_not_an_address_or_a_pattern(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / "a.mkv", TRUTH).rename(tmp_path / name)
    assert np.array_equal(scored(tmp_path)[name.removesuffix(".mkv")], TRUTH[:4])
    assert np.array_equal(ingested(tmp_path)[name], TRUTH[:4])


def test_a_name_that_ends_like_a_sample_is_a_clip_unless_samples_are_meant(tmp_path: Path) -> None:
    for name in ("scene_s1.mkv", "scene_s2.mkv"):
        write_video(tmp_path / name, TRUTH)
    assert set(scored(tmp_path)) == {"scene_s1", "scene_s2"} and set(scored(tmp_path, samples=True)) == {"scene"}
    assert Reader(tmp_path).notes() == ["2 names like scene_s1.mkv are clips of their own without --samples"]


def test_two_files_of_one_name_are_reported_before_the_network_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLBENCH_I3D", str(tmp_path / "no weights"))
    for name in ("a.mkv", "a.avi"):
        write_video(tmp_path / "in" / name, TRUTH)
    assert main([str(tmp_path / "in"), str(tmp_path / "in")]) == 2
    assert "a.mkv are one clip by their names: rename one of them" in capsys.readouterr().err


# --- which frames --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("matrix", UPRIGHT)
def test_rotated_videos_give_the_same_frames_to_both(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = write_video(tmp_path / "a.mp4", enlarged(TRUTH, 2), codec="libx264", pixels="yuv444p")
    (tmp_path / "in").mkdir()
    turned(path, tmp_path / "in" / "a.mp4", matrix)
    frames, one = scored(tmp_path / "in")["a"], scored(path)["a"]
    a, b, c, d = matrix
    ys, xs = np.mgrid[:64, :64] * 2 - 63
    shown = np.empty_like(one)
    shown[:, (b * xs + d * ys + 63) // 2, (a * xs + c * ys + 63) // 2] = one
    assert np.array_equal(frames, shown)
    (clip,), _ = clips_of(tmp_path / "in" / "a.mp4", ClipSpec(64, 4, crop="none"), 25.0)
    assert np.abs(clip.astype(int) - frames).max() <= 2


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (48, 31)])
@pytest.mark.parametrize(("codec", "pixels", "ending"), [
    ("ffv1", "bgr0", "mkv"), ("ffv1", "bgra", "mkv"), ("ffv1", "bgr0", "avi"), ("png", "rgb24", "mov"), ("png", "rgba", "mov"),
])  # fmt: skip
def test_odd_sizes_and_alpha_in_every_container(
    tmp_path: Path, size: tuple[int, int], codec: str, pixels: str, ending: str
) -> None:
    truth = np.random.default_rng(0).integers(0, 256, (5, *size, 3), np.uint8)
    write_video(tmp_path / f"a.{ending}", truth, codec=codec, pixels=pixels)
    assert np.array_equal(scored(tmp_path, 5)["a"], truth)
    side = min(size)
    (clip,), _ = clips_of(tmp_path / f"a.{ending}", ClipSpec(side, 5), 25.0)
    y, x = (size[0] - side) // 2, (size[1] - side) // 2
    assert np.array_equal(clip, truth[:, y : y + side, x : x + side])


def test_the_default_video_stream_is_read(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = []
        for side in (16, 32):
            stream = container.add_stream("ffv1", rate=10)
            stream.height = stream.width = side
            stream.pix_fmt = "bgr0"
            streams.append(stream)
        streams[0].disposition = av.stream.Disposition(0)
        streams[1].disposition = av.stream.Disposition.default
        for frame in TRUTH:
            for stream in streams:
                part = np.ascontiguousarray(frame[: stream.height, : stream.width])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24").reformat(format="bgr0")))
        for stream in streams:
            container.mux(stream.encode())
    assert np.array_equal(scored(tmp_path)["a"], TRUTH[:4])
    assert np.array_equal(ingested(tmp_path)["a.mkv"], TRUTH[:4])


@pytest.mark.parametrize("orientation", [1, *BY_EXIF])
def test_each_image_is_turned_by_its_own_exif(tmp_path: Path, orientation: int) -> None:
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    turns = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
             5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
             8: Image.Transpose.ROTATE_90}  # fmt: skip
    (tmp_path / "cam").mkdir()
    for k in range(4):
        picture = Image.fromarray(TRUTH[k])
        exif = Image.Exif()
        if k % 2:  # only every second image is stored turned
            picture = picture.transpose(turns[undo]) if undo in turns else picture
            exif[0x0112] = orientation
        picture.save(tmp_path / "cam" / f"{k}.jpg", quality=100, subsampling=2 * (k == 2), exif=exif)
    for frames in (scored(tmp_path)["cam"], ingested(tmp_path)["cam"]):
        assert isinstance(frames, np.ndarray) and np.abs(frames.astype(int) - TRUTH[:4])[[0, 1, 3]].max() <= 8


def test_a_grey_image_among_coloured_ones_is_read(tmp_path: Path) -> None:
    (tmp_path / "cam").mkdir()
    for k in range(4):
        picture = Image.fromarray(TRUTH[k])
        (picture.convert("L") if k == 2 else picture).save(tmp_path / "cam" / f"{k}.jpg")
    assert isinstance(ingested(tmp_path)["cam"], np.ndarray) and len(scored(tmp_path)["cam"]) == 4


# --- torn files ----------------------------------------------------------------------------------------------------------------
def write(path: Path, codec: str, pixels: str) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8)
    return write_video(path, noise, codec=codec, pixels=pixels)


TORN = [
    ("a.gif", "gif", "bgr8"), ("b.mkv", "libx264", "yuv420p"), ("c.webm", "libvpx-vp9", "yuv420p"), ("d.mkv", "ffv1", "bgr0"),
    ("e.mov", "mjpeg", "yuvj420p"), ("f.mp4", "libx264", "yuv420p"), ("g.avi", "mjpeg", "yuvj420p"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "pixels"), TORN)
def test_a_file_cut_at_70_percent_is_left_out_whatever_its_container(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    whole = write(tmp_path / "whole" / name, codec, pixels)
    with whole.open("rb") as file:
        assert stated_length(file) <= whole.stat().st_size
    assert len(scored(whole.parent, 4)) == 1 and isinstance(ingested(whole.parent)[name], np.ndarray)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / name).write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    for frames in (4, 17, 20, 21):
        assert isinstance(ingested(tmp_path / "torn", frames)[name], str)
        with pytest.raises(UserError, match=name):
            scored(tmp_path / "torn", frames)


def test_whole_files_are_not_torn(shared: Path) -> None:
    for path in (shared / "videos").iterdir():
        if path.suffix != ".md" and "corrupted" not in path.name:
            with path.open("rb") as file:
                assert stated_length(file) <= path.stat().st_size, path.name


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    os.chmod(tmp_path / "inner", 0)
    try:
        if os.access(tmp_path / "inner", os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(PermissionError):
            media(tmp_path)
    finally:
        os.chmod(tmp_path / "inner", 0o755)
