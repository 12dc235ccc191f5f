"""Muon: what it does to a matrix, which weights it has, and that its state survives interruptions and other workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from rollbench.training.optimiser import MOMENTUM, Muon, optimisers, orthogonal
from tests.support.group import together
from tests.training.test_training import NEVER, TRAINING, denoiser, same, stop, train

MUON = replace(TRAINING, optimiser="muon", matrix_rate=0.01)


@pytest.mark.parametrize("shape", [(16, 16), (48, 12), (12, 48)])
def test_an_update_has_the_singular_vectors_of_its_matrix_and_values_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    update = orthogonal(matrix)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    core = u.T @ update @ v.T / max(1, shape[0] / shape[1]) ** 0.5
    values = core.diag()
    assert (core - values.diag()).abs().max() < 1e-4
    assert ((values > 0.6) & (values < 1.25))[s > 0.05 * s.max()].all()


def test_a_step_is_nesterov_momentum_made_orthogonal() -> None:
    weight = nn.Parameter(torch.zeros(4, 2, 3, 3))
    muon = Muon([weight], 0.5)
    first, second = (torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    expected, momentum = torch.zeros(4, 18), torch.zeros(4, 18)
    for gradient in (first, second):
        weight.grad = gradient.clone()
        muon.step()
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * gradient.flatten(1)
        expected -= 0.5 * orthogonal((1 - MOMENTUM) * gradient.flatten(1) + MOMENTUM * momentum)
    torch.testing.assert_close(weight.detach().flatten(1), expected, rtol=1e-5, atol=1e-6)


def test_every_weight_has_one_optimiser_and_the_ends_of_the_network_have_adam() -> None:
    weights = dict(denoiser().named_parameters())
    (muon, rate), (adam, other) = optimisers(weights, MUON)
    assert (rate, other) == (0.01, MUON.learning_rate)
    names = {p: name for name, p in weights.items()}
    of_muon, of_adam = ([names[p] for group in one.param_groups for p in group["params"]] for one in (muon, adam))
    assert sorted(of_muon + of_adam) == sorted(weights)
    assert all(weights[name].ndim > 1 for name in of_muon)
    assert all(
        weights[name].ndim == 1 or {"stem", "head", "position", "noise"} & set(name.split(".")) for name in of_adam
    )
    assert any("first.conv" in name for name in of_muon) and any("qkv" in name for name in of_muon)


def two_workers(folder: Path, words: dict[str, int]) -> None:
    train(folder / "two", MUON, **words)
    with pytest.raises(KeyboardInterrupt):
        train(folder / "handed", MUON, keeping=replace(NEVER, steps=4), on_checkpoint=stop, **words)


def test_its_state_survives_an_interruption_and_a_change_of_workers_bit_for_bit(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", MUON)
    assert not same(whole, train(tmp_path / "adam"))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", MUON, keeping=replace(NEVER, steps=3), on_checkpoint=stop)
    assert same(train(tmp_path / "stopped", MUON), whole)
    together(two_workers, tmp_path, 2)
    assert same(tmp_path / "two" / "final", whole)
    assert same(train(tmp_path / "handed", MUON), whole), "two workers, then one"


def test_a_lost_momentum_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a checkpoint without Muon's state."""
    from rollbench.training.run import Run

    whole, tensors = train(tmp_path / "whole", MUON), Run._tensors
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", MUON, keeping=replace(NEVER, steps=3), on_checkpoint=stop)
    kept = {"weights", "ema"}
    monkeypatch.setattr(Run, "_tensors", lambda run: {k: v for k, v in tensors(run).items() if k.split("/")[0] in kept})
    assert not same(train(tmp_path / "stopped", MUON), whole)
