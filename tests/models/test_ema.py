"""The average of the weights: closed forms of the recursion, and the rule for its decay."""

import pytest
import torch
from torch import nn

from rollbench.models.ema import Ema, ema_decay


def test_the_average_is_the_geometric_sum() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 5.0)
    ema = Ema(layer, 0.9)
    values = [1.0, -2.0, 4.0, 0.5]
    for value in values:
        nn.init.constant_(layer.weight, value)
        ema.update()
    expected = 0.9**4 * 5.0 + sum(0.1 * 0.9 ** (3 - k) * value for k, value in enumerate(values))
    assert ema.weights["weight"].item() == pytest.approx(expected, rel=1e-6)
    assert layer.weight.item() == 0.5  # the average is a copy


def test_every_parameter_is_averaged_and_weights_loaded_in_place_are_seen() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    ema = Ema(network, 0.0)
    network.load_state_dict({name: torch.full_like(p, 7.0) for name, p in network.state_dict().items()})
    ema.update()
    assert set(ema.weights) == set(dict(network.named_parameters()))
    assert all((average == 7).all() for average in ema.weights.values())


@pytest.mark.parametrize(
    ("steps", "decay"),
    [(100_000, 0.9999), (570_000, 0.9999), (1_000, 0.99), (300, 1 - 1 / 30), (10, 0.0), (1, 0.0)],
)
def test_the_decay_follows_the_run_up_to_the_papers(steps: int, decay: float) -> None:
    assert ema_decay(steps) == pytest.approx(decay, abs=1e-12)
    assert ema_decay(steps) ** steps < 5e-5  # nothing of the first weights is left at the end


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_an_impossible_decay_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\)"):
        Ema(nn.Linear(1, 1), decay)
