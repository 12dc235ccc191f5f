"""From the features of real and generated clips to a distance with all that it takes to trust it; no network is needed here.

Every reading of a protocol comes from one pass: interval, floor, N-curve and its end at infinity. FVD and FID are both made so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from evaluators import bias, frechet, uncertainty
from evaluators.base import UserError
from evaluators.features import Features


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Result:
    """A distance and what is needed to trust it.

    name       metric, protocol, weights and frames: what two numbers must share to be compared; and the `reading`
    n, m       real and generated clips; sources: clips that are resampled (a real clip and its continuations are one)
    floor      what real clips score against real clips at the same counts; None where there are too few
    infinity   the value extrapolated to infinitely many clips; curve: (n, value) of subsets
    readings   the values in other readings, where a clip has several samples
    left_out   clips that could not be read, each with its reason
    replicates of the value, over resamples that depend on seed and sources alone: those of two rows differ pair by pair
    """

    name: str
    reading: str
    value: float
    low: float
    high: float
    level: float
    n: int
    m: int
    sources: int
    floor: bias.Floor | None
    infinity: Interval
    curve: tuple[tuple[int, float], ...]
    readings: dict[str, float]
    warnings: tuple[str, ...]
    left_out: dict[str, tuple[str, ...]]
    replicates: np.ndarray = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the replicates."""
        return {k: v for k, v in asdict(self).items() if k != "replicates"}


def score(real: Features, fake: Features, name: str, reading: str = "pooled", **how: Any) -> Result:
    """The Frechet distance between two sets of features in one reading; `how` as in `scores`."""
    found = scores(real, fake, name, **how)
    if reading not in found:
        raise UserError("the mean of one FVD per sample needs equally many samples of every clip: read them pooled")
    return found[reading]


def scores(
    real: Features, fake: Features, name: str, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Result]:
    """The Frechet distance between two sets of features in every reading that their samples allow ("pooled", "mean",
    "debiased"; see `Protocol`), each with interval, floor and N-curve."""
    if min(len(real), len(fake)) < 2:
        raise UserError(f"{len(real)} real and {len(fake)} generated clips: at least 2 on either side are needed")
    pairs = Pairs(real, fake)
    if pairs.sources < 2:
        raise UserError(f"all samples are of the one clip {real.ids[0]}: at least 2 clips are needed")
    draws = uncertainty.resamples(pairs.sources, resamples, seed)
    estimates = {"pooled": pairs.estimate("pooled")}
    if pairs.even:
        estimates["mean"] = pairs.estimate("mean") if pairs.samples > 1 else estimates["pooled"]
    curve = bias.curve(pairs.subset, len(real), seed=seed)
    estimates["debiased"] = bias.infinity(curve)
    replicas = {reading: uncertainty.replicates(*estimate, draws) for reading, estimate in estimates.items()}
    intervals = {
        reading: Interval(value, *uncertainty.interval(value, replicas[reading], level, positive=reading != "debiased"))
        for reading, (value, _) in estimates.items()
    }
    shared: dict[str, Any] = {
        "level": level, "n": len(real), "m": len(fake), "sources": pairs.sources, "floor": pairs.floor(seed),
        "infinity": intervals["debiased"], "curve": tuple((point.n, point.value) for point in curve),
        "warnings": _warnings(real, fake), "left_out": {"real": real.bad, "generated": fake.bad},
    }  # fmt: skip

    def others(reading: str) -> dict[str, float]:
        shown = pairs.samples > 1
        return {k: v for k, (v, _) in estimates.items() if shown and k not in (reading, "debiased")}

    return {
        reading: Result(
            name, reading, found.value, found.low, found.high,
            readings=others(reading), replicates=replicas[reading], **shared,
        )
        for reading, found in intervals.items()
    }  # fmt: skip


def _warnings(real: Features, fake: Features) -> tuple[str, ...]:
    few, features = min(len(real), len(fake)), real.vectors.shape[1]
    if few >= features:
        return ()
    return (
        f"{few} vectors are fewer than their {features} features: bias dominates the value, and its end at infinity is "
        "too high; compare at equal counts only",
    )


def compare(first: Result, second: Result, *, across_protocols: bool = False) -> Interval:
    """first - second with its interval, which is sharper than the two where both are scored on the same source clips.

    Numbers of different names (protocol, version, weights, frames), readings or counts are refused unless across_protocols=True.
    """
    names = [f"{result.name}, {result.reading}" for result in (first, second)]
    if names[0] != names[1] and not across_protocols:
        raise UserError(f"{names[0]!r} and {names[1]!r} are different measures: their difference says nothing")
    if (first.n, first.m) != (second.n, second.m) and not across_protocols:
        raise UserError(
            f"{first.n} against {first.m} clips and {second.n} against {second.m}: bias differs, score equal counts"
        )
    gap = first.value - second.value
    if first.sources == second.sources and len(first.replicates) == len(second.replicates):
        replicas = first.replicates - second.replicates
    else:
        replicas = gap + (first.replicates - first.value) - np.roll(second.replicates - second.value, 1)
    return Interval(gap, *uncertainty.interval(gap, replicas, first.level))


class Pairs:
    """Real and generated rows and the source clip of each: a real clip and what continues it are one source."""

    def __init__(self, real: Features, fake: Features) -> None:
        names = sorted({*real.ids, *fake.ids})
        number = {name: i for i, name in enumerate(names)}
        self.sources = len(names)
        self.real, self.fake = real.vectors.astype(np.float64), fake.vectors.astype(np.float64)
        self.real_source = np.array([number[name] for name in real.ids])
        self.fake_source = np.array([number[name] for name in fake.ids])
        # The k-th sample of each clip, whatever numbers the samples bear.
        starts = np.searchsorted(self.fake_source, self.fake_source)
        self.fake_sample = np.arange(len(self.fake_source)) - starts
        self.samples = int(self.fake_sample.max()) + 1
        clips = [len(np.unique(source)) for source in (self.real_source, self.fake_source)]
        self.even = clips[0] == len(real) and self.samples * clips[1] == len(fake)  # one FVD per sample makes sense

    def estimate(self, reading: str) -> tuple[float, np.ndarray]:
        """Value and influence [sources] of a reading."""
        every = np.ones(len(self.fake), dtype=bool)
        masks = [self.fake_sample == k for k in range(self.samples)] if reading == "mean" else [every]
        whole = np.ones(len(self.real), dtype=bool)
        values, influences = zip(*[self._score(whole, mask) for mask in masks], strict=True)
        return float(np.mean(values)), np.mean(influences, axis=0)

    def subset(self, rng: np.random.Generator, fraction: float) -> tuple[float, np.ndarray]:
        """Value and influence of a random fraction of the sources, the same of either side where sides share them."""
        if fraction == 1:
            return self.estimate("pooled")
        order = rng.permutation(self.sources)
        keep = np.zeros(self.sources, dtype=bool)
        for side in (np.unique(self.real_source), np.unique(self.fake_source)):
            ranked = order[np.isin(order, side)]
            keep[ranked[: max(round(fraction * len(side)), 2)]] = True
        return self._score(keep[self.real_source], keep[self.fake_source])

    def floor(self, seed: int) -> bias.Floor | None:
        """What real clips score against real clips; rows of one clip (frames) are never on both sides."""
        clips = len(np.unique(self.real_source))
        if clips < 8:
            return None
        if clips == len(self.real):
            return bias.floor(self.real, clips, len(self.fake), seed=seed)
        return bias.floor(self.real, clips, len(np.unique(self.fake_source)), seed=seed, source=self.real_source)

    def _score(self, real: np.ndarray, fake: np.ndarray) -> tuple[float, np.ndarray]:
        found = frechet.estimate(self.real[real], self.fake[fake])
        influence = uncertainty.by_source(found.real, self.real_source[real], self.sources)
        return found.value, influence + uncertainty.by_source(found.fake, self.fake_source[fake], self.sources)
