"""What the nodes of a cluster can see and hold."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rollbench.errors import UserError
from rollbench.store.artifact import Store

# File systems of one machine, as Linux calls them.
OWN_DISKS = ("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs")


NEEDS = {
    "storage": "--storage needs a folder that all nodes share, or s3://bucket/path",
    "--source": "--source needs a folder that all nodes share",
}


def check_shared(store: Store, *sources: Path) -> None:
    """Refuse a folder, as storage or as a source, that not every node of the cluster sees, or that those to come will not see.

    What one worker wrote there another would miss. A node that joins later by hand is asked when it gets work (`claim.check_node_sees`).
    """
    import ray

    folders = {f"--source {source}": str(source) for source in sources}
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2 and not can_scale_up(len(nodes)):
        return
    if not store.local:
        _check_looks(nodes, folders)
        return
    mark = store.artifact("probe", os.urandom(8).hex())
    mark.put("here", b"")
    try:
        _check_looks(nodes, {f"storage {str(store)!r}": mark.path, **folders})
    finally:
        mark.remove()


def _check_looks(nodes: list[dict[str, Any]], folders: dict[str, str]) -> None:
    """Have every node look for folders, each told by its words, of which this process sees all."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    for words, path in folders.items():
        if can_scale_up(len(nodes)) and (disk := own_disk(path)):
            raise UserError(
                f"{words} is on a disk of this node ({disk}), which the nodes that the cluster may still start do not see; "
                f"{NEEDS[words.split()[0]]}"
            )
    if len(nodes) < 2 or not folders:
        return
    look = ray.remote(num_cpus=0)(_missing)
    asked = [look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(n["NodeID"], soft=False)) for n in nodes]
    missing = ray.get([look.remote(list(folders.values())) for look in asked])
    for words, path in folders.items():
        blind = [n["NodeManagerHostname"] for n, paths in zip(nodes, missing, strict=True) if path in paths]
        if blind:
            raise UserError(
                f"{words} is not seen by {len(blind)} of the cluster's {len(nodes)} nodes, first {blind[0]}; "
                f"{NEEDS[words.split()[0]]}"
            )


def _missing(paths: list[str]) -> list[str]:
    return [path for path in paths if not os.path.exists(path)]


def own_disk(path: str) -> str:
    """The kind of file system that `path` lies on where it is one of a single machine, else ""."""
    import psutil

    here = Path(path).resolve()
    mounts = [part for part in psutil.disk_partitions(all=True) if here.is_relative_to(part.mountpoint)]
    mounts.sort(key=lambda part: len(part.mountpoint))  # of several at one place the last is seen
    kind = mounts[-1].fstype if mounts else ""
    return kind if kind in OWN_DISKS else ""


BOOTSTRAP = "~/ray_bootstrap_config.yaml"  # what `ray up` leaves on the head node: the node types that it may start


def capacity(nodes: Iterable[dict[str, float]], gpus: float) -> int:
    """Workers that fit on nodes with these resources. A worker is on one node, and its part of a GPU is of one GPU."""

    def on(node: dict[str, float]) -> int:
        cpus, there = int(node.get("CPU", 0)), node.get("GPU", 0)
        if not gpus:
            return cpus
        return min(cpus, int(1 / gpus + 1e-9) * int(there) if gpus < 1 else int(there // gpus))

    return sum(on(node) for node in nodes)


def _nodes() -> Iterable[dict[str, float]]:
    """What each node has: those that there are, or, where more, those that the autoscaler of `ray up` may start."""
    import ray

    present = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    possible = _possible()
    return possible if len(possible) > len(present) else present


def can_scale_up(present: int) -> bool:
    """Whether an autoscaler may start more nodes than are there now."""
    return len(_possible()) > present


def _possible() -> list[dict[str, float]]:
    """What each node has that the autoscaler of `ray up` may start, the head among them; empty where there is none."""
    book = Path(BOOTSTRAP).expanduser()
    if not os.environ.get("RAY_ADDRESS") or not book.is_file():
        return []
    return autoscaler_nodes(book.read_text())


def autoscaler_nodes(text: str) -> list[dict[str, float]]:
    """The resources of each node that a cluster of this configuration may have."""
    import yaml

    told = yaml.safe_load(text)
    types = told["available_node_types"]
    head = types[told["head_node_type"]].get("resources", {})
    nodes = [
        kind.get("resources", {})
        for name, kind in types.items()
        for _ in range(kind.get("max_workers", 0))
        if name != told["head_node_type"]
    ]
    nodes.sort(key=lambda node: -node.get("GPU", 0))
    return [head, *nodes[: told.get("max_workers", len(nodes))]]
