"""A RAY_ADDRESS that cannot be joined is refused within seconds, in one line with the way out."""

import socket
import time

import pytest

from rollbench.engine.cluster import check_address
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
        check_address(address)
    assert time.monotonic() - start < 15


def test_the_address_of_a_job_server_is_named_as_one() -> None:
    with pytest.raises(UserError, match="is the address of a job server: submit the command with `ray job submit`"):
        check_address("http://127.0.0.1:8265")


@pytest.mark.parametrize("address", ["auto", "local"])
def test_addresses_that_ray_resolves_are_left_to_ray(address: str) -> None:
    check_address(address)


def test_an_address_where_something_listens_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_address(f"127.0.0.1:{server.getsockname()[1]}")
