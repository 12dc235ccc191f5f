"""Intervals: exact for a mean, honest for a Frechet distance with few clips, shared between the rows of a table."""

import numpy as np
import pytest
from scipy import stats

from evaluators import fsd, uncertainty
from tests.benchmarks import coverage


def of_mean(values):
    """The influence of each value on their mean."""
    return (values - values.mean()) / len(values)


def test_resamples_are_reproducible_and_uniform():
    draws = uncertainty.resamples(50, 2000, seed=3)
    np.testing.assert_array_equal(draws, uncertainty.resamples(50, 2000, seed=3))
    assert draws.shape == (2000, 50)
    assert (draws != uncertainty.resamples(50, 2000, seed=4)).any()
    assert stats.chisquare(np.bincount(draws.ravel(), minlength=50)).pvalue > 1e-4


def test_replicates_of_a_mean_are_the_bootstrap_of_the_mean():
    values = np.random.default_rng(0).exponential(size=80)
    draws = uncertainty.resamples(80, 300, seed=0)
    ours = uncertainty.replicates(values.mean(), of_mean(values), draws)
    np.testing.assert_allclose(ours, values[draws].mean(axis=1), rtol=1e-12)


def test_influences_of_one_source_add_up():
    by_source = uncertainty.by_source([1.0, 2.0, 4.0, 8.0], [2, 0, 2, 0], 3)
    np.testing.assert_array_equal(by_source, [10.0, 0.0, 5.0])


def test_the_interval_of_a_normal_mean_is_the_textbooks():
    rng = np.random.default_rng(1)
    values = rng.normal(5, 2, size=400)
    draws = uncertainty.resamples(400, 4000, seed=1)
    low, high = uncertainty.interval(values.mean(), uncertainty.replicates(values.mean(), of_mean(values), draws))
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), rel=0.01)


def test_a_positive_interval_is_symmetric_in_the_logarithm():
    reps = 3 + np.random.default_rng(2).normal(0, 0.6, 5000)
    low, high = uncertainty.interval(3.0, reps, positive=True)
    assert low > 0 and low * high == pytest.approx(9.0)
    assert np.log(high / low) == pytest.approx(2 * 1.96 * 0.2, rel=0.05)
    plain_low, plain_high = uncertainty.interval(3.0, reps)
    assert plain_low + plain_high == pytest.approx(6.0)
    assert uncertainty.interval(0.0, np.zeros(20), positive=True) == (0.0, 0.0)


def test_differences_of_rows_are_sharper_than_their_intervals():
    """Two models that differ a little, on the same trajectories: the difference is known better than either value."""
    real, first, second = coverage.rows(np.random.default_rng(4), 128)
    draws = uncertainty.resamples(128, 300, seed=0)
    one, two = fsd.bootstrap(real, first, draws), fsd.bootstrap(real, second, draws)
    assert (one - two).std() < 0.5 * np.hypot(one.std(), two.std())


def test_coverage_of_the_expected_fsd():
    """Where 95 % are asked for. The fields are steep and few: skewness costs some percent."""
    found = coverage.measure(n=48, datasets=60, truths=300, count=100, redraw=False)
    gap = found.pop("difference of two models")
    assert 0.85 <= gap["linear"] and 0.7 <= gap["error"] <= 1.3
    for case, shares in found.items():
        assert 0.78 <= shares["positive"], (case, shares)
        assert 0.75 <= shares["error"] <= 1.4, (case, shares)


def test_percentiles_of_resamples_with_duplicates_do_not_cover():
    """What `replicates` is for: duplicates lift the distance so far that its expectation falls out of the interval."""
    shares = coverage.coverage(48, 15, 300, 60, True, *coverage.CASES["same law"])
    assert shares["percentile"] < 0.2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_coverage_measured_well():
    found = coverage.measure(n=128, datasets=600, truths=3000, count=300, redraw=False)
    assert 0.9 <= found.pop("difference of two models")["linear"] <= 0.98
    for case, shares in found.items():
        assert 0.82 <= shares["positive"] <= 0.98, (case, shares)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="do not fit 3 clips"):
        uncertainty.replicates(1.0, np.zeros(3), uncertainty.resamples(4, 20, 0))
    with pytest.raises(ValueError, match="at least 2 clips"):
        uncertainty.resamples(1, 20, 0)
    with pytest.raises(ValueError, match="at least 20"):
        uncertainty.interval(1.0, np.ones(5))
    with pytest.raises(ValueError, match="between 0 and 1"):
        uncertainty.interval(1.0, np.ones(50), level=95)


@pytest.mark.parametrize("value", [0.0, 1e-12, 8.44e-4])
def test_an_interval_near_zero_is_on_the_plain_scale(value):
    """Sets that differ by rounding alone: the logarithm would span 1e-25 to 1e18."""
    low, high = uncertainty.interval(value, value + 0.05 * np.random.default_rng(0).normal(size=1000), positive=True)
    assert low == 0.0 and value <= high < 0.2
