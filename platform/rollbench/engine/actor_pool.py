"""Ray actors that roll out, evaluate and train, and keep what they have loaded for the next shard.

Starting a process and importing torch takes seconds, and rolling out a group of small samples takes a tenth of one. A pool of one actor
therefore persists from stage to stage and from row to row (`ActorPool.kept`). `ray.util.ActorPool` drops the item of an actor that dies,
and Ray Data restarts a failing item for ever; `failover` retries it on another actor while there is progress.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import ray
import torch

from rollbench.engine.failover import ACTOR_DIED, Dispatcher, retry_while_progress
from rollbench.engine.resources import EVALUATOR_GPUS, WORKER_CPUS, Resources
from rollbench.pipeline.graph import Stage
from rollbench.store.artifact import Store
from rollbench.store.lease import check_node_sees

Shard = dict[str, Any]  # the item of a shard, then its file entry
OnReport = Callable[[Any], None]

POLL_S = 1.0  # seconds between polls of the reports of a busy actor


class ShardWriter(Protocol):
    """Turns items into shards; constructing one may load a network."""

    def __init__(self, stage: Stage, store: Store) -> None: ...
    def __call__(self, shard: Shard, /) -> Shard: ...


class Worker:
    """One process of a pool. It holds the writer of its last shard: a model, or the networks of measures."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.held: tuple[Any, ShardWriter | None] = (None, None)
        self.latest: Any = None

    def write(self, kind: type[ShardWriter], stage: Stage, store: Store, shards: list[Shard]) -> list[Shard]:
        check_node_sees(stage.artifact(store))
        wanted, (held, writer) = (kind, stage.key, store), self.held
        if writer is None or held != wanted:
            self.held = (None, None)  # never hold two networks in memory
            writer = kind(stage, store)
            self.held = (wanted, writer)
        return [writer(shard) for shard in shards]

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], reports: bool) -> Any:
        self.held, self.latest = (None, None), None

        def report(latest: Any) -> None:
            self.latest = latest

        return function(*arguments, report) if reports else function(*arguments)

    @ray.method(concurrency_group="listening")
    def poll(self) -> Any:
        """The latest report of the running call."""
        return self.latest


_kept: list[Any] = []  # of this process, which runs one stage after the other on them


@dataclass(frozen=True)
class ActorPool:
    """The actors of a stage."""

    actors: int = 1
    groups_per_call: int = 1  # shards per call of an actor
    gpus: float = 0.0  # of each actor
    kept: bool = False  # whether the actors persist after the stage

    @classmethod
    def of_row(cls, resources: Resources, share: float = 1.0) -> ActorPool:
        """The pool of a row's stages, with at most `share` of a GPU per actor; a single actor persists from stage to stage."""
        gpus, alone = resources.gpus or 0.0, resources.max_workers == 1
        return cls(resources.workers, resources.groups_per_call, gpus if alone else min(gpus, share), kept=alone)

    @classmethod
    def cluster_pool(cls, resources: Resources) -> ActorPool:
        """As many evaluators as fit, for stages that run before the rows."""
        return cls(resources.evaluators(), resources.groups_per_call, min(resources.gpus or 0.0, EVALUATOR_GPUS))

    def write(self, writer: type[ShardWriter], stage: Stage, store: Store) -> Callable[[list[Shard]], Iterable[Shard]]:
        """A function from items to file entries in order of completion, each written by `writer(stage, store)` on an actor."""

        def run(shards: list[Shard]) -> Iterator[Shard]:
            parts = [shards[i : i + self.groups_per_call] for i in range(0, len(shards), self.groups_per_call)]
            with self._actors(len(parts)) as workers:
                dispatcher = Dispatcher(
                    parts,
                    workers,
                    spawn=self._spawn,
                    start=lambda worker, part: worker.write.remote(writer, stage, store, part),
                    keep_idle=self.kept,
                )
                for entries in dispatcher.results():
                    yield from entries

        return run

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        on_report: OnReport | None = None,
        progress: Callable[[], Any] = lambda: None,
    ) -> Any:
        """`function(*arguments)` on an actor, and on another if it dies.

        on_report: receives the latest report of the function, which gets a reporting function as its last argument. progress:
        returns the progress so far; only failures without progress in between are counted.
        """
        return retry_while_progress(lambda: self._call(function, arguments, on_report), progress)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...], on_report: OnReport | None) -> Any:
        with self._actors(1) as (worker, *_):
            result = worker.call.remote(function, arguments, on_report is not None)
            while on_report is not None and not ray.wait([result], timeout=POLL_S)[0]:
                _forward(worker, on_report)
            output = ray.get(result)
            if on_report is not None:  # the last report may have come after the last poll
                with contextlib.suppress(*ACTOR_DIED):
                    _forward(worker, on_report)
            return output

    def wait_ready(self) -> None:
        """Wait until a persistent actor is scheduled, before taking a lease, so that the holder of a lease can always proceed."""
        retry_while_progress(self._ping)

    def _ping(self) -> None:
        with self._actors(1) as (worker, *_):
            ray.get(worker.poll.remote())

    def release(self) -> None:
        """Release idle actors while blocked on the lease of another driver, or both would deadlock."""
        while _kept:
            ray.kill(_kept.pop())

    @contextlib.contextmanager
    def _actors(self, parts: int) -> Iterator[list[Any]]:
        """At most `actors` actors for at most `parts` parts."""
        workers, reusable = _kept if self.kept else [], False
        try:
            while len(workers) < min(self.actors, parts):
                workers.append(self._spawn())
            yield workers
            reusable = self.kept  # after an error one may be dead, or busy with a call that nobody waits for
        finally:
            while workers and not reusable:
                ray.kill(workers.pop())

    def _spawn(self) -> Any:
        return _Worker.options(num_cpus=WORKER_CPUS, num_gpus=self.gpus).remote()


def _forward(worker: Any, on_report: OnReport) -> None:
    if (latest := ray.get(worker.poll.remote())) is not None:
        on_report(latest)


# No restarts and no retries by Ray: a restarted actor would hold its item while it waits to be scheduled (see `failover`).
_Worker: Any = ray.remote(
    max_restarts=0,
    max_task_retries=0,
    concurrency_groups={"listening": 1},
    scheduling_strategy="SPREAD",  # not inside the small reservation of a Tune trial
)(Worker)
