"""The resources that a row takes of a Ray cluster. A request that can never fit is refused at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rollbench.engine.nodes import _nodes, capacity
from rollbench.errors import UserError

# A row takes whole cores: its workers compute, and its trial waits. So little for a trial that those of several drivers on one cluster,
# waiting for one another, always leave room for a worker. Seven eighths, since Ray divides sums of it to count elastic workers:
# five times 0.9 holds 0.9 four times.
TRIAL_CPUS = 0.01
WORKER_CPUS = 0.875
# Of a GPU, for an evaluator actor: its network is small beside the models, and those wait meanwhile.
EVALUATOR_GPUS = 0.25


def bounds(text: str) -> tuple[int, int]:
    """The least and the most workers, of "2" or "2-4". Raises UserError."""
    found = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text, re.ASCII)
    if found is None:
        raise UserError(f"--workers {text!r}: a number, or the least and the most, e.g. --workers 2-4")
    least, max_workers = int(found[1]), int(found[2] or found[1])
    if least < 1:
        raise UserError(f"--workers {text} is below 1; the smallest is 1, e.g. --workers 1")
    if least > max_workers:
        raise UserError(f"--workers {text}: the minimum exceeds the maximum, e.g. --workers {max_workers}-{least}")
    return least, max_workers


@dataclass(frozen=True)
class Resources:
    """The share of the cluster that a row takes.

    With max_workers above workers, training is elastic: Ray Train starts with as many workers as fit, and restarts with more or fewer as
    nodes come and go. The global batch does not depend on their number.
    """

    workers: int = 1  # training processes, and actors of later stages
    max_workers: int = 1  # training processes, at most
    groups_per_call: int = 1  # groups of samples, or shards of them, per call of an actor
    gpus: float | None = None  # of each of these processes; None: one where the cluster has GPUs, else none

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= self.max_workers or self.groups_per_call < 1:
            raise UserError(f"{self}: needs 1 <= workers <= max_workers and groups_per_call >= 1; choose Resources()")
        share = self.gpus or 0.0
        if not 0 <= share < 1e6 or (share > 1 and share % 1):
            near = max(0, round(share)) if abs(share) < 1e6 else 1
            raise UserError(f"--gpus-per-worker {share:g}: a part of one GPU or a whole number of them; choose {near}")

        if (
            self.max_workers > self.workers and share * 1024 % 1
        ):  # Ray divides sums of it, and such a sum would be inexact
            exact = max(1, round(share * 16)) / 16
            raise UserError(f"--gpus-per-worker {share:g}: with bounds on workers, halves of halves; choose {exact:g}")

    def resolve(self) -> Resources:
        """The same with the GPUs of this cluster. Raises UserError where a row could never start on it."""
        nodes = list(_nodes())
        gpus = float(any(node.get("GPU", 0) >= 1 for node in nodes)) if self.gpus is None else self.gpus
        resolve = replace(self, gpus=gpus)
        resolve.check(nodes)
        return resolve

    def check(self, nodes: Iterable[dict[str, float]]) -> None:
        """Refuse a row that nodes with these resources have no room for, instead of waiting for ever."""
        nodes = list(nodes)
        there = capacity(nodes, self.gpus or 0.0)
        if self.workers <= there:
            return
        each = "a CPU" + (f" and {self.gpus:g} GPUs" if self.gpus else "")
        if there:
            raise UserError(
                f"--workers {self.workers}: each takes {each} of one node, and the cluster has room for {there}; "
                f"the most is {there}"
            )
        words = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes[:8])
        choose = f"choose --gpus-per-worker {int(any(capacity([n], 1) for n in nodes))}" if self.gpus else "add a node"
        raise UserError(f"a worker takes {each} of one node, and no node has that ({words}); {choose}")

    def evaluators(self) -> int:
        """Evaluators that fit at once."""
        return max(1, capacity(_nodes(), min(self.gpus or 0.0, EVALUATOR_GPUS)))

    @property
    def concurrent_trials(self) -> int:
        """Trials that fit at once."""
        return max(1, capacity(_nodes(), self.gpus or 0.0) // self.max_workers)
