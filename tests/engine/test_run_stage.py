"""Stages through Ray: a full disk, a user's mistake and a damaged file reach the driver as one line, and a rerun goes on."""

import contextlib
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollbench.datasets.gaussian import Gaussian
from rollbench.engine.run_stage import StageOutput, run_stage, write_shards
from rollbench.engine.simulate import ingest
from rollbench.errors import UserError
from rollbench.pipeline.graph import Data, Stage
from rollbench.progress import Progress
from rollbench.store.artifact import MANIFEST, RECEIPT, Artifact, Store
from rollbench.store.lease import CLAIM
from rollbench.store.manifest import sealed

SHARD = 300_000  # bytes of each shard


@dataclass(frozen=True, eq=False)
class Numbered(Stage):
    """A stage whose only input is a number."""

    kind = "data"
    n: int


WORK = Numbered(8, title="shards of bytes")
DATA = Data(Gaussian(grid=4, frames=2), 20, 2, title="a flow")


@pytest.fixture(scope="module", autouse=True)
def one_cluster() -> Iterator[None]:
    from rollbench.engine.cluster import cluster

    with cluster():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A storage with a finished data stage, and its manifest."""
    folder = tmp_path_factory.mktemp("finished")
    store, progress = Store(str(folder)), Progress(io.StringIO())
    run_stage(DATA, {DATA}, store, progress, lambda stage: ingest(stage, store, progress))
    return folder, DATA.artifact(store).manifest() or {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def run(store: Store, function: Any = None) -> str:
    """Make the stage, each shard by `function(stage, shard)`; what was said meanwhile."""
    said = io.StringIO()

    def write(artifact: Artifact, shard: dict[str, Any]) -> dict[str, Any]:
        return artifact.write(shard["name"], bytes([shard["i"]]) * SHARD)

    progress = Progress(said, every=0.0)

    def shards(stage: Stage) -> StageOutput:
        artifact = stage.artifact(store)
        names = [{"name": f"part-{i}.bin", "i": i} for i in range(8)]
        pipeline = lambda items: items.map(lambda shard: (function or write)(artifact, shard))  # noqa: E731
        return StageOutput(write_shards(artifact, names, progress, "write", "shards", pipeline))

    run_stage(WORK, {WORK}, store, progress, shards)
    return said.getvalue()


def test_a_full_disk_is_told_in_one_line_and_a_rerun_goes_on(small_disk: Path, tmp_path: Path) -> None:
    store = Store(str(small_disk / "store"))
    artifact = WORK.artifact(store)
    with pytest.raises(RuntimeError) as error:
        run(store)
    said = str(error.value)
    assert said.startswith(f"storage {store}: cannot write {artifact.path}/part-") and "\n" not in said
    assert f"({SHARD:,} bytes)" in said and "No space left on device" in said and "is kept" in said
    assert artifact.manifest() is None and artifact.get(CLAIM) is None
    kept = artifact.receipts()
    assert 1 <= len(kept) <= 3 and not list(Path(artifact.path).glob(".*")), "half a file was left"
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    written = {name: Path(artifact.path, name).stat().st_mtime_ns for name in kept}
    run(store)
    assert {name: Path(artifact.path, name).stat().st_mtime_ns for name in kept} == written
    other = Store(str(tmp_path / "elsewhere"))
    run(other)
    assert artifact.damage() == {} and artifact.manifest()["digest"] == WORK.artifact(other).manifest()["digest"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (UserError("grid 3 is odd; the nearest even is 4"), UserError, "grid 3 is odd; the nearest even is 4"),
        (ValueError("no such frame"), RuntimeError, "ValueError: no such frame"),
        (KeyError("mean"), RuntimeError, "KeyError: 'mean'"),
    ],
)
def test_an_error_on_a_worker_keeps_its_words(tmp_path: Path, raised: Exception, kind: type, words: str) -> None:
    def fail(artifact: Artifact, shard: dict[str, Any]) -> dict[str, Any]:
        raise raised

    with pytest.raises(kind) as error:
        run(Store(str(tmp_path)), fail)
    assert type(error.value) is kind and str(error.value) == words


def test_a_file_whose_receipt_lacks_what_is_needed_is_written_again(tmp_path: Path) -> None:
    """One of another version of this project, or one that somebody has edited."""
    store = Store(str(tmp_path))
    data = DATA
    artifact = data.artifact(store)
    run_stage(data, {data}, store, Progress(io.StringIO()), lambda stage: ingest(stage, store, Progress(io.StringIO())))
    before = artifact.manifest() or {}
    artifact.invalidate(())
    for name, receipt in list(artifact.receipts().items())[:2]:
        less = {k: receipt[k] for k in ("name", "bytes", "sha256", "rows")}
        artifact.put(f"{name}{RECEIPT}", json.dumps(sealed(less)).encode())
    run_stage(data, {data}, store, Progress(io.StringIO()), lambda stage: ingest(stage, store, Progress(io.StringIO())))
    after = artifact.manifest() or {}
    assert all(after[name] == before[name] for name in ("digest", "clips", "mean", "std"))


@pytest.mark.parametrize("place", range(3, 400, 61))
def test_a_flipped_bit_in_a_receipt_changes_no_number(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path, place: int
) -> None:
    """Facts of a receipt, such as the sum of squares, become the normalisation."""
    folder, before = finished
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    store = Store(str(tmp_path))
    artifact = DATA.artifact(store)
    artifact.delete(MANIFEST)
    name = sorted(artifact.receipts())[0]
    path = Path(artifact.path, f"{name}{RECEIPT}")
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(data)
    out = io.StringIO()
    run_stage(DATA, {DATA}, store, Progress(out), lambda stage: ingest(stage, store, Progress(out)))
    after = artifact.manifest() or {}
    assert f"damaged: the receipt of {artifact}/{name}; it is made again" in out.getvalue()
    assert all(after[fact] == before[fact] for fact in ("digest", "clips", "mean", "std"))


def test_a_path_out_of_the_stage_is_refused_on_a_worker_too(tmp_path: Path) -> None:
    def escape(artifact: Artifact, shard: dict[str, Any]) -> dict[str, Any]:
        return artifact.write("../../escaped", b"x")

    with pytest.raises(UserError, match="'../../escaped' is not a valid name in a storage"):
        run(Store(str(tmp_path / "store")), escape)
    with contextlib.suppress(FileNotFoundError):
        assert not list(tmp_path.rglob("escaped*"))


def test_a_stage_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert "shards of bytes" in run(store)
    assert run(store) == ""
