"""A RAY_ADDRESS that cannot be joined is refused within seconds, in one line with the way out."""

import socket
import threading
import time

import pytest

from rollbench.engine import cluster
from rollbench.errors import UserError


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_listens_is_refused(scheme: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    with pytest.raises(
        UserError, match=f"no Ray answers at RAY_ADDRESS={address} .*; unset RAY_ADDRESS to start a Ray here"
    ):
        cluster.check_address(address)
    assert time.monotonic() - start < 15


def test_the_address_of_a_job_server_is_named_as_one() -> None:
    with pytest.raises(UserError, match="is the address of a job server: submit the command with `ray job submit`"):
        cluster.check_address("http://127.0.0.1:8265")


@pytest.mark.parametrize("address", ["auto", "local"])
def test_addresses_that_ray_resolves_are_left_to_ray(address: str) -> None:
    cluster.check_address(address)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n", b""])
def test_another_kind_of_server_is_refused(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 1)  # the empty answer is a server that stays silent
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        connections = []

        def serve() -> None:
            connections.append(server.accept()[0])
            connections[0].sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(UserError, match=f"no Ray answers at RAY_ADDRESS={address}"):
            cluster.check_address(address)
        thread.join()
        connections[0].close()


def test_the_address_of_a_running_ray_passes() -> None:
    """Ray's own server of the control store, as `ray start --head` starts it."""
    with cluster.cluster():
        import ray

        cluster.check_address(ray.get_runtime_context().gcs_address)
