"""Join a Ray cluster, or start a quiet local one."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rollbench import cache
from rollbench.engine.resources import may_grow
from rollbench.processors import processors
from rollbench.provenance import commit
from rollbench.spec import BadInput
from rollbench.store import Store

T = TypeVar("T")

# File systems of one machine, as Linux calls them.
OWN_DISKS = ("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs")
NEEDS = {
    "storage": "--storage needs a folder that all nodes share, or s3://bucket/path",
    "--source": "--source needs a folder that all nodes share",
}
ROOMS = ("rollbench", "evaluators", "experiments", "reports")  # the packages that workers import

# Two single-threaded processes beat one with two threads on small networks, and a fixed thread count keeps the arithmetic the same.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# A row takes whole cores: its workers compute, and its trial waits. So little for a trial that those of several drivers on one cluster,
# waiting for one another, always leave room for a worker. Seven eighths, since Ray divides sums of it to count elastic workers:
# five times 0.9 holds 0.9 four times.
TRIAL_CPUS = 0.01
WORKER_CPUS = 0.875

QUIET = {
    "RAY_DEDUP_LOGS": "1",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "120",
    "RAY_TQDM": "0",
    "RAY_worker_maximum_startup_concurrency": "8",  # a row is several processes on few cores; fewer would warn
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon a finished or dead worker is noticed
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # trials report lines of progress too
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """Within this context Ray runs. RAY_ADDRESS (set by `ray job submit`) names a cluster to join; without it Ray starts here.

    SIGTERM (sent by `ray job stop`) ends it as Ctrl-C does.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    import ray
    import ray.data

    logging.getLogger("ray").setLevel(logging.ERROR)
    started = not ray.is_initialized()
    if started:
        words = _joining() if os.environ.get("RAY_ADDRESS") else _starting()
        ray.init(logging_level=logging.ERROR, log_to_driver=False, configure_logging=True, **words)
    for handler in logging.getLogger("ray.data").handlers:
        handler.setLevel(logging.CRITICAL)  # an error of a stage is told by us, in one line
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    try:
        with _terminated_like_interrupted():
            yield
    finally:
        if started:
            _leave()


def _leave() -> None:
    """ray.shutdown(), with no handle left for another thread's garbage collection: one dropped amid it ends the process."""
    import ray

    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        gc.enable()


def _joining() -> dict[str, Any]:
    """What a driver says to a cluster that is there: the code travels with it, since nothing need be installed on the nodes."""
    os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")  # what a job was submitted with is joined with ours
    carried = {"py_modules": [str(room) for room in _rooms()], "excludes": ["__pycache__"]}
    told = {**QUIET, **WORKER_ENVIRONMENT, "ROLLBENCH_COMMIT": commit()}
    if cache.VARIABLE in os.environ:  # else each node's own
        told[cache.VARIABLE] = os.environ[cache.VARIABLE]
    return {"runtime_env": {**carried, "env_vars": told}}


def _starting() -> dict[str, Any]:
    """What a driver says to a Ray of its own."""
    # One process less a trainer: nobody preempts a laptop.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    # A process that a stage is done with waits for the next one, with all that it has imported, instead of a second.
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "30000")
    found = os.pathsep.join(dict.fromkeys(str(room.parent) for room in _rooms()))
    return {
        "runtime_env": {"env_vars": {**WORKER_ENVIRONMENT, "PYTHONPATH": found}},
        "address": "local",  # and not a cluster that somebody started on this machine
        "num_cpus": processors(),
        "include_dashboard": False,
        "_temp_dir": _short_temporary_folder(),
    }


def _rooms() -> list[Path]:
    """The folders of our packages as this process imports them."""
    specs = [importlib.util.find_spec(room) for room in ROOMS]
    return [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin is not None]


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_shared(store: Store, *sources: Path) -> None:
    """Refuse a folder, as storage or as a source, that not every node of the cluster sees, or that those to come will not see.

    What one worker wrote there another would miss. A node that joins later by hand is asked when it gets work (`claim.check_seen`).
    """
    import ray

    folders = {f"--source {source}": str(source) for source in sources}
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2 and not may_grow(len(nodes)):
        return
    if not store.local:
        _check_looks(nodes, folders)
        return
    mark = store.stage("probe", os.urandom(8).hex())
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
        if may_grow(len(nodes)) and (disk := own_disk(path)):
            raise BadInput(
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
            raise BadInput(
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


def call(function: Callable[..., T], *arguments: Any) -> T:
    """`function(*arguments)` as a Ray task: on a worker, so with one thread like all our arithmetic."""
    import ray

    return ray.get(ray.remote(function).remote(*arguments))


def cpus() -> int:
    """CPUs of the whole cluster."""
    import ray

    return int(ray.cluster_resources().get("CPU", 1))


def gpus() -> int:
    """GPUs of the whole cluster."""
    import ray

    return int(ray.cluster_resources().get("GPU", 0))


def _short_temporary_folder() -> str:
    # Ray's sockets live there and a socket's path may have 107 characters only.
    return os.path.join(tempfile.gettempdir() if len(tempfile.gettempdir()) < 40 else "/tmp", "ray")
