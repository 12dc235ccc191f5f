"""Damage that nobody looked for: a stage too large to be read at every start, whose reader finds a file that is not what was written."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evaluators import weights
from experiments.table8 import TABLE
from rollbench.cli.experiment import run
from rollbench.cli.main import main
from rollbench.engine.cluster import cluster
from rollbench.engine.evaluate import WEIGHTS, cache_i3d_weights, network_weights
from rollbench.pipeline.frames import read_clips
from rollbench.store import artifact as store_module
from rollbench.store.artifact import MARK, Artifact, Damaged, Store
from tests.faults.storage import bucket, uri


@pytest.fixture(autouse=True)
def nothing_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of stages beyond the limits."""
    monkeypatch.setattr(store_module, "REHASH_LOCAL", -1)
    monkeypatch.setattr(store_module, "REHASH_REMOTE", -1)


@pytest.fixture(params=["disk", "object store"])
def artifact(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Artifact]:
    if request.param == "disk":
        yield Store(str(tmp_path)).artifact("data", "k")
        return
    with bucket() as at:
        yield Store(uri(at)).artifact("data", "k")


def overwrite(artifact: Artifact, name: str, data: bytes) -> None:
    with artifact.store.filesystem.open_output_stream(f"{artifact.path}/{name}") as out:
        out.write(data)


def flip(path: Path) -> bytes:
    """Change a byte in the middle of a file; what it held."""
    before = path.read_bytes()
    path.write_bytes(
        before[: len(before) // 2] + bytes([before[len(before) // 2] ^ 1]) + before[len(before) // 2 + 1 :]
    )
    return before


def test_who_reads_a_damaged_file_marks_it_and_it_alone_is_made_again(artifact: Artifact) -> None:
    receipts = [artifact.write("a.bin", b"abc"), artifact.write("b.bin", b"abc")]
    artifact.commit(receipts)
    overwrite(artifact, "a.bin", b"abd")
    assert artifact.damage() == {}, "sizes alone were to be compared"
    with pytest.raises(Damaged, match="a.bin has another sha256"):
        artifact.read(receipts[0])
    damage = artifact.damage()
    assert set(damage) == {"a.bin"} and "another sha256" in damage["a.bin"]
    artifact.invalidate(damage)
    assert artifact.get(f"a.bin{MARK}") is None and set(artifact.receipts()) == {"b.bin"}
    artifact.commit([artifact.receipts()["b.bin"], artifact.write("a.bin", b"abc")])
    assert artifact.damage() == {} and artifact.read(receipts[0]).to_pybytes() == b"abc"


def test_a_marked_file_that_came_back_from_a_backup_is_whole(artifact: Artifact) -> None:
    receipt = artifact.write("a.bin", b"abc")
    artifact.commit([receipt])
    overwrite(artifact, "a.bin", b"abd")
    with pytest.raises(Damaged):
        artifact.read(receipt)
    overwrite(artifact, "a.bin", b"abc")
    assert artifact.damage() == {}


def test_in_unfinished_work_a_damaged_file_loses_its_receipt(artifact: Artifact) -> None:
    receipts = [artifact.write("a.bin", b"abc"), artifact.write("b.bin", b"abc")]
    overwrite(artifact, "a.bin", b"abd")
    with pytest.raises(Damaged):
        artifact.read(receipts[0])
    assert set(artifact.receipts()) == {"b.bin"} and artifact.get(f"a.bin{MARK}") is None


def test_a_file_that_was_written_anew_is_not_accused_by_who_holds_its_old_receipt(artifact: Artifact) -> None:
    old = artifact.write("a.bin", b"abc")
    new = artifact.write("a.bin", b"xyz")
    with pytest.raises(Damaged):
        artifact.read(old)
    assert artifact.receipts() == {"a.bin": new}
    artifact.commit([new])
    with pytest.raises(Damaged):
        artifact.read(old)
    assert artifact.damage() == {} and artifact.get(f"a.bin{MARK}") is None


def test_damaged_weights_of_a_network_are_kept_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = tmp_path / "published"
    published.write_bytes(b"weights" * 100)
    monkeypatch.setattr(weights, "export", lambda: published)
    monkeypatch.setattr(store_module, "REHASH_LOCAL", 10**9)
    store = Store(str(tmp_path / "store"))
    cache_i3d_weights(store)
    (kept,) = (tmp_path / "store").rglob(WEIGHTS)
    written = kept.stat().st_mtime_ns
    cache_i3d_weights(store)
    assert kept.stat().st_mtime_ns == written
    flip(kept)
    cache_i3d_weights(store)
    with network_weights(store) as path:
        assert Path(path or "").read_bytes() == published.read_bytes()


def test_a_damaged_corpus_is_told_with_the_command_that_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above the limit by its reader, and by every later run before it starts."""
    source, place = tmp_path / "my runs", tmp_path / "store"
    source.mkdir()
    for number in range(4):
        np.save(source / f"{number}.npy", np.random.default_rng(number).normal(size=(12, 2, 16, 16)).astype(np.float32))
    options = ["--frames", "12", "--kind", "flow", "--dims", "time", "channel", "y", "x", "--test-fraction", "0.5"]
    with cluster():
        assert main(["ingest", "fields", "--source", str(source), "--storage", str(place), *options]) == 0
        corpora = {path.parent.name: path for path in place.glob("corpus/*/part-00000.arrow")}
        damaged = min(corpora)
        before = flip(corpora[damaged])
        others = {p: p.stat().st_mtime_ns for p in place.glob("corpus/*/part-*.arrow") if p != corpora[damaged]}
        artifact = Store(str(place)).artifact("corpus", damaged)
        with pytest.raises(Damaged, match="mend it with `rollbench ingest fields --source '.*/my runs' --split"):
            read_clips(artifact, (artifact.manifest() or {})["files"], False, 4)
        capsys.readouterr()
        split = {key: (Store(str(place)).artifact("corpus", key).manifest() or {})["split"] for key in corpora}
        train, test = sorted(corpora, key=split.__getitem__, reverse=True)
        assert run(TABLE, ["--scale", "smoke", "--storage", str(place), "--data", f"corpora:{train},{test}"]) == 2
        told = capsys.readouterr().err.splitlines()[-1]
        assert f"{corpora[damaged]} has another sha256" in told
        command = shlex.split(told.split("`")[1])
        assert command[0] == "rollbench" and main(command[1:]) == 0
    assert corpora[damaged].read_bytes() == before and artifact.damage() == {}
    assert {p: p.stat().st_mtime_ns for p in others} == others
