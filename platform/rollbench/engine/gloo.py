"""Which network the processes of a training talk over."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import psutil
import ray.util
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend


def bind_gloo_to_node_ip() -> None:
    """Make Gloo listen where Ray reaches this node.

    By itself it listens at the address that the host's own name stands for. On many hosts, Debian's among them, that is a loopback
    address, which leads nowhere from any other. GLOO_SOCKET_IFNAME, where a user has set it, stays as it is.
    """
    found = interface(ray.util.get_node_ip_address())
    if found is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", found)


def interface(address: str) -> str | None:
    """The network interface that has an IP address, None if this machine has none."""
    every = psutil.net_if_addrs().items()
    return next((name for name, has in every if any(one.address.partition("%")[0] == address for one in has)), None)


class _Reachable(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(bind_gloo_to_node_ip)
        super().on_start(worker_group, backend_config)


@dataclass
class NodeIPTorchConfig(TorchConfig):
    """Ray Train's set-up of torch.distributed, for hosts whose names stand for loopback addresses too."""

    @property
    def backend_cls(self) -> type[_Reachable]:
        return _Reachable
