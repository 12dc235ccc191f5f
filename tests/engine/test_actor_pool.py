"""Actors of a pool: kept or released after a stage, reused with their writer, replaced when they die, killed after an error."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollbench.engine import actor_pool
from rollbench.engine.actor_pool import ActorPool, OnReport, Shard
from rollbench.pipeline.graph import Stage
from rollbench.store.artifact import Store
from rollbench.store.lease import CLAIM


@dataclass(frozen=True, eq=False)
class Numbered(Stage):
    """A stage whose only input is a number."""

    kind = "data"
    n: int


WORKS = [Numbered(n, title=f"number {n}") for n in range(2)]


@pytest.fixture(scope="module", autouse=True)
def one_cluster() -> Iterator[None]:
    from ray import cloudpickle

    from rollbench.engine.cluster import cluster

    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)  # actors cannot import a test
    with cluster():
        yield
    cloudpickle.unregister_pickle_by_value(here)


@pytest.fixture(autouse=True)
def no_actor_kept() -> Iterator[None]:
    import ray

    yield
    while actor_pool._kept:
        ray.kill(actor_pool._kept.pop())


class Recorder:
    """A writer whose entries name its process, when it was constructed, and for which stage."""

    def __init__(self, stage: Numbered, store: Store) -> None:
        self.made, self.n = time.monotonic_ns(), stage.n

    def __call__(self, shard: Shard) -> Shard:
        if mark := shard.get("dies"):  # once
            if not Path(mark).exists():
                Path(mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if deaths := shard.get("deaths"):  # a line for each, in this file
            with open(deaths, "a") as file:
                print(shard["name"], file=file)
            os.kill(os.getpid(), signal.SIGKILL)
        while (end := shard.get("until")) and not Path(end).exists():
            time.sleep(0.05)
        if shard.get("fails"):
            raise ValueError("a shard that cannot be made")
        return {"name": shard["name"], "process": os.getpid(), "writer": self.made, "n": self.n}


def begun(folder: Path) -> Store:
    """A store whose stages are being made."""
    store = Store(str(folder))
    for stage in WORKS:
        stage.artifact(store).put(CLAIM, b"")
    return store


def entries_of(pool: ActorPool, store: Store, n: int = 0, count: int = 4, **words: Any) -> list[Shard]:
    return list(pool.write(Recorder, WORKS[n], store)([{"name": str(i), **words} for i in range(count)]))


def test_every_shard_is_written_once_whatever_the_batch(tmp_path: Path) -> None:
    for batch in (1, 3, 9):
        entries = entries_of(ActorPool(actors=2, groups_per_call=batch, kept=True), begun(tmp_path), count=7)
        assert sorted(entry["name"] for entry in entries) == [str(i) for i in range(7)]


def test_a_kept_actor_and_its_tool_are_there_for_the_next_stage(tmp_path: Path) -> None:
    pool, store = ActorPool(kept=True), begun(tmp_path)
    first, second, other = entries_of(pool, store), entries_of(pool, store), entries_of(pool, store, n=1)
    assert len({r["process"] for r in first + second + other}) == 1
    assert len({r["writer"] for r in first + second}) == 1 and other[0]["writer"] != first[0]["writer"]
    assert {r["n"] for r in other} == {1}


def test_an_actor_that_is_not_kept_is_gone_after_its_stage(tmp_path: Path) -> None:
    pool, store = ActorPool(), begun(tmp_path)
    (gone,), (next_one,) = ({r["process"] for r in entries_of(pool, store)} for _ in range(2))
    assert gone != next_one and not actor_pool._kept
    for _ in range(100):
        if not Path(f"/proc/{gone}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("its process lives on")


def test_a_killed_actor_comes_back_and_goes_on(tmp_path: Path) -> None:
    entries = entries_of(ActorPool(kept=True), begun(tmp_path), dies=str(tmp_path / "mark"))
    assert sorted(entry["name"] for entry in entries) == ["0", "1", "2", "3"]


@pytest.fixture
def one_cpu_left() -> Iterator[None]:
    """Somebody else's actors hold all CPUs of the cluster but one."""
    import ray

    from rollbench.engine.cluster import cpus

    class Stranger:
        def there(self) -> None:
            """Answers when it has its room."""

    others = [ray.remote(num_cpus=1)(Stranger).remote() for _ in range(cpus() - 1)]
    ray.get([other.there.remote() for other in others])
    yield
    for other in others:
        ray.kill(other)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("count", [2, 5])
def test_an_actor_that_finds_no_room_keeps_nobody_waiting(tmp_path: Path, one_cpu_left: None, count: int) -> None:
    entries = entries_of(ActorPool(actors=2), begun(tmp_path), count=count)
    assert sorted(entry["name"] for entry in entries) == [str(i) for i in range(count)]
    assert len({entry["process"] for entry in entries}) == 1


@pytest.mark.timeout(60)
def test_the_part_of_one_that_died_goes_to_another(tmp_path: Path, one_cpu_left: None) -> None:
    """Its room goes to the actor that had none."""
    entries = entries_of(ActorPool(actors=2), begun(tmp_path), dies=str(tmp_path / "mark"))
    assert sorted(entry["name"] for entry in entries) == ["0", "1", "2", "3"]


@pytest.mark.timeout(60)
def test_idle_actors_are_let_go_before_the_stage_ends(tmp_path: Path) -> None:
    """With two of them and one slow part, the second's CPU serves somebody else meanwhile."""
    import ray

    from rollbench.engine.cluster import cpus

    pool = ActorPool(actors=cpus())
    shards = [{"name": str(i)} for i in range(cpus() - 1)] + [{"name": "slow", "until": str(tmp_path / "end")}]
    results = iter(pool.write(Recorder, WORKS[0], begun(tmp_path))(shards))
    for _ in range(cpus() - 1):
        next(results)
    stranger = ray.remote(num_cpus=1)(lambda: "has room")
    assert ray.get(stranger.remote(), timeout=30) == "has room"
    (tmp_path / "end").touch()
    assert [entry["name"] for entry in results] == ["slow"]


def test_deaths_do_not_count_while_shards_are_made(tmp_path: Path) -> None:
    shards = [{"name": str(i)} | ({"dies": str(tmp_path / str(i))} if i % 2 else {}) for i in range(10)]
    results = ActorPool(kept=True).write(Recorder, WORKS[0], begun(tmp_path))(shards)
    assert sorted(entry["name"] for entry in results) == [str(i) for i in range(10)]


def test_a_shard_that_kills_whoever_makes_it_is_given_up_when_the_others_are_made(tmp_path: Path) -> None:
    from ray.exceptions import RayActorError

    deaths, made = tmp_path / "deaths", []
    shards = [{"name": "bad", "deaths": str(deaths)}, *({"name": str(i)} for i in range(3))]
    with pytest.raises(RayActorError):
        for entry in ActorPool(kept=True).write(Recorder, WORKS[0], begun(tmp_path))(shards):
            made.append(entry["name"])
    assert sorted(made) == ["0", "1", "2"] and not actor_pool._kept
    assert deaths.read_text().split() == ["bad"] * 5  # once before the others, then one time and three more


def test_an_error_reaches_the_caller_and_the_next_stage_finds_actors(tmp_path: Path) -> None:
    pool, store = ActorPool(kept=True), begun(tmp_path)
    with pytest.raises(ValueError, match="cannot be made"):
        entries_of(pool, store, fails=True)
    assert not actor_pool._kept and len(entries_of(pool, store)) == 4


def counting(last: int, tell: OnReport) -> int:
    for n in range(last):
        tell(n)
        time.sleep(0.4)
    return last


def test_a_call_tells_how_far_it_is() -> None:
    heard: list[int] = []
    assert ActorPool(kept=True).call(counting, 7, on_report=heard.append) == 7
    assert heard and heard == sorted(heard)


def dying(deaths: Path, steps: Path, each: int) -> str:
    """Dies five times, and makes a step before every `each`-th of them."""
    count = len(deaths.read_text()) if deaths.exists() else 0
    if count < 5:
        deaths.write_text("x" * (count + 1))
        if count % each == 0:
            steps.write_text(str(count))
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def test_a_call_outlives_deaths_as_long_as_something_is_made(tmp_path: Path) -> None:
    from ray.exceptions import RayActorError

    def run(name: str, each: int) -> object:
        steps = tmp_path / f"{name}-steps"
        made = lambda: steps.read_text() if steps.exists() else ""  # noqa: E731
        return ActorPool(kept=True).call(dying, tmp_path / name, steps, each, progress=made)

    assert run("often", 3) == "done"
    with pytest.raises(RayActorError):
        run("seldom", 9)
    assert (tmp_path / "seldom").read_text() == "x" * 5  # one that had made a step, and four without
