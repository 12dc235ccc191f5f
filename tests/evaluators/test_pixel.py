"""Pixel errors against their definitions and the values that independent draws must have."""

import numpy as np
import pytest

from evaluators import pixel


def test_errors_of_bytes_do_not_wrap_around():
    films, truth = np.zeros((2, 1, 3, 4, 4, 3), np.uint8), np.full((2, 3, 4, 4, 3), 255, np.uint8)
    truth[1] = 1
    np.testing.assert_array_equal(pixel.square_error(films, truth), [[65025.0] * 3, [1.0] * 3])
    np.testing.assert_array_equal(pixel.error_of_mean(films, truth), [[65025.0] * 3, [1.0] * 3])
    np.testing.assert_array_equal(pixel.mae(films[:, 0], truth), [255.0, 1.0])


def test_psnr_is_the_error_in_decibels():
    np.testing.assert_allclose(pixel.psnr(np.array([1.0, 255**-2.0])), [0.0, 20 * np.log10(255)])
    assert pixel.psnr(0.0) == 120  # of equal frames, whose ratio has no mean


def test_climatology_scores_one_and_an_independent_draw_two():
    rng = np.random.default_rng(0)
    real, draw = 3 + 2 * rng.standard_normal((2, 4000, 2, 8, 8))
    mean = np.broadcast_to(real.mean(0), real.shape)
    variance = pixel.square_error(mean[:, None], real).mean()
    assert variance == pytest.approx(4.0, rel=0.01)
    assert pixel.square_error(draw[:, None], real).mean() / variance == pytest.approx(2.0, rel=0.01)


def test_errors_are_their_definitions():
    films, truth = (
        (rng := np.random.default_rng(6)).standard_normal((5, 3, 7, 2, 4, 4)),
        rng.standard_normal((5, 7, 2, 4, 4)),
    )
    error = pixel.square_error(films, truth)
    assert error.shape == (5, 7)
    np.testing.assert_allclose(error[2, 3], np.mean((films[2, :, 3] - truth[2, 3]) ** 2))
    np.testing.assert_allclose(
        pixel.error_of_mean(films, truth)[2, 3], np.mean((films[2, :, 3].mean(0) - truth[2, 3]) ** 2)
    )
    np.testing.assert_allclose(pixel.spread(films)[2, 3], 4 / 3 * films[2, :, 3].var(0, ddof=1).mean())
    np.testing.assert_array_equal(pixel.spread(films[:, :1]), np.zeros((5, 7)))


def test_ssim_is_its_definition():
    rng = np.random.default_rng(4)
    real = rng.integers(0, 256, (2, 3, 13, 14, 3), dtype=np.uint8)
    fake = np.clip(real + rng.normal(0, 20, real.shape), 0, 255).astype(np.uint8)
    y, x = np.mgrid[-5:6, -5:6]
    window = np.exp(-(x**2 + y**2) / 4.5)
    window /= window.sum()

    def of_window(a, b):
        (ma, mb) = (np.sum(window * v) for v in (a, b))
        va, vb, cov = (np.sum(window * p) for p in ((a - ma) ** 2, (b - mb) ** 2, (a - ma) * (b - mb)))
        c1, c2 = 2.55**2, 7.65**2
        return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))

    for clip in range(2):
        truth = np.mean([
            of_window(*(v[clip, t, i : i + 11, j : j + 11, c].astype(float) for v in (fake, real)))
            for t in range(3) for i in range(3) for j in range(4) for c in range(3)
        ])  # fmt: skip
        assert pixel.ssim(fake, real, 255)[clip] == pytest.approx(truth, rel=1e-9)
    np.testing.assert_allclose(pixel.ssim(real, real, 255), 1.0)
    np.testing.assert_allclose(pixel.ssim(fake / 255.0, real / 255.0, 1.0), pixel.ssim(fake, real, 255), rtol=1e-9)
    assert pixel.by_lead(pixel.ssim, fake, real, 255).shape == (2, 3)
    with pytest.raises(ValueError, match="11 x 11"):
        pixel.ssim(real[:, :, :10], fake[:, :, :10], 255)


def test_by_lead_is_the_metric_of_each_frame():
    fake, real = np.random.default_rng(1).standard_normal((2, 5, 7, 2, 4, 4))
    by_lead = pixel.by_lead(pixel.mae, fake, real)
    assert by_lead.shape == (5, 7)
    np.testing.assert_allclose(by_lead[2, 3], np.mean(np.abs(fake[2, 3] - real[2, 3])))
    with pytest.raises(ValueError, match="differ in shape"):
        pixel.by_lead(pixel.mae, fake[:, 1:], real)


def test_video_and_ensembles_have_an_array_of_clips_and_leads():
    rng = np.random.default_rng(5)
    real = rng.integers(0, 256, (3, 4, 16, 16, 3), dtype=np.uint8)
    ensemble = rng.integers(0, 256, (5, *real.shape), dtype=np.uint8)
    for metric, more in ((pixel.mae, ()), (pixel.ssim, (255.0,))):
        found = pixel.by_lead(metric, ensemble[0], real, *more)
        assert found.shape == (3, 4)
        assert found[1, 2] == metric(ensemble[0, 1:2, 2], real[1:2, 2], *more)[0]  # whatever clips are beside
    films = np.moveaxis(ensemble, 0, 1)
    for error in (pixel.square_error, pixel.error_of_mean):
        assert error(films, real)[1, 2] == error(films[1:2, :, 2:3], real[1:2, 2:3])[0, 0]
    crps = pixel.by_lead(pixel.crps, ensemble, real)
    assert crps.shape == (3, 4)
    np.testing.assert_allclose(crps.mean(axis=1), pixel.crps(ensemble, real))
    assert pixel.spread(films).shape == (3, 4)
    assert pixel.spread(films)[1, 2] == pixel.spread(films[1:2, :, 2:3])[0, 0]


def test_crps_is_its_definition_and_fair():
    rng = np.random.default_rng(2)
    ensemble, real = rng.standard_normal((6, 3, 4, 4)), rng.standard_normal((3, 4, 4))
    pairs = [np.abs(ensemble[j] - ensemble[k]) for j in range(6) for k in range(6) if j != k]
    definition = np.abs(ensemble - real).mean(axis=0) - np.mean(pairs, axis=0) / 2
    np.testing.assert_allclose(pixel.crps(ensemble, real), definition.mean(axis=(1, 2)))
    # A standard normal forecast of a standard normal truth scores 1/sqrt(pi), at any number of members (fair).
    for m in (2, 8):
        score = pixel.crps(rng.standard_normal((m, 200, 20, 20)), rng.standard_normal((200, 20, 20))).mean()
        assert score == pytest.approx(1 / np.sqrt(np.pi), rel=0.02)


def test_a_reliable_ensemble_spreads_as_it_errs():
    rng = np.random.default_rng(3)
    for m in (2, 10):
        films, truth = rng.standard_normal((200, m, 1, 16, 16)), rng.standard_normal((200, 1, 16, 16))

        def skill(films, truth=truth):
            return pixel.spread_skill(pixel.spread(films).mean(), pixel.error_of_mean(films, truth).mean())

        assert skill(films) == pytest.approx(1.0, rel=0.02)
        assert skill(0.5 * films) < 0.7


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        pixel.mae(np.zeros((2, 3)), np.zeros((2, 4)))
    for error in (pixel.square_error, pixel.error_of_mean):
        with pytest.raises(ValueError, match="differ in shape"):
            error(np.zeros((2, 5, 3, 4)), np.zeros((2, 1, 4)))
    with pytest.raises(ValueError, match="m >= 2"):
        pixel.crps(np.zeros((1, 2, 3)), np.zeros((2, 3)))
