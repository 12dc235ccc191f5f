"""The optimisers of a run, each with a state that exists before the first step, so that a checkpoint has one shape at every step.

    adam    AdamW for all weights
    muon    Muon for the matrices between the network's ends, AdamW for the rest: first and last layer, positions, noise embedding, vectors

Muon (K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024): Nesterov momentum, made orthogonal by
five Newton-Schulz steps, scaled by sqrt(max(1, rows / columns)). A convolution's weight is the matrix [out, in · 3 · 3].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rollbench.training.settings import Training

ENDS = {"stem", "head", "position", "noise"}  # parts of the network whose weights Muon leaves to AdamW
MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of X, X XᵀX and X (XᵀX)², by K. Jordan
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for weights of two or more axes. It needs whole matrices: sharded weights are refused by `Training`."""

    def __init__(self, weights: list[nn.Parameter], rate: float):
        super().__init__(weights, {"lr": rate})
        for p in weights:
            self.state[p] = {"momentum": torch.zeros_like(p)}

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p]["momentum"].lerp_(p.grad, 1 - MOMENTUM)
                update = orthogonal(p.grad.lerp(momentum, MOMENTUM).flatten(1))
                p.add_(update.view(p.shape), alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly U Vᵀ · sqrt(max(1, rows / columns)) of matrix = U S Vᵀ [rows, columns]: singular values between 0.7 and 1.2."""
    rows, columns = matrix.shape
    x = matrix.T if rows > columns else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if rows > columns else x) * max(1, rows / columns) ** 0.5


def optimisers(weights: dict[str, nn.Parameter], training: Training) -> list[tuple[torch.optim.Optimizer, float]]:
    """The optimisers of named weights, each with its peak learning rate."""
    if training.optimiser == "adam":
        return [(_adam(list(weights.values()), training), training.learning_rate)]
    matrices = {name: p for name, p in weights.items() if p.ndim > 1 and not ENDS & set(name.split("."))}
    others = [p for name, p in weights.items() if name not in matrices]
    muon = Muon(list(matrices.values()), training.matrix_rate)
    return [(muon, training.matrix_rate), (_adam(others, training), training.learning_rate)]


def _adam(weights: list[nn.Parameter], training: Training) -> torch.optim.AdamW:
    optimiser = torch.optim.AdamW(
        weights, training.learning_rate, training.betas, weight_decay=training.weight_decay, fused=True
    )
    for p in weights:
        optimiser.state[p] = {
            "step": torch.zeros((), device=p.device),
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": torch.zeros_like(p),
        }
    return optimiser
