"""Measures: columns and numbers against independent formulas, whatever the batch they were reduced in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluators import fsd, motion, pixel
from experiments.table8 import SETTING
from rollbench.errors import UserError
from rollbench.pipeline.measure import EvalBatch, ReferenceColumns, ScoringConfig
from rollbench.pipeline.measures import (
    EnsembleScores,
    ForecastError,
    ImageQuality,
    Motion,
    Spectra,
    SpectraOfIncrements,
    VideoDistance,
    measures_of,
    protocol_of,
)

RNG = np.random.default_rng(3)
LEADS = (1, 3)


def flows(samples: int, clips: int = 6) -> EvalBatch:
    shape = (clips, samples, 4, 2, 16, 16)
    films, truth = RNG.normal(size=shape), RNG.normal(size=(clips, *shape[2:]))
    return EvalBatch(films, truth, RNG.normal(size=(clips, 1, 2, 2, 16, 16)), video=False)


def pixels(samples: int, clips: int = 4, frames: int = 8) -> EvalBatch:
    def draw(*shape: int) -> np.ndarray:
        return RNG.integers(0, 256, (*shape, 3, 16, 16), dtype=np.uint8)

    return EvalBatch(draw(clips, samples, frames), draw(clips, frames), draw(clips, 1, 5), video=True)


def sides(measure: Any, seen: EvalBatch, weights: str | None = None) -> ReferenceColumns:
    """The truth as a row of its own, and zeros as the mean frame."""
    reduce = measure.reducer(weights)
    truth = replace(seen, films=seen.truth[:, None])
    flat = replace(seen, films=np.zeros_like(seen.truth[:, None]))
    return ReferenceColumns(tuple(f"{i}" for i in range(len(seen.truth))), reduce(truth), reduce(flat))


def numbers(measure: Any, seen: EvalBatch, *metrics: str) -> dict[tuple[str, int | None], float]:
    found = measure.numbers(measure.reducer(None)(seen), sides(measure, seen), ScoringConfig(metrics, 50))
    return {(n["metric"], n["lead"]): n["value"] for n in found}


def test_errors_are_means_over_samples_clips_and_cells() -> None:
    seen = flows(samples=3)
    found = numbers(ForecastError(LEADS), seen, "mse", "mse_ratio")
    for lead in LEADS:
        error = np.mean((seen.films[:, :, lead - 1] - seen.truth[:, None, lead - 1]) ** 2)
        assert found["mse", lead] == pytest.approx(error)
        assert found["mse_ratio", lead] == pytest.approx(error / np.mean(seen.truth[:, lead - 1] ** 2))


def test_only_wanted_metrics_come_out() -> None:
    assert {metric for metric, _ in numbers(ForecastError(LEADS), flows(1), "mse")} == {"mse"}


def test_pixels_are_measured_on_the_unit_scale() -> None:
    seen = pixels(samples=2)
    error = np.mean((seen.films[:, :, 0].astype(float) - seen.truth[:, None, 0].astype(float)) ** 2) / 255**2
    assert numbers(ForecastError(LEADS), seen, "mse")["mse", 1] == pytest.approx(error)
    found = numbers(ImageQuality(LEADS), seen, "psnr", "ssim")
    assert found["psnr", 1] == pytest.approx(-10 * np.log10(error))
    last = np.moveaxis(seen.films[:, :, 0], 2, -1).reshape(-1, 16, 16, 3) / 255
    real = np.repeat(np.moveaxis(seen.truth[:, 0], 1, -1), 2, axis=0) / 255
    assert found["ssim", 1] == pytest.approx(pixel.ssim(last, real, 1.0).mean())


def test_a_perfect_film_has_no_error() -> None:
    seen = pixels(samples=1)
    perfect = replace(seen, films=seen.truth[:, None])
    assert numbers(ImageQuality(LEADS), perfect, "ssim")["ssim", 3] == pytest.approx(1.0)
    assert numbers(ForecastError(LEADS), perfect, "mse")["mse", 3] == 0.0


def test_motion_is_the_evaluators_own_over_that_of_the_truth() -> None:
    seen = pixels(samples=2)
    values = numbers(Motion(LEADS), seen, "motion_ratio", "detail_ratio")
    last = seen.past[:, 0, -1]
    for lead in LEADS:
        moved = [motion.motion(seen.films[:, m], last)[:, lead - 1].mean() for m in range(2)]
        sharp = [motion.detail(seen.films[:, m])[:, lead - 1].mean() for m in range(2)]
        real = motion.motion(seen.truth, last)[:, lead - 1].mean(), motion.detail(seen.truth)[:, lead - 1].mean()
        assert values["motion_ratio", lead] == pytest.approx(np.mean(moved) / real[0])
        assert values["detail_ratio", lead] == pytest.approx(np.mean(sharp) / real[1])
    frozen = replace(seen, films=np.repeat(seen.past[:, :, -1:], seen.films.shape[2], axis=2))
    assert numbers(Motion(LEADS), frozen, "motion_ratio")["motion_ratio", 3] == 0.0
    perfect = numbers(Motion(LEADS), replace(seen, films=seen.truth[:, None]), "motion_ratio", "detail_ratio")
    assert set(perfect.values()) == {1.0}


def test_spectra_take_one_film_of_each_clip() -> None:
    seen = flows(samples=2)
    found = numbers(Spectra(LEADS), seen, "fsd", "fsd_diagonal")
    for lead in LEADS:
        real, fake = fsd.features(seen.truth[:, lead - 1]), fsd.features(seen.films[:, 0, lead - 1])
        assert found["fsd", lead] == pytest.approx(fsd.distance(real, fake))
        assert found["fsd_diagonal", lead] == pytest.approx(fsd.distance(real, fake, diagonal=True))


def test_increments_begin_at_the_last_context_frame_and_a_frozen_frame_fails() -> None:
    seen = flows(samples=2, clips=300)
    found = numbers(SpectraOfIncrements(LEADS), seen, "fsd_increments")
    for lead in LEADS:
        real, fake = (np.concatenate([seen.past[:, 0, -1:], x], axis=1) for x in (seen.truth, seen.films[:, 0]))
        a, b = (fsd.features(x[:, lead] - x[:, lead - 1]) for x in (real, fake))
        assert found["fsd_increments", lead] == pytest.approx(fsd.distance(a, b))
    last = np.broadcast_to(seen.past[:, :, -1:], seen.films.shape)
    frozen = numbers(SpectraOfIncrements(LEADS), replace(seen, films=last), "fsd_increments")
    assert all(frozen["fsd_increments", lead] > 4 * found["fsd_increments", lead] for lead in LEADS)


def test_ensembles_against_the_definitions() -> None:
    seen = flows(samples=4)
    found = numbers(EnsembleScores(LEADS), seen, "crps", "spread_skill")
    members, truth = np.moveaxis(seen.films[:, :, 0], 1, 0), seen.truth[:, 0]
    gaps = np.abs(members[:, None] - members[None]).sum((0, 1)) / (2 * 4 * 3)
    assert found["crps", 1] == pytest.approx((np.abs(members - truth).mean(0) - gaps).mean())
    spread = (1 + 1 / 4) * members.var(0, ddof=1).mean()
    error = np.square(members.mean(0) - truth).mean()
    assert found["spread_skill", 1] == pytest.approx(np.sqrt(spread / error))


def test_one_sample_is_scored_by_its_absolute_error() -> None:
    seen = flows(samples=1)
    expected = np.abs(seen.films[:, 0, 2] - seen.truth[:, 2]).mean()
    assert numbers(EnsembleScores(LEADS), seen, "crps")["crps", 3] == pytest.approx(expected)


@pytest.mark.parametrize("measure", [ForecastError(LEADS), ImageQuality(LEADS), EnsembleScores(LEADS), Motion(LEADS)])
def test_reducing_in_parts_is_reducing_at_once(measure: Any) -> None:
    seen = pixels(samples=2)
    whole = measure.reducer(None)(seen)
    parts = [
        measure.reducer(None)(EvalBatch(seen.films[cut], seen.truth[cut], seen.past[cut], True))
        for cut in (slice(0, 1), slice(1, 4))
    ]
    for name, column in whole.items():
        assert np.array_equal(column, np.concatenate([part[name] for part in parts]))


def test_video_distance_is_the_libraries_own() -> None:
    """Columns of shards, scored, against the evaluator used as a library on whole clips."""
    from evaluators import FVD
    from evaluators.weights import IDENTITY

    measure, seen = VideoDistance("original", 5, 13, IDENTITY), pixels(samples=1, clips=4)
    reduce = measure.reducer(None)
    fake, truth = reduce(seen), reduce(replace(seen, films=seen.truth[:, None]))
    how = ScoringConfig(("fvd", "fvd_debiased"), 50, "kinetics-5to11", clips=4)
    found = {n["metric"]: n for n in measure.numbers(fake, ReferenceColumns(("0", "1", "2", "3"), truth, {}), how)}

    def clips(films: np.ndarray) -> np.ndarray:
        return np.moveaxis(np.concatenate([seen.past[:, 0], films], 1), 2, -1)

    whole = FVD("original", resamples=50).between(clips(seen.truth), clips(seen.films[:, 0]))
    assert found["fvd"]["value"] == pytest.approx(whole.value, rel=1e-9)
    assert found["fvd_debiased"]["value"] < found["fvd"]["value"]
    assert found["fvd"]["lead"] is None and found["fvd"]["n"] == 4
    assert "kinetics-5to11" in found["fvd"]["evaluator"] and found["fvd"]["evaluator"] != whole.name


def test_a_protocol_at_other_sizes_says_so() -> None:
    assert protocol_of("kinetics-rollout", 24, 8192, 1).key == "kinetics-rollout@2"
    assert protocol_of("kinetics-rollout", 24, 64, 1).key != "kinetics-rollout@2"


def test_measures_are_those_that_the_metrics_ask_for() -> None:
    assert [type(m) for m in measures_of(SETTING)] == [ForecastError, Spectra, SpectraOfIncrements]
    with pytest.raises(UserError, match="metric 'fvd' is not one of a flow; did you mean 'fsd'"):
        measures_of(replace(SETTING, metrics=("fvd",)))
    with pytest.raises(UserError, match="no leads are given"):
        measures_of(replace(SETTING, leads=()))


def test_stored_and_printed_intervals_take_the_same_metrics_on_the_logarithm() -> None:
    from reports.model.metrics import METRICS
    from rollbench.pipeline.measure import _ANY_SIGN

    assert set(_ANY_SIGN) == {name for name, metric in METRICS.items() if not metric.positive}


def test_a_forecast_of_one_film_stands_for_each_of_its_samples() -> None:
    """Pooled with 3 samples of each clip, a forecast that has one film counts it three times."""
    from evaluators.weights import IDENTITY

    rng, how = np.random.default_rng(0), ScoringConfig(("fvd",), 50, "bair-1to15", clips=6, samples=3)
    measure = VideoDistance("original", 1, 16, IDENTITY)
    real = {"logits": rng.normal(size=(6, 1, 400))}
    one = rng.normal(size=(6, 1, 400))
    sides = ReferenceColumns(tuple("abcdef"), real, {})
    single, thrice = (
        next(iter(measure.numbers({"logits": logits}, sides, how))) for logits in (one, np.repeat(one, 3, 1))
    )
    assert single == thrice and "3 samples of each" in single["evaluator"]
