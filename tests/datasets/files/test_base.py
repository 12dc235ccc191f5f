"""A source that fails while it is read: the disk is to blame and not the files, so none of them is left out and the work stops."""

import contextlib
import os
import resource
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rollbench.cli.main import main
from rollbench.datasets.files.arrays import values
from rollbench.datasets.files.axes import field_of
from rollbench.datasets.files.bair import BAIR
from rollbench.datasets.files.base import FromFiles, Item, SkippedItem, SourceError
from rollbench.datasets.files.fields import Fields
from rollbench.datasets.files.folder import Folder
from rollbench.datasets.files.kinetics import Kinetics600
from rollbench.engine.cluster import cluster
from rollbench.engine.ingest import ingest
from rollbench.errors import UserError
from rollbench.pipeline.corpora import CorpusStage
from rollbench.progress import Progress
from rollbench.store.artifact import Store
from tests.support.clips import blocks, enlarged, write_video

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
    (gone, SourceError, r"\(No such file or directory\) and was there before; bring it back"),
    (broken, SourceError, r"\(Input/output error\), which is no fault of what it holds; what is finished is kept"),
    (too_many_open, SourceError, r"\(Too many open files\), which is no fault of what it holds"),
    (forbidden, UserError, r"\(Permission denied\): let this user read it, or take it out of the source"),
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

    def read(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr("rollbench.datasets.files.axes.values", read)
    error = errors["of the content"]
    (found,) = value.read(tmp_path, [Item("a.npy", (0, 0))])
    assert isinstance(found, SkippedItem) and "inflate() failed" in found.reason
    error = errors["of the disk"]
    with pytest.raises(SourceError, match="'a.npy' of the source"):
        list(value.read(tmp_path, [Item("a.npy", (0, 0))]))


def test_damage_that_decoders_call_an_error_of_the_disk_is_damage(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    def fail(*_: object, **options: object) -> None:
        raise av.error.OSError(5, "Input/output error", "a.mkv")

    monkeypatch.setattr(av, "open", fail)
    (found,) = VALUE.read(source, [Item("a.mkv")])
    assert isinstance(found, SkippedItem) and found.reason == "cannot be read (Input/output error)"


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
    stage = CorpusStage.of(VALUE, source)
    video = (source / "a.mkv").read_bytes()
    (source / "a.mkv").unlink()
    with cluster():
        with pytest.raises(RuntimeError) as error:
            ingest([stage], store, Progress(), workers=1)
        assert str(error.value).startswith(f"'a.mkv' of the source '{source}' cannot be read (No such file")
        artifact = stage.artifact(store)
        assert artifact.manifest() is None
        (source / "a.mkv").write_bytes(video)
        (manifest,) = ingest([stage], store, Progress())
        assert (manifest["clips"], manifest["quarantined"]) == (2, [])


def test_a_shard_that_is_lost_meanwhile_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rollbench.engine.ingest.write_shards", lambda *_: None)
    command = ["ingest", "folder", "--source", str(source), "--storage", str(tmp_path / "store"), "--frames", "4"]
    with cluster():
        assert main([*command, "--size", "8", "--test-fraction", "0", "--split", "train"]) == 1
    assert "part-00000.arrow is gone since it was written; run the same command" in capsys.readouterr().err


# --- names and sheets ----------------------------------------------------------------------------------------------------------
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for value, ending in ((Folder(), ".mp4"), (Kinetics600(split="val"), ".mp4"), (Fields(), ".npy")):
        folder = tmp_path / value.cli_name / "val"
        folder.mkdir(parents=True)
        np.save(folder / "other.npy", np.ones((40, 1, 2, 2), np.float32))
        for name in (b"caf\xe9", b"other"):
            path = os.fsencode(folder) + b"/" + name + ending.encode()
            with open(path, "wb") as file:
                np.save(file, np.ones((40, 1, 2, 2), np.float32))
        more = ["--dims", "time", "channel", "y", "x"] if value.cli_name == "fields" else []
        more += ["--split", "val"] if value.cli_name == "kinetics600" else []
        assert main(["ingest", value.cli_name, "--source", str(tmp_path / value.cli_name), "--dry-run", *more]) == 2
        assert "caf\\udce9" in (told := capsys.readouterr().err) and "is no UTF-8; rename it" in told
        assert told.count("\n") == 1


def test_names_in_any_script_are_text(tmp_path: Path) -> None:
    for name in ("café", "видео", "動画", "🎞"):
        (tmp_path / f"{name}.mp4").touch()
    assert len(Folder(test_fraction=0.0).listed(tmp_path).items) == 4


@pytest.mark.parametrize("sheet", ["id,label\nabcdefghijk,café\n".encode("latin-1"), b'id\n"' + b"x" * 200_000])
def test_a_sheet_that_is_none_is_refused(tmp_path: Path, sheet: bytes) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "abcdefghijk.mp4").touch()
    (tmp_path / "val.csv").write_bytes(sheet)
    with pytest.raises(UserError, match=r"val.csv is no sheet of commas in UTF-8 \(.*\); save it as such"):
        Kinetics600(split="val").listed(tmp_path)


# --- damaged files of fields -----------------------------------------------------------------------------------------------------
def empty(path: Path) -> Path:
    path.with_suffix(".npy").touch()
    return path.with_suffix(".npy")


def torn_archive(path: Path) -> Path:
    """Compressed, a byte in its middle flipped."""
    path = path.with_suffix(".npz")
    np.savez_compressed(path, u=np.random.default_rng(0).normal(size=(40, 8, 8)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    return path


def torn_header(path: Path) -> Path:
    path = path.with_suffix(".npy")
    np.save(path, np.ones((4, 2, 2)))
    path.write_bytes(path.read_bytes().replace(b"'fortran_order'", b"'fortran_order("))
    return path


def torn_netcdf(path: Path) -> Path:
    from scipy.io import netcdf_file

    path = path.with_suffix(".nc")
    with netcdf_file(path, "w") as file:
        for name, size in (("time", 40), ("y", 8), ("x", 8)):
            file.createDimension(name, size)
        file.createVariable("u", "f4", ("time", "y", "x"))[:] = 1
    path.write_bytes(path.read_bytes()[:60])
    return path


@pytest.mark.parametrize("make", [empty, torn_archive, torn_header, torn_netcdf])
def test_a_damaged_file_of_fields_is_one_line(
    tmp_path: Path, make: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / "a")
    assert main(["ingest", "fields", "--source", str(path), "--storage", str(tmp_path / "store")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"rollbench: {path} cannot be read (") and told.count("\n") == 1


@pytest.mark.parametrize("length", [4, 40, 60, 100, 140, 180, 220, 1000, 10_000])
def test_a_netcdf_file_torn_anywhere_is_one_line(tmp_path: Path, length: int) -> None:
    path = torn_netcdf(tmp_path / "b")
    from scipy.io import netcdf_file

    with netcdf_file(path, "w") as file:
        for name, size in (("time", 40), ("y", 8), ("x", 8)):
            file.createDimension(name, size)
        file.createVariable("u", "f4", ("time", "y", "x"))[:] = 1
    assert length < path.stat().st_size
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError):
        Fields().listed(path)


def unreadable(error: Exception, dims: tuple[str, ...], shape: tuple[int, ...]) -> Any:
    """A lazy variable whose values cannot be read."""
    xarray = pytest.importorskip("xarray", reason="pip install -e '.[fields]'")
    from xarray.backends import BackendArray
    from xarray.core.indexing import LazilyIndexedArray

    class Failing(BackendArray):
        dtype = np.dtype("f4")

        def __init__(self) -> None:
            self.shape = shape

        def __getitem__(self, key: Any) -> Any:
            raise error

    return xarray.Variable(dims, LazilyIndexedArray(Failing()))


def test_an_error_in_damaged_values_has_its_class() -> None:
    damage = zlib.error("Error -3 while decompressing")
    time, field = unreadable(damage, ("time",), (3,)), unreadable(damage, ("time", "y", "x"), (3, 2, 2))
    with pytest.raises(UserError, match=r"^error: Error -3 while decompressing"):
        values(time)
    with pytest.raises(UserError, match=r"^a.nc: 'time' cannot be read \(error: Error -3"):
        field_of({"u": field, "time": time}, (), (), 0.0, "a.nc")


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError(5, "Input/output error")])
def test_an_error_of_the_machine_is_not_damage(error: Exception) -> None:
    with pytest.raises(type(error)):
        values(unreadable(error, ("time",), (3,)))


def test_a_unit_in_another_encoding_is_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="pip install -e '.[fields]'")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("u", data=np.zeros((9, 2, 2))).attrs["units"] = np.bytes_(b"\xb0C")
    ((_, unit),) = Fields(frames=9, dims=("time", "y", "x"), test_fraction=0).listed(tmp_path).channels
    assert unit.endswith("C")
