"""FSD against the closed form of Gaussian random fields, its features and its floor."""

import numpy as np
import pytest

from evaluators import fsd, uncertainty


def wavenumber(y, x):
    return np.hypot(np.fft.fftfreq(y)[:, None] * y, np.fft.fftfreq(x)[None] * x)


def fields(n, spectrum, seed):
    """n stationary Gaussian fields u [n, 1, y, x] with E|fft2(u, ortho)|^2 = spectrum [y, x]."""
    white = np.random.default_rng(seed).standard_normal((n, *spectrum.shape))
    return np.fft.ifft2(np.fft.fft2(white) * np.sqrt(spectrum)).real[:, None]


@pytest.mark.parametrize(("y", "x", "d"), [(64, 64, 2050), (32, 32, 514), (16, 16, 130), (8, 6, 26), (7, 5, 18)])
def test_each_conjugate_pair_is_counted_once(y, x, d):
    frames = np.random.default_rng(0).standard_normal((2, 3, y, x))
    assert fsd.features(frames).shape == (2, d)
    full = np.abs(np.fft.fft2(frames[0, 0], norm="ortho"))
    pairs = {tuple(sorted([(i, j), (-i % y, -j % x)])) for i in range(y) for j in range(x)}
    np.testing.assert_allclose(np.sort(fsd.features(frames)[0]), np.sort([full[p[0]] for p in pairs]), rtol=1e-12)


def test_only_the_horizontal_velocity_counts_and_shifts_do_not():
    frames = np.random.default_rng(0).standard_normal((4, 5, 2, 16, 16))
    other = frames.copy()
    other[..., 1, :, :] = 0
    assert fsd.features(frames).shape == (4, 5, 130)
    np.testing.assert_array_equal(fsd.features(frames), fsd.features(other))
    np.testing.assert_allclose(fsd.features(np.roll(frames, (3, 5), (-2, -1))), fsd.features(frames), atol=1e-12)


def closed_form(s1, s2):
    y, x = s1.shape
    return ((np.sqrt(s1) - np.sqrt(s2)) ** 2)[:, : x // 2 + 1][fsd.modes(y, x)].sum()


def test_gaussian_fields_have_the_closed_form():
    """8x8, 34 features: at N = 10,000 the bias is 0.2 % and the noise 0.3 %."""
    k = wavenumber(8, 8)
    s1, s2 = 1 / (1 + k / 4) ** 2, 1 / (1 + k / 2) ** 3
    a, b = fsd.features(fields(10_000, s1, 1)), fsd.features(fields(10_000, s2, 2))
    assert fsd.distance(a, b) == pytest.approx(closed_form(s1, s2), rel=0.01)
    assert fsd.distance(a, b, diagonal=True) == pytest.approx(closed_form(s1, s2), rel=0.01)


def test_few_trajectories_lift_fsd_and_its_floor():
    """64x64, N = 256, d = 2050: FSD shows twice the truth, and so does a law against itself; the diagonal does not."""
    s1 = 10 / (1 + wavenumber(64, 64)) ** 3
    s2 = 0.85**2 * s1
    truth = closed_form(s1, s2)
    a, b = fsd.features(fields(512, s1, 3)), fsd.features(fields(256, s2, 4))
    assert fsd.distance(a[:256], b) > 2 * truth
    assert fsd.floor(a, 256, splits=2).mean() > 1.5 * truth
    assert fsd.distance(a[:256], b, diagonal=True) == pytest.approx(truth, rel=0.15)


def test_floor_is_what_a_second_real_set_scores():
    s = 1 / (1 + wavenumber(16, 16)) ** 2
    pool = fsd.features(fields(256, s, 5))
    floor = fsd.floor(pool, 64, splits=16)
    fresh = [fsd.distance(fsd.features(fields(64, s, 10 + i)), fsd.features(fields(64, s, 90 + i))) for i in range(16)]
    assert floor.mean() == pytest.approx(np.mean(fresh), abs=float(np.std(fresh)))
    with pytest.raises(ValueError, match="n <= 128"):
        fsd.floor(pool, 129)


def test_bootstrap_draws_pairs_and_shares_resamples():
    s = 1 / (1 + wavenumber(16, 16)) ** 2
    real, fake = fsd.features(fields(64, s, 6)), fsd.features(fields(64, 0.5 * s, 7))
    draws = uncertainty.resamples(64, 400, seed=0)
    replicas = fsd.bootstrap(real, fake, draws)
    assert replicas.shape == (400,)
    assert replicas.mean() == pytest.approx(fsd.distance(real, fake), rel=0.05)
    # A model equal to another has no difference, in any resample: what pairing is for.
    np.testing.assert_allclose(fsd.bootstrap(real, fake.copy(), draws) - replicas, 0, atol=1e-12)
    with pytest.raises(ValueError, match="64 real and 63"):
        fsd.bootstrap(real, fake[:-1], draws)


def sequences(n, frames, rho, spectrum, seed):
    """Stationary Gaussian sequences u [n, frames, 1, y, x] with correlation rho between successive frames."""
    u = [fields(n, spectrum, seed)]
    for k in range(1, frames):
        u.append(rho * u[-1] + np.sqrt(1 - rho**2) * fields(n, spectrum, 100 * seed + k))
    return np.stack(u, 1)


def test_increments_have_the_closed_form():
    spectrum = 1 / (1 + wavenumber(8, 8) / 4) ** 2
    slow, fast = sequences(10_000, 2, 0.9, spectrum, 1), sequences(10_000, 2, 0.6, spectrum, 2)
    a, b = (fsd.increment_features(u[:, 1], u[:, 0]) for u in (slow, fast))
    assert fsd.distance(a, b) == pytest.approx(closed_form(0.2 * spectrum, 0.8 * spectrum), rel=0.015)


@pytest.mark.parametrize("planted", ["frozen", "shuffled", "reversed"])
def test_increments_see_the_motion_that_single_frames_do_not_show(planted):
    """FSD of single frames passes each planted fault: every frame is a real one."""
    spectrum = 1 / (1 + wavenumber(8, 8) / 4) ** 2
    u, truth, other = (sequences(400, 9, 0.95, spectrum, seed) for seed in (3, 4, 5))
    later = u[:, 1:]
    order = {"frozen": [0] * 8, "shuffled": [3, 6, 1, 4, 7, 2, 5, 0], "reversed": range(7, -1, -1)}[planted]
    fake = np.concatenate([u[:, :1], u[:, :1].repeat(8, 1) if planted == "frozen" else later[:, list(order)]], axis=1)
    single = [fsd.distance(*(fsd.features(x[:, k]) for x in (truth, y))) for y in (fake, other) for k in range(1, 9)]
    assert max(single[:8]) < 1.4 * max(single[8:])
    first = [fsd.distance(*(fsd.increment_features(x[:, 1], x[:, 0]) for x in (truth, y))) for y in (fake, other)]
    assert first[0] > 5 * first[1]
    if planted != "reversed":  # the amplitude of an increment has no sign
        third = [fsd.distance(*(fsd.increment_features(x[:, 3], x[:, 2]) for x in (truth, y))) for y in (fake, other)]
        assert third[0] > 5 * third[1]
