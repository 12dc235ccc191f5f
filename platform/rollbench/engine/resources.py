"""What a row takes of a cluster, and whether the cluster has it: what can never fit is refused, not waited for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rollbench.spec import BadInput

if TYPE_CHECKING:
    from rollbench.engine.crew import Crew

# Of a GPU, for an evaluator actor: its network is small beside the models, and those wait meanwhile.
EVALUATOR_GPUS = 0.25
BOOTSTRAP = "~/ray_bootstrap_config.yaml"  # what `ray up` leaves on the head node: the node types that it may start


def bounds(text: str) -> tuple[int, int]:
    """The least and the most workers, of "2" or "2-4". Raises BadInput."""
    found = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text, re.ASCII)
    if found is None:
        raise BadInput(f"--workers {text!r}: a number, or the least and the most, e.g. --workers 2-4")
    least, most = int(found[1]), int(found[2] or found[1])
    if least < 1:
        raise BadInput(f"--workers {text} is below 1; the smallest is 1, e.g. --workers 1")
    if least > most:
        raise BadInput(f"--workers {text} falls; the least comes first, e.g. --workers {most}-{least}")
    return least, most


@dataclass(frozen=True)
class Resources:
    """How much of the cluster a row takes.

    workers: training processes (the global batch stays), and actors of later stages. most: as many of them where there is room
    while a model trains; Ray Train then starts with those that fit, and restarts with more or fewer as nodes come and go.
    batch: groups of films, or shards of them, handed to an actor at a time.
    gpus: of each of those processes; None is one where the cluster has GPUs, else none.
    """

    workers: int = 1
    most: int = 1
    batch: int = 1
    gpus: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= self.most or self.batch < 1:
            raise BadInput(f"{self}: needs 1 <= workers <= most and batch >= 1; choose Resources()")
        share = self.gpus or 0.0
        if not 0 <= share < 1e6 or (share > 1 and share % 1):
            near = max(0, round(share)) if abs(share) < 1e6 else 1
            raise BadInput(f"--gpus-per-worker {share:g}: a part of one GPU or a whole number of them; choose {near}")

        if self.most > self.workers and share * 1024 % 1:  # Ray divides sums of it, and such a sum would be inexact
            exact = max(1, round(share * 16)) / 16
            raise BadInput(f"--gpus-per-worker {share:g}: with bounds on workers, halves of halves; choose {exact:g}")

    def settled(self) -> Resources:
        """The same with the GPUs of this cluster. Raises BadInput where a row could never start on it."""
        nodes = list(_nodes())
        gpus = float(any(node.get("GPU", 0) >= 1 for node in nodes)) if self.gpus is None else self.gpus
        settled = replace(self, gpus=gpus)
        settled.check(nodes)
        return settled

    def check(self, nodes: Iterable[dict[str, float]]) -> None:
        """Refuse a row that nodes with these resources have no room for, instead of waiting for ever."""
        nodes = list(nodes)
        there = room(nodes, self.gpus or 0.0)
        if self.workers <= there:
            return
        each = "a CPU" + (f" and {self.gpus:g} GPUs" if self.gpus else "")
        if there:
            raise BadInput(
                f"--workers {self.workers}: each takes {each} of one node, and the cluster has room for {there}; "
                f"the most is {there}"
            )
        words = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes[:8])
        choose = f"choose --gpus-per-worker {int(any(room([n], 1) for n in nodes))}" if self.gpus else "add a node"
        raise BadInput(f"a worker takes {each} of one node, and no node has that ({words}); {choose}")

    def crew(self, share: float = 1.0) -> Crew:
        """The actors of a row's stages, with at most a share of a GPU each. A single one is kept from stage to stage."""
        from rollbench.engine.crew import Crew

        gpus, alone = self.gpus or 0.0, self.most == 1
        return Crew(self.workers, self.batch, gpus if alone else min(gpus, share), kept=alone)

    def everywhere(self) -> Crew:
        """As many evaluators as fit: for what is done before there are rows."""
        from rollbench.engine.crew import Crew

        return Crew(self.evaluators(), self.batch, min(self.gpus or 0.0, EVALUATOR_GPUS))

    def evaluators(self) -> int:
        """Evaluators that fit at once."""
        return max(1, room(_nodes(), min(self.gpus or 0.0, EVALUATOR_GPUS)))

    @property
    def side_by_side(self) -> int:
        """Trials that fit at once."""
        return max(1, room(_nodes(), self.gpus or 0.0) // self.most)


def room(nodes: Iterable[dict[str, float]], gpus: float) -> int:
    """Workers that fit on nodes with these resources. A worker is on one node, and its part of a GPU is of one GPU."""

    def on(node: dict[str, float]) -> int:
        cpus, there = int(node.get("CPU", 0)), node.get("GPU", 0)
        if not gpus:
            return cpus
        return min(cpus, int(1 / gpus + 1e-9) * int(there) if gpus < 1 else int(there // gpus))

    return sum(on(node) for node in nodes)


def _nodes() -> Iterable[dict[str, float]]:
    """What each node has: those that there are, or, where more, those that the autoscaler of `ray up` may start."""
    import ray

    present = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    possible = _possible()
    return possible if len(possible) > len(present) else present


def may_grow(present: int) -> bool:
    """Whether an autoscaler may start more nodes than are there now."""
    return len(_possible()) > present


def _possible() -> list[dict[str, float]]:
    """What each node has that the autoscaler of `ray up` may start, the head among them; empty where there is none."""
    book = Path(BOOTSTRAP).expanduser()
    if not os.environ.get("RAY_ADDRESS") or not book.is_file():
        return []
    return growing(book.read_text())


def growing(text: str) -> list[dict[str, float]]:
    """The resources of each node that a cluster of this configuration may have."""
    import yaml

    told = yaml.safe_load(text)
    types = told["available_node_types"]
    head = types[told["head_node_type"]].get("resources", {})
    nodes = [
        kind.get("resources", {})
        for name, kind in types.items()
        for _ in range(kind.get("max_workers", 0))
        if name != told["head_node_type"]
    ]
    nodes.sort(key=lambda node: -node.get("GPU", 0))
    return [head, *nodes[: told.get("max_workers", len(nodes))]]
