"""Hosts on one machine, for tests: each a network of its own (joined by a bridge), its own processes, name and temporary folders.

    with hosts(3, tmp_path) as net:
        net.start_ray()                                     the first host is the head
        done = net.first.run([sys.executable, "program.py"])

A host is a set of Linux namespaces (network, processes, mounts, name) with one process that holds them; when it is killed the kernel
kills whatever runs in there, which is what a power cut looks like from outside. Needs root and iproute2.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NETWORK = "10.213.77"  # of the bridge; .254 is this machine
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
TOKEN = "a-secret-of-these-tests"
# Between the hosts the token is asked for; each host's own processes live in its own folders.
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "1000",  # a host that is gone is noticed after five of these instead of half a minute
    "RAY_health_check_timeout_ms": "2000",
    "OMP_NUM_THREADS": "1",
}


@dataclass
class Host:
    """A running host. holder: the process that holds its namespaces, as this machine numbers it."""

    name: str
    address: str
    folder: Path
    link: str
    holder: subprocess.Popen[bytes]
    inner: int
    alive: bool = True
    ray: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], log: str = "log", **environment: str) -> subprocess.Popen[bytes]:
        """Start a command on this host; its output goes to the file `log` of its folder."""
        inside = [
            "nsenter",
            "--target",
            str(self.inner),
            "--net",
            "--pid",
            "--mount",
            "--uts",
            "--wdns=/",
            "env",
            "--chdir=/tmp",
        ]
        words = {**ENVIRONMENT, **environment, "HOME": str(self.folder)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        with (self.folder / log).open("ab") as out:
            return subprocess.Popen([*inside, *command], env={**kept, **words}, stdout=out, stderr=out)

    def run(self, command: Sequence[str], timeout: float = 300, log: str = "run", **environment: str) -> str:
        """Run a command on this host and return what it said; fails with that where it fails."""
        process = self.start(command, log, **environment)
        code = process.wait(timeout)
        said = (self.folder / log).read_text()
        assert code == 0, f"{self.name}: {list(command)} exited with {code}:\n{said[-3000:]}"
        return said

    def kill(self) -> None:
        """A power cut: no packet leaves any more, and every process ends without a word."""
        if self.alive:
            self.alive = False
            _ip("link", "set", self.link, "down")
            os.kill(self.inner, signal.SIGKILL)
            self.holder.wait()


@dataclass
class Net:
    """Hosts that see one another."""

    tag: str
    folder: Path
    hosts: list[Host] = field(default_factory=list)

    @property
    def first(self) -> Host:
        return self.hosts[0]

    @property
    def here(self) -> str:
        """This machine's address as the hosts see it."""
        return f"{NETWORK}.254"

    def add(self) -> Host:
        """One more host, without Ray."""
        number = len(self.hosts) + 1
        name, address = f"host{number}", f"{NETWORK}.{number}"
        space, link = f"{self.tag}-{name}", f"{self.tag}v{number}"
        folder = self.folder / name
        for place in ("tmp", "shm"):
            (folder / place).mkdir(parents=True)
        _ip("netns", "add", space)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", link, "master", self.tag, "up")
        _ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        _ip("-n", space, "link", "set", "lo", "up")
        # /tmp comes last: it may be what the folders lie in.
        own = (
            f"hostname {name}; mount --bind {folder}/shm /dev/shm; mount --bind {folder}/tmp /tmp; exec sleep infinity"
        )
        unshare = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", own]
        holder = subprocess.Popen(["ip", "netns", "exec", space, *unshare])
        host = Host(name, address, folder, link, holder, _child(holder.pid))
        self.hosts.append(host)
        host.run(["sh", "-c", f'until [ "$(hostname)" = {name} ]; do sleep 0.05; done'])
        return host

    def start_ray(self, cpus: float = 1, only: Host | None = None) -> None:
        """A raylet on each host (or on one that comes late), the first one's with the head; returns when all have joined."""
        for host in [only] if only else self.hosts:
            role = ["--head", "--port=6379"] if host is self.first else [f"--address={self.first.address}:6379"]
            size = [f"--num-cpus={cpus}", "--object-store-memory=120000000"]
            own = [f"--node-ip-address={host.address}", "--disable-usage-stats", "--block"]
            host.ray = host.start([*RAY, "start", *role, *size, *own], log="ray")
            if host is self.first:
                self.wait_for(1)
        self.wait_for(sum(h.alive and h.ray is not None for h in self.hosts))

    def wait_for(self, nodes: int, seconds: float = 120) -> None:
        """Return when the head counts so many living nodes."""
        code = (
            "import ray; ray.init(logging_level=50, log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()))"
        )
        end, said = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            asked = self.first.start(
                [sys.executable, "-c", code], log="nodes", RAY_ADDRESS=f"{self.first.address}:6379"
            )
            asked.wait(60)
            said = (self.first.folder / "nodes").read_text()
            if said.split()[-1:] == [str(nodes)]:
                return
            time.sleep(0.5)
        raise AssertionError(f"{nodes} nodes did not come together in {seconds} s:\n{said[-2000:]}")


@contextlib.contextmanager
def hosts(count: int, folder: Path) -> Iterator[Net]:
    """So many hosts, with nothing running on them. Skips where the machine does not permit them."""
    net = Net(f"rb{os.getpid() % 100_000}", folder)
    try:
        _ip("link", "add", net.tag, "type", "bridge")
        _ip("address", "add", f"{net.here}/24", "dev", net.tag)
        _ip("link", "set", net.tag, "up")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"hosts need root, iproute2 and network namespaces: {error}")
    try:
        for _ in range(count):
            net.add()
        yield net
    finally:
        for number, host in enumerate(net.hosts, 1):
            host.kill()
            _ip("link", "delete", host.link)
            _ip("netns", "delete", f"{net.tag}-host{number}")
        _ip("link", "delete", net.tag)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _child(pid: int) -> int:
    """The first process inside: the child of `unshare`, which `ip netns exec` has become."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.02)
    raise AssertionError("no host came up")
