"""A table over several hosts, each with a network, a disk and processes of its own: the same to the last digit as on one machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollbench.store.artifact import Store
from rollbench.store.lease import CLAIM
from tests.faults.hosts import Net, hosts
from tests.faults.storage import bucket, uri
from tests.faults.table import ROOT, Undisturbed, digests
from tests.support.clips import blocks, enlarged, write_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with hosts(3, tmp_path) as made:
        made.start_ray(cpus=1)
        yield made


@pytest.fixture
def storage(net: Net) -> Iterator[str]:
    """Object storage on this machine, as the hosts reach it."""
    with bucket(host=net.here) as at:
        yield uri(at)


class Driver:
    """A driver on the first host, which has nothing in common with the others but the network."""

    def __init__(self, net: Net, storage: str, undisturbed: Undisturbed, *more: str) -> None:
        self.net, self.storage, self.expected = net, storage, undisturbed
        script = str(ROOT / f"experiments/{undisturbed.table.name}.py")
        command = [sys.executable, *undisturbed.table.command(storage, "/tmp/out", *more, script=script)]
        self.process: subprocess.Popen[bytes] = net.first.start(
            command, log="driver", RAY_ADDRESS=f"{net.first.address}:6379"
        )

    @property
    def said(self) -> str:
        return (self.net.first.folder / "driver").read_text()

    def wait_until(self, kind: str) -> None:
        """Return when a stage of that kind is under way."""
        store, end = Store(self.storage), time.monotonic() + 600
        while time.monotonic() < end:
            stages = [store.artifact(kind, key) for key in store.keys(kind)]
            if any(artifact.get(CLAIM) is not None and artifact.manifest() is None for artifact in stages):
                return
            assert self.process.poll() is None, self.said
            time.sleep(0.1)
        raise AssertionError(f"no {kind} in ten minutes:\n{self.said}")

    def ends_right(self) -> None:
        code = self.process.wait(900)
        assert code == 0, self.said[-4000:]
        self.expected.equals(self.storage, self.net.first.folder / "tmp/out")


def test_three_hosts_make_the_table_of_one(net: Net, storage: str, undisturbed: Undisturbed) -> None:
    """Two training workers on two hosts, films and features on all, and storage is all that they share."""
    Driver(net, storage, undisturbed, "--workers", "2").ends_right()
    worked = [host.name for host in net.hosts if list((host.folder / "tmp/ray").glob("session_*/logs/worker-*"))]
    assert worked == ["host1", "host2", "host3"]


@pytest.mark.parametrize("kind", ["model", "rollouts"])
def test_a_host_dies(net: Net, storage: str, undisturbed: Undisturbed, kind: str) -> None:
    driver = Driver(net, storage, undisturbed, "--workers", "2")
    driver.wait_until(kind)
    net.hosts[-1].kill()
    driver.ends_right()


def test_a_host_comes_late(net: Net, storage: str, undisturbed: Undisturbed) -> None:
    net.hosts[2].kill()
    net.wait_for(2)
    driver = Driver(net, storage, undisturbed, "--workers", "1")
    driver.wait_until("data")
    net.start_ray(only=net.add())
    driver.ends_right()


def test_a_folder_that_the_hosts_do_not_share_is_refused(net: Net, undisturbed: Undisturbed) -> None:
    driver = Driver(net, "/tmp/store", undisturbed)
    assert driver.process.wait(300) == 2
    lines = [line for line in driver.said.splitlines() if line.startswith("rollbench:")]
    assert len(lines) == 1 and "is not seen by 2 of the cluster's 3 nodes" in lines[0] and "s3://" in lines[0]
    assert digests(str(net.first.folder / "tmp/store")) == {}


def test_a_source_that_the_hosts_do_not_share_is_refused(net: Net, storage: str) -> None:
    (net.first.folder / "tmp/videos").mkdir()
    write_video(net.first.folder / "tmp/videos/a.mkv", enlarged(blocks(6, 8, 8, seed=0)))
    code = "import sys; from rollbench.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["ingest", "folder", "--source", "/tmp/videos", "--split", "train", "--size", "8", "--frames", "4"]
    command = [sys.executable, "-c", code, *words, "--test-fraction", "0", "--storage", storage]
    ingest = net.first.start(command, log="ingest", RAY_ADDRESS=f"{net.first.address}:6379")
    assert ingest.wait(300) == 2
    said = (net.first.folder / "ingest").read_text()
    (line,) = [line for line in said.splitlines() if line.startswith("rollbench:")]
    assert "--source /tmp/videos is not seen by 2 of the cluster's 3 nodes" in line, said
