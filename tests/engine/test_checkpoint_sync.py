"""Checkpoints on their way to object storage and back: on a disk of one's own, cut off in between, cleared when the model is there."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rollbench.engine.checkpoint_sync import scratch
from rollbench.store.artifact import Artifact, Store
from rollbench.training import checkpoint
from tests.faults.storage import bucket, flaky, uri


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket() as at, flaky(at, one_in=20, seed=1) as proxy:
        yield proxy.at


@pytest.fixture(params=["disk", "object store"])
def artifact(request: pytest.FixtureRequest, tmp_path: Path) -> Artifact:
    if request.param == "disk":
        return Store(str(tmp_path / "store")).artifact("model", "k")
    return Store(uri(request.getfixturevalue("server"), f"bucket/{tmp_path.name}")).artifact("model", "k")


def save(folder: Path, step: int) -> Path:
    return checkpoint.save_step(folder, step, {"x": torch.full((1000,), float(step))}, {"step": step})


def found(artifact: Artifact) -> int | None:
    """The step that a worker on another machine takes up."""
    with scratch(artifact, rank=0) as other:
        newest = checkpoint.load_latest(other.path)
        assert newest is None or float(newest[0]["x"][0]) == newest[1]["step"]
        return newest and int(newest[1]["step"])


def kept(artifact: Artifact) -> list[str]:
    with scratch(artifact, rank=0) as other:
        return sorted(path.name for path in other.path.glob("step-*"))


def test_another_machine_goes_on_from_the_newest_checkpoint(artifact: Artifact) -> None:
    assert found(artifact) is None
    with scratch(artifact, rank=0) as here:
        for step in (1, 2, 3):
            here.send(save(here.path, step), step)
            assert found(artifact) == step
        assert kept(artifact) == ["step-00000002", "step-00000003"]
        checkpoint.save(here.path, checkpoint.FINAL, {"x": torch.zeros(1)}, {})
        here.clear()
    assert kept(artifact) == [] and artifact.receipts() == {}


def test_a_checkpoint_cut_off_on_its_way_is_passed_over(artifact: Artifact) -> None:
    with scratch(artifact, rank=0) as here:
        here.send(save(here.path, 1), 1)
        here.send(save(here.path, 2), 2)
    sums = f"{artifact.path}/step-00000002/{checkpoint.SUMS}"
    artifact.store.filesystem.delete_file(sums)  # what travels last
    with pytest.warns(UserWarning, match="damaged checkpoint passed over"):
        assert found(artifact) == 1


def test_only_the_first_worker_fetches_and_nothing_stays_on_its_machine(artifact: Artifact) -> None:
    with scratch(artifact, rank=0) as here:
        here.send(save(here.path, 1), 1)
        here.send(None, 1)
    with scratch(artifact, rank=1) as other:
        assert (list(other.path.glob("step-*")) == []) is not other.shared
    assert other.path.exists() is other.shared


def test_what_a_killed_worker_left_on_its_machine_is_deleted_by_the_next(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of a process that lives stays, and so does what is not ours."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    storage = uri(server, f"bucket/{tmp_path.name}")
    code = (
        "import sys, time\nfrom rollbench.engine.checkpoint_sync import scratch\nfrom rollbench.store import Store\n"
        "with scratch(Store(sys.argv[1]).artifact('model', 'k'), 1): time.sleep(600)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, storage], env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        while not (left := list(tmp_path.glob("rollbench-*"))):
            assert worker.poll() is None
            time.sleep(0.05)
        (tmp_path / "rollbench-of-somebody").mkdir()
        with scratch(Store(storage).artifact("model", "k"), 1):
            assert left[0].exists(), "its process lives"
        worker.kill()
        worker.wait()
        with scratch(Store(storage).artifact("model", "k"), 1):
            assert not left[0].exists()
    finally:
        worker.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["rollbench-of-somebody"]
