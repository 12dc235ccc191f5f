"""Every metric recomputed from the words of the report's protocol, with numpy and scipy alone, and the words themselves."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from scipy import linalg, signal
from scipy.stats import norm, t

from evaluators import resize
from experiments.table3 import TABLE as VIDEO
from experiments.table8 import TABLE as FLOW
from reports.model.cells import Cell
from reports.model.claims import decide
from reports.model.metrics import METRICS
from reports.model.seeds import pool
from rollbench.config.scale import at_scale, scale
from rollbench.config.table import Claim, Setting
from rollbench.pipeline.measure import EvalBatch, ReferenceColumns, ScoringConfig
from rollbench.pipeline.measures import measures_of
from rollbench.results.protocol import PARAGRAPHS, protocol_text

N, HORIZON, LEADS, R = 40, 4, (1, 3), 60
RNG = np.random.default_rng(5)
Numbers = dict[tuple[str, int | None], dict[str, Any]]


def setting(table: Any, **changes: Any) -> Setting:
    (first, *_) = at_scale(table, scale("smoke")).settings
    changes = {"leads": LEADS, **changes}
    sampling = dataclasses.replace(first.sampling, horizon=HORIZON, contexts=N, samples=changes.pop("samples", 1))
    return dataclasses.replace(first, sampling=sampling, train_clips=4 * N, **changes)


def batch(samples: int, side: int, channels: int, video: bool) -> EvalBatch:
    """Correlated random frames: samples, truth and the frame before them."""
    shape = (N, samples + 1, HORIZON + 1, channels, side, side)
    frames = np.cumsum(RNG.normal(size=shape), axis=2) + RNG.normal(size=shape[:1] + (1,) * 5)
    frames[:, 1:] *= 1.2
    if video:
        frames = np.clip(frames * 25 + 128, 0, 255).astype(np.uint8)
    return EvalBatch(frames[:, 1:, 1:], frames[:, 0, 1:], frames[:, :1, :1], video)


def mean_frame(seen: EvalBatch) -> np.ndarray:
    return np.broadcast_to(seen.truth.mean((0, 1)).astype(seen.truth.dtype), seen.truth.shape)


def numbers(setting: Setting, seen: EvalBatch, *metrics: str) -> Numbers:
    """What the evaluation stages compute."""
    scoring = ScoringConfig(metrics, R, setting.protocol, N, seen.films.shape[1])
    found: Numbers = {}
    for measure in measures_of(dataclasses.replace(setting, metrics=metrics)):
        reduce = measure.reducer()
        truth, flat = (dataclasses.replace(seen, films=f[:, None]) for f in (seen.truth, mean_frame(seen)))
        sides = ReferenceColumns(tuple(f"{i:03}" for i in range(N)), reduce(truth), reduce(flat))
        found |= {(n["metric"], n["lead"]): n for n in measure.numbers(reduce(seen), sides, scoring)}
    return found


# --- the words of the page, in numpy and scipy ------------------------------------------------------------------------------------
DRAWS = np.random.default_rng(0).integers(0, N, (R, N))


def vectors(u: np.ndarray) -> np.ndarray:
    """|rfft2(u, norm="ortho")| without one of each conjugate pair."""
    y, x = u.shape[-2:]
    amplitude = np.abs(np.fft.rfft2(u.astype(np.float64), norm="ortho"))
    return np.stack(
        [
            amplitude[..., ky, kx]
            for ky in range(y)
            for kx in range(x // 2 + 1)
            if not (kx in (0, x / 2) and ky > y // 2)
        ],
        axis=-1,
    )


def frechet(a: np.ndarray, b: np.ndarray, counts: np.ndarray | None = None) -> float:
    """The Fréchet distance of vectors [N, d], clip i counted counts[i] times on both sides."""
    c = np.ones(len(a)) if counts is None else counts

    def moments(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        m = c @ v / c.sum()
        return m, (v - m).T * c @ (v - m) / (len(v) - 1)

    (m1, s1), (m2, s2) = moments(a), moments(b)
    cross = np.sqrt(np.maximum(linalg.eigvals(s1 @ s2).real, 0)).sum()
    return float((m1 - m2) @ (m1 - m2) + np.trace(s1) + np.trace(s2) - 2 * cross)


def frechet_replicates(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    step, one = 1e-4, np.eye(len(a))
    phi = np.array([(frechet(a, b, 1 + step * e) - frechet(a, b, 1 - step * e)) / (2 * step) for e in one])
    phi -= phi.mean()
    return np.array([frechet(a, b) + ((np.bincount(draw, minlength=N) - 1) * phi).sum() for draw in DRAWS])


def interval(value: float, replicates: np.ndarray, log: bool) -> tuple[float, float]:
    h = 1.959964 * np.std(replicates, ddof=1)
    if not log:
        return value - h, value + h
    return (0.0, value + h) if value < h / 2 else (value * np.exp(-h / value), value * np.exp(h / value))


def check(number: dict[str, Any], value: float, replicates: np.ndarray, log: bool = True, rel: float = 1e-6) -> None:
    assert number["value"] == pytest.approx(value, rel=rel)
    np.testing.assert_allclose(number["replicates"], replicates, rtol=100 * rel, atol=rel * abs(value))
    assert (number["low"], number["high"]) == pytest.approx(interval(value, replicates, log), rel=10 * rel)
    assert number["n"] == N


def test_fsd() -> None:
    """8 x 8 frames have 34 features, fewer than clips; the words hold for every grid."""
    seen, here = batch(1, 8, 2, False), setting(FLOW)
    found = numbers(here, seen, "fsd", "fsd_diagonal", "fsd_increments")
    for lead in LEADS:
        a, b = vectors(seen.truth[:, lead - 1, 0]), vectors(seen.films[:, 0, lead - 1, 0])
        assert a.shape == (N, 34)
        check(found["fsd", lead], frechet(a, b), frechet_replicates(a, b), rel=1e-6)
        spread = (a.std(0, ddof=1) - b.std(0, ddof=1)) ** 2
        expected = ((a.mean(0) - b.mean(0)) ** 2 + spread).sum()
        assert found["fsd_diagonal", lead]["value"] == pytest.approx(expected)
        u0 = seen.past[:, 0, -1, 0]
        true, sampled = (np.concatenate([u0[:, None], f], 1) for f in (seen.truth[:, :, 0], seen.films[:, 0, :, 0]))
        a, b = (vectors(u[:, lead] - u[:, lead - 1]) for u in (true, sampled))
        check(found["fsd_increments", lead], frechet(a, b), frechet_replicates(a, b), rel=1e-6)


def test_fsd_below_full_rank_is_the_sum_of_singular_values() -> None:
    seen = batch(1, 16, 2, False)
    found = numbers(setting(FLOW), seen, "fsd")
    a, b = vectors(seen.truth[:, 2, 0]), vectors(seen.films[:, 0, 2, 0])
    a_c, b_c = a - a.mean(0), b - b.mean(0)
    nuclear = linalg.svdvals(a_c @ b_c.T).sum() / (N - 1)
    squares = ((a_c**2).sum() + (b_c**2).sum()) / (N - 1)
    assert a.shape == (N, 130)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + squares - 2 * nuclear
    assert found["fsd", 3]["value"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("samples", "video"), [(1, False), (3, False), (3, True)])
def test_errors_and_ensemble_scores(samples: int, video: bool) -> None:
    seen = batch(samples, 16 if video else 8, 3 if video else 2, video)
    here = setting(VIDEO if video else FLOW, samples=samples)
    metrics = ("mse", "mse_ratio", "crps", *(("spread_skill",) if samples > 1 else ()), *(("psnr",) if video else ()))
    found, unit = numbers(here, seen, *metrics), 255.0 if video else 1.0
    for lead in LEADS:
        f, x = seen.films[:, :, lead - 1] / unit, seen.truth[:, None, lead - 1] / unit
        cells = (2, 3, 4)
        error = ((f - x) ** 2).mean((1, *cells))
        normal = ((mean_frame(seen)[:, lead - 1] / unit - x[:, 0]) ** 2).mean((1, 2, 3))
        check(found["mse", lead], error.mean(), error[DRAWS].mean(1))
        check(found["mse_ratio", lead], error.mean() / normal.mean(), error[DRAWS].mean(1) / normal[DRAWS].mean(1))
        pairs = sum(np.abs(f[:, i] - f[:, j]) for j in range(samples) for i in range(j))
        score = np.abs(f - x).mean(1) - (pairs / (samples * (samples - 1)) if samples > 1 else 0)
        crps = score.mean((1, 2, 3))
        check(found["crps", lead], crps.mean(), crps[DRAWS].mean(1))
        if samples > 1:
            spread = (1 + 1 / samples) * f.var(1, ddof=1).mean((1, 2, 3))
            skill = ((f.mean(1) - x[:, 0]) ** 2).mean((1, 2, 3))
            ratios = np.sqrt(spread[DRAWS].mean(1) / skill[DRAWS].mean(1))
            check(found["spread_skill", lead], np.sqrt(spread.mean() / skill.mean()), ratios)
        if video:
            psnr = -10 * np.log10(error[DRAWS].mean(1))
            check(found["psnr", lead], -10 * np.log10(error.mean()), psnr, log=False)


def test_ssim() -> None:
    seen = batch(1, 16, 3, True)
    found = numbers(setting(VIDEO), seen, "ssim")["ssim", 1]
    weights = signal.windows.gaussian(11, 1.5)
    window = np.outer(weights, weights) / weights.sum() ** 2
    per_clip = []
    for f, x in zip(seen.films[:, 0, 0] / 255, seen.truth[:, 0] / 255, strict=True):
        channels = []
        for a, b in zip(f, x, strict=True):
            ma, mb, aa, bb, ab = (signal.correlate2d(v, window, "valid") for v in (a, b, a * a, b * b, a * b))
            va, vb, cov, c1, c2 = aa - ma**2, bb - mb**2, ab - ma * mb, 0.01**2, 0.03**2
            channels.append(((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean())
        per_clip.append(np.mean(channels))
    values = np.array(per_clip)
    check(found, values.mean(), values[DRAWS].mean(1), log=False)


def test_energies_of_motion_and_detail() -> None:
    seen = batch(2, 16, 3, True)
    found = numbers(setting(VIDEO, samples=2), seen, "motion_ratio", "detail_ratio")

    def energies(x: np.ndarray, lead: int) -> tuple[np.ndarray, np.ndarray]:
        x = np.concatenate([np.broadcast_to(seen.past[:, :, -1:], (N, x.shape[1], 1, *x.shape[3:])), x], axis=2) * 1.0
        motion = ((x[:, :, lead] - x[:, :, lead - 1]) ** 2).mean((1, 2, 3, 4))
        down, right = (np.diff(x[:, :, lead], axis=axis) ** 2 for axis in (-2, -1))
        return motion, (down.mean((1, 2, 3, 4)) + right.mean((1, 2, 3, 4))) / 2

    for lead in LEADS:
        sampled, true = energies(seen.films, lead), energies(seen.truth[:, None], lead)
        for metric, a, b in zip(("motion_ratio", "detail_ratio"), sampled, true, strict=True):
            check(found[metric, lead], a.mean() / b.mean(), a[DRAWS].mean(1) / b[DRAWS].mean(1))


def test_fvd_of_given_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is stubbed: `tests/evaluators` compares it with TF-Hub's. The distance, readings and replicates are the words'."""
    import evaluators.fvd  # noqa: F401  # which imports the network that is replaced below

    class Logits:
        def __init__(self, *_: Any) -> None:
            pass

        def features(self, clips: np.ndarray) -> np.ndarray:
            assert clips.shape[1:] == (5 + 8, 16, 16, 3), "5 context frames in front, colours last"
            return (clips[:, 5:].astype(np.float64).reshape(len(clips), -1)[:, ::499] / 50).astype(np.float32)

    monkeypatch.setattr("evaluators.i3d.I3DFeatures", Logits)
    here = setting(VIDEO, samples=2)
    here = dataclasses.replace(here, sampling=dataclasses.replace(here.sampling, horizon=8))
    frames = RNG.integers(0, 256, (N, 3, 13, 3, 16, 16), dtype=np.uint8)
    seen = EvalBatch(frames[:, :2, 5:], frames[:, 2, 5:], frames[:, 2:, :5], True)
    found = numbers(here, seen, "fvd", "fvd_mean")
    network = Logits()

    def logits(sampled: np.ndarray) -> np.ndarray:
        return network.features(np.moveaxis(np.concatenate([seen.past[:, 0], sampled], axis=1), 2, -1)).astype(float)

    real, first, second = (logits(s) for s in (seen.truth, seen.films[:, 0], seen.films[:, 1]))
    pooled = np.stack([first, second], 1).reshape(2 * N, -1)
    a_c, b_c = real - real.mean(0), pooled - pooled.mean(0)
    cross = np.sqrt(np.maximum(linalg.eigvals(np.cov(real.T) @ np.cov(pooled.T)).real, 0)).sum()
    mean = ((real.mean(0) - pooled.mean(0)) ** 2).sum()
    expected = mean + (a_c**2).sum() / (N - 1) + (b_c**2).sum() / (2 * N - 1) - 2 * cross
    assert found["fvd", None]["value"] == pytest.approx(expected, rel=1e-6)
    one_each = [(frechet(real, s), frechet_replicates(real, s)) for s in (first, second)]
    value, replicates = (np.mean([part[i] for part in one_each], axis=0) for i in (0, 1))
    check(found["fvd_mean", None], float(value), replicates, rel=1e-5)


def test_claims() -> None:
    """A paired difference and a ratio, decided by the interval of the page's words."""
    left, right = (50 + RNG.normal(size=R), 20 + RNG.normal(size=R))

    def cell(row: str, replicates: np.ndarray, value: float) -> Cell:
        fields = dict.fromkeys(f.name for f in dataclasses.fields(Cell))
        return Cell(**{**fields, "row": row, "value": value, "replicates": replicates, "n": N, "traces": ()})  # type: ignore[arg-type]

    cells = {("A", "fsd", 1): cell("A", left, 50.2), ("B", "fsd", 1): cell("B", right, 20.1)}
    (at,) = decide(Claim("", "", "fsd", "A", ">", "B", factor=2.0), cells).leads
    assert (at.estimate, at.low, at.high) == pytest.approx(
        (50.2 - 2 * 20.1, *interval(50.2 - 2 * 20.1, left - 2 * right, log=False))
    )
    (at,) = decide(Claim("", "", "fsd", "A", "≈", "B", factor=2.0), cells).leads
    ratio = 50.2 / (2 * 20.1)
    assert (at.estimate, at.low, at.high) == pytest.approx((ratio, *interval(ratio, left / (2 * right), log=True)))
    assert norm.ppf(0.975) == pytest.approx(1.959964, abs=5e-7)


def test_several_seeds() -> None:
    values, rho = np.array([3.0, 5.0, 4.5]), 4 + RNG.normal(size=(3, R))
    drawn = np.random.default_rng(20240215).integers(3, size=(3, R))
    mean = rho.mean(0)
    deviation = np.array([rho[drawn[:, r], r].mean() for r in range(R)]) - mean
    value, replicates = pool(values, rho)
    assert value == pytest.approx(values.mean())
    np.testing.assert_allclose(replicates, mean + t.ppf(0.975, 2) / 1.959964 * np.sqrt(3 / 2) * deviation, rtol=1e-6)
    assert "default_rng(20240215)" in " ".join(protocol_text(setting(FLOW), R))


# --- the words ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("side", "features"), [(16, 130), (32, 514), (64, 2050), (15, 113)])
def test_the_count_of_features_is_that_of_the_grid(side: int, features: int) -> None:
    here = setting(FLOW)
    data = dataclasses.replace(here.data, grid=64, frame_grid=side) if side != 15 else _grid(side)
    text = " ".join(protocol_text(dataclasses.replace(here, data=data), R))
    assert f"of the {side} × {side // 2 + 1} = {side * (side // 2 + 1)} modes" in text
    assert f"so {features} features remain" in text
    assert vectors(np.zeros((1, side, side))).shape == (1, features)
    assert ("kx = 0 and kx =" in text) == (side % 2 == 0)


def _grid(side: int) -> Any:
    class Field:
        kind, frames, frame_interval, frame_shape = "field", 200, 1.0, (1, side, side)

    return Field()


def test_every_metric_has_words_and_only_those_asked_for() -> None:
    assert set(METRICS) == set().union(*(names for names, _ in PARAGRAPHS))
    flow = " ".join(protocol_text(setting(FLOW, metrics=("fsd",)), R))
    assert "FSD at lead k" in flow and "FVD" not in flow and "CRPS" not in flow and "default_rng(0)" in flow
    video = " ".join(protocol_text(setting(VIDEO, metrics=("fvd", "mse", "ssim", "crps")), R))
    assert all(part in video for part in ("FVD by the protocol kinetics-rollout@2", "SSIM at lead k", "CRPS at lead k"))
    assert f"{resize.SIZE} × {resize.SIZE}" in video and "pixels from 0 to 1" in video
    assert not re.search(r"\bfilms?\b", flow + video)
