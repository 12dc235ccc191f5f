"""What a training run is: values that fix its result. How often it reports and saves does not, and is told to `fit`."""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from rollbench.models.precision import Precision

HOW = {
    "keyed": False
}  # of a field that moves results by no more than the number of workers does: see `rollbench.spec.key`


@dataclass(frozen=True)
class Training:
    """Adam on a global batch of fixed micro-batches, warmed up, decayed, clipped and averaged.

    steps: optimiser steps.                    batch: windows per step, over all workers.
    micro_batch: windows per forward pass (None: the whole batch); the unit that workers share out, so the result does
        not depend on their number.
    learning_rate, warmup, decay: rises linearly over `warmup` steps (at most a tenth of the run), then falls by a
        cosine to zero or stays ("constant"). The paper states 1e-4 and nothing else.
    betas, weight_decay: AdamW's; a decay of 0 is plain Adam. (0.9, 0.99) are Simple Diffusion's betas.
    optimiser: "adam", or "muon" for the matrices between the network's ends (see `training.optimiser`).
    matrix_rate: Muon's learning rate, with the same warm-up and decay.
    grad_clip: largest norm of the gradient.   ema: decay of the averaged weights (None: 1 - 10/steps, at most 0.9999).
    precision: of the network, see `models.precision`; weights and optimiser are float32.  compile: by torch.compile.

    Two fields spare memory and change no result, so they are no part of a model's key or a checkpoint's identity:
    sharding: "full" gives each worker its share alone of weights, gradients, averages and optimiser (FSDP) instead of
        a copy of all (DDP); a single worker has it all either way.
    recompute: activations inside a block are computed again in the backward pass instead of kept; the same bits.
    """

    steps: int
    batch: int
    micro_batch: int | None = None
    learning_rate: float = 1e-4
    warmup: int = 0
    decay: Literal["cosine", "constant"] = "cosine"
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    optimiser: Literal["adam", "muon"] = "adam"
    matrix_rate: float = 0.02
    grad_clip: float = 1.0
    ema: float | None = None
    precision: Precision = "fp32"
    compile: bool = False
    sharding: Literal["none", "full"] = field(default="none", metadata=HOW)
    recompute: bool = field(default=False, metadata=HOW)

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: must be at least 1; choose 1 or more")
        if self.unit < 1 or self.batch % self.unit:
            raise ValueError(f"micro_batch {self.unit}: must divide batch {self.batch}; choose {self._divisor()}")
        for name in ("learning_rate", "matrix_rate", "grad_clip"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                default = {"learning_rate": 1e-4, "matrix_rate": 0.02}.get(name, 1.0)
                raise ValueError(f"{name} {getattr(self, name)}: must be positive and finite; choose {default}")
        if self.warmup < 0:
            raise ValueError(f"warmup {self.warmup}: cannot be negative; choose {self.steps // 100}")
        if self.decay not in ("cosine", "constant"):
            raise ValueError(f"decay {self.decay!r}: is 'cosine' or 'constant'; choose 'cosine'")
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"precision {self.precision!r}: is 'fp32' or 'bf16'; choose 'fp32'")
        if self.sharding not in ("none", "full"):
            raise ValueError(f"sharding {self.sharding!r}: is 'none' or 'full'; choose 'none'")
        if self.optimiser not in ("adam", "muon"):
            raise ValueError(f"optimiser {self.optimiser!r}: is 'adam' or 'muon'; choose 'adam'")
        if self.optimiser == "muon" and self.sharding == "full":
            raise ValueError("optimiser 'muon' needs whole matrices, sharding 'full' cuts them; choose sharding 'none'")
        if not all(0 <= beta < 1 for beta in self.betas) or self.weight_decay < 0:
            raise ValueError(f"betas {self.betas}, weight_decay {self.weight_decay}: need [0, 1), >= 0; choose Adam's")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"ema {self.ema}: must lie in [0, 1); choose 0.9999, or None to follow the run's length")

    @property
    def unit(self) -> int:
        """Windows per micro-batch."""
        return self.batch if self.micro_batch is None else self.micro_batch

    @property
    def micro_batches(self) -> int:
        """Micro-batches per step, over all workers."""
        return self.batch // self.unit

    def identity(self) -> dict[str, Any]:
        """The fields that fix the result."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata.get("keyed", True)}

    def rate(self, step: int, peak: float | None = None) -> float:
        """The learning rate of optimiser step `step` = 0 ... steps - 1 where its largest is `peak` (None: `learning_rate`)."""
        warmup, peak = min(self.warmup, self.steps // 10), self.learning_rate if peak is None else peak
        if step < warmup:
            return peak * (step + 1) / warmup
        if self.decay == "constant":
            return peak
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (self.steps - warmup)))

    def _divisor(self) -> int:
        at_most = min(self.batch, max(1, self.unit))
        return next(d for d in range(at_most, 0, -1) if self.batch % d == 0)
