"""Altered and random files of clips: frames are read, or one line names the file; nothing else, and no memory runs out."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evaluators.base import UserError
from evaluators.features import Features
from evaluators.videos import Reader
from rollbench.cli.main import main
from tests.evaluators.test_videos import CLIPS, write_shard, write_video  # type: ignore[import-not-found]
from tests.support.fuzzing import campaign, is_one_line, told, torn

SMALL = CLIPS[:2, :3, :4, :4]


def originals() -> dict[str, bytes]:
    """One small real file of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        np.savez(at / "a.npz", frames=SMALL, clip_id=["c0", "c1"], sample=[0, 1])
        np.save(at / "a.npy", SMALL)
        write_shard(at / "a.arrow", SMALL)
        write_video(at / "a.mkv", CLIPS[0, :4])
        write_video(at / "a.mp4", CLIPS[0, :4], "mpeg4", "yuv420p")
        return {file.name: file.read_bytes() for file in sorted(at.iterdir())}


ORIGINALS = originals()


def archive(**arrays: object) -> bytes:
    sink = io.BytesIO()
    np.savez(sink, **{name: np.asarray(array) for name, array in arrays.items()})
    return sink.getvalue()


def shard(**columns: object) -> bytes:
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def huge() -> bytes:
    """A header alone: of an array that no memory holds."""
    sink = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        sink, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 9, 9, 3)}
    )
    return sink.getvalue()


FRAMES = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(SMALL))
files = st.one_of(
    st.sampled_from(sorted(ORIGINALS)).flatmap(lambda name: st.tuples(st.just(name), torn(ORIGINALS[name]))),
    st.tuples(st.sampled_from(sorted(ORIGINALS)), st.binary(max_size=200)),
)


@campaign(150)
@given(files, st.booleans())
@example(("a.npy", huge()), False)
@example(("a.npz", archive(frames=np.zeros(()))), False)
@example(("a.npz", archive(frames=SMALL, sample=["a", "b"])), False)
@example(("a.npz", archive(frames=SMALL, sample=[np.nan, 0])), False)
@example(("a.npz", archive(frames=SMALL, clip_id=5)), False)
@example(("a.npz", archive(frames=SMALL[:, :0])), False)
@example(("a.npz", archive(frames=SMALL.astype(complex))), False)
@example(("a.arrow", shard(clip_id=["a", "b"], frames=FRAMES, sample=["x", "y"])), False)
@example(("a.arrow", shard(clip_id=["a", "b"], frames=FRAMES, sample=pa.array([None, 1]))), False)
@example(("a.arrow", shard(clip_id=["a", "b"], frames=pa.array([None, None]))), False)
def test_a_file_gives_frames_or_is_named(file: tuple[str, bytes], skip_bad: bool) -> None:
    name, data = file
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        reader = Reader(folder, length=2, skip_bad=skip_bad)
        try:
            for clip in reader:
                assert clip.frames.shape[0] == 2 and clip.frames.shape[-1] == 3
        except UserError as error:
            assert name in str(error)


@campaign(60)
@given(torn(archive(vectors=np.zeros((2, 3)), ids=["a", "b"], samples=[0, 1], facts='["e", "original", 3, [], ""]')))
@example(archive(vectors=np.zeros((2, 3)), ids=["a"], samples=[0, 1], facts='["e", "original", 3, [], ""]'))
@example(archive(vectors=np.zeros(()), ids="a", samples=0, facts="5"))
@example(archive(vectors=np.zeros((2, 3)), ids=["a", "b"], samples=[0, 1], facts='["e", "original", 3, 5, ""]'))
@example(b"")
def test_kept_features_are_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npz"
        path.write_bytes(data)
        try:
            assert len(Features.load(path).vectors) == 2
        except UserError as error:
            assert "features" in str(error)


@pytest.mark.parametrize("name", sorted(ORIGINALS))
def test_the_command_names_a_bad_file_in_one_line(name: str, tmp_path: Path) -> None:
    for side in ("real", "fake"):
        (tmp_path / side).mkdir()
        (tmp_path / side / name).write_bytes(ORIGINALS[name][:40])
    code, out, err = told(main, ["fvd", str(tmp_path / "real"), str(tmp_path / "fake"), "--clip", "9"])
    assert (code, out) == (2, "") and is_one_line(err) and name in err
