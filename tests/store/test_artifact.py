"""The store: whole files or none, receipts that tell, damage that is named, on a local disk and on any other filesystem."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rollbench.errors import UserError
from rollbench.store.artifact import MANIFEST, Artifact, Damaged, Store
from rollbench.store.tensors import tensor_column, tensor_of


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Store(str(tmp_path / "store")).artifact("data", "0123abcd")


def test_a_tensor_column_comes_back_exactly_and_without_a_copy(artifact: Artifact) -> None:
    frames = np.random.default_rng(0).normal(size=(3, 4, 2, 8, 8)).astype(np.float32)
    receipt = artifact.write_table(
        "part-0.arrow", pa.table({"clip_id": ["a", "b", "c"], "frames": tensor_column(frames)})
    )
    read = tensor_of(artifact.read_table(receipt), "frames")
    assert np.array_equal(read, frames)
    assert not read.flags.owndata and not read.flags.writeable  # memory-mapped


@pytest.mark.parametrize(
    "array",
    [np.broadcast_to(np.arange(6.0).reshape(2, 3), (1, 2, 3)), np.arange(6.0).reshape(1, 2, 3).transpose(1, 0, 2)],
)
def test_an_axis_of_one_is_no_obstacle(array: np.ndarray) -> None:
    assert np.array_equal(tensor_of(pa.table({"x": tensor_column(array)}), "x"), array)


def test_a_stage_is_done_only_with_its_manifest(artifact: Artifact) -> None:
    receipt = artifact.write("a.bin", b"abc")
    assert artifact.manifest() is None
    assert set(artifact.receipts()) == {"a.bin"}
    artifact.commit([receipt], title="x")
    assert (artifact.manifest() or {})["title"] == "x"


def test_the_keys_of_a_kind_are_listed(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert store.keys("data") == []
    for key in ("b", "a"):
        store.artifact("data", key).write("x", b"x")
    assert store.keys("data") == ["a", "b"]


def test_the_digest_depends_on_bytes_alone(tmp_path: Path) -> None:
    def commit(name: str, order: list[str], data: bytes) -> str:
        artifact = Store(str(tmp_path / name)).artifact("data", "k")
        receipts = [artifact.write(file, data + file.encode()) for file in order]
        return str(artifact.commit(receipts, made=name)["digest"])

    assert commit("one", ["a", "b"], b"x") == commit("two", ["b", "a"], b"x") != commit("three", ["a", "b"], b"y")


def test_a_half_written_file_has_no_receipt(artifact: Artifact) -> None:
    artifact.write("a.bin", b"abc")
    (Path(artifact.path) / "b.bin").write_bytes(b"half")  # as after a kill between the file and its receipt
    (Path(artifact.path) / "a.bin").write_bytes(b"ab")
    assert artifact.receipts() == {}


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: p.unlink(), "is missing"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "has 2 bytes where the manifest says 3"),
        (lambda p: p.write_bytes(b"abd"), "another sha256"),
    ],
)
def test_damage_is_named_and_only_the_damaged_file_is_dropped(artifact: Artifact, harm, words: str) -> None:  # type: ignore[no-untyped-def]
    receipts = [artifact.write("a.bin", b"abc"), artifact.write("b.bin", b"abc")]
    artifact.commit(receipts)
    assert artifact.damage() == {}
    harm(Path(artifact.path) / "a.bin")
    damage = artifact.damage()
    assert set(damage) == {"a.bin"} and words in damage["a.bin"] and f"{artifact.path}/a.bin" in damage["a.bin"]
    with pytest.raises(Damaged, match="a.bin"):
        artifact.read(receipts[0])
    artifact.invalidate(damage)
    assert artifact.manifest() is None and set(artifact.receipts()) == {"b.bin"}


def test_a_broken_manifest_means_unfinished(artifact: Artifact) -> None:
    artifact.commit([artifact.write("a.bin", b"abc")])
    (Path(artifact.path) / MANIFEST).write_text("{torn")
    assert artifact.manifest() is None


def test_another_filesystem_holds_the_same_stage(tmp_path: Path) -> None:
    """pyarrow's `file://` filesystem takes the path of object stores: no rename, no memory map."""
    local = Store(str(tmp_path)).artifact("data", "k")
    receipt = local.write("a.bin", b"abc")
    digest = local.commit([receipt])["digest"]
    other = Store(f"file://{tmp_path}").artifact("data", "k")
    assert other.read(receipt).to_pybytes() == b"abc"
    assert (other.manifest() or {})["digest"] == digest


def test_a_full_disk_is_told_with_path_and_bytes_and_leaves_no_half_file(tmp_path: Path) -> None:
    """A process that may write no file of more than 1,000 bytes stands for a disk with no more room."""
    code = (
        "import resource, sys\n"
        "from rollbench.store import Store\n"
        "stage = Store(sys.argv[1]).artifact('data', 'k')\n"
        "stage.write('a.bin', bytes(900))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: stage.write('b.bin', bytes(123456))\n"
        "except RuntimeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    artifact = Store(str(tmp_path)).artifact("data", "k")
    said = f"storage {tmp_path}: cannot write {artifact.path}/b.bin (123,456 bytes): "
    assert done.stdout.startswith(said) and "File too large" in done.stdout and done.stdout.count("\n") == 1, done
    assert sorted(p.name for p in Path(artifact.path).iterdir()) == ["a.bin", "a.bin.receipt"]
    artifact.commit([*artifact.receipts().values(), artifact.write("b.bin", bytes(123456))])
    assert artifact.damage() == {}


def test_unwritable_storage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written.*--storage"):
        Store(str(tmp_path / "file" / "store")).check_writable()


def test_an_unknown_kind_of_storage_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        Store("nonsense://bucket/path").check_writable()


def test_too_little_disk_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs 1000000000\.0 GB but storage .* GB free"):
        Store(str(tmp_path)).check_space(10**18)
