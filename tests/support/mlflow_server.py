"""A real MLflow server on the loopback interface, to be killed and started again at the same address, with the same memory; and an
empty database, since making the tables of one takes seconds.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


@functools.cache
def empty_database() -> bytes:
    """A sqlite file with MLflow's tables and nothing of ours in it."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
        return path.read_bytes()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Starts nothing by itself; `address` is that of nobody then."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        self.folder.mkdir(exist_ok=True)
        database = self.folder / "mlflow.db"
        if not database.exists():
            database.write_bytes(empty_database())
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        places = [
            "--backend-store-uri",
            f"sqlite:///{database}",
            "--artifacts-destination",
            str(self.folder / "kept"),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options, *places],
            cwd=self.folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        end = time.monotonic() + 120
        while not self.there():
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.2)
        return self

    def there(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.address}/health", timeout=1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """At once, with all its processes, as a machine dies."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None
