"""The Frechet distance against closed forms, scipy's square root and pytorch-fid; influences against derivatives."""

import numpy as np
import pytest
from scipy import linalg

from evaluators import frechet
from evaluators.fid import pytorch_fid
from evaluators.moments import Moments


def draws(n, d, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) / np.sqrt(d) + shift


def by_square_root(a, b):
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)


@pytest.mark.parametrize(("n", "m", "d"), [(400, 300, 20), (60, 1000, 50), (500, 500, 3)])
def test_full_rank_equals_the_matrix_square_root(n, m, d):
    a, b = draws(n, d, 0), draws(m, d, 1, shift=0.3)
    assert frechet.distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-9)
    assert frechet.distance_of_moments(Moments.of(a), Moments.of(b)) == pytest.approx(by_square_root(a, b), rel=1e-9)


def test_full_rank_equals_pytorch_fid():
    a, b = draws(500, 40, 2), draws(700, 40, 3, shift=0.2)
    theirs = pytorch_fid("fid_score").calculate_frechet_distance(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))
    assert frechet.distance(a, b) == pytest.approx(theirs, rel=1e-9)


def test_commuting_gaussians_have_the_closed_form():
    """Rows +-sqrt(n) s_i e_i have covariance diag(s^2) n/(n-1) exactly, so the distance is |sa - sb|^2 times that."""
    s_a, s_b = np.arange(1.0, 9.0), np.linspace(2.0, 3.0, 8)
    n = 16
    a, b = (np.sqrt(n / 2) * np.concatenate([np.diag(s), -np.diag(s)]) for s in (s_a, s_b))
    shift = np.linspace(-1, 1, 8)
    truth = np.sum(shift**2) + np.sum((s_a - s_b) ** 2) * n / (n - 1)
    assert frechet.distance(a, b + shift) == pytest.approx(truth, rel=1e-12)
    assert frechet.diagonal(a, b + shift).value == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(5, 7), (30, 100), (100, 30)])
def test_fewer_vectors_than_features_is_exact(n, m):
    """A rotation into 200 dimensions changes nothing: the truth is the distance in the 12 that are used."""
    d = 12
    a, b = draws(n, d, 4), draws(m, d, 5)
    rotation = linalg.qr(np.random.default_rng(6).standard_normal((200, d)), mode="economic")[0].T
    inside = np.array([frechet.distance(a, b)])
    lifted_a, lifted_b = a @ rotation, b @ rotation
    assert frechet.distance(lifted_a, lifted_b) == pytest.approx(inside, rel=1e-10)
    assert frechet.distance_of_moments(Moments.of(lifted_a), Moments.of(lifted_b)) == pytest.approx(inside, rel=1e-9)
    # Independent of our own n < d code: one more set of rows spans everything, at a weight that vanishes.
    ridge = 1e-9
    sigma_a, sigma_b = (np.cov(x.T) + ridge * np.eye(d) for x in (a, b))
    root = linalg.sqrtm(sigma_a @ sigma_b).real
    truth = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(sigma_a + sigma_b - 2 * root)
    assert inside == pytest.approx(truth, rel=3e-4)


def test_dependent_features_are_exact():
    """Every feature twice doubles the distance and the influences, though the covariance is singular with N > d."""
    a, b = draws(200, 12, 8), draws(300, 12, 9, shift=0.3)
    once, twice = frechet.estimate(a, b), frechet.estimate(np.hstack([a, a]), np.hstack([b, b]))
    assert twice.value == pytest.approx(2 * once.value, rel=1e-9)
    assert frechet.distance(np.hstack([a, a]), np.hstack([b, b])) == pytest.approx(2 * once.value, rel=1e-9)
    np.testing.assert_allclose(twice.real, 2 * once.real, rtol=1e-6, atol=1e-9)
    moments = [Moments.of(np.hstack([x, x])) for x in (a, b)]
    assert frechet.distance_of_moments(*moments) == pytest.approx(2 * once.value, rel=1e-7)


def graded(n, d, digits, seed, order=1):
    """Rows whose standard deviations fall over so many digits, neighbours correlated."""
    rng = np.random.default_rng(seed)
    mix = np.eye(d) + 0.3 * np.eye(d, k=1) + 0.2 * np.eye(d, k=-1)
    return rng.standard_normal((n, d)) * 10.0 ** (-digits * np.arange(d) / d)[::order] @ mix


def by_singular_values(a, b):
    """The nuclear norm as it is defined, from factors that never squared anything."""
    factors = [linalg.qr(x - x.mean(0), mode="r")[0][: x.shape[1]] for x in (a, b)]
    return linalg.svdvals(factors[0] @ factors[1].T).sum()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("d", "digits"), [(40, 0), (40, 2), (40, 3), (40, 5), (40, 7), (120, 2), (120, 4)])
def test_eigenvalues_are_as_good_as_singular_values_or_are_not_used(d, digits, order):
    a, b = graded(4 * d, d, digits, 0, order), graded(3 * d, d, digits, 1, order)
    truth = by_singular_values(a, b)
    grams = [(x - x.mean(0)).T @ (x - x.mean(0)) for x in (a, b)]
    quick = frechet._by_eigenvalues(*grams)
    assert (quick is None) == (digits > 3)
    assert quick is None or quick == pytest.approx(truth, rel=1e-12)
    squares = sum(np.trace(g) / (len(x) - 1) for g, x in zip(grams, (a, b), strict=True))
    value = np.sum((a.mean(0) - b.mean(0)) ** 2) + squares - 2 * truth / np.sqrt((4 * d - 1) * (3 * d - 1))
    assert frechet.distance(a, b) == pytest.approx(value, rel=1e-9)
    assert frechet.distance_of_moments(Moments.of(a), Moments.of(b)) == pytest.approx(value, rel=1e-9)


def test_roots_of_eigenvalues_alone_would_lose_digits():
    """What the bound and the order of features are for: without them the sum is off by more than 1e-9."""
    a, b = graded(160, 40, 5, 0, -1), graded(120, 40, 5, 1, -1)
    grams = [(x - x.mean(0)).T @ (x - x.mean(0)) for x in (a, b)]
    values = linalg.eigh(grams[1], grams[0], type=2, eigvals_only=True)
    assert abs(np.sqrt(np.maximum(values, 0)).sum() / by_singular_values(a, b) - 1) > 1e-9


def test_a_set_is_at_distance_zero_from_itself():
    for n, d in ((200, 10), (10, 200)):
        a = draws(n, d, 7)
        scale = np.trace(np.cov(a.T))
        assert frechet.distance(a, a[::-1]) < 1e-12 * scale
        assert frechet.distance_of_moments(Moments.of(a), Moments.of(a[::-1])) < 1e-9 * scale


def weighted(a, b, w_a, w_b):
    """The distance of weighted sets, by matrix square root; n/(n-1) as in the unweighted one."""

    def stats(x, w):
        p = w / w.sum()
        centred = x - p @ x
        return p @ x, (centred * p[:, None]).T @ centred * len(x) / (len(x) - 1)

    (m_a, s_a), (m_b, s_b) = stats(a, w_a), stats(b, w_b)
    return np.sum((m_a - m_b) ** 2) + np.trace(s_a + s_b - 2 * linalg.sqrtm(s_a @ s_b).real)


def test_influences_are_the_derivative_by_the_weights():
    a, b = draws(40, 6, 8), draws(50, 6, 9, shift=0.5)
    found = frechet.estimate(a, b)
    assert found.value == pytest.approx(frechet.distance(a, b), rel=1e-12)
    h = 1e-4
    for i in (0, 7, 23):
        for ours, side in ((found.real, 0), (found.fake, 1)):
            values = []
            for step in (-h, h):
                weights = [np.ones(40), np.ones(50)]
                weights[side][i] += step
                values.append(weighted(a, b, *weights))
            assert ours[i] == pytest.approx((values[1] - values[0]) / (2 * h), rel=1e-5, abs=1e-9)


def test_influences_sum_to_zero_and_are_moderate_below_full_rank():
    a, b = draws(20, 100, 10), draws(30, 100, 11)
    for found in (frechet.estimate(a, b), frechet.diagonal(a, b)):
        assert abs(found.real.sum()) < 1e-9 and abs(found.fake.sum()) < 1e-9
        assert np.isfinite(found.real).all() and np.abs(found.real).max() < found.value


def test_diagonal_influences_are_the_derivative():
    a, b = draws(40, 6, 12), draws(40, 6, 13)
    found = frechet.diagonal(a, b)
    h = 1e-4
    changes = []
    for step in (-h, h):
        w = np.ones(40)
        w[3] += step
        p = w / w.sum()
        m = p @ a
        sd = np.sqrt(p @ (a - m) ** 2 * 40 / 39)
        changes.append(np.sum((m - b.mean(0)) ** 2) + np.sum((sd - b.std(0, ddof=1)) ** 2))
    assert found.real[3] == pytest.approx((changes[1] - changes[0]) / (2 * h), rel=1e-5)


def test_bad_features_are_refused():
    a = draws(10, 4, 0)
    with pytest.raises(ValueError, match="same d"):
        frechet.distance(a, a[:, :3])
    with pytest.raises(ValueError, match="at least 2"):
        frechet.distance(a, a[:1])
    with pytest.raises(ValueError, match="10 and of 1 vectors.*at least 2"):
        frechet.distance_of_moments(Moments.of(a), Moments.of(a[:1]))
    with pytest.raises(ValueError, match="nan or infinity"):
        frechet.distance(a, np.full_like(a, np.nan))
