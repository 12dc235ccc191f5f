"""A source that fails while it is read: the disk is to blame and not the files, so none of them is left out and the work stops."""

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rollbench.cli import main
from rollbench.corpora import CorpusWork
from rollbench.datasets.bair import BAIR
from rollbench.datasets.fields import Fields
from rollbench.datasets.folder import Folder
from rollbench.datasets.source import FromFiles, Item, Quarantined, SourceFails
from rollbench.engine.cluster import cluster
from rollbench.engine.corpus import ingest
from rollbench.engine.progress import Progress
from rollbench.spec import BadInput
from rollbench.store import Store
from tests.clips import blocks, enlarged, write_video

NOBODY = 65534
VALUE = Folder(size=8, frames=4, test_fraction=0.0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A video, and a folder of images that are one."""
    root = tmp_path / "source"
    write_video(root / "a.mkv", enlarged(blocks(4, 8, 8)))
    (root / "b").mkdir()
    for n, picture in enumerate(enlarged(blocks(4, 8, 8))):
        Image.fromarray(picture).save(root / "b" / f"{n}.png")
    return root


@contextlib.contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """Within this context the file may not be read by us."""
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        path.chmod(0o600)


@contextlib.contextmanager
def gone(path: Path) -> Iterator[None]:
    path.unlink()
    yield


@contextlib.contextmanager
def broken(path: Path) -> Iterator[None]:
    """What reads it meets an input/output error: the memory of a process has nothing at its beginning."""
    path.unlink()
    path.symlink_to("/proc/self/mem")
    yield


@contextlib.contextmanager
def too_many_open(path: Path) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


FAULTS: list[tuple[Callable[[Path], Any], type[Exception], str]] = [
    (gone, SourceFails, r"\(No such file or directory\) and was there before; bring it back"),
    (broken, SourceFails, r"\(Input/output error\), which is no fault of what it holds; what is finished is kept"),
    (too_many_open, SourceFails, r"\(Too many open files\), which is no fault of what it holds"),
    (forbidden, BadInput, r"\(Permission denied\): let this user read it, or take it out of the source"),
]


# An image fewer is another video, not a lost one.
CASES = [("a.mkv", "a.mkv", *fault) for fault in FAULTS] + [("b", "b/2.png", *fault) for fault in FAULTS[1:]]


@pytest.mark.parametrize(("item", "file", "fault", "kind", "words"), CASES)
def test_a_video_that_the_system_does_not_give_is_not_quarantined(
    source: Path, item: str, file: str, fault: Callable[[Path], Any], kind: type[Exception], words: str
) -> None:
    list(VALUE.read(source, [Item(item)]))  # what is needed is imported
    with fault(source / file), pytest.raises(kind, match=f"'{item}' of the source '.*source' cannot be read {words}"):
        list(VALUE.read(source, [Item(item)]))


@pytest.mark.parametrize(("fault", "kind", "words"), [fault for fault in FAULTS if fault[0] != broken])
def test_neither_is_a_record(tmp_path: Path, fault: Callable[[Path], Any], kind: type[Exception], words: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with fault(tmp_path / "a"), pytest.raises(kind, match=f"'a' of the source .* cannot be read {words}"):
        list(BAIR().read(tmp_path, [Item("a", (0, 0))]))


def test_a_field_whose_disk_fails_while_it_is_read_stops_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 1, 2, 2), np.float32))
    value = Fields(frames=4, dims=("time", "channel", "y", "x"), test_fraction=0.0)
    errors = {"of the disk": OSError(5, "Input/output error"), "of the content": OSError("inflate() failed")}

    def read(self: Any, index: Any) -> Any:
        raise error

    monkeypatch.setattr("rollbench.datasets.arrays.Variable.read", read)
    error = errors["of the content"]
    (found,) = value.read(tmp_path, [Item("a.npy", (0, 0))])
    assert isinstance(found, Quarantined) and "inflate() failed" in found.reason
    error = errors["of the disk"]
    with pytest.raises(SourceFails, match="'a.npy' of the source"):
        list(value.read(tmp_path, [Item("a.npy", (0, 0))]))


def test_damage_that_decoders_call_an_error_of_the_disk_is_damage(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    def fail(*_: object) -> None:
        raise av.error.OSError(5, "Input/output error", "a.mkv")

    monkeypatch.setattr(av, "open", fail)
    (found,) = VALUE.read(source, [Item("a.mkv")])
    assert isinstance(found, Quarantined) and found.reason == "cannot be read (Input/output error)"


@pytest.mark.parametrize("value", [Folder(), Fields()])
def test_a_folder_that_cannot_be_listed_is_no_empty_one(tmp_path: Path, value: FromFiles) -> None:
    (tmp_path / "inner").mkdir()
    os.chmod(tmp_path, 0o755)
    with forbidden(tmp_path / "inner"), pytest.raises(PermissionError):
        value.listed(tmp_path)
    (tmp_path / "inner").chmod(0o700)


def test_an_ingest_stops_keeps_what_is_done_and_goes_on(source: Path, tmp_path: Path) -> None:
    """A video that is gone between the listing and the reading, as from a share that was unmounted."""
    store = Store(str(tmp_path / "store"))
    work = CorpusWork.of(VALUE, source)
    video = (source / "a.mkv").read_bytes()
    (source / "a.mkv").unlink()
    with cluster():
        with pytest.raises(RuntimeError) as error:
            ingest([work], store, Progress(), workers=1)
        assert str(error.value).startswith(f"'a.mkv' of the source '{source}' cannot be read (No such file")
        stage = work.stage(store)
        assert stage.manifest() is None
        (source / "a.mkv").write_bytes(video)
        (manifest,) = ingest([work], store, Progress())
        assert (manifest["clips"], manifest["quarantined"]) == (2, [])


def test_a_shard_that_is_lost_meanwhile_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rollbench.engine.corpus.write_shards", lambda *_: None)
    command = ["ingest", "folder", "--source", str(source), "--storage", str(tmp_path / "store"), "--frames", "4"]
    with cluster():
        assert main([*command, "--size", "8", "--test-fraction", "0", "--split", "train"]) == 1
    assert "part-00000.arrow is gone since it was written; run the same command" in capsys.readouterr().err
