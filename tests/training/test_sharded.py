"""Weights in shards (FSDP): workers that share one model out train it as one worker does, and their checkpoints are anybody's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rollbench.methods import Rolling
from rollbench.training import sharding
from rollbench.training.loop import load_final
from rollbench.training.run import Run
from tests.support.group import together
from tests.training.test_training import NEVER, TRAINING, denoiser, same, stop, train, waves

# Three micro-batches, so that of two workers one has a second; a gradient that is always clipped; dropout is on.
THREE = replace(TRAINING, steps=8, batch=12, grad_clip=0.05)
SHARDED = replace(THREE, sharding="full", recompute=True)
TOLERANCE = 1e-5  # of weights of size 1: what sums taken in another order change over these steps


def difference(one: Path, other: Path) -> float:
    """The largest difference between averaged weights, and the largest relative one between reported losses and norms."""
    (weights, facts), (weights2, facts2) = load_final(one), load_final(other)
    assert weights.keys() == weights2.keys()
    pairs = list(zip(facts["history"], facts2["history"], strict=True))
    return max(
        *((weights[name] - weights2[name]).abs().max().item() for name in weights),
        *(abs(a[number] / b[number] - 1) for a, b in pairs for number in ("loss", "grad_norm")),
    )


def share_out(folder: Path, words: dict[str, int]) -> None:
    train(folder / "sharded", SHARDED, **words)
    _tell_share(folder, words)
    keeping = replace(NEVER, steps=2)
    with pytest.raises(KeyboardInterrupt):  # two workers with a copy each, until step 2
        train(folder / "handed", THREE, keeping=keeping, on_checkpoint=stop, **words)
    with pytest.raises(KeyboardInterrupt):  # in shards, until step 4
        train(folder / "handed", SHARDED, keeping=keeping, on_checkpoint=stop, **words)
    # The planted fault: the norm of one's own shard.
    vars(sharding)["dist"] = SimpleNamespace(all_reduce=lambda squares: None)
    train(folder / "fault", SHARDED, **words)


def _tell_share(folder: Path, words: dict[str, int]) -> None:
    rank, world = words["rank"], words["world"]
    run = Run(denoiser(), Rolling(1, 2), waves(), SHARDED, 3, torch.device("cpu"), rank, world)
    run.advance()

    def held(tensors: Any) -> int:
        return sum(sharding.local(t).numel() for t in tensors)

    moments = [state["exp_avg"] for optimiser, _ in run.optimisers for state in optimiser.state.values()]
    share = {
        "weights": held(run.weights.values()),
        "ema": held(run.ema.weights.values()),
        "moments": held(moments),
        "all": sum(p.numel() for p in run.weights.values()),
    }
    (folder / f"share-{rank}.json").write_text(json.dumps(share))


def test_two_workers_that_share_a_model_out_train_it_as_one_does(tmp_path: Path) -> None:
    together(share_out, tmp_path, 2)
    alone = train(tmp_path / "alone", THREE)
    assert difference(tmp_path / "sharded" / "final", alone) < TOLERANCE
    assert difference(tmp_path / "fault" / "final", alone) > 100 * TOLERANCE
    assert load_final(tmp_path / "sharded" / "final")[1]["sharded"]
    for rank in (0, 1):
        share = json.loads((tmp_path / f"share-{rank}.json").read_text())
        assert share["weights"] == share["ema"] == share["moments"]
        assert 0.4 * share["all"] < share["weights"] < 0.6 * share["all"]
    steps: list[int] = []
    handed = train(tmp_path / "handed", SHARDED, sink=lambda step, _: steps.append(step))  # one worker, from step 4
    assert steps == [5, 8]
    assert difference(handed, alone) < TOLERANCE


def test_a_single_worker_shares_nothing_out(tmp_path: Path) -> None:
    training = replace(TRAINING, steps=3)
    one, other = (train(tmp_path / t.sharding, t) for t in (training, replace(training, sharding="full")))
    assert same(one, other) and not load_final(other)[1]["sharded"]


def go_on(folder: Path, words: dict[str, int]) -> None:
    """Three workers, of whom some have no row of the smallest tensors, from a checkpoint of two."""
    train(folder / "handed", SHARDED, **words)
    train(folder / "bf16", replace(SHARDED, precision="bf16"), **words)


def two_steps(folder: Path, words: dict[str, int]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(folder / "handed", SHARDED, keeping=replace(NEVER, steps=2), on_checkpoint=stop, **words)


@pytest.mark.slow
def test_more_workers_go_on_from_the_checkpoint_of_fewer(tmp_path: Path) -> None:
    together(two_steps, tmp_path, 2)
    together(go_on, tmp_path, 3)
    alone, short = train(tmp_path / "alone", THREE), train(tmp_path / "short", replace(THREE, precision="bf16"))
    assert difference(tmp_path / "handed" / "final", alone) < TOLERANCE
    assert difference(tmp_path / "bf16" / "final", short) < 2e-2  # bf16 has 8 bits
