"""Averaged weights that a caller sees while a run goes on."""

from __future__ import annotations

from pathlib import Path

import torch

from rollbench.training.loop import load_final
from tests.training.test_training import same, train


def test_looking_at_the_average_changes_nothing(tmp_path: Path) -> None:
    """Before each report a caller may draw with the averaged weights; the last one sees those that are written."""
    seen: list[dict[str, torch.Tensor]] = []

    def look(weights: dict[str, torch.Tensor]) -> None:
        torch.rand(7)  # a caller that draws from the global generator
        seen.append({name: value.clone() for name, value in weights.items()})

    final = train(tmp_path / "looked at", on_average=look)
    assert same(final, train(tmp_path / "alone"))
    assert len(seen) == 3, "after steps 5, 10 and 12"
    assert not torch.equal(seen[0]["network.stem.weight"], seen[1]["network.stem.weight"])
    written = load_final(final)[0]
    assert written.keys() == seen[-1].keys() and all(torch.equal(written[name], seen[-1][name]) for name in written)
