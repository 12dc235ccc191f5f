"""FVD, the Frechet Video Distance (Unterthiner et al. 2018): one number, its protocol, and how sure it is.

    FVD().between("REAL/", "FAKE/")                    folders of videos, arrays, or features found earlier
    FVD("halfpixel", clip=16).between(real, fake)      arrays [n, t, y, x, 3]

The value is the Frechet distance (`frechet`) between I3D's logits (`i3d`, or `tfhub`) of real and generated clips. Its name holds
the protocol and the weights; `compare` refuses to set numbers of different names side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evaluators import uncertainty
from evaluators.base import Extractor, UserError, as_clips
from evaluators.features import Features, extract
from evaluators.i3d import FRAMES, I3DFeatures
from evaluators.protocols import Protocol, named
from evaluators.scoring import Interval, Result, compare, score, scores
from evaluators.tfhub import TFHubFeatures
from evaluators.videos import Clip, Reader

__all__ = ["FVD", "VERSION", "Interval", "Result", "compare", "score", "scores"]

VERSION = "fvd@1"
Backend = Literal["torch", "tfhub"]


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
            raise UserError(f"protocol {self.protocol.name} scores clips of {self.protocol.clip} frames, not {clip}")
        if backend not in ("torch", "tfhub"):
            raise UserError(f"unknown back end {backend!r}: torch or tfhub")
        if not 0 < level < 1:
            raise UserError(f"level {level}: it must lie between 0 and 1, for instance 0.95")
        if resamples < uncertainty.LEAST:
            raise UserError(f"{resamples} resamples: an interval needs at least {uncertainty.LEAST}, better 1000")
        if seed < 0:
            raise UserError(f"seed {seed}: it must be a whole number from 0 on")
        self.start, self.length = self.protocol.span(clip or self.protocol.clip)
        if self.length is not None and self.length < FRAMES:
            raise UserError(f"{self.length} frames are scored: I3D halves time three times and needs at least {FRAMES}")
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

    def reader(self, path: str | Path, *, stride: int = 1, skip_bad: bool = False, samples: bool = False) -> Reader:
        """The clips of a folder or file, cut as the protocol says."""
        return Reader(path, self.length, self.start, stride, skip_bad, samples)

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
        if not real.fits(fake):
            raise UserError(f"real features are of {real.made}, generated ones of {fake.made}: make them alike")
        if real.resize != self.protocol.resize:
            raise UserError(
                f"features were made with resize {real.resize}: {self.protocol.name} needs {self.protocol.resize}"
            )
        name = f"{VERSION} {self.protocol.key} {real.extractor} {real.frames} frames{self.counted(real.ids, fake.ids)}"
        return score(
            real, fake, name, self.protocol.reading, resamples=self.resamples, level=self.level, seed=self.seed
        )

    def counted(self, real: Sequence[str], fake: Sequence[str]) -> str:
        """The words with which a number's name says that its counts are not the protocol's, given the clips' ids; "" where they are.

        Raises BadInput for counts that are neither the protocol's nor allowed by any_count, and for sides that do not match.
        """
        protocol = self.protocol
        sources = len(set(fake))
        samples = len(fake) / sources
        free = protocol.real is None
        alike = samples == protocol.samples and (free or len(real) == sources == protocol.real)
        found = f"{len(real)} real clips, {sources} generated ones of {samples:g} samples"
        if not (alike or free or self.any_count):
            raise UserError(
                f"protocol {protocol.key} has {protocol.real or 'any number of'} real clips and {protocol.samples} samples "
                f"of each, here are {found}; --any-count scores them under another name"
            )
        if protocol.matched and set(real) != set(fake):
            odd = sorted(set(real) ^ set(fake))[0]
            raise UserError(
                f"protocol {protocol.name} compares clips with their own continuations, and {odd} is on one side only: "
                "name both sides alike"
            )
        return "" if alike else f" ({found})"

    def _numbered(self, clips: np.ndarray, name: str) -> Iterable[Clip]:
        stop = None if self.length is None else self.start + self.length
        if self.length is not None and clips.shape[1] < self.start + self.length:
            raise UserError(f"clips of {clips.shape[1]} frames: {self.start + self.length} are needed")
        return (Clip(f"{name}/{i:06d}", 0, clip[self.start : stop]) for i, clip in enumerate(clips))
