"""Floor and N-curve against what a law against itself scores, and the end at infinity against closed forms."""

import numpy as np
import pytest

from evaluators import bias, frechet, scoring, uncertainty
from evaluators.features import Features

SCALES = np.arange(1, 41) ** -0.6


def gaussian(n, seed, scale=1.0, shift=0.0):
    x = np.random.default_rng(seed).standard_normal((n, len(SCALES))) * SCALES * scale
    x[:, 0] += shift
    return x


def features(x, name):
    ids = tuple(f"{name}{i:05d}" for i in range(len(x)))
    return Features(x.astype(np.float32), ids, (0,) * len(x), "gaussian", "original", 16)


def closed_form(scale, shift):
    return float(np.sum((SCALES - scale * SCALES) ** 2) + shift**2)


def test_splits_are_disjoint_and_need_enough():
    pool = np.arange(10.0)[:, None]
    for a, b in bias.splits(pool, 4, 6, 5, seed=0):
        assert len(np.unique(np.concatenate([a, b]))) == 10
    frames = np.repeat(np.arange(5), 2)
    for a, b in bias.splits(pool, 2, 3, 5, seed=0, source=frames):
        assert len(a) == 4 and len(b) == 6 and not set(a[:, 0] // 2) & set(b[:, 0] // 2)
    with pytest.raises(ValueError, match="5 against 5"):
        next(bias.splits(pool, 6, 6, 1, seed=0))


@pytest.mark.parametrize(("n", "m"), [(100, 100), (60, 240)])
def test_the_floor_is_what_fresh_sets_score(n, m):
    fresh = [frechet.distance(gaussian(n, 2 * k), gaussian(m, 2 * k + 1)) for k in range(20)]
    exact = bias.floor(gaussian(n + m, 99), n, m, count=16)
    assert not exact.extrapolated and exact.at == min(n, m)
    assert exact.value == pytest.approx(np.mean(fresh), rel=0.1)


def test_frames_of_one_clip_stay_on_one_side():
    """Rows that come four at a time, almost equal: split as rows the floor would be far too low."""
    pool = np.repeat(gaussian(200, 0), 4, 0) + 0.01 * gaussian(800, 1)
    clips = np.repeat(np.arange(200), 4)
    found = bias.floor(pool, 100, 100, count=8, source=clips)
    one = bias.floor(gaussian(200, 0), 100, 100, count=8)
    assert found.value == pytest.approx(one.value, rel=0.1) and not found.extrapolated
    assert bias.floor(pool, 400, 400, count=8).value < 0.5 * one.value


@pytest.mark.parametrize("n", [60, 160, 600])
def test_a_floor_from_too_few_is_carried_on(n):
    """Half the pool against the other half, followed to n against n, where 40 features make the law of bias bend."""
    fresh = [frechet.distance(gaussian(n, 2 * k), gaussian(n, 2 * k + 1)) for k in range(20)]
    floor = bias.floor(gaussian(n, 99), n, n, count=16)
    assert floor.extrapolated and floor.at == n // 2
    assert floor.value == pytest.approx(np.mean(fresh), rel=0.2)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.2, 0.3)])
def test_the_end_at_infinity_is_the_truth(scale, shift):
    """Mean over data sets, N = 200 of d = 40: the value is up to three times the truth, its end at infinity is unbiased."""
    ends, values = [], []
    for k in range(12):
        pairs = scoring.Pairs(
            features(gaussian(200, 2 * k), "r"), features(gaussian(200, 2 * k + 1, scale, shift), "f")
        )
        curve = bias.curve(pairs.subset, 200, seed=k)
        assert [point.n for point in curve] == [25, 50, 100, 125, 150, 175, 200]
        assert np.all(np.diff([point.value for point in curve[:3]]) < 0)
        ends.append(bias.infinity(curve)[0])
        values.append(curve[-1].value)
    truth = closed_form(scale, shift)
    assert np.mean(values) > truth + 0.1
    assert np.mean(ends) == pytest.approx(truth, abs=3 * np.std(ends) / np.sqrt(12))
    assert abs(np.mean(ends) - truth) < 0.3 * (np.mean(values) - truth)


@pytest.mark.slow
def test_the_interval_of_the_end_covers():
    held, errors, ends = [], [], []
    for k in range(150):
        pairs = scoring.Pairs(features(gaussian(200, 2 * k), "r"), features(gaussian(200, 2 * k + 1, 1.2, 0.3), "f"))
        value, influence = bias.infinity(bias.curve(pairs.subset, 200, seed=k))
        replicas = uncertainty.replicates(value, influence, uncertainty.resamples(400, 200, k))
        low, high = uncertainty.interval(value, replicas)
        held.append(low <= closed_form(1.2, 0.3) <= high)
        errors.append(np.sqrt(np.sum(influence**2)))
        ends.append(value)
    assert 0.87 <= np.mean(held) <= 0.99
    assert np.mean(errors) == pytest.approx(np.std(ends), rel=0.2)


def test_too_few_clips_have_no_end():
    for n in (2, 3):
        pairs = scoring.Pairs(features(gaussian(n, 0), "r"), features(gaussian(n, 1), "f"))
        curve = bias.curve(pairs.subset, n)
        assert curve[-1].n == n and len({point.n for point in curve}) == len(curve)
    assert np.isnan(bias.infinity(curve[-1:])[0])
    with pytest.raises(ValueError, match="at least 8"):
        bias.floor(gaussian(7, 0), 7, 7)
