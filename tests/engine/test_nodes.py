"""Folders that must be shared: refused before anything starts where nodes do not see them, and by a node that comes late."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from rollbench.engine import nodes
from rollbench.engine.nodes import can_scale_up
from rollbench.errors import UserError
from rollbench.store.artifact import Store
from rollbench.store.lease import CLAIM, check_node_sees, hold_lease


@pytest.fixture
def ray_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> Path:
    """On the head of a cluster that `ray up` has made, alone so far."""
    import ray

    book = tmp_path / "book.yaml"
    book.write_text((root / "ray_cluster.yaml").read_text())
    monkeypatch.setattr(nodes, "BOOTSTRAP", str(book))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "NodeID": "1", "NodeManagerHostname": "head"}])
    return book


def on(kind: str, monkeypatch: pytest.MonkeyPatch, at: str = "/") -> None:
    mounts = [("/", "overlay"), ("/proc", "proc"), (at, kind)]
    parts = [SimpleNamespace(mountpoint=point, fstype=name) for point, name in dict(mounts).items()]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: parts)


def test_a_head_that_will_get_nodes_takes_no_disk_of_its_own(
    ray_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "store"))
    on("ext4", monkeypatch)
    with pytest.raises(UserError, match=r"storage '.*store' is on a disk of this node \(ext4\).*s3://bucket/path$"):
        nodes.check_shared(store)
    assert store.keys("probe") == []
    with pytest.raises(UserError, match=r"--source /data is on a disk of this node .*; --source needs a folder"):
        nodes._check_looks([], {"--source /data": "/data"})
    on("nfs4", monkeypatch, at=str(tmp_path))
    nodes.check_shared(store)
    with pytest.raises(UserError, match="--source /data is on a disk of this node"):
        nodes.check_shared(store, Path("/data"))


def test_one_node_that_stays_alone_takes_any_folder(
    ray_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on("ext4", monkeypatch)
    assert can_scale_up(1) and not can_scale_up(25)
    alone = yaml.safe_load(ray_up.read_text()) | {"max_workers": 0}
    ray_up.write_text(yaml.safe_dump(alone))
    nodes.check_shared(Store(str(tmp_path / "store")))
    ray_up.unlink()
    nodes.check_shared(Store(str(tmp_path / "store")))
    assert not can_scale_up(1)


def test_a_node_that_does_not_see_the_claim_refuses_to_work(tmp_path: Path) -> None:
    artifact = Store(str(tmp_path / "store")).artifact("data", "k")
    with hold_lease(artifact, print):
        check_node_sees(artifact, tmp_path)
        elsewhere = Store(str(tmp_path / "of another node")).artifact("data", "k")
        with pytest.raises(UserError, match="storage '.*of another node' is not seen by node "):
            check_node_sees(elsewhere)
        with pytest.raises(UserError, match="--source .*/videos is not seen by node "):
            check_node_sees(artifact, tmp_path / "videos")
        artifact.commit([])
    assert artifact.get(CLAIM) is None
    check_node_sees(artifact)  # of one that was frozen, and finds its stage made by another
