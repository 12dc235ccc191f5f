"""Deaths are forgiven while something is made: by the rule itself, and by a training whose worker group goes again and again."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ray.train import TrainingFailedError

from rollbench.engine import train as trains
from rollbench.engine.actor_pool import ActorPool
from rollbench.engine.failover import retry_while_progress
from rollbench.engine.model import WEIGHTS
from rollbench.pipeline.graph import HISTORY
from rollbench.store.artifact import Store
from rollbench.training import checkpoint
from tests.support.finished import stages


class Died(Exception):
    """A death."""


def deaths(life: str) -> int:
    """Deaths that a run survives or not: at each "." it dies, at each "+" something is made before."""
    lived, made = 0, 0

    def run() -> str:
        nonlocal lived, made
        lived += 1
        if lived > len(life):
            return "done"
        made += life[lived - 1] == "+"
        raise Died

    try:
        assert retry_while_progress(run, lambda: made, retry_on=(Died,)) == "done"
    except Died:
        return -lived
    return lived - 1


def test_four_deaths_with_nothing_made_since_are_too_many() -> None:
    assert deaths("...") == 3 and deaths("....") == -4
    assert deaths("+...+...+") == 9 and deaths("..+....") == -7
    with pytest.raises(ZeroDivisionError):
        retry_while_progress(lambda: 1 // 0, retry_on=(Died,))


def test_a_worker_group_that_fails_is_begun_again_if_it_left_a_newer_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, store = stages().rows[0].model, Store(str(tmp_path))
    artifact = stage.artifact(store)
    lives = iter([10, 20, None, 20])  # the newest checkpoint that each group leaves; None: it ends well

    def fit() -> None:
        step = next(lives)
        if step is None:
            for name in (WEIGHTS, HISTORY):
                artifact.write(name, b"", **dict.fromkeys(trains.COST, 1))
            return
        checkpoint.save_step(Path(artifact.path), step, {"x": torch.zeros(1)}, {})
        raise TrainingFailedError("its nodes are gone")

    monkeypatch.setattr(trains, "_trainer", lambda *_: SimpleNamespace(fit=fit))
    assert trains.train(stage, store, ActorPool(actors=2), max_workers=2, on_report=print).facts["workers"] == 1
    with pytest.raises(TrainingFailedError):
        trains.train(stage, store, ActorPool(actors=2), max_workers=2, on_report=print)
