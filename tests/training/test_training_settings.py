"""What a training run may be: its learning rate over time, and the settings that are refused."""

import math
from dataclasses import replace
from typing import Any

import pytest

from rollbench.config.canonical import key
from rollbench.training.loop import CheckpointPolicy
from rollbench.training.settings import Training


def test_the_learning_rate_warms_up_and_falls_by_a_cosine() -> None:
    training = Training(steps=110, batch=1, learning_rate=2.0, warmup=10)
    rates = [training.rate(step) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (k + 1) for k in range(10)])
    assert rates[10] == 2.0 and rates[60] == pytest.approx(1.0) and rates[109] == pytest.approx(2e-4 * 2.467, rel=1e-2)
    assert replace(training, decay="constant").rate(109) == 2.0
    assert [training.rate(step, peak=1.0) for step in (4, 60)] == pytest.approx([0.5, 0.5]), (
        "another peak, the same shape"
    )
    assert replace(training, steps=20).rate(1) == 2.0  # the warm-up is at most a tenth of the run


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"steps": 0}, "steps 0"),
        ({"batch": -1}, "batch -1"),
        ({"micro_batch": 3}, "micro_batch 3: must divide batch 8; choose 2"),
        ({"learning_rate": 0.0}, "learning_rate 0.0"),
        ({"learning_rate": math.inf}, "learning_rate inf"),
        ({"grad_clip": -1.0}, "grad_clip -1.0"),
        ({"warmup": -1}, "warmup -1"),
        ({"decay": "linear"}, "decay 'linear'"),
        ({"precision": "fp16"}, "precision 'fp16'"),
        ({"sharding": "half"}, "sharding 'half': is 'none' or 'full'"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"optimiser": "sgd"}, "optimiser 'sgd': is 'adam' or 'muon'; choose 'adam'"),
        ({"optimiser": "muon", "sharding": "full"}, "'muon' needs whole matrices, sharding 'full' cuts them"),
        ({"matrix_rate": 0.0}, "matrix_rate 0.0: must be positive and finite; choose 0.02"),
        ({"ema": 1.0}, "ema 1.0"),
    ],
)
def test_impossible_settings_are_refused(words: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Training(**{"steps": 12, "batch": 8, **words})


def test_what_spares_memory_is_no_part_of_what_a_run_is() -> None:
    training = Training(steps=12, batch=8)
    sparing = replace(training, sharding="full", recompute=True)
    assert key(sparing) == key(training) and sparing.identity() == training.identity()
    assert key(replace(training, precision="bf16")) != key(training)


@pytest.mark.parametrize("words", [{"report": 0}, {"steps": 0}, {"keep": 0}])
def test_a_run_that_would_keep_nothing_is_refused(words: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CheckpointPolicy(**words)
