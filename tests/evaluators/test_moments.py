"""Moments are a monoid: the whole is the sum of its parts, whatever the parts and their order."""

import numpy as np
import pytest

from evaluators.moments import Moments


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return 1e4 + rng.standard_normal((257, 12)) @ rng.standard_normal((12, 12))  # a mean that eats digits


def test_moments_are_numpys(rows):
    whole = Moments.of(rows)
    assert whole.n == 257
    np.testing.assert_allclose(whole.mean, rows.mean(0), rtol=1e-14)
    np.testing.assert_allclose(whole.covariance(), np.cov(rows.T), rtol=1e-11)
    np.testing.assert_allclose(whole.covariance(ddof=0), np.cov(rows.T, ddof=0), rtol=1e-11)


@pytest.mark.parametrize("cuts", [[1], [256], [3, 100, 101, 200], list(range(1, 257))])
def test_parts_in_any_order_make_the_whole(rows, cuts):
    parts = [Moments.of(part) for part in np.split(rows, cuts)]
    whole = Moments.of(rows)
    for order in (parts, parts[::-1], [parts[i] for i in np.random.default_rng(1).permutation(len(parts))]):
        merged = sum(order, start=Moments.empty(12))
        assert merged.n == whole.n
        np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-13)
        np.testing.assert_allclose(merged.m2, whole.m2, rtol=1e-11, atol=1e-11 * np.trace(whole.m2))


def test_empty_is_neutral(rows):
    whole, empty = Moments.of(rows), Moments.of(rows[:0])
    for merged in (whole + empty, empty + whole):
        assert merged is whole
    assert (empty + empty).n == 0


def test_what_makes_no_sense_is_refused(rows):
    with pytest.raises(ValueError, match="12 and of 3"):
        Moments.of(rows) + Moments.of(rows[:, :3])
    with pytest.raises(ValueError, match="at least 2"):
        Moments.of(rows[:1]).covariance()
    with pytest.raises(ValueError, match=r"\[n, d\]"):
        Moments.of(rows[0])
