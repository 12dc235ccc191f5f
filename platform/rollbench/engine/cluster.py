"""Join a Ray cluster, or start a quiet local one."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rollbench.config.source import Source
from rollbench.errors import UserError
from rollbench.pipeline.cpus import processors
from rollbench.store import node_cache
from rollbench.store.provenance import commit

T = TypeVar("T")
CONNECT_S = 10  # s, for a cluster that is to be joined
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # with empty settings


ROOMS = ("rollbench", "evaluators", "experiments", "reports")  # the packages that workers import


# Two single-threaded processes beat one with two threads on small networks, and a fixed thread count keeps the arithmetic the same.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


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
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would wait for trials to end; see rollbench.interrupts
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # trials report lines of progress too
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """Within this context Ray runs. RAY_ADDRESS (set by `ray job submit`) names a cluster to join; without it Ray starts here.

    Signals are the caller's to handle (`rollbench.interrupts`).
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    import ray
    import ray.data

    logging.getLogger("ray").setLevel(logging.ERROR)
    started = not ray.is_initialized()
    if started:
        address = os.environ.get("RAY_ADDRESS", "")
        if address:
            check_address(address)
        options = _joining() if address else _starting()
        try:
            with _signals_are_ours():
                ray.init(logging_level=logging.ERROR, log_to_driver=False, configure_logging=True, **options)
        except ConnectionError as error:
            if not address:
                raise
            reason = str(error).splitlines()[0]
            raise UserError(
                f"Ray at RAY_ADDRESS={address} refuses this driver ({reason}); unset RAY_ADDRESS to start a Ray here"
            ) from None
    for handler in logging.getLogger("ray.data").handlers:
        handler.setLevel(logging.CRITICAL)  # we report an error of a stage, in one line
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    try:
        yield
    finally:
        if started:
            _leave()


def check_address(address: str) -> None:
    """Raise UserError within `CONNECT_S` if no Ray can be joined at RAY_ADDRESS. Ray alone would retry for ten minutes."""
    way_out = "unset RAY_ADDRESS to start a Ray here"
    if address.startswith(("http://", "https://")):
        raise UserError(
            f"RAY_ADDRESS={address} is the address of a job server: submit the command with `ray job submit`, or {way_out}"
        )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # "auto" or "local", which Ray resolves itself
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S) as connection:
            if (
                os.environ.get("RAY_USE_TLS", "0") == "0"
            ):  # a server of gRPC answers with a frame of its settings, type 4
                connection.sendall(HTTP2_PREFACE)
                if connection.recv(9)[3:4] != b"\x04":
                    raise ConnectionError("another kind of server listens there")
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray answers at RAY_ADDRESS={address} ({error}); {way_out}") from None


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
    """Options of `ray.init` that join a running cluster; they upload our packages, so nodes need not have them installed."""
    os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")  # what a job was submitted with is joined with ours
    carried = {"py_modules": [str(room) for room in _rooms()], "excludes": ["__pycache__"]}
    variables = {**QUIET, **WORKER_ENVIRONMENT, "ROLLBENCH_COMMIT": commit()}
    if node_cache.VARIABLE in os.environ:  # else each node's own
        variables[node_cache.VARIABLE] = os.environ[node_cache.VARIABLE]
    return {"runtime_env": {**carried, "env_vars": variables}}


def _starting() -> dict[str, Any]:
    """Options of `ray.init` that start a local Ray."""
    # One process less a trainer: nobody preempts a laptop.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    # A process that a stage is done with waits for the next one, with all that it has imported, instead of a second.
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "30000")
    path = os.pathsep.join(dict.fromkeys(str(room.parent) for room in _rooms()))
    return {
        "runtime_env": {"env_vars": {**WORKER_ENVIRONMENT, "PYTHONPATH": path}},
        "address": "local",  # and not a cluster that somebody started on this machine
        "num_cpus": processors(),
        "include_dashboard": False,
        "_temp_dir": _short_temporary_folder(),
    }


def carry(sources: Mapping[str, Source]) -> None:
    """Send classes that are not part of this project to workers by value: nothing of a user's file need be on a node's disk."""
    import ray.cloudpickle

    files = {file for source in sources.values() for file in source.files}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and module.__name__ != "__main__" and str(Path(path).resolve()) in files:
            ray.cloudpickle.register_pickle_by_value(module)


def _rooms() -> list[Path]:
    """The folders of our packages as this process imports them."""
    specs = [importlib.util.find_spec(room) for room in ROOMS]
    return [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin is not None]


@contextlib.contextmanager
def _signals_are_ours() -> Iterator[None]:
    """Within this context `ray.init` leaves SIGTERM to this process; Ray has no options for that.

    Ray's processes start outside our process group, so that a signal to the group (Slurm, systemd, `timeout`) does not end them before us;
    they still end when we die, as Ray asks of the kernel.
    Its handlers, which exit with 15 or print a C++ stack, are not installed, or are replaced.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    from ray._private import services, utils

    popen, handler, set_handler = services.ConsolePopen, signal.getsignal(signal.SIGTERM), utils.set_sigterm_handler

    def start(command: list[str], preexec_fn: Callable[[], None] | None = None, **options: Any) -> Any:
        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            if preexec_fn is not None:
                preexec_fn()

        return popen(command, preexec_fn=prepare, process_group=0, **options)

    services.ConsolePopen, utils.set_sigterm_handler = start, lambda _: None
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        services.ConsolePopen, utils.set_sigterm_handler = popen, set_handler
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


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
