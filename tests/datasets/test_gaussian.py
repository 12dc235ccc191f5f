"""The Gaussian flow: its samples against its law, and what is made from them against what follows from it exactly."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from evaluators import fsd
from rollbench.datasets.base import Generated
from rollbench.datasets.gaussian import Gaussian
from rollbench.diffusion.exact import Autoregression, rollout_law
from rollbench.diffusion.process import alpha_sigma
from rollbench.diffusion.rollout import rollout
from rollbench.errors import UserError
from rollbench.methods import Ensemble, Method, Regression, Rolling, Standard

SMALL = Gaussian(grid=8, frames=5, frame_interval=1.0, speed=2.0)
ORDERS = [replace(SMALL, order=1), replace(SMALL, order=2, correlation_time=2.0)]
by_order = pytest.mark.parametrize("data", ORDERS, ids=lambda data: f"order {data.order}")


def test_it_is_a_generated_data_set_of_flows() -> None:
    data: Generated = SMALL
    assert isinstance(data, Generated) and data.kind == "flow" and data.frame_shape == (2, 8, 8)
    assert data.describe() == "8×8 frames of a Gaussian flow, order 1, every 1 s"
    clips = data.simulate([3, 4])
    assert clips.frames.shape == (2, 5, 2, 8, 8) and clips.frames.dtype == np.float32
    assert clips.clip_ids == ("00000003", "00000004")
    assert data.simulate([]).frames.shape == (0, 5, 2, 8, 8)


@by_order
def test_a_clip_does_not_depend_on_its_neighbours(data: Gaussian) -> None:
    together = data.simulate(range(9)).frames
    for order in ([5], [7, 1, 5, 1]):
        assert np.array_equal(data.simulate(order).frames, together[order])
    np.random.seed(5)
    assert np.array_equal(data.simulate([0]).frames[0], together[0]), "the global generator plays no part"
    assert not np.array_equal(replace(data, seed=1).simulate([0]).frames[0], together[0])


@by_order
def test_samples_have_the_covariances_of_the_law(data: Gaussian) -> None:
    """In every mode, at every pair of frames: the first two are started right and the others follow the recursion."""
    frames = data.simulate(range(2000)).frames
    modes = np.fft.rfft2(frames, norm="ortho")
    sampled = np.einsum("nicyx,njcyx->yxij", modes, modes.conj()) / (2 * len(frames))
    C = data.covariance(data.frames)
    selfconjugate = np.zeros(C.shape[:2], bool)
    selfconjugate[np.ix_([0, 4], [0, 4])] = True
    draws = np.where(selfconjugate, 1, 2)[..., None, None] * 2 * len(frames)  # real numbers in real and complex modes
    variance = np.einsum("yxii,yxjj->yxij", C, C) + C**2
    errors = (sampled.real - C) / np.sqrt(variance / draws)
    assert np.square(errors).mean() == pytest.approx(1, abs=0.25) and np.abs(errors).max() < 5
    assert np.abs(sampled.imag / np.sqrt(variance / draws)).max() < 5
    assert np.square(frames).mean() == pytest.approx(data.variance, rel=0.02)
    other = np.einsum("niyx,niyx->yx", modes[:, :, 0], modes[:, :, 1].conj()) / len(frames) / data.frames
    assert np.abs(other / data.spectrum()).max() < 5 / np.sqrt(len(frames)), "components and modes are independent"
    neighbours = (modes[:, 0, 0, 1:, 1:] * modes[:, 0, 0, :-1, :-1].conj()).mean(0)
    assert np.abs(neighbours / np.sqrt(data.spectrum()[1:, 1:] * data.spectrum()[:-1, :-1])).max() < 0.12


@by_order
def test_the_law_is_that_of_the_autoregression(data: Gaussian) -> None:
    for place in ((0, 0), (3, 2)):
        S, process = data.spectrum()[place], scalar(data, place)
        assert np.allclose(data.covariance(6)[place], S * process.covariance(6).numpy())
        assert data.noise()[place] == pytest.approx(float(process.noise[0, 0]))


def test_the_spectrum_is_as_described() -> None:
    data = Gaussian(grid=16, speed=3.0, bend=2.0, slope=4.0, correlation_time=6.0, fading=0.5, frame_interval=1.5)
    S, r = data.spectrum(), data.persistence()
    assert S.shape == r.shape == (16, 9)
    assert np.fft.irfft2(S, s=(16, 16))[0, 0] == pytest.approx(9.0), "the correlation function at 0 is the mean of S"
    assert S[0, 0] / S[0, 2] == pytest.approx(4.0) and S[2, 0] == S[0, 2] == S[-2, 0], (
        "at k₀ it has bent by 2^(−slope/2)"
    )
    assert r[0, 0] == pytest.approx(np.exp(-1.5 / 6)) and r[0, 2] == pytest.approx(np.exp(-(2**0.25) * 1.5 / 6))


def test_the_frechet_spectral_distance_has_its_closed_form() -> None:
    one, two = replace(SMALL, frames=1), replace(SMALL, frames=1, slope=2.0, seed=1)
    keep = fsd.modes(8, 8)
    exact = float(np.square(np.sqrt(one.spectrum()) - np.sqrt(two.spectrum()))[keep].sum())
    sides = [fsd.features(data.simulate(range(1500)).frames[:, 0]) for data in (one, two)]
    assert fsd.distance(*sides) == pytest.approx(exact, rel=0.08) and exact > 1
    assert fsd.distance(sides[0], fsd.features(replace(one, seed=2).simulate(range(1500)).frames[:, 0])) < 0.08 * exact


@by_order
def test_forecasts_know_less_and_less(data: Gaussian) -> None:
    best = np.array([data.mse_ratio(lead, clean=2) for lead in (1, 2, 4, 8, 40)])
    assert (np.diff(best) > 0).all() and best[0] < 0.7 and best[-1] == pytest.approx(1, abs=1e-3)
    assert data.mse_ratio(4, 2, members=1) == pytest.approx(2 * best[2])
    assert data.mse_ratio(4, 2, members=10) == pytest.approx(1.1 * best[2])
    by_clean = [data.mse_ratio(1, clean) for clean in (1, 2, 3)]
    assert by_clean[1] == pytest.approx(by_clean[2]), "no more frames than the order are of use"
    assert (by_clean[0] == pytest.approx(by_clean[1])) == (data.order == 1), "one frame tells nothing of inertia"
    one_frame = float(data.mean_over_modes(data.spectrum() * (1 - data.correlation(1) ** 2)) / data.variance)
    assert by_clean[0] == pytest.approx(one_frame)
    noise = float(data.mean_over_modes(data.spectrum() * data.noise()) / data.variance)
    assert data.mse_ratio(1, clean=2) == pytest.approx(noise), "what comes new with each frame"


@by_order
def test_the_denoiser_is_the_conditional_mean(data: Gaussian) -> None:
    """What it leaves is uncorrelated with all that it saw, and as large as the law says."""
    rng = np.random.default_rng(0)
    alpha, sigma = np.array([1.0, 1.0, 0.8, 0.3, 0.0]), np.array([0.0, 0.0, 0.6, 0.954, 1.0])
    wide = (slice(None), None, None, None)
    x = data.simulate(range(400)).frames.astype(np.float64)
    z = alpha[wide] * x + sigma[wide] * rng.standard_normal(x.shape)
    left = x - data.denoise(z, alpha, sigma)
    assert np.abs(left[:, :2]).max() < 1e-5, "known frames stay"
    modes, seen = (np.fft.rfft2(each, norm="ortho") for each in (left, z))
    cross = np.einsum("nicyx,njcyx->yxij", modes[:, 2:], seen.conj()) / (2 * len(x))
    scale = np.sqrt(
        np.einsum(
            "yxi,yxj->yxij", *(np.square(np.abs(e)).mean((0, 2)).transpose(1, 2, 0) for e in (modes[:, 2:], seen))
        )
    )
    assert np.abs(cross / scale).max() < 5 / np.sqrt(800)
    C = data.covariance(5)
    exact = data.mean_over_modes(
        (C - data.gain(alpha, sigma) @ (alpha[:, None] * C)).diagonal(axis1=-2, axis2=-1).transpose(2, 0, 1)
    )
    assert np.square(left).mean((0, 2, 3, 4))[2:] == pytest.approx(exact[2:], rel=0.06)
    known = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    forecast = data.denoise(z, known, 1 - known)
    error = np.square(x - forecast).mean((0, 2, 3, 4)) / data.variance
    assert error[2:] == pytest.approx([data.mse_ratio(lead, clean=2) for lead in (1, 2, 3)], rel=0.06)


# Films made with the exact denoiser: the whole sampler, with the error that the law says.

HORIZON, CALLS = 9, 4
SAMPLERS = {"block": Standard(2, 4), "rolling": Rolling(2, 4), "rescaled": Rolling(2, 4, init="rescaled")}


def scalar(data: Gaussian, place: tuple[int, int]) -> Autoregression:
    """The amplitude of a mode, of unit variance."""
    r = float(data.persistence()[place])
    return Autoregression.scalar(r) if data.order == 1 else Autoregression.scalar(2 * r, -r * r)


def expected(data: Gaussian, method: Method, members: int = 1, calls: int = CALLS) -> np.ndarray:
    """The error of films over climatology at each lead, from the exact law of the sampler with its finite number of steps:
    truth + film / members in every mode, in units of which the noise has the variance 1."""
    unit, S = data.speed, data.spectrum()

    @cache
    def of(r: float, s: float) -> np.ndarray:
        coefficients = torch.tensor([r] if data.order == 1 else [2 * r, -r * r], dtype=torch.float64)[:, None, None]
        one = torch.ones(1, 1, dtype=torch.float64)
        process = Autoregression(coefficients, s / unit**2 * one / Autoregression(coefficients, one).covariance(1))
        law, truth = rollout_law(process, method, HORIZON, calls), process.forecast_law(method.clean, HORIZON)
        assert torch.allclose(law.gain, truth.gain, atol=1e-6), "the context says what it says"
        return (truth.covariance + law.covariance / members).diagonal().numpy()

    modes = np.array(
        [[of(float(r), float(s)) for r, s in zip(*row, strict=True)] for row in zip(data.persistence(), S, strict=True)]
    )
    return data.mean_over_modes(modes.transpose(2, 0, 1))


def measured(data: Gaussian, method: Method, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of films rolled out from contexts of the data set, and its standard error."""
    unit, clean = data.speed, method.clean
    frames = replace(data, frames=clean + HORIZON).simulate(range(samples)).frames.astype(np.float64) / unit

    def denoiser(z: torch.Tensor, logsnr: torch.Tensor) -> torch.Tensor:
        alpha, sigma = (each.numpy() for each in alpha_sigma(logsnr[0].double()))
        return torch.from_numpy(data.denoise(unit * z.numpy(), alpha, unit * sigma) / unit)

    made = rollout(denoiser, method, torch.from_numpy(frames[:, :clean]), HORIZON, CALLS).numpy()
    errors = np.square(made - frames[:, clean:]).mean((2, 3, 4))
    return errors.mean(0), errors.std(0) / np.sqrt(samples)


@pytest.mark.parametrize(("order", "name"), [(1, "rolling"), (2, "block"), (2, "rolling"), (2, "rescaled")])
def test_films_have_the_error_of_their_law(order: int, name: str) -> None:
    data, method = ORDERS[order - 1], SAMPLERS[name]
    error, deviation = measured(data, method, 80)
    assert (np.abs(error - expected(data, method)) < 4 * deviation).all()


@pytest.mark.parametrize("name", ["block", "rolling"])
def test_with_more_steps_it_becomes_twice_that_of_the_best_forecast(name: str) -> None:
    data = ORDERS[1]
    ideal = np.array([data.mse_ratio(lead, 2, members=1) for lead in range(1, HORIZON + 1)])
    few, many = (np.abs(expected(data, SAMPLERS[name], calls=calls) / ideal - 1).max() for calls in (4, 24))
    assert many < 0.04 and many < few / 4, "it falls like one over the steps"


@by_order
def test_a_regression_has_the_error_of_the_best_forecast(data: Gaussian) -> None:
    error, deviation = measured(data, Regression(2, 4), 150)
    best = np.array([data.mse_ratio(lead, 2) for lead in range(1, HORIZON + 1)])
    assert (np.abs(error - best) < 4 * deviation).all()


def test_the_mean_of_an_ensemble_has_the_error_of_its_size() -> None:
    error, deviation = measured(ORDERS[1], Ensemble(SAMPLERS["rolling"], members=4), 40)
    assert (np.abs(error - expected(ORDERS[1], SAMPLERS["rolling"], members=4)) < 4 * deviation).all()


def test_a_planted_fault_is_seen() -> None:
    """A denoiser that takes the flow to forget a tenth faster than it does."""
    data = ORDERS[1]
    wrong = replace(data, correlation_time=0.9 * data.correlation_time)
    error, deviation = measured(data, Regression(2, 4), 150)
    assert np.abs(wrong.mse_ratio(1, 2) - error[0]) > 4 * deviation[0]


def test_every_number_of_the_law_is_a_field() -> None:
    changes: dict[str, Any] = {
        "grid": 16, "frames": 2, "frame_interval": 0.2, "order": 2, "speed": 1.0, "bend": 1.0, "slope": 3.0,
        "correlation_time": 5.0, "fading": 0.0, "seed": 1,
    }  # fmt: skip
    assert {f.name for f in fields(Gaussian)} == set(changes)
    reference = SMALL.simulate([0]).frames
    for name, value in changes.items():
        other = replace(SMALL, **{name: value}).simulate([0]).frames
        assert other.shape != reference.shape or not np.array_equal(other, reference), name


def test_a_scale_caps_cells_and_frames() -> None:
    data, caps = Gaussian(grid=64, frames=40), {"grid": 32, "frame_grid": 16}
    assert data.capped(**caps, frames=30, least=6) == replace(data, grid=16, frames=30)
    assert data.capped(**caps, frames=30, least=35).frames == 35
    assert data.capped(grid=256, frame_grid=64, frames=99, least=99) == data, "nothing is larger than it was"
    assert data.capped(**caps, frames=30, least=6).variance == data.variance


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"grid": 15}, "grid = 15 must be even and at least 2; the nearest right choice is 16"),
    ({"grid": 0}, "grid = 0 must be even and at least 2; the nearest right choice is 2"),
    ({"frames": 0}, "frames = 0 must be a whole number from 1"),
    ({"order": 3}, "order = 3 must be 1 or 2; the nearest right choice is 2"),
    ({"seed": -1}, "seed = -1 must be a whole number, not negative; the nearest right choice is 0"),
    ({"frame_interval": 0.0}, "frame_interval = 0.0 must be positive and finite; the nearest right choice is 1.5"),
    ({"speed": float("nan")}, "speed = nan must be positive and finite"),
    ({"bend": -1.0}, "bend = -1.0 must be positive and finite"),
    ({"correlation_time": float("inf")}, "correlation_time = inf must be positive and finite"),
    ({"slope": -1.0}, "slope = -1.0 must be finite and not negative; the nearest right choice is 0.0"),
    ({"fading": -1.0}, "fading = -1.0 must be finite and not negative"),
]


@pytest.mark.parametrize(("setting", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_bad_settings_are_refused_in_one_line(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as refusal:
        Gaussian(**setting)
    assert "\n" not in str(refusal.value) and "the nearest right choice is" in str(refusal.value)
