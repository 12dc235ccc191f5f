"""The hosts that other tests stand on: three machines to Ray, no disk in common, and one that dies or comes late is noticed."""

import json
import sys
from pathlib import Path

import pytest

from tests.faults.hosts import Net, hosts

pytestmark = pytest.mark.slow

# Where tasks ran, whether two hosts see each other's files, and who can still be reached.
PROGRAM = """
import json, os, pathlib, platform, ray
ray.init(logging_level=50, log_to_driver=False)

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def visit(hosts):
    import time
    seen = sorted(p.name for p in pathlib.Path("/tmp").glob("mark-*"))
    pathlib.Path(f"/tmp/mark-{platform.node()}").write_text("here")
    time.sleep(1.0)
    return platform.node(), seen, ray.util.get_node_ip_address()

nodes = sum(n["Alive"] for n in ray.nodes())
visits = ray.get([visit.remote(nodes) for _ in range(3 * nodes)])
print(json.dumps({"names": sorted({v[0] for v in visits}), "foreign": [v for v in visits if set(v[1]) - {f"mark-{v[0]}"}],
                  "addresses": sorted({v[2] for v in visits}), "cpus": ray.cluster_resources()["CPU"]}))
"""


def visits(net: Net) -> dict[str, object]:
    said = net.first.run([sys.executable, "-c", PROGRAM], log="visits", RAY_ADDRESS=f"{net.first.address}:6379")
    return dict(json.loads(said.splitlines()[-1]))


def test_three_hosts_are_three_machines_and_one_may_die_or_come_late(tmp_path: Path) -> None:
    with hosts(3, tmp_path) as net:
        net.start_ray()
        found = visits(net)
        assert found == {
            "names": ["host1", "host2", "host3"],
            "addresses": [host.address for host in net.hosts],
            "foreign": [],
            "cpus": 3.0,
        }
        net.hosts[2].kill()
        net.wait_for(2)
        assert visits(net)["names"] == ["host1", "host2"]
        late = net.add()
        net.start_ray(only=late)
        assert visits(net)["names"] == ["host1", "host2", "host4"]
