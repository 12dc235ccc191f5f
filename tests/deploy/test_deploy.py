"""The recipes of platform/deploy agree with the pinned versions, parse, and pass the checks that need no cloud."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

RECIPES = ("Dockerfile", "rayjob.yaml", "slurm.sbatch", "gcp.yaml", "azure.yaml")


@pytest.fixture(scope="module")
def deploy(root: Path) -> Path:
    return root / "platform/deploy"


def pinned(root: Path, package: str) -> str:
    found = re.search(rf"^{package}(?:\[.*\])?==(\S+)$", (root / "constraints.txt").read_text(), re.M)
    assert found, package
    return found[1]


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def test_every_recipe_is_documented(root: Path, deploy: Path) -> None:
    text = (root / "platform/README.md").read_text()
    assert sorted(path.name for path in deploy.iterdir()) == sorted(RECIPES)
    assert all(f"deploy/{name}" in text for name in RECIPES)


def test_ray_is_the_pinned_one_everywhere(root: Path, deploy: Path) -> None:
    version = pinned(root, "ray")
    assert f"rayproject/ray:{version}-py311-gpu" in (deploy / "Dockerfile").read_text()
    assert load(deploy / "rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == version
    assert f"rayproject/ray:{version}-py311-gpu" in (root / "ray_cluster.yaml").read_text()


def test_the_image_copies_what_its_installation_needs(root: Path, deploy: Path) -> None:
    """Each COPY names what exists, and together they hold every package of pyproject.toml and every file that it names."""
    lines = re.findall(r"^COPY --chown=ray (.+) \S+$", (deploy / "Dockerfile").read_text(), re.M)
    copied = {name for line in lines for name in line.split()}
    assert all((root / name).exists() for name in copied)
    assert copied == {
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "LICENSE",
        "platform",
        "evaluators",
        "experiments",
        "reports",
    }


@pytest.mark.parametrize("name", ["gcp.yaml", "azure.yaml"])
def test_ray_accepts_the_cluster_of_another_provider(root: Path, deploy: Path, name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = load(root / "ray_cluster.yaml") | load(deploy / name)
    config["file_mounts"] = {}  # paths of the user's home
    prepared = prepare_config(config)
    validate_config(prepared)
    assert set(prepared["available_node_types"]) == {"head", "gpu"} and prepared["provider"]["type"] == name[:-5]


def test_the_job_of_kubernetes_is_complete(deploy: Path) -> None:
    job = load(deploy / "rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in container["env"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounts <= {volume["name"] for volume in group["template"]["spec"].get("volumes", [])}
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_commands_of_the_recipes_are_accepted(root: Path, deploy: Path) -> None:
    """The entry point of the Kubernetes job passes the options of its experiment, as a dry run."""
    command = shlex.split(load(deploy / "rayjob.yaml")["spec"]["entrypoint"])
    assert command[0] == "python"
    arguments = [a if not a.startswith("s3://") else "store" for a in command[1:]]
    arguments[arguments.index("lab")] = "smoke"
    done = subprocess.run(
        [sys.executable, str(root / arguments[0]), *arguments[1:], "--dry-run"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_slurm_script_starts_ray_on_every_node_and_the_table_on_one(tmp_path: Path, deploy: Path) -> None:
    """Run with Slurm's commands replaced by scripts that record how they are called; `ray` is one of them."""
    script = deploy / "slurm.sbatch"
    record = tmp_path / "calls"
    for name, body in {
        "scontrol": "printf 'node1\\nnode2\\n'",
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; "$@"',
        "ray": f'printf "%s\\n" "$*" > {record}',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").write_text("")
    slurm = {
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_ID": "31415",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "16",
    }
    environment = {**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(
        ["bash", script, "experiments/table8.py", "--scale", "lab"], cwd=tmp_path, env=environment, check=True
    )
    called = record.read_text().strip()
    address = "node1:21415"
    assert called == (
        f"symmetric-run --address {address} --min-nodes 2 --num-cpus 16 -- env RAY_ADDRESS={address} "
        "python experiments/table8.py --scale lab"
    )
    none = subprocess.run(["bash", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert none.returncode == 2 and "usage: sbatch" in none.stderr


def test_ray_knows_the_options_of_the_slurm_script(deploy: Path) -> None:
    from click.testing import CliRunner
    from ray.scripts.scripts import cli

    text = CliRunner().invoke(cli, ["symmetric-run", "--help"]).output
    assert "--address" in text and "--min-nodes" in text
    assert "--num-cpus" in CliRunner().invoke(cli, ["start", "--help"]).output
