"""CPUs that a process may use, where affinity or a container's quota leave it fewer than the machine has."""

import os
from pathlib import Path

import pytest

from rollbench.engine.cluster import _starting
from rollbench.pipeline import cpus as ours
from rollbench.pipeline.cpus import processors, quotas


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert processors() == 1 == _starting()["num_cpus"]
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= processors() <= len(before)


@pytest.mark.parametrize(("quota", "count"), [(2.5, 2), (0.3, 1), (float("inf"), len(os.sched_getaffinity(0)))])
def test_a_quota_is_rounded_down_to_at_least_one(monkeypatch: pytest.MonkeyPatch, quota: float, count: int) -> None:
    monkeypatch.setattr(ours, "quotas", lambda own: iter([quota]))
    assert processors() == min(count, len(os.sched_getaffinity(0)))


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_groups_of_version_2_are_read_up_to_the_root(tmp_path: Path) -> None:
    write(tmp_path / "pod/cpu.max", "250000 100000\n")
    write(tmp_path / "pod/container/cpu.max", "max 100000\n")
    assert min(quotas("0::/pod/container\n", tmp_path)) == 2.5
    assert min(quotas("0::/elsewhere\n", tmp_path)) == float("inf")
    write(tmp_path / "cpu.max", "50000 100000\n")  # of a container that sees its own group as the root
    assert min(quotas("0::/../../elsewhere\n", tmp_path)) == 0.5


def test_the_groups_of_version_1_are_read(tmp_path: Path) -> None:
    own = "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\nnonsense\n"
    write(tmp_path / "cpu,cpuacct/cpu.cfs_quota_us", "400000\n")
    write(tmp_path / "cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert min(quotas(own, tmp_path)) == 4.0
    write(tmp_path / "cpu/docker/x/cpu.cfs_quota_us", "150000")
    write(tmp_path / "cpu/docker/x/cpu.cfs_period_us", "100000")
    assert min(quotas(own, tmp_path)) == 1.5
    write(tmp_path / "cpu/docker/x/cpu.cfs_quota_us", "-1")
    assert min(quotas(own, tmp_path)) == 4.0
    assert list(quotas("", tmp_path)) == []
