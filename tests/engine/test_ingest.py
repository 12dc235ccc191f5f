"""Ingestion end to end: the same bytes whatever the workers, whatever stopped it, and nothing half done."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rollbench.cli.main import main
from rollbench.datasets.files.folder import Folder
from rollbench.datasets.ingested import Ingested
from rollbench.engine.cluster import cluster
from rollbench.pipeline import corpora
from rollbench.store.artifact import RECEIPT, Store, sha256
from rollbench.store.tensors import tensor_of
from tests.faults.processes import kill_when
from tests.support.clips import blocks, enlarged, write_video

OPTIONS = ["--size", "8", "--frames", "4", "--test-fraction", "0.25"]
VALUE = Folder(size=8, frames=4, test_fraction=0.25)


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    """One cluster for all tests of this file."""
    with cluster():
        yield


def pictures(number: int, frames: int = 6) -> np.ndarray:
    return blocks(frames, 8, 8, seed=number)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 videos (more than there are shards), of which one is too short and one is broken."""
    root = tmp_path_factory.mktemp("source")
    for number in range(70):
        write_video(root / f"{number:02d}.mkv", enlarged(pictures(number, 3 if number == 33 else 6)))
    (root / "07.mkv").write_bytes((root / "07.mkv").read_bytes()[:200])
    return root


def ingest(source: Path, storage: Path, *more: str) -> int:
    return main(["ingest", "folder", "--source", str(source), "--storage", str(storage), *OPTIONS, *more])


def manifests(storage: Path) -> dict[str, dict[str, Any]]:
    return {m["split"]: m for m in corpora.manifests(Store(str(storage)))}


def digests(storage: Path) -> dict[str, str]:
    return {split: manifest["digest"] for split, manifest in manifests(storage).items()}


def receipts(storage: Path) -> dict[str, int]:
    """When each finished shard was written."""
    return {str(p): p.stat().st_mtime_ns for p in storage.rglob(f"*{RECEIPT}")}


@pytest.fixture(scope="module")
def finished(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("finished")
    assert ingest(source, storage, "--workers", "2") == 0
    return storage


# --- what is made --------------------------------------------------------------------------------------------------------------
def test_every_clip_is_there_exactly_once_with_its_hash(finished: Path) -> None:
    found = {}
    for split, manifest in manifests(finished).items():
        for table in Store(str(finished)).artifact("corpus", manifest["key"]).tables():
            frames = tensor_of(table, "frames")
            assert frames.dtype == np.uint8 and not frames.flags.owndata  # memory-mapped
            for row, clip in zip(table.to_pylist(), frames, strict=True):
                assert row["sha256"] == sha256(clip.tobytes()) and (row["start"], row["dt"]) == (0, 0.1)
                assert row["clip_id"] == f"{row['source']}@000000"
                found[row["source"]] = (split, clip)
    assert sorted(found) == [f"{n:02d}.mkv" for n in range(70) if n not in (7, 33)]
    assert sum(split == "test" for split, _ in found.values()) in (16, 17, 18)  # 18, less those that are left out
    for name, (_, clip) in found.items():
        assert np.array_equal(clip, pictures(int(name[:2]))[:4])


def test_the_manifest_says_what_was_done(finished: Path) -> None:
    both = manifests(finished)
    assert both["train"]["clips"] + both["test"]["clips"] == 68
    left = {fault["source"]: fault["reason"] for manifest in both.values() for fault in manifest["quarantined"]}
    assert left.pop("33.mkv") == "too short: 3 frames at stride 1 where a clip has 4"
    assert "07.mkv" in left and len(left) == 1
    train = both["train"]
    frames = np.concatenate(
        [tensor_of(t, "frames") for t in Store(str(finished)).artifact("corpus", train["key"]).tables()]
    )
    assert np.allclose(train["mean"], frames.mean((0, 1, 2, 3))) and np.allclose(train["std"], frames.std((0, 1, 2, 3)))
    assert (train["kind"], train["layout"], train["frame_shape"], train["frames"]) == ("video", "tyxc", [3, 8, 8], 4)
    assert (train["frame_interval"], len(train["files"])) == (0.1, train["clips"])
    assert train["corpus"]["is"] == "Folder" and train["corpus"]["filter"] == "area"


def test_an_experiment_finds_the_pair(finished: Path) -> None:
    data = Ingested.of(*corpora.pair(Store(str(finished)), VALUE))
    assert (data.name, data.kind, data.frames, data.frame_shape) == ("Folder", "video", 4, (3, 8, 8))


def test_one_worker_gives_the_same_bytes(source: Path, finished: Path, tmp_path: Path) -> None:
    assert ingest(source, tmp_path, "--workers", "1") == 0
    assert digests(tmp_path) == digests(finished)


def test_another_place_of_the_source_is_the_same_corpus(source: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").symlink_to(source)
    before = receipts(finished)
    assert ingest(tmp_path / "moved", finished) == 0
    assert receipts(finished) == before


# --- again, and after a stop ---------------------------------------------------------------------------------------------------
def test_again_nothing_is_done(source: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = receipts(finished)
    assert ingest(source, finished) == 0
    assert receipts(finished) == before
    out, err = capsys.readouterr()
    assert err == "" and re.search(r"corpus/\w{20}: \d+ clips for train, .* left out, see `rollbench inspect", out)


def test_a_damaged_shard_is_made_again_and_no_other(source: Path, finished: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", f"{finished}/.", tmp_path], check=True)
    path = sorted(tmp_path.glob("corpus/*/part-*.arrow"))[5]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    before = receipts(tmp_path)
    assert ingest(source, tmp_path) == 0
    after = receipts(tmp_path)
    assert [name for name in after if after[name] != before[name]] == [f"{path}{RECEIPT}"]
    assert digests(tmp_path) == digests(finished)


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(source: Path, finished: Path, tmp_path: Path) -> None:
    """SIGKILL of the driver and all its workers; the next run does what is missing and nothing else."""
    command = [
        sys.executable,
        "-m",
        "rollbench.cli.experiment",
        "ingest",
        "folder",
        "--source",
        str(source),
        "--storage",
        str(tmp_path),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    driver = subprocess.Popen(
        [*command, *OPTIONS, "--workers", "1"], stderr=subprocess.DEVNULL, start_new_session=True, env=environment
    )
    kill_when(driver, lambda: len(receipts(tmp_path)) >= 10)
    before = receipts(tmp_path)
    assert 10 <= len(before) < 70 and manifests(tmp_path) == {}
    assert ingest(source, tmp_path) == 0
    after = receipts(tmp_path)
    assert {name: after[name] for name in before} == before, "a finished shard was written again"
    assert len(after) == len(receipts(finished)) and digests(tmp_path) == digests(finished)


def test_a_full_disk_is_told_and_when_there_is_room_it_goes_on(
    source: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        assert ingest(source, disk) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert "No space left on device" in error and "what is finished is kept" in error
        assert manifests(disk) == {} and not list(disk.rglob(".part*"))
        before = receipts(disk)
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        assert before and ingest(source, disk) == 0
        assert before.items() <= receipts(disk).items() and digests(disk) == digests(finished)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_corpus_that_is_nearly_there_needs_little_room(
    source: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk with room for three of its sixty-odd clips."""
    subprocess.run(["cp", "-a", f"{finished}/.", tmp_path], check=True)
    for manifest in manifests(tmp_path).values():
        Store(str(tmp_path)).artifact("corpus", manifest["key"]).invalidate([manifest["files"][0]["name"]])
    asked = []
    monkeypatch.setattr(Store, "check_space", lambda self, needed: asked.append(needed))
    assert ingest(source, tmp_path) == 0 and digests(tmp_path) == digests(finished)
    clip = 4 * 8 * 8 * 3
    assert len(asked) == 1 and asked[0] < 5 * clip, "two shards, and the two videos that gave no clip"


# --- bad input -----------------------------------------------------------------------------------------------------------------
def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line with which a command ends that exits with 2."""
    capsys.readouterr()
    assert main(["ingest", *map(str, arguments)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rollbench:")]
    assert len(lines) == 1
    return lines[0]


def test_bad_input_is_one_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["folder", "--source", source, "--storage", tmp_path / "store"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("in the way")
    assert "no videos in" in refused(capsys, "folder", "--source", tmp_path / "empty")
    assert "has no folder for the split 'train'" in refused(capsys, "kinetics600", "--source", tmp_path / "empty")
    assert "split 'val' is unknown" in refused(capsys, *folder, "--split", "val")
    assert "cannot be written" in refused(capsys, *folder[:3], "--storage", tmp_path / "file" / "store")
    assert "--workers 0 is below 1" in refused(capsys, *folder, "--workers", "0")
    assert "the source gives no clip, first" in refused(capsys, *folder, "--frames", "7")
    assert manifests(tmp_path / "store") == {}


def test_what_annotations_name_and_nobody_has_is_refused_unless_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, storage = tmp_path / "k600", tmp_path / "store"
    write_video(source / "val" / "abcdefghijk.mkv", enlarged(pictures(0)))
    (source / "val.csv").write_text("youtube_id,split\nabcdefghijk,val\nnot_here___,val\nnor_this___,val\n")
    command = [
        "kinetics600",
        "--source",
        source,
        "--storage",
        storage,
        "--split",
        "val",
        "--size",
        "8",
        "--frames",
        "4",
    ]
    words = refused(capsys, *command)
    assert "2 of the 3 clips or files of the source cannot be used, first nor_this___: val.csv names it" in words
    assert not storage.exists()
    assert main(["ingest", *map(str, command), "--skip-bad"]) == 0
    assert [fault["source"] for fault in manifests(storage)["val"]["quarantined"]] == ["nor_this___", "not_here___"]


def test_fields_with_gaps_are_refused_and_read_again_when_they_are_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, storage = tmp_path / "runs", tmp_path / "store"
    source.mkdir()
    for number in range(4):
        fields = np.random.default_rng(number).normal(size=(8, 2, 6, 6)).astype(np.float32)
        fields[5, 1, 2, 3] = np.nan if number == 2 else 0
        np.save(source / f"{number}.npy", fields)
    command = ["fields", "--source", source, "--storage", storage, "--frames", "4", "--split", "train"]
    command += ["--test-fraction", "0", "--dims", "time", "channel", "y", "x"]
    words = refused(capsys, *command)
    assert (
        "1 of the 8 clips or files of the source cannot be used, first 2.npy: trajectory 0, frames 4 to 7: 1 value"
        in words
    )
    before = receipts(storage)
    assert len(before) == 6 and manifests(storage) == {}
    np.save(source / "2.npy", np.ones((8, 2, 6, 6), np.float32))
    assert main(["ingest", *map(str, command)]) == 0
    assert before.items() <= receipts(storage).items()
    manifest = manifests(storage)["train"]
    assert (manifest["clips"], manifest["layout"], manifest["kind"]) == (8, "tcyx", "field")
    mean = np.concatenate([np.load(p) for p in sorted(source.iterdir())]).astype(np.float64).mean((0, 2, 3))
    assert np.allclose(manifest["mean"], mean, rtol=1e-12)


def test_a_dry_run_tells_and_makes_nothing(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ingest(source, tmp_path / "store", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "folder train: 4 frames of 8x8" in out and "70 files of" in out and "at most 52" in out
    assert "0 of 52 shards are there" in out and not (tmp_path / "store").exists()


# --- real files ----------------------------------------------------------------------------------------------------------------
def test_real_videos(shared: Path, tmp_path: Path) -> None:
    """All of them give clips but the broken one, which is quarantined with its reason."""
    arguments = ["--split", "train", "--test-fraction", "0", "--size", "64", "--frames", "3"]
    assert main(["ingest", "folder", "--source", str(shared / "videos"), "--storage", str(tmp_path), *arguments]) == 0
    manifest = manifests(tmp_path)["train"]
    assert manifest["clips"] == 11
    (left,) = manifest["quarantined"]
    assert left["source"] == "decord__corrupted.mp4" and left["reason"].startswith("damaged behind frame 3")
    assert json.dumps(manifest)
