"""What a row takes of a cluster: what fits starts, what can never fit is refused in one line before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.table1 import SETTING
from rollbench.engine.gloo import interface
from rollbench.engine.nodes import autoscaler_nodes, capacity
from rollbench.engine.resources import WORKER_CPUS, Resources, bounds
from rollbench.errors import UserError
from rollbench.pipeline.estimate import STATE_BYTES, model_cost, training_memory

CPUS = {"CPU": 1.0}
SMALL = [CPUS, CPUS]
GPUS = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 4.0}, {"CPU": 8.0}]


@pytest.mark.parametrize(
    ("nodes", "gpus", "fits"),
    [
        (SMALL, 0, 2),
        ([{"CPU": 2.0}], 0, 2),
        ([{"CPU": 0.9}, {}], 0, 0),
        (GPUS, 0, 25),
        (GPUS, 1, 3),  # two on the first, one on the second, which has a single CPU
        (GPUS, 0.5, 5),
        (GPUS, 0.6, 3),  # a GPU has room for one part of 0.6, not two for three
        (GPUS, 0.1, 17),
        (GPUS, 2, 2),
        (GPUS, 3, 1),
        (GPUS, 5, 0),
    ],
)
def test_a_worker_fits_on_one_node_and_its_part_of_a_gpu_on_one_gpu(nodes, gpus: float, fits: int) -> None:
    assert capacity(nodes, gpus) == fits


@pytest.mark.parametrize(
    ("resources", "nodes", "words"),
    [
        (Resources(3, 3), SMALL, "--workers 3: each takes a CPU of one node, .* room for 2; the most is 2"),
        (Resources(4, 4, gpus=1), GPUS, "--workers 4: each takes a CPU and 1 GPUs of one node, .* the most is 3"),
        (Resources(1, 1, gpus=8), GPUS, "no node has that .*; choose --gpus-per-worker 1"),
        (Resources(1, 1, gpus=0.5), SMALL, "no node has that .*; choose --gpus-per-worker 0"),
        (Resources(1, 1), [{"CPU": 0.5}], r"no node has that \(0.5 CPUs and 0 GPUs\); add a node"),
    ],
)
def test_what_can_never_fit_is_refused(resources: Resources, nodes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        resources.check(nodes)


def test_what_fits_passes_and_the_most_may_be_more_than_fits_now() -> None:
    Resources(2, 2).check(SMALL)
    Resources(2, 8).check(SMALL)


@pytest.mark.parametrize("share", [-1, 1.5, float("nan"), float("inf")])
def test_a_gpu_is_shared_or_whole(share: float) -> None:
    with pytest.raises(UserError, match="a part of one GPU or a whole number of them; choose"):
        Resources(gpus=share)


def test_elastic_workers_are_counted_exactly() -> None:
    """Ray Train sums what each takes and divides the sum by it; where that loses one, a group would wait for ever."""

    def counted(each: float) -> list[bool]:
        return [sum([each] * workers) // each == workers for workers in range(1, 200)]

    assert all(counted(WORKER_CPUS)) and not all(counted(0.9))
    with pytest.raises(UserError, match="choose 0.125"):
        Resources(2, 4, gpus=0.1)
    assert (
        all(counted(0.125)) and Resources(2, 4, gpus=0.125).max_workers == 4 and Resources(2, 2, gpus=0.1).gpus == 0.1
    )


def test_bounds_on_workers_are_read() -> None:
    assert bounds("3") == (3, 3) and bounds("2-4") == (2, 4)
    for text in ("0", "0-3", "4-2", "-1", "two", "1-", "1-2-3", "", "1.5", "٢"):
        with pytest.raises(UserError, match="e.g. --workers"):
            bounds(text)


def test_nodes_that_an_autoscaler_may_start_are_counted(root: Path) -> None:
    nodes = autoscaler_nodes((root / "ray_cluster.yaml").read_text())
    assert capacity(nodes, 1) == 8
    assert capacity(autoscaler_nodes("head_node_type: a\navailable_node_types: {a: {resources: {CPU: 4}}}"), 0) == 4


def test_the_network_interface_of_an_address() -> None:
    own = interface("127.0.0.1")
    assert own is not None and own.startswith("lo")
    assert interface("192.0.2.77") is None  # set aside for documentation: nobody's


def test_shards_and_computing_again_leave_a_worker_less_to_hold() -> None:
    cost = model_cost(SETTING.network, SETTING.data.frame_shape, 1, 15)
    spared, whole = SETTING.training, replace(SETTING.training, sharding="none", recompute=False)
    alone = training_memory(cost, whole)
    assert alone == training_memory(cost, whole, 8) == cost.parameters * STATE_BYTES + cost.activations * 4
    assert training_memory(cost, replace(whole, sharding="full")) == alone  # one worker shares nothing out
    memory = [training_memory(cost, spared, workers) for workers in (1, 2, 4, 8)]
    assert memory == sorted(memory, reverse=True) and memory[-1] < alone / 5


TABLE = ["experiments/table8.py", "--scale", "smoke", "--rows", "MSE (2-1)"]
TABLE += ["--set", "training.micro_batch=4", "--set", "training.batch=8"]  # two micro-batches: exact for two workers


@pytest.fixture
def two_nodes() -> Iterator[str]:
    """A cluster of two nodes with one CPU each; its address."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


def run(root: Path, folder: Path, *words: str, address: str = "") -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(root / "platform"), str(root)])
    environment = {**os.environ, "PYTHONPATH": paths} | ({"RAY_ADDRESS": address} if address else {})
    places = ["--storage", str(folder / "store"), "--out", str(folder / "out")]
    return subprocess.run(
        [sys.executable, *TABLE, *places, *words],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )


def scores(folder: Path) -> list[bytes]:
    return sorted(p.read_bytes() for p in (folder / "store").glob("results/*/results.parquet"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_that_no_node_holds_together_train_each_on_its_own(tmp_path: Path, root: Path, two_nodes: str) -> None:
    """Two of them, then one or two as there is room, give the numbers of one process; three are refused at once."""
    refused = run(root, tmp_path / "refused", "--workers", "3", "--set", "training.micro_batch=2", address=two_nodes)
    assert refused.returncode == 2 and "room for 2; the most is 2" in refused.stderr, refused.stderr
    assert not list(tmp_path.glob("refused/store/*/*/manifest.json"))
    asked = run(root, tmp_path / "gpu", "--gpus-per-worker", "0.5", address=two_nodes)
    assert asked.returncode == 2 and "choose --gpus-per-worker 0" in asked.stderr, asked.stderr
    for name, words in {"two": ["--workers", "2"], "bounds": ["--workers", "1-2"]}.items():
        done = run(root, tmp_path / name, *words, address=two_nodes)
        assert done.returncode == 0, done.stderr
    alone = run(root, tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    assert scores(tmp_path / "alone") and scores(tmp_path / "two") == scores(tmp_path / "alone")
    assert scores(tmp_path / "bounds") == scores(tmp_path / "alone")
