"""Workers that roll out, evaluate and train: Ray actors that keep what they have loaded for the next shard.

To start a process and import torch takes seconds, to roll out a group of small films a tenth of one. So where nothing else waits for
their room, actors are kept from stage to stage and from row to row (`ActorPool.kept`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import ray
import torch

from rollbench.engine.failover import Dispatcher, retry_while_progress
from rollbench.engine.resources import EVALUATOR_GPUS, WORKER_CPUS, Resources
from rollbench.pipeline.graph import Stage
from rollbench.store.artifact import Store
from rollbench.store.lease import check_node_sees

Shard = dict[str, Any]  # what a shard is made from in, its receipt out
Tell = Callable[[Any], None]

POLL_S = 1.0  # seconds between looks at what a busy actor has to tell


class ShardWriter(Protocol):
    """What turns shards' places into shards, at some cost of loading."""

    def __init__(self, stage: Stage, store: Store) -> None: ...
    def __call__(self, shard: Shard, /) -> Shard: ...


class Worker:
    """One process of a crew. It holds the tool of its last shard: a model, or the networks of measures."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.held: tuple[Any, ShardWriter | None] = (None, None)
        self.news: Any = None

    def write(self, kind: type[ShardWriter], stage: Stage, store: Store, shards: list[Shard]) -> list[Shard]:
        check_node_sees(stage.artifact(store))
        name, (held, tool) = (kind, stage.key, store), self.held
        if tool is None or held != name:
            self.held = (None, None)  # so that two networks never stand in memory
            tool = kind(stage, store)
            self.held = (name, tool)
        return [tool(shard) for shard in shards]

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], wrap_errors: bool) -> Any:
        self.held, self.news = (None, None), None

        def tell(news: Any) -> None:
            self.news = news

        return function(*arguments, tell) if wrap_errors else function(*arguments)

    @ray.method(concurrency_group="listening")
    def poll(self) -> Any:
        """What the running call told last."""
        return self.news


_kept: list[Any] = []  # by this process, which gives one stage after the other to them


@dataclass(frozen=True)
class ActorPool:
    """How many actors a stage has, and with how many GPUs each. batch: shards handed to an actor at a time. kept: after the stage."""

    actors: int = 1
    batch: int = 1
    gpus: float = 0.0
    kept: bool = False

    @classmethod
    def of_row(cls, resources: Resources, share: float = 1.0) -> ActorPool:
        """The actors of a row's stages, with at most a share of a GPU each. A single one is kept from stage to stage."""
        gpus, alone = resources.gpus or 0.0, resources.max_workers == 1
        return cls(resources.workers, resources.batch, gpus if alone else min(gpus, share), kept=alone)

    @classmethod
    def cluster_pool(cls, resources: Resources) -> ActorPool:
        """As many evaluators as fit: for what is done before there are rows."""
        return cls(resources.evaluators(), resources.batch, min(resources.gpus or 0.0, EVALUATOR_GPUS))

    def write(self, tool: type[ShardWriter], stage: Stage, store: Store) -> Callable[[list[Shard]], Iterable[Shard]]:
        """The function from shards' places to receipts, as they come, each written by `tool(work, store)` on an actor."""

        def run(shards: list[Shard]) -> Iterator[Shard]:
            parts = [shards[i : i + self.batch] for i in range(0, len(shards), self.batch)]
            with self._actors(len(parts)) as workers:
                sharing = Dispatcher(
                    parts,
                    workers,
                    wait_ready=self._spawn,
                    give=lambda worker, part: worker.write.remote(tool, stage, store, part),
                    keep=self.kept,
                )
                for receipts in sharing.results():
                    yield from receipts

        return run

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        told: Tell | None = None,
        made: Callable[[], Any] = lambda: None,
    ) -> Any:
        """`function(*arguments)` on an actor, and on another if it dies.

        told: hears now and then what the function told last, by one more argument. made: what there is of the result so far; deaths
        are counted while that stays the same.
        """
        return retry_while_progress(lambda: self._call(function, arguments, told), made)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...], told: Tell | None) -> Any:
        with self._actors(1) as (worker, *_):
            result = worker.call.remote(function, arguments, told is not None)
            while told is not None and not ray.wait([result], timeout=POLL_S)[0]:
                if (news := ray.get(worker.poll.remote())) is not None:
                    told(news)
            return ray.get(result)

    def wait_ready(self) -> None:
        """Wait until there is room for an actor that is kept. Done before a stage is claimed, so that whoever holds a claim can go on."""
        retry_while_progress(self._hire)

    def _hire(self) -> None:
        with self._actors(1) as (worker, *_):
            ray.get(worker.poll.remote())

    def release(self) -> None:
        """Let go of the actors that are kept: who waits for another driver must not hold what that one waits for."""
        while _kept:
            ray.kill(_kept.pop())

    @contextlib.contextmanager
    def _actors(self, wanted: int) -> Iterator[list[Any]]:
        """At most `actors` actors for at most `wanted` parts."""
        kept = _kept if self.kept else []
        try:
            while len(kept) < min(self.actors, wanted):
                kept.append(self._spawn())
            yield kept
        except BaseException:
            kept_after = False  # one may have died for good, or be busy with what nobody wants any more
            raise
        else:
            kept_after = self.kept
        finally:
            while kept and not kept_after:
                ray.kill(kept.pop())

    def _spawn(self) -> Any:
        return _Worker.options(num_cpus=WORKER_CPUS, num_gpus=self.gpus).remote()


# Ray neither restarts one nor repeats its calls: a restarted one would hold its part while it waits for room (see `deaths`).
_Worker: Any = ray.remote(
    max_restarts=0,
    max_task_retries=0,
    concurrency_groups={"listening": 1},
    scheduling_strategy="SPREAD",  # and not within the little room that a Tune trial holds for itself
)(Worker)
