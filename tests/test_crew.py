"""A crew's actors: kept or not, warm for the next shard, killed and back again, and rid of after an error."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollbench.engine import crew as crews
from rollbench.engine.crew import Crew, Shard, Tell
from rollbench.pipeline import Work
from rollbench.store import Store

WORKS = [Work("data", f"number {n}", {"n": n}) for n in range(2)]


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
def nobody_kept() -> Iterator[None]:
    import ray

    yield
    while crews._kept:
        ray.kill(crews._kept.pop())


class Pen:
    """A tool that says who used it, when it was made and for what."""

    def __init__(self, work: Work, store: Store) -> None:
        self.made, self.n = time.monotonic_ns(), work.made_from["n"]

    def __call__(self, shard: Shard) -> Shard:
        if mark := shard.get("dies"):  # once
            if not Path(mark).exists():
                Path(mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if shard.get("fails"):
            raise ValueError("a shard that cannot be made")
        return {"name": shard["name"], "process": os.getpid(), "tool": self.made, "n": self.n}


def written(crew: Crew, store: Store, n: int = 0, count: int = 4, **words: Any) -> list[Shard]:
    return list(crew.write(Pen, WORKS[n], store)([{"name": str(i), **words} for i in range(count)]))


def test_every_shard_is_written_once_whatever_the_batch(tmp_path: Path) -> None:
    for batch in (1, 3, 9):
        found = written(Crew(actors=2, batch=batch, kept=True), Store(str(tmp_path)), count=7)
        assert sorted(receipt["name"] for receipt in found) == [str(i) for i in range(7)]


def test_a_kept_actor_and_its_tool_are_there_for_the_next_stage(tmp_path: Path) -> None:
    crew, store = Crew(kept=True), Store(str(tmp_path))
    first, second, other = written(crew, store), written(crew, store), written(crew, store, n=1)
    assert len({r["process"] for r in first + second + other}) == 1
    assert len({r["tool"] for r in first + second}) == 1 and other[0]["tool"] != first[0]["tool"]
    assert {r["n"] for r in other} == {1}


def test_an_actor_that_is_not_kept_is_gone_after_its_stage(tmp_path: Path) -> None:
    crew, store = Crew(), Store(str(tmp_path))
    (gone,), (next_one,) = ({r["process"] for r in written(crew, store)} for _ in range(2))
    assert gone != next_one and not crews._kept
    for _ in range(100):
        if not Path(f"/proc/{gone}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("its process lives on")


def test_a_killed_actor_comes_back_and_goes_on(tmp_path: Path) -> None:
    found = written(Crew(kept=True), Store(str(tmp_path)), dies=str(tmp_path / "mark"))
    assert sorted(receipt["name"] for receipt in found) == ["0", "1", "2", "3"]


def test_an_error_reaches_the_caller_and_the_next_stage_finds_actors(tmp_path: Path) -> None:
    crew, store = Crew(kept=True), Store(str(tmp_path))
    with pytest.raises(ValueError, match="cannot be made"):
        written(crew, store, fails=True)
    assert not crews._kept and len(written(crew, store)) == 4


def counting(last: int, tell: Tell) -> int:
    for n in range(last):
        tell(n)
        time.sleep(0.4)
    return last


def test_a_call_tells_how_far_it_is() -> None:
    heard: list[int] = []
    assert Crew(kept=True).call(counting, 7, told=heard.append) == 7
    assert heard and heard == sorted(heard)
