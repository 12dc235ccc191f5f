"""ray_cluster.yaml against Ray's own validator, and what it promises besides."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "ray_cluster.yaml").read_text()


def validated(config: dict[str, Any]) -> dict[str, Any]:
    """The whole configuration as Ray reads it. Raises what Ray raises."""
    from ray.autoscaler._private.util import fillout_defaults, validate_config

    filled: dict[str, Any] = fillout_defaults(config)
    validate_config(filled)
    return filled


@pytest.fixture
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(TEXT)
    return loaded


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    filled = validated(config)
    assert filled["cluster_name"] == "rollbench" and set(filled["available_node_types"]) == {"head", "gpu", "cpu"}


def test_ray_would_refuse_a_mistake(config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="upscaling"):
        validated({**config, "upscaling": 1})
    del config["available_node_types"]["head"]
    with pytest.raises(ValueError, match="head_node_type"):
        validated(config)


def test_nodes_run_the_pinned_version_of_ray(config: dict[str, Any]) -> None:
    pin = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    tags = re.findall(r"_image: rayproject/ray:(\S+)", TEXT)
    assert pin and len(tags) == 3 and {tag.split("-")[0] for tag in tags} == {pin[1]}
    assert {tag.split("-")[1] for tag in tags} == {"py311"}
    assert "-c constraints.txt" in config["setup_commands"][0]


def test_workers_are_spot_instances_and_the_head_is_not(config: dict[str, Any]) -> None:
    spot = {
        name: kind["node_config"].get("InstanceMarketOptions", {}).get("MarketType") == "spot"
        for name, kind in config["available_node_types"].items()
    }
    assert spot == {"head": False, "gpu": True, "cpu": True}
    assert {name for name, kind in config["available_node_types"].items() if "GPU" in kind["resources"]} == {"gpu"}


def test_it_opens_no_port_and_holds_no_secret(config: dict[str, Any]) -> None:
    assert "0.0.0.0" not in TEXT and "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][1]
    assert "--env=RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert not re.search(r"AKIA[0-9A-Z]{16}|aws_secret|RAY_AUTH_TOKEN=|://[^/\s]+:[^/\s]+@", TEXT)


def test_the_token_is_copied_to_all_nodes_and_asked_for(config: dict[str, Any]) -> None:
    from ray._private.authentication.authentication_token_setup import _get_default_token_path

    home = "/home/ray"
    (there,) = (there for there, here in config["file_mounts"].items() if here == "~/.ray/auth_token")
    assert there == str(_get_default_token_path()).replace(str(Path.home()), home)


def test_the_head_alone_may_start_nodes(config: dict[str, Any]) -> None:
    """Ray uses a given profile as it is (`_configure_iam_role`), so the head's is another than the workers', and its rights are stated."""
    types = config["available_node_types"].items()
    profiles = {name: kind["node_config"]["IamInstanceProfile"]["Arn"].rpartition("/")[2] for name, kind in types}
    assert profiles == {"head": "rollbench-head", "gpu": "rollbench-worker", "cpu": "rollbench-worker"}
    (stated,) = re.findall(r"^#   the head  besides: (.*\n#.*)$", TEXT, re.M)
    assert {"ec2:RunInstances", "ec2:TerminateInstances", "ec2:CreateTags", "ec2:Describe*", "iam:PassRole"} <= set(
        re.findall(r"\w+:[\w*]+", stated)
    )


def test_every_ray_command_is_one_that_this_ray_has(config: dict[str, Any]) -> None:
    """Parsed by Ray's own command line, without running it."""
    from ray.scripts.scripts import cli

    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    words = [
        shlex.split(part) for command in commands for part in command.split("&&") if part.strip().startswith("ray ")
    ]
    assert [w[:2] for w in words] == [["ray", "stop"], ["ray", "start"]] * 2
    for _, name, *options in words:
        cli.commands[name].make_context(name, [o.replace("$RAY_HEAD_IP", "10.0.0.1") for o in options])
    with pytest.raises(click.NoSuchOption):
        cli.commands["start"].make_context("start", ["--heads"])


def test_what_a_user_must_change_is_marked() -> None:
    marked = [line for line in TEXT.splitlines() if "# CHANGE" in line]
    assert len(marked) == 4 and all(re.search(r"my-bucket|my-lab|123456789012", line) for line in marked)


def test_what_is_copied_is_what_is_installed(config: dict[str, Any]) -> None:
    copied = {local for local in config["file_mounts"].values() if not local.startswith("~")}
    assert copied == {local for local in copied if (ROOT / local).exists()}
    assert {"platform", "evaluators", "experiments", "reports", "pyproject.toml", "constraints.txt"} <= copied
