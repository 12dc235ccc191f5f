"""Shards of an object store on a node's own disk: fetched once, checked, mapped, never more than there is room for."""

import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rollbench.datasets.gaussian import Gaussian
from rollbench.datasets.windows import Windows
from rollbench.errors import UserError
from rollbench.pipeline.frames import clips_of, read_clips
from rollbench.pipeline.graph import Data
from rollbench.store import node_cache
from rollbench.store.artifact import Artifact, Damaged, Store
from rollbench.store.tensors import tensor_column
from tests.faults.storage import flaky, uri

SIZE = 24_000_000  # bytes of a file that is large beside what a fetch may hold


@pytest.fixture
def artifact(server: str, tmp_path: Path) -> Artifact:
    return Store(uri(server, f"bucket/{tmp_path.name}")).artifact("data", "k")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    monkeypatch.setenv(node_cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "shards"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once_and_mapped_from_disk(server: str, tmp_path: Path, folder: Path) -> None:
    with flaky(server, one_in=10**9) as proxy:
        artifact = Store(uri(proxy.at, f"bucket/{tmp_path.name}")).artifact("data", "k")
        receipt = artifact.write("a.bin", b"abc" * 1000)
        artifact.read(receipt, cache=True)
        before = proxy.requests
        data = artifact.read(receipt, cache=True)
        assert proxy.requests == before and data.to_pybytes() == b"abc" * 1000
    kept = folder / receipt["sha256"]
    assert names(folder) == [kept.name]
    regions = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(kept))]
    assert any(
        int(region[0].split("-")[0], 16) <= data.address < int(region[0].split("-")[1], 16) for region in regions
    )
    kept.unlink()  # as a user may at any time
    assert data.to_pybytes() == b"abc" * 1000 == artifact.read(receipt, cache=True).to_pybytes()


def test_memory_does_not_grow_with_what_is_read(artifact: Artifact) -> None:
    for n in range(6):
        artifact.write(f"{n}.bin", bytes([n]) * SIZE)
    code = (
        "import re, sys\nfrom pathlib import Path\nfrom rollbench.store import Store\n"
        "stage = Store(sys.argv[1]).artifact('data', 'k')\n"
        "anonymous = lambda: int(re.search(r'RssAnon:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) * 1024\n"
        "receipts = stage.receipts()\nbefore = anonymous()\n"
        "kept = [stage.read(receipt, cache=True) for receipt in receipts.values()]\n"
        "assert sum(map(len, kept)) == 6 * 24_000_000\nprint(anonymous() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, artifact.store.root], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 3 * SIZE, "of six files"


def test_two_may_fetch_a_file_at_once(artifact: Artifact, folder: Path) -> None:
    data = np.random.default_rng(0).bytes(SIZE)
    receipt = artifact.write("a.bin", data)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: artifact.read(receipt, cache=True).to_pybytes(), range(4)))
    assert all(one == data for one in found) and names(folder) == [receipt["sha256"]]


@pytest.mark.parametrize(
    ("data", "words"), [(b"abd", "another sha256"), (b"ab", "has 2 bytes"), (b"abcd", "has 4 bytes")]
)
def test_a_damaged_file_is_no_part_of_the_cache(artifact: Artifact, folder: Path, data: bytes, words: str) -> None:
    receipt = artifact.write("a.bin", b"abc")
    artifact.commit([receipt])
    with artifact.store.filesystem.open_output_stream(f"{artifact.path}/a.bin") as out:
        out.write(data)
    with pytest.raises(Damaged, match=f"a.bin .*{words}"):
        artifact.read(receipt, cache=True)
    assert names(folder) == [] and set(artifact.damage()) == {"a.bin"}
    artifact.delete("a.bin")
    with pytest.raises(Damaged, match="a.bin is missing"):
        artifact.read(receipt, cache=True)


def test_a_torn_file_of_the_cache_is_fetched_again(artifact: Artifact, folder: Path) -> None:
    receipt = artifact.write("a.bin", b"abc")
    artifact.read(receipt, cache=True)
    (folder / receipt["sha256"]).write_bytes(b"ab")
    assert artifact.read(receipt, cache=True).to_pybytes() == b"abc"


def test_too_little_room_is_told_before_anything_is_fetched(
    artifact: Artifact, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(node_cache.shutil, "disk_usage", lambda _: usage(10**13, 0, node_cache.MARGIN + 2))
    receipt = artifact.write("a.bin", b"abc")
    with pytest.raises(UserError, match=r"1\.1 GB free where 0\.0 GB are to be fetched.*set ROLLBENCH_CACHE"):
        artifact.read(receipt, cache=True)
    assert names(folder) == []
    monkeypatch.setattr(node_cache.shutil, "disk_usage", lambda _: usage(10**13, 0, node_cache.MARGIN + 3))
    artifact.read(receipt, cache=True)
    monkeypatch.setattr(node_cache.shutil, "disk_usage", lambda _: usage(10**13, 0, 0))
    node_cache.check_free_space([(receipt["sha256"], 3)])  # it is there


def test_a_disk_that_fills_meanwhile_is_told(folder: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"abc"
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\); set ROLLBENCH_CACHE"):
        node_cache.open_cached("0" * 64, 6, chunks)
    assert names(folder) == []


def test_what_a_killed_fetch_left_is_deleted(folder: Path) -> None:
    code = (
        "import os, signal, sys\nfrom rollbench.store import node_cache\n"
        "def chunks():\n    yield b'abc'\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "node_cache.open_cached('0' * 64, 6, chunks)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode < 0
    assert len(names(folder)) == 1
    node_cache.check_free_space([])
    assert names(folder) == []


def test_by_default_it_lies_in_the_temporary_folder_and_is_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(node_cache.VARIABLE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert node_cache.folder() == tmp_path / f"rollbench-shards-{os.getuid()}"
    assert node_cache.folder().stat().st_mode & 0o077 == 0
    mine = os.getuid()
    node_cache.folder().rename(tmp_path / f"rollbench-shards-{mine + 1}")
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(UserError, match="is another user's; set ROLLBENCH_CACHE"):
        node_cache.folder()


# --- the clips of a training split -----------------------------------------------------------------------------------------------
@pytest.fixture(params=["disk", "object store"])
def data(request: pytest.FixtureRequest, server: str, tmp_path: Path) -> tuple[Data, Artifact]:
    """A data stage of three shards of two clips."""
    store = Store(str(tmp_path / "store") if request.param == "disk" else uri(server, f"bucket/{tmp_path.name}"))
    stage = Data(Gaussian(), 5, 0, title="clips")
    artifact, value = stage.artifact(store), stage.data
    frames = np.random.default_rng(0).normal(size=(6, value.frames, *value.frame_shape)).astype(np.float32)
    receipts = [
        artifact.write_table(
            f"part-{n}.arrow",
            pa.table({"clip_id": ["a", "b"], "frames": tensor_column(frames[2 * n : 2 * n + 2])}),
            split="train",
        )
        for n in range(3)
    ]
    artifact.commit(receipts)
    return stage, artifact


def windows(clips: object, shape: tuple[int, ...] | None = None) -> Windows:
    return Windows(clips, 3, seed=1, centre=0.5, scale=2.0, shape=shape)  # type: ignore[arg-type]


def test_windows_of_clips_that_are_opened_when_needed_are_the_same(data: tuple[Data, Artifact]) -> None:
    stage, artifact = data
    lazy = clips_of(stage, artifact.store, "train")
    all_at_once = windows(read_clips(artifact, (artifact.manifest() or {})["files"], False, 5).clips)
    found = windows(lazy, lazy.shape)
    assert len(lazy) == 5 and len(found) == len(all_at_once)
    assert np.array_equal(found.take(range(2 * len(found))), all_at_once.take(range(2 * len(found))))
    assert not lazy[4].flags.owndata and not lazy[4].flags.writeable
    with pytest.raises(IndexError):
        lazy[5]


def test_a_file_is_looked_at_when_a_window_of_it_is_taken(data: tuple[Data, Artifact]) -> None:
    stage, artifact = data
    artifact.delete("part-1.arrow")
    clips = clips_of(stage, artifact.store, "train")
    found = windows(clips, clips.shape)
    assert clips[0].shape == clips.shape and clips[4].shape == clips.shape
    with pytest.raises(Damaged, match="part-1.arrow is missing"):
        found.take(range(len(found)))


def test_a_node_without_room_for_a_split_says_so_before_the_first_step(
    data: tuple[Data, Artifact], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, artifact = data
    monkeypatch.setattr(node_cache, "MARGIN", 1 << 60)
    if artifact.store.local:
        assert len(clips_of(stage, artifact.store, "train")) == 5
        return
    with pytest.raises(UserError, match="ROLLBENCH_CACHE"):
        clips_of(stage, artifact.store, "train")
    assert names(folder) == []
