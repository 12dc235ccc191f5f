"""FVD, the Frechet Video Distance (Unterthiner et al. 2018): one number, its protocol, and how sure it is.

    FVD().between("REAL/", "FAKE/")                    folders of videos, arrays, or features found earlier
    FVD("halfpixel", clip=16).between(real, fake)      arrays [n, t, y, x, 3]

The value is the Frechet distance (`frechet`) between I3D's logits (`i3d`, or `tfhub`) of real and generated clips. Its name holds
the protocol and the weights; `compare` refuses to set numbers of different names side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evaluators import bias, frechet, uncertainty
from evaluators.base import BadInput, Extractor, as_clips
from evaluators.features import Features, extract
from evaluators.i3d import FRAMES, I3DFeatures
from evaluators.protocols import Protocol, named
from evaluators.tfhub import TFHubFeatures
from evaluators.videos import Clip, Reader

VERSION = "fvd@1"
Backend = Literal["torch", "tfhub"]


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Result:
    """A distance and what is needed to trust it.

    name       metric, protocol, weights and frames: what two numbers must share to be compared
    n, m       real and generated clips; sources: clips that are resampled (a real clip and its continuations are one)
    floor      what real clips score against real clips at the same counts; None where there are too few
    infinity   the value extrapolated to infinitely many clips; curve: (n, value) of subsets
    readings   the other readings of the protocol, where a clip has several samples
    left_out   clips that could not be read, each with its reason
    """

    name: str
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


class FVD:
    """A way to compute FVD: a protocol, a back end, and how uncertainty is found.

    protocol   a name of `protocols.PROTOCOLS` or a Protocol of your own
    clip       frames scored per clip; None: the protocol's, else each clip whole
    weights    path of the I3D weights (or of the module, with backend="tfhub"); None: found or fetched
    any_count  accept other counts than the protocol's; the name then says so
    """

    def __init__(
        self,
        protocol: str | Protocol = "original",
        *,
        clip: int | None = None,
        backend: Backend = "torch",
        weights: str | None = None,
        device: str | None = None,
        resamples: int = 1000,
        level: float = 0.95,
        seed: int = 0,
        any_count: bool = False,
    ) -> None:
        self.protocol = named(protocol) if isinstance(protocol, str) else protocol
        if clip is not None and self.protocol.clip not in (None, clip):
            raise BadInput(f"protocol {self.protocol.name} scores clips of {self.protocol.clip} frames, not {clip}")
        if backend not in ("torch", "tfhub"):
            raise BadInput(f"unknown back end {backend!r}: torch or tfhub")
        if not 0 < level < 1:
            raise BadInput(f"level {level}: it must lie between 0 and 1, for instance 0.95")
        if resamples < uncertainty.LEAST:
            raise BadInput(f"{resamples} resamples: an interval needs at least {uncertainty.LEAST}, better 1000")
        self.start, self.length = self.protocol.span(clip or self.protocol.clip)
        if self.length is not None and self.length < FRAMES:
            raise BadInput(f"{self.length} frames are scored: I3D halves time three times and needs at least {FRAMES}")
        self.backend, self.weights, self.device = backend, weights, device
        self.resamples, self.level, self.seed, self.any_count = resamples, level, seed, any_count
        self._extractor: Extractor | None = None

    @property
    def extractor(self) -> Extractor:
        """The network, loaded at its first use."""
        if self._extractor is None:
            if self.backend == "torch":
                self._extractor = I3DFeatures(self.protocol.resize, self.weights, self.device)
            else:
                self._extractor = TFHubFeatures(self.protocol.resize, self.weights)
        return self._extractor

    def reader(self, path: str | Path, *, stride: int = 1, skip_bad: bool = False) -> Reader:
        """The clips of a folder or file, cut as the protocol says."""
        return Reader(path, self.length, self.start, stride, skip_bad)

    def features(self, source: Any, name: str = "clip") -> Features:
        """Of a path, a `Reader` or other stream of `Clip`s, or an array [n, t, y, x, 3]; Features pass as they are."""
        if isinstance(source, Features):
            return source
        if isinstance(source, str | Path):
            source = self.reader(source)
        elif not isinstance(source, Iterable) or hasattr(source, "__array__"):
            source = self._numbered(as_clips(source), name)
        return extract(self.extractor, self.protocol.resize, source)

    def between(self, real: Any, fake: Any) -> Result:
        """The FVD of generated clips from real ones, each anything that `features` takes."""
        matched = self.protocol.matched
        return self.score(
            self.features(real, "clip" if matched else "real"), self.features(fake, "clip" if matched else "generated")
        )

    def score(self, real: Features, fake: Features) -> Result:
        """The FVD between features found earlier."""
        if real.made != fake.made:
            raise BadInput(f"real features are of {real.made}, generated ones of {fake.made}: make them alike")
        if real.resize != self.protocol.resize:
            raise BadInput(
                f"features were made with resize {real.resize}: {self.protocol.name} needs {self.protocol.resize}"
            )
        name = f"{VERSION} {self.protocol.key} {real.extractor} {real.frames} frames{self._counts(real, fake)}"
        return score(
            real, fake, name, self.protocol.reading, resamples=self.resamples, level=self.level, seed=self.seed
        )

    def _counts(self, real: Features, fake: Features) -> str:
        """Refuse counts that are not the protocol's, or, with any_count, the words that say so."""
        protocol = self.protocol
        if protocol.matched and set(real.ids) != set(fake.ids):
            odd = sorted(set(real.ids) ^ set(fake.ids))[0]
            raise BadInput(
                f"protocol {protocol.name} compares clips with their own continuations, and {odd} is on one side only: "
                "name both sides alike"
            )
        sources = len(set(fake.ids))
        samples = len(fake) / sources
        free = protocol.real is None
        if samples == protocol.samples and (free or len(real) == sources == protocol.real):
            return ""
        found = f"{len(real)} real clips, {sources} generated ones of {samples:g} samples"
        if not free and not self.any_count:
            raise BadInput(
                f"protocol {protocol.key} has {protocol.real or 'any number of'} real clips and {protocol.samples} samples "
                f"of each, here are {found}; --any-count scores them under another name"
            )
        return f" ({found})"

    def _numbered(self, clips: np.ndarray, name: str) -> Iterable[Clip]:
        stop = None if self.length is None else self.start + self.length
        if self.length is not None and clips.shape[1] < self.start + self.length:
            raise BadInput(f"clips of {clips.shape[1]} frames: {self.start + self.length} are needed")
        return (Clip(f"{name}/{i:06d}", 0, clip[self.start : stop]) for i, clip in enumerate(clips))


def score(
    real: Features,
    fake: Features,
    name: str,
    reading: str = "pooled",
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Result:
    """The Frechet distance between two sets of features with interval, floor and N-curve."""
    if min(len(real), len(fake)) < 2:
        raise BadInput(f"{len(real)} real and {len(fake)} generated clips: at least 2 on either side are needed")
    pairs = _Pairs(real, fake)
    if pairs.sources < 2:
        raise BadInput(f"all samples are of the one clip {real.ids[0]}: at least 2 clips are needed")
    draws = uncertainty.resamples(pairs.sources, resamples, seed)
    readings = {"pooled": pairs.estimate("pooled")}
    if pairs.even:
        readings["mean"] = pairs.estimate("mean") if pairs.samples > 1 else readings["pooled"]
    elif reading == "mean":
        raise BadInput("the mean of one FVD per sample needs equally many samples of every clip: read them pooled")
    curve = bias.curve(pairs.subset, len(real), seed=seed)
    readings["debiased"] = bias.infinity(curve)

    def interval(value: float, influence: np.ndarray, positive: bool) -> Interval:
        replicas = uncertainty.replicates(value, influence, draws)
        return Interval(value, *uncertainty.interval(value, replicas, level, positive=positive))

    value, influence = readings[reading]
    found = interval(value, influence, reading != "debiased")
    few, features = min(len(real), len(fake)), real.vectors.shape[1]
    warnings = []
    if few < features:
        warnings.append(
            f"{few} vectors are fewer than their {features} features: bias dominates the value, and its end at infinity is "
            "too high; compare at equal counts only"
        )
    return Result(
        name, value, found.low, found.high, level, len(real), len(fake), pairs.sources,
        pairs.floor(seed),
        interval(*readings["debiased"], False), tuple((point.n, point.value) for point in curve),
        {k: v for k, (v, _) in readings.items() if k != reading and k != "debiased" and pairs.samples > 1}, tuple(warnings),
        {"real": real.bad, "generated": fake.bad}, uncertainty.replicates(value, influence, draws),
    )  # fmt: skip


def compare(first: Result, second: Result, *, across_protocols: bool = False) -> Interval:
    """first - second with its interval, which is sharper than the two where both are scored on the same source clips.

    Numbers of different names (protocol, version, weights, frames) or counts are refused unless across_protocols=True.
    """
    if first.name != second.name and not across_protocols:
        raise BadInput(f"{first.name!r} and {second.name!r} are different measures: their difference says nothing")
    if (first.n, first.m) != (second.n, second.m) and not across_protocols:
        raise BadInput(
            f"{first.n} against {first.m} clips and {second.n} against {second.m}: bias differs, score equal counts"
        )
    gap = first.value - second.value
    if first.sources == second.sources and len(first.replicates) == len(second.replicates):
        replicas = first.replicates - second.replicates
    else:
        replicas = gap + (first.replicates - first.value) - np.roll(second.replicates - second.value, 1)
    return Interval(gap, *uncertainty.interval(gap, replicas, first.level))


class _Pairs:
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
