"""Join a Ray cluster, or start a quiet local one."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CODE = Path(__file__).resolve().parents[3]  # the checkout: holds platform/, evaluators/, reports/

# Two single-threaded processes beat one with two threads on small networks, and a fixed thread count keeps the arithmetic the same.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONPATH": f"{CODE / 'platform'}{os.pathsep}{CODE}",
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# A row takes whole cores: its trial waits most of the time, its workers compute.
TRIAL_CPUS = 0.1
WORKER_CPUS = 0.9

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
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """Within this context Ray runs. RAY_ADDRESS (set by `ray job submit`) names a cluster to join; without it Ray starts here."""
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    import ray
    import ray.data

    logging.getLogger("ray").setLevel(logging.ERROR)
    joining = bool(os.environ.get("RAY_ADDRESS"))
    if not joining:
        os.environ.setdefault(
            "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0"
        )  # one process less a trainer: nobody preempts a laptop
    local = (
        {}
        if joining
        else {"num_cpus": os.cpu_count(), "include_dashboard": False, "_temp_dir": _short_temporary_folder()}
    )
    started = not ray.is_initialized()
    if started:
        ray.init(
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
            logging_level=logging.ERROR,
            log_to_driver=False,
            configure_logging=True,
            **local,
        )
    for handler in logging.getLogger("ray.data").handlers:
        handler.setLevel(logging.CRITICAL)  # an error of a stage is told by us, in one line
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    try:
        yield
    finally:
        if started:
            ray.shutdown()


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
