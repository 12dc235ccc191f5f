"""The exponential moving average of the weights, e <- d e + (1 - d) w after every step; samples are generated with e.

The paper's d = 0.9999 over its 100,000 steps is 1 - 10/steps: a memory of a tenth of the run. A shorter run keeps that
proportion, a longer one the paper's figure.
"""

import torch
from torch import Tensor, nn

PAPER_DECAY = 0.9999


def ema_decay(steps: int) -> float:
    """The decay of a run of `steps` steps: 1 - 10/steps, at least 0 and at most the paper's 0.9999."""
    return min(PAPER_DECAY, max(0.0, 1 - 10 / steps))


class Ema:
    """A running average of the parameters of `module`, by name."""

    def __init__(self, module: nn.Module, decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"EMA decay {decay}: must lie in [0, 1); choose {PAPER_DECAY}")
        self.decay = decay
        self._parameters = [p.detach() for p in module.parameters()]
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in module.named_parameters()}
        self._averages = list(self.weights.values())

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the module's present weights."""
        torch._foreach_lerp_(self._averages, self._parameters, 1 - self.decay)
