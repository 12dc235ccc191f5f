"""The field whose law is known: samples, exact answers and exact denoiser agree with each other, and with `diffusion.exact`."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from evaluators import fsd
from experiments.table8 import TABLE
from rollbench import Ensemble, Regression, Rolling, Standard, rollout
from rollbench.datasets.gaussian import Gaussian
from rollbench.diffusion.exact import Autoregression, ExactDenoiser, film_law
from rollbench.diffusion.process import add_noise
from rollbench.methods import Method
from rollbench.scale import at_scale, scale
from rollbench.spec import BadInput, key

ONE = Gaussian(grid=8, frames=10, peak=2.0, amplitude=0.5, slope=3.0)
TWO = replace(ONE, order=2, correlation=0.8)
LAWS = pytest.mark.parametrize("law", [ONE, TWO], ids=["order 1", "order 2"])
CLIPS = 1000


@cache
def clips(law: Gaussian) -> np.ndarray:
    return law.simulate(range(CLIPS)).frames.astype(np.float64)


def deviation(samples: np.ndarray, expected: np.ndarray | float) -> float:
    """The largest distance of a mean over samples [N, ...] from its expectation, in standard errors."""
    error = samples.std(0, ddof=1) / np.sqrt(len(samples))
    return float(np.abs((samples.mean(0) - expected) / error).max())


def test_clips_are_flows_that_do_not_depend_on_their_neighbours() -> None:
    found = ONE.simulate([7, 1, 5])
    assert found.frames.shape == (3, 10, 2, 8, 8) and found.frames.dtype == np.float32
    assert found.clip_ids == ("00000007", "00000001", "00000005")
    assert np.array_equal(found.frames[2:], ONE.simulate([5]).frames)
    assert np.array_equal(replace(ONE, frames=3).simulate([7]).frames[0], found.frames[0, :3]), "a film's beginning"
    assert not np.array_equal(replace(ONE, seed=1).simulate([5]).frames, found.frames[2:])
    assert replace(ONE, grid=7).simulate([0]).frames.shape == (1, 10, 2, 7, 7)


@LAWS
def test_a_frame_has_the_spectrum_in_every_pair_of_pixels(law: Gaussian) -> None:
    """The covariance of all 2 · 4 · 4 numbers of a frame: channels independent, each the transform of S."""
    law = replace(law, grid=4)
    x = clips(law)[:, -1].reshape(CLIPS, 32)
    by_shift = np.fft.ifft2(law.spectrum).real
    y, k = np.divmod(np.arange(16), 4)
    expected = np.kron(np.eye(2), by_shift[(y[:, None] - y) % 4, (k[:, None] - k) % 4])
    assert deviation(x[:, :, None] * x[:, None], expected) < 4.5
    assert expected[0, 0] == pytest.approx(law.amplitude**2)


def lagged(frames: np.ndarray, lag: int) -> np.ndarray:
    """[N, y, x] x_t x*_(t-lag) of each mode, averaged over times and channels."""
    x = np.fft.fft2(frames, norm="ortho")
    return (x[:, lag:] * x[:, : x.shape[1] - lag].conj()).real.mean((1, 2))


@LAWS
@pytest.mark.parametrize("lag", [0, 1, 2, 5])
def test_the_covariance_in_time_is_the_law_s(law: Gaussian, lag: int) -> None:
    found = lagged(clips(law), lag)
    assert deviation(found, law.autocovariance(lag)) < 4.5
    wrong = {"correlation": law.correlation * 0.8} if lag else {"slope": law.slope * 1.1}
    assert deviation(found, replace(law, **wrong).autocovariance(lag)) > 8
    # From the first frame on: the start is stationary.
    assert deviation(lagged(clips(law)[:, : lag + 1], lag), law.autocovariance(lag)) < 4.5


def autoregression(law: Gaussian, y: int, x: int) -> Autoregression:
    """One mode of `law` in units of its amplitude, from its equation."""
    rho = law.correlation ** (((1 + math.hypot(y, x)) / (1 + law.peak)) ** law.fading)
    unit = Autoregression.scalar(*([rho] if law.order == 1 else [2 * rho, -(rho**2)]))
    return Autoregression(unit.coefficients, unit.noise * law.spectrum[y, x] / law.amplitude**2)


@LAWS
def test_autocovariance_and_predictions_are_those_of_the_autoregression(law: Gaussian) -> None:
    for y, x in ((0, 0), (2, 1), (4, 4)):
        process = autoregression(law, y, x)
        expected = process.covariance(6)[0].numpy() * law.amplitude**2
        np.testing.assert_allclose(law.autocovariance(np.arange(6))[:, y, x], expected, rtol=1e-10)
        for context, lead in ((1, 1), (1, 4), (2, 1), (2, 3), (4, 2)):
            film = process.film(context, lead)
            weights, left = law.prediction(lead, context)
            np.testing.assert_allclose(weights[::-1, y, x], film.gain[-1], atol=1e-8)
            share = float(film.covariance[-1, -1]) * law.amplitude**2 / law.spectrum[y, x]
            assert left[y, x] == pytest.approx(share, rel=1e-6)


def test_exact_ratios_have_their_closed_forms_and_limits() -> None:
    flat = replace(ONE, fading=0.0)
    assert flat.mse_ratio(3, 2) == pytest.approx(2 * (1 - 0.9**6))
    assert flat.mse_ratio(3, 2, members=10) == pytest.approx(1.1 * (1 - 0.9**6))
    assert flat.mse_ratio(3, 2, members=math.inf) == pytest.approx(1 - 0.9**6)
    assert ONE.mse_ratio(1, 0) == 2.0 and ONE.mse_ratio(900, 2) == pytest.approx(2.0)
    assert ONE.fsd_of_mean(900, 2) == pytest.approx(ONE.fsd(replace(ONE, amplitude=1e-9)), rel=1e-6)


def test_a_context_below_the_order_leaves_more_open() -> None:
    flat, p = replace(TWO, fading=0.0), 0.8**2
    assert flat.mse_ratio(1, 1, math.inf) == pytest.approx((1 - p) ** 2 / (1 + p) ** 2)
    assert flat.mse_ratio(1, 2, math.inf) == pytest.approx((1 - p) ** 3 / (1 + p))
    assert TWO.mse_ratio(1, 2) < 0.75 * TWO.mse_ratio(1, 1)
    assert TWO.mse_ratio(1, 3) == pytest.approx(TWO.mse_ratio(1, 2)), "more than the order tells nothing more"
    assert ONE.mse_ratio(1, 2) == pytest.approx(ONE.mse_ratio(1, 1))


def test_the_distance_of_two_laws_is_what_fsd_measures() -> None:
    other = replace(ONE, slope=1.0, amplitude=0.7, seed=1)
    a, b = (
        fsd.features(law.simulate(range(2 * CLIPS)).frames[:, 0])
        for law in (replace(ONE, frames=1), replace(other, frames=1))
    )
    floor = fsd.floor(a, CLIPS, splits=4).mean()  # at half the count, so at least the bias
    assert floor < 0.03 * ONE.fsd(other)
    for diagonal in (False, True):
        assert fsd.distance(a, b, diagonal=diagonal) == pytest.approx(ONE.fsd(other), rel=0.03, abs=floor)
    kept = np.square(np.sqrt(ONE.spectrum) - np.sqrt(other.spectrum))[:, :5][fsd.modes(8, 8)].sum()
    assert ONE.fsd(other) == other.fsd(ONE) == pytest.approx(kept) and ONE.fsd(ONE) == 0
    with pytest.raises(BadInput, match="grids of 8 and 16"):
        ONE.fsd(replace(ONE, grid=16))


@LAWS
def test_the_denoiser_is_the_exact_one_of_every_mode(law: Gaussian) -> None:
    """Also where the rows of a batch have log-SNRs of their own, at both hard end points, and with clean frames bit by bit."""
    logsnr = torch.tensor([[math.inf, 4.0, -1.0, -math.inf], [math.inf, math.inf, 0.5, -20.0], [9.0, 9.0, 9.0, 9.0]])
    logsnr = logsnr.double()[[0, 1, 2, 0]]
    x = torch.from_numpy(clips(law)[:4, :4] / law.amplitude)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = add_noise(x, logsnr, noise)
    x_hat = law.denoiser(2, 2)(z, logsnr)
    assert torch.equal(x_hat[:, 0][[0, 1, 3]], x[:, 0][[0, 1, 3]]) and torch.equal(x_hat[1, 1], x[1, 1])
    modes, found = torch.fft.fft2(z, norm="ortho"), torch.fft.fft2(x_hat, norm="ortho")
    for i in range(4):
        for y, k in ((0, 0), (0, 1), (1, 3), (4, 4), (6, 5)):
            mode = autoregression(law, min(y, 8 - y), min(k, 8 - k))
            gain = ExactDenoiser(mode).gain(logsnr[i]).to(modes.dtype)
            assert torch.allclose(found[i, ..., y, k], gain @ modes[i, ..., y, k], atol=1e-9)


HORIZON = 8
METHODS = pytest.mark.parametrize("method", [Rolling(2, 4, init="clip"), Standard(2, 4)], ids=["rolling", "standard"])


def films(law: Gaussian, method: Method, calls: int, count: int, by: Gaussian | None = None) -> tuple[np.ndarray, ...]:
    """Films of `count` clips, made with the exact denoiser of `law` or of the law `by`: squared error over the climatological
    variance [count, horizon], power of each mode [count, horizon, y, x] (m²/s²), the films, and the truth."""
    real = clips(law)[:count] / law.amplitude
    denoiser = (by or law).denoiser(method.clean, method.generated)
    context = torch.from_numpy(real[:, 2 - method.clean : 2]).float()
    made, truth = rollout(denoiser, method, context, HORIZON, calls).double().numpy(), real[:, 2:]
    power = np.square(np.abs(np.fft.fft2(made * law.amplitude, norm="ortho"))).mean(2)
    return np.square(made - truth).mean((2, 3, 4)), power, made * law.amplitude, truth * law.amplitude


def propagated(law: Gaussian, method: Method, calls: int) -> tuple[np.ndarray, np.ndarray]:
    """What `films` expects at these calls, mode by mode from `film_law`: error [horizon], power [horizon, y, x]."""
    error, power = np.empty((2, HORIZON, law.grid, law.grid))
    for k in np.unique(law.wavenumber):
        y, x = np.argwhere(law.wavenumber == k)[0]
        process = autoregression(law, y, x)
        (gain, covariance), truth = film_law(process, method, HORIZON, calls), process.film(2, HORIZON)
        assert torch.allclose(gain, truth.gain, atol=1e-6), "the mean is exact"
        error[:, law.wavenumber == k] = (covariance + truth.covariance).diagonal()[:, None]
        power[:, law.wavenumber == k] = (gain @ process.covariance(2) @ gain.T + covariance).diagonal()[:, None]
    return error.mean((1, 2)), power * law.amplitude**2


def exact(law: Gaussian, members: float = 1) -> np.ndarray:
    return np.array([law.mse_ratio(lead, 2, members) for lead in range(1, HORIZON + 1)])


@LAWS
@METHODS
def test_films_are_as_exact_as_their_calls_allow(law: Gaussian, method: Method) -> None:
    """`film_law` knows, without drawing any, what a sampler makes of the law in 8 calls a frame."""
    law = replace(law, grid=4)
    error, power = propagated(law, method, 8)
    found = films(law, method, 8, 200)
    assert deviation(found[0], error) < 4.5 and deviation(found[1], power) < 4.5
    wrong = films(law, method, 8, 200, by=replace(law, correlation=law.correlation / 2))
    assert deviation(wrong[0], error) > 20


@pytest.mark.parametrize(("law", "calls"), [(ONE, 16), (TWO, 32)], ids=["order 1", "order 2"])
@METHODS
def test_the_error_of_a_sampler_falls_like_one_over_its_calls(law: Gaussian, calls: int, method: Method) -> None:
    """So its law tends to the truth: to twice the conditional variance, and to the spectrum."""
    law = replace(law, grid=4)
    (coarse, coarse_power), (fine, fine_power) = propagated(law, method, calls), propagated(law, method, 2 * calls)
    assert np.all(fine < exact(law)) and fine == pytest.approx(exact(law), rel=0.05)
    assert 2 * fine - coarse == pytest.approx(exact(law), rel=0.015)
    assert 2 * fine_power - coarse_power == pytest.approx(np.broadcast_to(law.spectrum, fine_power.shape), rel=0.015)


@METHODS
def test_with_many_calls_films_have_twice_the_conditional_variance_and_the_spectrum(method: Method) -> None:
    law = replace(ONE, grid=4)
    error, power, _, _ = films(law, method, 48, 150)
    assert deviation(error, exact(law)) < 4.5 and deviation(power, law.spectrum) < 4.5
    assert deviation(error, 0.8 * exact(law)) > 8 and deviation(power, 0.5 * law.spectrum) > 8


@LAWS
def test_a_regression_makes_the_conditional_mean_and_an_ensemble_nears_it(law: Gaussian) -> None:
    error, _, made, truth = films(law, Regression(2, 4), 1, CLIPS)
    assert deviation(error, exact(law, math.inf)) < 4.5 and deviation(error, exact(law, 8)) > 8
    found = fsd.distance(fsd.features(truth[:, 7]), fsd.features(made[:, 7]), diagonal=True)
    assert found == pytest.approx(law.fsd_of_mean(8, 2), rel=0.05)
    law, pairs = replace(law, grid=4), Ensemble(Standard(2, 4), members=2)
    expected, _ = propagated(law, pairs, 8)
    assert deviation(films(law, pairs, 8, 100)[0], expected) < 4.5
    assert expected == pytest.approx(exact(law, 2), rel=0.12)


@pytest.mark.parametrize("clean", [1, 2])
def test_a_film_from_a_context_below_the_order_shows_it(clean: int) -> None:
    error, _, _, _ = films(TWO, Regression(clean, 4), 1, CLIPS)
    first = {n: np.array([TWO.mse_ratio(lead, n, math.inf) for lead in range(1, 5)]) for n in (1, 2)}
    assert deviation(error[:, :4], first[clean]) < 4.5 < 8 < deviation(error[:, :4], first[3 - clean])


def test_table_8_can_be_run_on_it_at_every_scale() -> None:
    table = replace(TABLE, settings=(replace(TABLE.settings[0], data=Gaussian()),))
    for name in ("smoke", "laptop", "lab", "paper"):
        (setting,) = at_scale(table, scale(name)).settings
        assert setting.data.frames >= setting.clean + setting.sampling.horizon
    assert key(Gaussian()) != key(Gaussian(order=2))
    assert Gaussian().capped(grid=32, frame_grid=16, frames=8, least=20) == Gaussian(grid=16, frames=20)
    assert Gaussian(grid=8, frames=9).capped(grid=32, frame_grid=16, frames=8, least=20) == Gaussian(grid=8, frames=9)
    assert "64×64" in Gaussian().describe() and "order 1" in Gaussian().describe()


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("grid", 1, "2"),
        ("frames", 0, "1"),
        ("seed", -1, "0"),
        ("order", 3, "2"),
        ("order", 0, "1"),
        ("frame_interval", 0.0, "1.5"),
        ("amplitude", math.inf, "1.0"),
        ("peak", -1.0, "3.0"),
        ("slope", -1.0, "0.0"),
        ("fading", math.nan, "0.0"),
        ("correlation", 1.0, "0.9"),
    ],
)
def test_what_has_no_law_is_refused(field: str, value: float, nearest: str) -> None:
    with pytest.raises(BadInput, match=f"Gaussian {field} = .*; the nearest right choice is {nearest}"):
        replace(ONE, **{field: value})
