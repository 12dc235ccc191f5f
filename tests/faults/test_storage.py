"""A storage that fails: one request in twenty, or no more room. The table comes out the same to the last digit."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import under_way
from tests.faults.storage import FAULTS, bucket, flaky, uri
from tests.faults.table import Undisturbed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_object_storage_that_fails_one_request_in_twenty(
    undisturbed: Undisturbed, tmp_path: Path, workers: str
) -> None:
    with bucket() as at, flaky(at, one_in=20, seed=7) as proxy:
        storage = uri(proxy.at)
        undisturbed.table.make(storage, tmp_path / "out", "--workers", workers)
        undisturbed.equals(storage, tmp_path / "out")
    assert set(proxy.failed) == set(FAULTS) and sum(proxy.failed.values()) > 10, proxy


@contextlib.contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["data", "rollouts"])
def test_a_disk_that_fills_while_a_stage_is_written(undisturbed: Undisturbed, tmp_path: Path, kind: str) -> None:
    """One line that names path and bytes, exit code 1 or 2, nothing half-published; with room again the same command goes on."""
    with disk(tmp_path / "disk", megabytes=64) as place:
        store, log = place / "store", tmp_path / "log"
        driver = undisturbed.table.start(str(store), tmp_path / "out", log=log)
        while under_way(store, kind) is None:
            assert driver.poll() is None, log.read_text()
            time.sleep(0.01)
        with (place / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        assert driver.wait(600) in (1, 2), log.read_text()
        said = [line for line in log.read_text().splitlines() if line.startswith("rollbench:")]
        assert len(said) == 1 and "No space left on device" in said[0] and str(store) in said[0], log.read_text()
        assert "Traceback" not in log.read_text()
        assert not list(store.glob(f"{kind}/*/manifest.json")) and not list(
            store.glob("*/*/.*.????????????????????????????????")
        )
        (place / "filler").unlink()
        undisturbed.table.make(str(store), tmp_path / "out")
        undisturbed.equals(str(store), tmp_path / "out")
