"""The exact law of every sampler against the truth: what is exact, what falls with the steps, what stays biased."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rollbench import CosineSchedule, DiffusionForcing, Ensemble, Regression, Rolling, Standard
from rollbench.diffusion import exact
from rollbench.diffusion.exact import Autoregression, ExactDenoiser, Law, divergence, rollout_law
from rollbench.diffusion.plan import Step
from rollbench.diffusion.process import add_noise, alpha_sigma
from rollbench.diffusion.step import SAMPLERS, Coefficients, Multistep
from rollbench.methods import Method


def matrix(*rows: Sequence[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


AR1, AR2 = Autoregression.scalar(0.9), Autoregression.scalar(1.2, -0.5)
VAR = Autoregression(matrix([0.8, 0.2], [-0.2, 0.7])[None], matrix([1.0, 0.3], [0.3, 0.5]))
PROCESSES = {"AR(1)": AR1, "AR(2)": AR2, "VAR(1)": VAR}


def samplers_with(n: int) -> list[Method]:
    return [
        Rolling(n, 6),
        Rolling(n, 6, init="rescaled"),
        Rolling(n, 6, init="rescaled", init_calls=9),
        Standard(n, 6),
        Standard(n, 1),
        DiffusionForcing(n, 6),
        DiffusionForcing(n, 6, delay=6),
    ]


def covariance_error(law: Law, truth: Law) -> float:
    """Largest entry of the difference, relative to the largest of the truth."""
    return float((law.covariance - truth.covariance).abs().max() / truth.covariance.max())


def test_the_processes_have_their_textbook_covariances() -> None:
    lags = torch.arange(5, dtype=torch.float64)
    assert torch.allclose(AR1.covariance(5)[0], 0.9**lags)
    rho = [1.0, 1.2 / 1.5]  # Yule-Walker: rho_1 = a / (1 - b), rho_k = a rho_(k-1) + b rho_(k-2)
    for _ in range(3):
        rho.append(1.2 * rho[-1] - 0.5 * rho[-2])
    assert torch.allclose(AR2.covariance(5)[0], torch.tensor(rho, dtype=torch.float64))
    F, P = VAR.coefficients[0], VAR.covariance(1)
    assert torch.allclose(F @ P @ F.T + VAR.noise, P)
    assert torch.allclose(VAR.covariance(2)[2:, :2], F @ P)


def test_a_process_that_is_not_stationary_is_refused() -> None:
    with pytest.raises(ValueError, match="spectral radius 1.1"):
        Autoregression.scalar(1.1)


@pytest.mark.parametrize("name", PROCESSES)
def test_samples_have_the_law_of_the_process(name: str) -> None:
    process = PROCESSES[name]
    paths = process.sample(4, 3, torch.Generator().manual_seed(0), (50_000,))
    flat = paths.flatten(1, 2).transpose(0, 1).flatten(1)
    C = process.covariance(3)
    assert ((torch.cov(flat) - C).abs() / C.max()).max() < 0.02


@pytest.mark.parametrize("name", PROCESSES)
def test_the_exact_denoiser_is_the_conditional_mean(name: str) -> None:
    """E[x | z] by conditioning the joint Gaussian of (x, z), whose cross covariance is C A."""
    process, logsnr = PROCESSES[name], torch.tensor([torch.inf, 4.0, 0.5, -1.0, -torch.inf], dtype=torch.float64)
    d, generator = process.variables, torch.Generator().manual_seed(0)
    x = process.sample(3, 5, generator, (7,))
    z = add_noise(x, logsnr.expand(3, 5), torch.randn(x.shape, generator=generator, dtype=torch.float64))
    alpha, sigma = (torch.diag(each.repeat_interleave(d)) for each in alpha_sigma(logsnr))
    C = process.covariance(5)
    expected = C @ alpha @ torch.linalg.inv(alpha @ C @ alpha + sigma**2)
    x_hat = ExactDenoiser(process)(z, logsnr.expand(3, 5))
    assert torch.allclose(x_hat, torch.einsum("ij,bj...->bi...", expected, z.flatten(1, 2)).reshape(z.shape))
    assert torch.allclose(x_hat[:, 0], x[:, 0]), "a clean frame is known"


@pytest.mark.parametrize("calls", [1, 2, Fraction(7, 3), 9])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", PROCESSES)
def test_the_mean_is_exact_at_any_number_of_steps_if_the_context_covers_the_order(
    name: str, sampler: str, calls: Fraction
) -> None:
    process = PROCESSES[name]
    truth = process.forecast_law(process.order, 14)
    for method in [*samplers_with(process.order), Ensemble(Rolling(process.order, 6), members=4)]:
        law = rollout_law(process, method, 14, calls, sampler)
        assert (law.gain - truth.gain).abs().max() < 1e-10, method


@pytest.mark.parametrize("sampler", ["ancestral", "between", "ddim"])
@pytest.mark.parametrize("name", PROCESSES)
def test_the_covariance_error_falls_like_one_over_k(name: str, sampler: str) -> None:
    process, frames = PROCESSES[name], 6
    n = process.order
    truth = process.forecast_law(n, frames)
    for method in (Rolling(n, 3), Rolling(n, 3, init="rescaled"), Standard(n, 3), DiffusionForcing(n, 3)):
        coarse, fine = (covariance_error(rollout_law(process, method, frames, k, sampler), truth) for k in (32, 64))
        assert fine < 0.06
        assert 1.8 < coarse / fine < 2.05


@pytest.mark.parametrize("name", PROCESSES)
def test_the_covariance_error_of_the_multistep_falls_faster(name: str) -> None:
    """Four times the calls leave at most a fifth of the error, of a first-order sampler a quarter; at 8 calls a frame it makes
    less error than DDIM at 32."""
    process, frames = PROCESSES[name], 6
    n = process.order
    truth = process.forecast_law(n, frames)

    def error(method: Method, calls: int, sampler: str) -> float:
        return covariance_error(rollout_law(process, method, frames, calls, sampler), truth)

    for method in (Rolling(n, 3), Rolling(n, 3, init="rescaled"), Standard(n, 3)):
        assert error(method, 64, "multistep") < error(method, 16, "multistep") / 5
        assert error(method, 8, "multistep") < error(method, 32, "ddim") * 1.02


KL = [
    (Rolling(1, 6), 4, 0.01995),
    (Standard(1, 6), 4, 0.02237),
    (Standard(1, 1), 4, 0.20154),
    (Rolling(1, 6), 16, 0.00204),
    (Standard(1, 6), 16, 0.00238),
    (Standard(1, 1), 16, 0.03162),
]


@pytest.mark.parametrize("method, calls, expected", KL)
def test_the_divergence_per_frame_has_its_known_value(method: Method, calls: int, expected: float) -> None:
    """KL(samples ‖ truth) of AR(1), φ = 0.9, n = 1, over 24 frames at equal calls per frame."""
    law, truth = rollout_law(AR1, method, 24, calls), AR1.forecast_law(1, 24)
    assert divergence(law, truth, AR1.covariance(1)) / 24 == pytest.approx(expected, abs=5e-6)


def lag_one(law: Law) -> float:
    C = law.covariance
    return float(C[-1, -2] / (C[-1, -1] * C[-2, -2]).sqrt())


def test_without_clean_frames_rolling_loses_the_frame_it_emits() -> None:
    """n = 0: lag-1 correlation 0.847 instead of 0.9, and more steps do not help; one clean frame mends it."""
    for calls in (48, 96):
        assert lag_one(rollout_law(AR1, Rolling(0, 6), 12, calls)) == pytest.approx(0.847, abs=0.0015)
    law = rollout_law(AR1, Rolling(1, 6), 12, 64)
    stationary = law.covariance + law.gain @ AR1.covariance(1) @ law.gain.T
    assert lag_one(Law(law.gain, stationary)) == pytest.approx(0.9, abs=0.002)


def test_a_context_below_the_order_is_biased_and_rolling_less_than_block() -> None:
    truth, context = AR2.forecast_law(1, 24), AR2.covariance(1)

    def biases(n: int) -> list[float]:
        true = AR2.forecast_law(n, 24)
        laws = [rollout_law(AR2, method, 24, 64) for method in (Rolling(n, 6), Standard(n, 6), Standard(n, 1))]
        return [float((law.covariance - true.covariance).norm() / true.covariance.norm()) for law in laws]

    rolling, block, single = biases(1)
    assert 0.05 < rolling < block < single
    assert max(biases(2)[:2]) < 0.02, "with n = 2 the same steps leave only their own error"
    divergences = [
        divergence(rollout_law(AR2, method, 24, 64), truth, context) for method in (Rolling(1, 6), Standard(1, 6))
    ]
    assert divergences[0] < divergences[1] / 2


def test_a_regression_makes_the_conditional_mean_and_no_spread() -> None:
    for process in PROCESSES.values():
        law, truth = rollout_law(process, Regression(process.order, 4), 12), process.forecast_law(process.order, 12)
        assert (law.gain - truth.gain).abs().max() < 1e-12 and law.covariance.abs().max() < 1e-12


def test_an_ensemble_keeps_the_mean_and_divides_the_covariance() -> None:
    one, ten = rollout_law(VAR, Rolling(1, 4), 8, 6), rollout_law(VAR, Ensemble(Rolling(1, 4), members=10), 8, 6)
    assert torch.equal(ten.gain, one.gain) and torch.allclose(ten.covariance * 10, one.covariance)


class Mistaken:
    """A method whose plan has been tampered with behind the checker's back."""

    members, noise_scale = 1, 1.0

    def __init__(self, method: Method, change: Callable[[Step, bool], Iterator[Step]]) -> None:
        self.method, self.change, self.clean = method, change, method.clean

    def plan(self, horizon: int, calls_per_frame: Any) -> Any:
        plan = self.method.plan(horizon, calls_per_frame)
        firsts = [True, *(step.emit > 0 for step in plan.steps[:-1])]
        steps = [s for step, first in zip(plan.steps, firsts, strict=True) for s in self.change(step, first)]
        return SimpleNamespace(clean=plan.clean, generated=plan.generated, steps=tuple(steps))


def times_one_slot_late(step: Step, first: bool) -> Iterator[Step]:
    yield Step((step.t[0], *step.t[:-1]), (step.s[0], *step.s[:-1]), step.emit)


def times_one_slot_early(step: Step, first: bool) -> Iterator[Step]:
    yield Step((*step.t[:1], *step.t[2:], Fraction(1)), (*step.s[:1], *step.s[2:], Fraction(1)), step.emit)


def first_call_after_an_emission_left_out(step: Step, first: bool) -> Iterator[Step]:
    if not first or step.emit or step.t[1:] == (1,) * (len(step.t) - 1):
        yield step


def context_noised(step: Step, first: bool) -> Iterator[Step]:
    """Eq. 23 read literally, without the mask w < n: the conditioning is told to be noisy in the init phase."""
    yield Step((2 * step.t[1] - step.t[2], *step.t[1:]), (2 * step.s[1] - step.s[2], *step.s[1:]), step.emit)


MISTAKES = [times_one_slot_late, times_one_slot_early, first_call_after_an_emission_left_out, context_noised]


@cache
def right() -> Law:
    return rollout_law(AR1, Rolling(1, 6), 24, 4)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_hand_off_or_times_move_the_covariance_well_beyond_two_per_cent(
    mistake: Callable[[Step, bool], Iterator[Step]],
) -> None:
    """So a sampled law that agrees within 2 % has made none of them."""
    law = rollout_law(AR1, Mistaken(Rolling(1, 6), mistake), 24, 4)  # type: ignore[arg-type]
    assert covariance_error(law, right()) > 0.06


class SecondOrderFromTheStart(Multistep):
    """A mistake: a frame that has just entered is moved as if its last prediction were zero, made at a log-SNR just below."""

    def __call__(self, logsnr_t: torch.Tensor, logsnr_s: torch.Tensor, previous: torch.Tensor) -> Coefficients:
        entered = previous.isnan() & (logsnr_s < torch.inf)
        right = super().__call__(logsnr_t, logsnr_s, previous)
        past = torch.where(entered, -right.pull / 2, right.past)
        return right._replace(past=past, pull=torch.where(entered, 1.5 * right.pull, right.pull))


def test_mistakes_in_the_history_of_the_multistep_move_the_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last predictions not shifted with the window; second order where there is none. Right and wrong differ by over 6 %."""
    method = Rolling(1, 3)
    right = rollout_law(AR1, method, 12, 2, "multistep")
    assert covariance_error(rollout_law(AR1, method, 12, 2, SecondOrderFromTheStart()), right) > 0.06

    def unshifted(
        gain: torch.Tensor, covariance: torch.Tensor, out: int, clean: int, width: int, size: int, fresh: float
    ) -> Any:
        """As the real one, but the last predictions stay where they are."""
        window = [*range(out), *range(out + clean, out + clean + size), *range(out + size, out + width)]
        stay = torch.tensor([*window, *[-1] * size, *range(out + width, len(gain))])
        select = torch.eye(len(gain), dtype=torch.float64)[stay.clamp(min=0)] * (stay >= 0)[:, None]
        entering = select @ covariance @ select.T
        entering[len(window) : len(window) + size, len(window) : len(window) + size] += fresh * torch.eye(size).double()
        return select @ gain, entering

    monkeypatch.setattr(exact, "_emit", unshifted)
    assert covariance_error(rollout_law(AR1, method, 12, 2, "multistep"), right) > 0.06


def test_mistakes_in_the_sampler_or_its_schedule_move_the_covariance() -> None:
    ddim = rollout_law(AR1, Rolling(1, 6), 24, 4, "ddim")
    shifted = rollout_law(AR1, Rolling(1, 6), 24, 4, schedule=CosineSchedule(shift=-1.386))
    assert covariance_error(ddim, right()) > 0.06
    assert covariance_error(shifted, right()) > 0.06
