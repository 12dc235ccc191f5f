"""A Ray head as `ray start --head` makes it, with ports and folders of its own, under a Python that knows the dependencies but not us."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKEN = "a-secret-of-these-tests"
START_SECONDS = 120


@dataclass
class Head:
    """A running head. python: the bare interpreter. address: of the dashboard, which takes jobs."""

    python: Path
    address: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def ray(self, *words: str, timeout: float = 280, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`ray WORDS` as a user types it."""
        command, told = [self.python.with_name("ray"), *words], {**self.environment, "RAY_ADDRESS": self.address}
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=told, cwd=cwd)

    def job(self, name: str) -> dict[str, Any]:
        """What the job server knows of a job."""
        request = urllib.request.Request(
            f"{self.address}/api/jobs/{name}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def logs(self, name: str) -> str:
        return self.ray("job", "logs", name).stdout

    def wait_for(self, name: str, words: str, seconds: float = 240) -> str:
        """The job's log as soon as it holds `words`; fails when the job ends without them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            said = self.logs(name)
            if words in said:
                return said
            assert self.job(name)["status"] in ("PENDING", "RUNNING"), said
            time.sleep(0.5)
        raise AssertionError(f"{name} did not say {words!r} in {seconds} s:\n{said}")


def bare_python(folder: Path) -> Path:
    """A virtual environment with all of this one's packages but our own: a path file's folders are searched, their path files are not
    read, and it is by such a file that an editable install is found."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = {name: sysconfig.get_path(name) for name in ("purelib", "platlib")}
    inside = next(folder.glob("lib/python*/site-packages"))
    (inside / "dependencies.pth").write_text("\n".join(dict.fromkeys(paths.values())))
    python = folder / "bin" / "python"
    ray = python.with_name("ray")
    ray.write_text(f"#!{python}\nimport sys\nfrom ray.scripts.scripts import main\nsys.exit(main())\n")
    ray.chmod(0o755)
    ask = [python, "-c", "import ray, rollbench"]
    found = subprocess.run(ask, capture_output=True, text=True, cwd=folder, env=environment())
    assert "No module named 'rollbench'" in found.stderr, f"rollbench is installed, not only linked: {found.stderr}"
    return python


def environment() -> dict[str, str]:
    """This process's, without what would lead another to our Ray or our code."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def head(folder: Path, cwd: Path, cpus: int = 2, **more: str) -> Iterator[Head]:
    """A head that was started in `cwd`, with a bare interpreter and a home under `folder`."""
    python = bare_python(folder / "python")
    (folder / "home").mkdir()
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    words = {"PATH": path, "HOME": str(folder / "home"), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    words |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_JOB_STOP_WAIT_TIME_S": "60"}
    ports = dict(
        zip(
            ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port"),
            free_ports(4),
            strict=True,
        )
    )
    with tempfile.TemporaryDirectory(
        prefix="ray", dir="/tmp", ignore_cleanup_errors=True
    ) as temporary:  # short: holds sockets
        command = [
            python.with_name("ray"),
            "start",
            "--head",
            "--block",
            f"--num-cpus={cpus}",
            f"--temp-dir={temporary}",
        ]
        command += [*(f"--{name}={port}" for name, port in ports.items()), "--node-ip-address=127.0.0.1"]
        with (folder / "head.log").open("wb") as log:
            everything = {**environment(), **words, **more}
            process = subprocess.Popen(command, cwd=cwd, env=everything, stdout=log, stderr=log, start_new_session=True)
        made = Head(python, f"http://127.0.0.1:{ports['dashboard-port']}", everything, process)
        try:
            _wait_until_it_takes_jobs(made, folder / "head.log")
            yield made
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_it_takes_jobs(made: Head, log: Path) -> None:
    """The dashboard answers and an agent is there to start jobs."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert made.process.poll() is None, log.read_text()[-3000:]
        if made.ray("job", "submit", "--no-wait", "--", "true").returncode == 0:
            return
        time.sleep(0.5)
    raise AssertionError(f"no head in {START_SECONDS} s:\n{log.read_text()[-3000:]}")
