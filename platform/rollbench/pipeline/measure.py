"""What a measure of samples is: it reduces them to columns once, and turns the columns of many samples into numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from evaluators import uncertainty
from rollbench.errors import UserError

Columns = Mapping[str, np.ndarray]  # name → [clips, …], in the order of clips


@dataclass(frozen=True)
class EvalBatch:
    """Films of some clips and the truth, in the data's units. films: [k, m, horizon, c, y, x], m samples of each clip;
    truth: [k, horizon, c, y, x]; past: [k, 1 or m, p, c, y, x], the real frames right before a film. video: uint8 pixels, no flow or
    field."""

    films: np.ndarray
    truth: np.ndarray
    past: np.ndarray
    video: bool

    def at(self, leads: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Films [k, m, leads, c, y, x] and truth [k, leads, c, y, x] in float64; pixels on the scale from 0 to 1."""
        frames = [lead - 1 for lead in leads]
        scale = 255.0 if self.video else 1.0
        return self.films[:, :, frames].astype(np.float64) / scale, self.truth[:, frames].astype(np.float64) / scale


@dataclass(frozen=True)
class ScoringConfig:
    """How columns become numbers. metrics: those wanted. protocol, clips, samples: of the video distance, and how many are scored."""

    metrics: tuple[str, ...]
    resamples: int
    protocol: str = ""
    clips: int = 0
    samples: int = 1

    def __post_init__(self) -> None:
        if self.resamples < uncertainty.LEAST:
            raise UserError(f"resamples = {self.resamples}: an interval needs at least {uncertainty.LEAST}")


@dataclass(frozen=True)
class ReferenceColumns:
    """What a row is set against: the true films' columns and the mean training frame's, and the clips' names."""

    ids: tuple[str, ...]
    truth: Columns
    climatology: Columns


class Measure(Protocol):
    METRICS: ClassVar[tuple[str, ...]]

    def reducer(self, weights: str | None = None, device: str | None = None) -> Callable[[EvalBatch], Columns]:
        """The function from films to columns. weights, device: of its network, where it has one (None: found or fetched; a GPU
        where there is one)."""

    def numbers(self, fake: Columns, sides: ReferenceColumns, how: ScoringConfig) -> Iterator[dict[str, Any]]:
        """See `number`, one for each wanted metric and lead."""


def number(metric: str, lead: int | None, value: float, draws: np.ndarray, evaluator: str, n: int) -> dict[str, Any]:
    """A number with its 95 % interval. lead: None for a metric of whole clips. draws: its replicates. n: clips behind it."""
    low, high = uncertainty.interval(value, draws, positive=metric not in _ANY_SIGN)
    found = {"metric": metric, "lead": lead, "value": float(value), "low": float(low), "high": float(high), "n": n}
    return found | {"replicates": draws.tolist(), "evaluator": evaluator}


_ANY_SIGN = ("psnr", "ssim", "fvd_debiased")  # those whose interval is not taken on the logarithm
