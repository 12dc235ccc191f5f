"""Retries calls when processes die, and skips actors that cannot be scheduled.

Any number of deaths is accepted as long as there is progress in between: on preemptible machines a long run meets many. Several in a row
without progress are given up, because a call that kills its process would do so for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError

T = TypeVar("T")

MAX_RETRIES = 3  # in a row without progress
ACTOR_DIED = (RayActorError, WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)


def retry_while_progress(
    run: Callable[[], T],
    progress: Callable[[], Any] = lambda: None,
    max_retries: int = MAX_RETRIES,
    retry_on: tuple[type[Exception], ...] = ACTOR_DIED,
) -> T:
    """`run()`, repeated after each error in `retry_on`, until more than `max_retries` of them in a row come without progress.

    progress: returns a value that changes when there is progress, such as the newest checkpoint.
    """
    retries, before = max_retries, progress()
    while True:
        try:
            return run()
        except retry_on:
            now = progress()
            retries, before = (retries - 1 if now == before else max_retries), now
            if retries < 0:
                raise


class Dispatcher:
    """Distributes parts of a stage's work among actors, some of which may die, or be scheduled late or never.

    Only an actor that has answered a ping gets a part, so no part waits for an actor that cannot be scheduled. The part of an actor that
    died goes to another. When the queue is empty, actors without a part are released, which frees their resources.
    """

    def __init__(
        self,
        parts: Sequence[Any],
        workers: list[Any],  # kept up to date: dead actors are replaced
        spawn: Callable[[], Any],  # starts another actor
        start: Callable[[Any, Any], Any],  # starts a part on an actor, returns the reference of the call
        keep_idle: bool = False,  # do not release actors that finished their last part
    ) -> None:
        self.queue, self.unfinished, self.workers = deque(parts), len(parts), workers
        self.spawn, self.start, self.keep_idle = spawn, start, keep_idle
        self.idle: list[Any] = []
        self.running: dict[Any, tuple[Any, Any]] = {}  # call: (actor, part); the part of a ping is None

    def results(self) -> Iterator[Any]:
        """The results of the parts, in order of completion."""
        for worker in self.workers:
            self._ping(worker)
        deaths = 0
        while self.unfinished:
            (call,), _ = ray.wait(list(self.running), num_returns=1)
            worker, part = self.running.pop(call)
            try:
                result = ray.get(call)
            except ACTOR_DIED:
                deaths += 1
                if deaths > MAX_RETRIES * len(self.workers):  # the death of a node takes several with it
                    raise
                self._respawn(worker, part)
                continue
            self.idle.append(worker)
            self._assign()
            if part is not None:
                deaths, self.unfinished = 0, self.unfinished - 1
                yield result

    def _ping(self, worker: Any) -> None:
        self.running[worker.poll.remote()] = worker, None

    def _assign(self) -> None:
        while self.queue and self.idle:
            worker, part = self.idle.pop(), self.queue.popleft()
            self.running[self.start(worker, part)] = worker, part
        if not self.queue:
            for call in [call for call, (_, part) in self.running.items() if part is None]:
                self._release(self.running.pop(call)[0])
            while self.idle and not self.keep_idle:
                self._release(self.idle.pop())

    def _respawn(self, worker: Any, part: Any) -> None:
        """Replace an actor that died; its part goes to the end of the queue, behind the parts that killed no actor."""
        self._release(worker)
        if part is not None:
            self.queue.append(part)
        self.workers.append(self.spawn())
        self._ping(self.workers[-1])
        self._assign()

    def _release(self, worker: Any) -> None:
        self.workers.remove(worker)
        ray.kill(worker)
