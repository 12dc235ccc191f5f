"""What is asked of films: a measure reduces a film to a few vectors once, and turns those of many films into numbers.

    films ── reduce, clip by clip, on evaluator actors ──► columns, stored ── numbers, resampled alike for all rows ──► results

A measure's fields fix what is stored and are part of its key. Which of its metrics are wanted, how many resamples, how several
samples of a clip are read, is decided when the numbers are made (`ScoringConfig`), without another pass over the films.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evaluators import fsd, motion, pixel, protocols, uncertainty
from rollbench.config.table import Setting
from rollbench.errors import UserError, did_you_mean
from rollbench.pipeline.measure import Columns, EvalBatch, Measure, ReferenceColumns, ScoringConfig, number


@dataclass(frozen=True)
class ForecastError:
    """Error at each lead, averaged over the samples of a clip. mse in the data's units squared (pixels: from 0 to 1); mse_ratio over
    the mse of the mean training frame."""

    leads: tuple[int, ...]
    METRICS: ClassVar[tuple[str, ...]] = ("mse", "mse_ratio")

    def reducer(self, weights: str | None = None, device: str | None = None) -> Callable[[EvalBatch], Columns]:
        def reduce(seen: EvalBatch) -> Columns:
            films, truth = seen.at(self.leads)
            return {"squared_error": pixel.square_error(films, truth)}

        return reduce

    def numbers(self, fake: Columns, sides: ReferenceColumns, how: ScoringConfig) -> Iterator[dict[str, Any]]:
        error, normal = fake["squared_error"], sides.climatology["squared_error"]
        draws = uncertainty.resamples(
            len(error), how.resamples, seed=0
        )  # the same for every row: they differ pair by pair
        for k, lead in enumerate(self.leads):
            value, values = error[:, k].mean(), error[draws, k].mean(1)
            usual, usuals = normal[:, k].mean(), normal[draws, k].mean(1)
            if "mse" in how.metrics:
                yield number("mse", lead, value, values, pixel.VERSION, len(error))
            if "mse_ratio" in how.metrics:
                yield number("mse_ratio", lead, value / usual, values / usuals, pixel.VERSION, len(error))


@dataclass(frozen=True)
class ImageQuality:
    """Likeness of video frames at each lead, averaged over samples: psnr (of the mean error, in dB) and ssim."""

    leads: tuple[int, ...]
    METRICS: ClassVar[tuple[str, ...]] = ("psnr", "ssim")

    def reducer(self, weights: str | None = None, device: str | None = None) -> Callable[[EvalBatch], Columns]:
        def reduce(seen: EvalBatch) -> Columns:
            films, truth = seen.at(self.leads)
            wide = np.broadcast_to(truth[:, None], films.shape)
            fake, real = (_last(frames.swapaxes(1, 2)) for frames in (films, wide))  # [k, leads, m, y, x, c]
            return {"error": pixel.square_error(films, truth), "ssim": pixel.by_lead(pixel.ssim, fake, real, 1.0)}

        return reduce

    def numbers(self, fake: Columns, sides: ReferenceColumns, how: ScoringConfig) -> Iterator[dict[str, Any]]:
        error, likeness = fake["error"], fake["ssim"]
        draws = uncertainty.resamples(len(error), how.resamples, seed=0)
        for k, lead in enumerate(self.leads):
            # Of the mean error: two equal frames have an infinite ratio, which has no mean.
            if "psnr" in how.metrics:
                value, values = map(pixel.psnr, (error[:, k].mean(), error[draws, k].mean(1)))
                yield number("psnr", lead, value, values, pixel.VERSION, len(error))
            if "ssim" in how.metrics:
                yield number("ssim", lead, likeness[:, k].mean(), likeness[draws, k].mean(1), pixel.VERSION, len(error))


@dataclass(frozen=True)
class Spectra:
    """FSD at each lead: the Fréchet distance between spectra of the horizontal velocity, of one film per clip."""

    leads: tuple[int, ...]
    METRICS: ClassVar[tuple[str, ...]] = ("fsd", "fsd_diagonal")

    def reducer(self, weights: str | None = None, device: str | None = None) -> Callable[[EvalBatch], Columns]:
        def reduce(seen: EvalBatch) -> Columns:
            return {"spectrum": fsd.features(seen.films[:, 0][:, [lead - 1 for lead in self.leads]])}

        return reduce

    def numbers(self, fake: Columns, sides: ReferenceColumns, how: ScoringConfig) -> Iterator[dict[str, Any]]:
        real, ours = sides.truth["spectrum"], fake["spectrum"]
        draws = uncertainty.resamples(len(real), how.resamples, seed=0)
        for k, lead in enumerate(self.leads):
            for metric in self.METRICS:
                if metric in how.metrics:
                    diagonal = metric == "fsd_diagonal"
                    value = fsd.distance(real[:, k], ours[:, k], diagonal=diagonal)
                    replicates = fsd.bootstrap(real[:, k], ours[:, k], draws, diagonal=diagonal)
                    yield number(metric, lead, value, replicates, fsd.VERSION, len(real))


@dataclass(frozen=True)
class SpectraOfIncrements:
    """FSD at each lead of the change of the horizontal velocity from the frame before, of one sample per clip. A frozen frame, which
    FSD cannot tell from a moving flow, has no change."""

    leads: tuple[int, ...]
    METRICS: ClassVar[tuple[str, ...]] = ("fsd_increments",)

    def reducer(self, weights: str | None = None, device: str | None = None) -> Callable[[EvalBatch], Columns]:
        after, before = list(self.leads), [lead - 1 for lead in self.leads]

        def reduce(seen: EvalBatch) -> Columns:
            frames = np.concatenate([seen.past[:, 0, -1:], seen.films[:, 0]], axis=1)  # frame k has the lead k
            return {"increment_spectrum": fsd.increment_features(frames[:, after], frames[:, before])}

        return reduce

    def numbers(self, fake: Columns, sides: ReferenceColumns, how: ScoringConfig) -> Iterator[dict[str, Any]]:
        real, ours = sides.truth["increment_spectrum"], fake["increment_spectrum"]
        draws = uncertainty.resamples(len(real), how.resamples, seed=0)
        for k, lead in enumerate(self.leads):
            value = fsd.distance(real[:, k], ours[:, k])
            replicates = fsd.bootstrap(real[:, k], ours[:, k], draws)
            yield number("fsd_increments", lead, value, replicates, fsd.INCREMENTS_VERSION, len(real))


@dataclass(frozen=True)
class EnsembleScores:
    """Of the samples of each clip, at each lead: crps (fair; of one sample the mean absolute error), and spread_skill, the spread
    over the error of the mean, 1 if reliable."""

    leads: tuple[int, ...]
    METRICS: ClassVar[tuple[str, ...]] = ("crps", "spread_skill")

    def reducer(self, weights: str | None = None, device: str | None = None) -> Callable[[EvalBatch], Columns]:
        def reduce(seen: EvalBatch) -> Columns:
            films, truth = seen.at(self.leads)
            if films.shape[1] > 1:
                crps = pixel.by_lead(pixel.crps, np.moveaxis(films, 1, 0), truth)
            else:
                crps = pixel.by_lead(pixel.mae, films[:, 0], truth)
            error = pixel.error_of_mean(films, truth)
            return {"crps": crps, "spread": pixel.spread(films), "error_of_mean": error}

        return reduce

    def numbers(self, fake: Columns, sides: ReferenceColumns, how: ScoringConfig) -> Iterator[dict[str, Any]]:
        crps, spread, error = (fake[name] for name in ("crps", "spread", "error_of_mean"))
        draws = uncertainty.resamples(len(crps), how.resamples, seed=0)
        for k, lead in enumerate(self.leads):
            if "crps" in how.metrics:
                yield number("crps", lead, crps[:, k].mean(), crps[draws, k].mean(1), pixel.VERSION, len(crps))
            if "spread_skill" in how.metrics:
                ratio = pixel.spread_skill(spread[:, k].mean(), error[:, k].mean())
                ratios = pixel.spread_skill(spread[draws, k].mean(1), error[draws, k].mean(1))
                yield number("spread_skill", lead, ratio, ratios, pixel.VERSION, len(crps))


@dataclass(frozen=True)
class Motion:
    """Energies of a video at each lead over those of the real clips, averaged over samples; 1 is right, see `evaluators.motion`.
    motion_ratio: of the change from the frame before. detail_ratio: of the differences between neighbouring pixels."""

    leads: tuple[int, ...]
    METRICS: ClassVar[tuple[str, ...]] = ("motion_ratio", "detail_ratio")

    def reducer(self, weights: str | None = None, device: str | None = None) -> Callable[[EvalBatch], Columns]:
        def reduce(seen: EvalBatch) -> Columns:
            k, m, _, *frame = seen.films.shape
            at = [lead - 1 for lead in self.leads]
            frames, before = seen.films.reshape(k * m, -1, *frame), np.broadcast_to(seen.past[:, :, -1], (k, m, *frame))
            energies = motion.motion(frames, before.reshape(k * m, *frame))[:, at], motion.detail(frames[:, at])
            return {name: e.reshape(k, m, -1).mean(1) for name, e in zip(("motion", "detail"), energies, strict=True)}

        return reduce

    def numbers(self, fake: Columns, sides: ReferenceColumns, how: ScoringConfig) -> Iterator[dict[str, Any]]:
        draws = uncertainty.resamples(len(fake["motion"]), how.resamples, seed=0)
        for metric in (metric for metric in self.METRICS if metric in how.metrics):
            ours, real = (columns[metric.removesuffix("_ratio")] for columns in (fake, sides.truth))
            for k, lead in enumerate(self.leads):
                value, ratios = ours[:, k].mean() / real[:, k].mean(), ours[draws, k].mean(1) / real[draws, k].mean(1)
                yield number(metric, lead, value, ratios, motion.VERSION, len(ours))


@dataclass(frozen=True)
class VideoDistance:
    """FVD of clips of `frames` frames, of which the first `context` are real, resized as `resize` says, seen by `extractor`."""

    resize: Any
    context: int
    frames: int
    extractor: str
    METRICS: ClassVar[tuple[str, ...]] = ("fvd", "fvd_mean", "fvd_debiased")

    def reducer(self, weights: str | None = None, device: str | None = None) -> Callable[[EvalBatch], Columns]:
        from evaluators.i3d import I3DFeatures

        network = I3DFeatures(self.resize, weights, device)

        def reduce(seen: EvalBatch) -> Columns:
            k, m, _, *frame = seen.films.shape
            past = seen.past[:, :, seen.past.shape[2] - self.context :]
            past = np.broadcast_to(past, (k, m, self.context, *frame))
            clips = np.concatenate([past, seen.films], axis=2).reshape(k * m, self.frames, *frame)
            return {"logits": network.features(_last(clips)).reshape(k, m, -1)}

        return reduce

    def numbers(self, fake: Columns, sides: ReferenceColumns, how: ScoringConfig) -> Iterator[dict[str, Any]]:
        from evaluators import fvd
        from evaluators.features import Features

        def features(logits: np.ndarray) -> Features:
            k, m = logits.shape[:2]
            ids = tuple(name for name in sides.ids for _ in range(m))
            return Features(
                logits.reshape(k * m, -1), ids, tuple(range(m)) * k, self.extractor, self.resize, self.frames
            )

        protocol = protocol_of(how.protocol, self.frames, how.clips, how.samples)
        name = f"{fvd.VERSION} {protocol.key} {self.extractor} {self.frames} frames"
        readings = {"fvd": protocol.reading, "fvd_mean": "mean", "fvd_debiased": "debiased"}
        asked = [metric for metric in self.METRICS if metric in how.metrics]
        if asked:
            # A trivial forecast has one film of a clip: each of its samples is that film.
            films = np.repeat(fake["logits"], how.samples // fake["logits"].shape[1], axis=1)
            found = fvd.scores(features(sides.truth["logits"]), features(films), name, resamples=how.resamples)
        for metric in asked:
            reading = found[readings[metric]]
            yield number(metric, None, reading.value, reading.replicates, name, len(sides.ids))


def protocol_of(name: str, frames: int, clips: int, samples: int) -> protocols.Protocol:
    """The named protocol, or, at other counts or lengths than its own, one whose name says so."""
    protocol = protocols.named(name)
    if (protocol.clip or frames) == frames and (protocol.real or clips) == clips and protocol.samples == samples:
        return protocol
    return protocols.scaled(protocol, clip=frames, real=clips, samples=samples)


def measures_of(setting: Setting) -> tuple[Measure, ...]:
    """The measures behind a setting's metrics. Raises UserError for an unknown metric and for one that does not fit the setting."""
    from evaluators.weights import IDENTITY

    video = setting.data.kind == "video"
    leads, horizon = setting.leads, setting.sampling.horizon
    offered: list[Measure] = [
        ForecastError(leads),
        EnsembleScores(leads),
        *((ImageQuality(leads), Motion(leads)) if video else (Spectra(leads), SpectraOfIncrements(leads))),
    ]
    if video and setting.protocol:
        protocol = protocols.named(setting.protocol)
        context = protocol.context if protocol.scored == "all" else 0
        if context + horizon < 9:
            raise UserError(
                f"horizon = {horizon}: with {context} context frames I3D needs at least {9 - context} generated ones"
            )
        if setting.data.frames < context + horizon:
            raise UserError(
                f"data.frames = {setting.data.frames}: protocol {protocol.name} scores {context} + {horizon} frames; "
                f"use at least {context + horizon}"
            )
        offered.append(VideoDistance(protocol.resize, context, context + horizon, IDENTITY))
    known = [metric for measure in offered for metric in measure.METRICS]
    for metric in setting.metrics:
        if metric not in known:
            raise UserError(f"metric {metric!r} is not one of a {setting.data.kind}; {did_you_mean(metric, known)}")
    asked = tuple(measure for measure in offered if set(measure.METRICS) & set(setting.metrics))
    if not leads and any(hasattr(measure, "leads") for measure in asked):
        raise UserError(f"metrics {setting.metrics} are by lead, and no leads are given; use leads=(1, 2, 4)")
    return asked


def _last(frames: np.ndarray) -> np.ndarray:
    """Colours last: [..., c, y, x] → [..., y, x, c]."""
    return np.moveaxis(frames, -3, -1)
