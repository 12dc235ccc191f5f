"""Retries calls when processes die, and skips actors that cannot be scheduled.

A death is forgiven as long as there is progress: on machines that come and go a long run meets any number of them. What dies again and
again with nothing made in between would go on doing so, and is given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError

T = TypeVar("T")

MAX_RETRIES = 3  # in a row with nothing new made
ACTOR_DIED = (RayActorError, WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)


def retry_while_progress(
    run: Callable[[], T],
    made: Callable[[], Any] = lambda: None,
    restarts: int = MAX_RETRIES,
    gone: tuple[type[Exception], ...] = ACTOR_DIED,
) -> T:
    """`run()`, and again each time it dies, until that has happened more than `restarts` times with nothing new made.

    made: what there is by now. gone: the errors that are deaths.
    """
    left, before = restarts, made()
    while True:
        try:
            return run()
        except gone:
            now = made()
            left, before = (left - 1 if now == before else restarts), now
            if left < 0:
                raise


class Dispatcher:
    """Parts shared out among actors, of which some may find no room, or find it late, or die.

    Only an actor that has answered is given a part, so none waits for room that never comes. The part of one that died goes to
    another. When no part is left to give, those without one are let go: their room serves others.

    hands: the actors; the list is kept up to date. hire: makes one more. give: has an actor begin a part. keep: idle actors.
    """

    def __init__(
        self,
        parts: Sequence[Any],
        workers: list[Any],
        wait_ready: Callable[[], Any],
        give: Callable[[Any, Any], Any],
        keep: bool = False,
    ) -> None:
        self.queue, self.left, self.workers = deque(parts), len(parts), workers
        self.wait_ready, self.give, self.keep = wait_ready, give, keep
        self.free: list[Any] = []
        # A call → its actor, and its part; None where it only has to answer.
        self.doing: dict[Any, tuple[Any, Any]] = {}

    def results(self) -> Iterator[Any]:
        """What the calls return, as they come."""
        for worker in self.workers:
            self._ping(worker)
        deaths = 0
        while self.left:
            (call,), _ = ray.wait(list(self.doing), num_returns=1)
            worker, part = self.doing.pop(call)
            try:
                result = ray.get(call)
            except ACTOR_DIED:
                deaths += 1
                if deaths > MAX_RETRIES * len(self.workers):  # a node that goes takes several with it
                    raise
                self._respawn(worker, part)
                continue
            self.free.append(worker)
            self._assign()
            if part is not None:
                deaths, self.left = 0, self.left - 1
                yield result

    def _ping(self, worker: Any) -> None:
        self.doing[worker.poll.remote()] = worker, None

    def _assign(self) -> None:
        while self.queue and self.free:
            worker, part = self.free.pop(), self.queue.popleft()
            self.doing[self.give(worker, part)] = worker, part
        if not self.queue:
            for call in [call for call, (_, part) in self.doing.items() if part is None]:
                self._dismiss(self.doing.pop(call)[0])
            while self.free and not self.keep:
                self._dismiss(self.free.pop())

    def _respawn(self, worker: Any, part: Any) -> None:
        """Another actor for one that died, whose part waits for whoever is free first, behind the parts that killed nobody."""
        self._dismiss(worker)
        if part is not None:
            self.queue.append(part)
        self.workers.append(self.wait_ready())
        self._ping(self.workers[-1])
        self._assign()

    def _dismiss(self, worker: Any) -> None:
        self.workers.remove(worker)
        ray.kill(worker)
