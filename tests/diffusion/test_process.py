"""Noise, parametrisations, one step and the loss, against closed forms and at every corner."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rollbench import CosineSchedule, Denoiser
from rollbench.diffusion.loss import diffusion_loss
from rollbench.diffusion.process import PARAMETRISATIONS, add_noise, alpha_sigma, clean_frames, target
from rollbench.diffusion.step import DDIM, SAMPLERS, Ancestral, Coefficients, Multistep, step
from rollbench.diffusion.weight import weight

fast = settings(max_examples=40, deadline=None, derandomize=True)
logsnrs = st.floats(-14.9, 14.9)
INF = math.inf


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def tensor(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)


@fast
@given(logsnrs)
def test_alpha_and_sigma_keep_the_variance(l: float) -> None:
    alpha, sigma = alpha_sigma(tensor(l))
    assert (alpha**2 + sigma**2).item() == pytest.approx(1, abs=1e-14)
    assert (alpha**2 / sigma**2).log().item() == pytest.approx(l, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_hard_end_points_are_exact(dtype: torch.dtype) -> None:
    x, eps = draw(3, 2, 5, dtype=dtype), draw(3, 2, 5, seed=1, dtype=dtype)
    z = add_noise(x, tensor(INF, -INF, dtype=dtype).expand(3, 2), eps)
    assert torch.equal(z[:, 0], x[:, 0]) and torch.equal(z[:, 1], eps[:, 1])


def test_noise_scales_do_not_depend_on_the_place_in_a_batch() -> None:
    l = draw(1, 37, dtype=torch.float32) * 8
    together = torch.stack(alpha_sigma(l))
    alone = torch.stack([torch.stack(alpha_sigma(each.clone())) for each in l[0]], -1)
    assert torch.equal(together[:, 0], alone)


@fast
@given(logsnrs, st.sampled_from(PARAMETRISATIONS), st.integers(0, 100))
def test_a_target_stands_for_its_clean_frames(l: float, parametrisation: str, seed: int) -> None:
    x, eps, logsnr = draw(2, 1, 6, seed=seed), draw(2, 1, 6, seed=seed + 1), tensor(l).expand(2, 1)
    z = add_noise(x, logsnr, eps)
    x_hat = clean_frames(target(x, eps, logsnr, parametrisation), z, logsnr, parametrisation)  # type: ignore[arg-type]
    assert torch.allclose(x_hat, x, atol=1e-9)
    alpha, sigma = alpha_sigma(tensor(l))
    assert torch.allclose(sigma * z + alpha * target(x, eps, logsnr, "v"), eps, atol=1e-9)


@fast
@given(logsnrs, st.sampled_from(PARAMETRISATIONS), st.sampled_from(PARAMETRISATIONS), st.integers(0, 100))
def test_weights_make_the_losses_equal_in_every_parametrisation(l: float, kind: str, p: str, seed: int) -> None:
    """||v - v̂||² = (SNR + 1) ||x - x̂||² and ||eps - epŝ||² = SNR ||x - x̂||², so one x̂ has one loss."""
    x, eps, logsnr = draw(1, 1, 6, seed=seed), draw(1, 1, 6, seed=seed + 1), tensor(l)[None]
    z, truth = add_noise(x, logsnr, eps), target(x, eps, logsnr, p)  # type: ignore[arg-type]
    guess = truth + draw(1, 1, 6, seed=seed + 2)
    x_hat = clean_frames(guess, z, logsnr, p)  # type: ignore[arg-type]
    of_x = {"x": 1.0, "eps": math.exp(l), "v": math.exp(l) + 1}[kind] * (x - x_hat).square().sum()
    here = weight(logsnr, kind, p) * (truth - guess).square().sum()  # type: ignore[arg-type]
    assert here.item() == pytest.approx(of_x.item(), rel=1e-6)


def none(logsnr: torch.Tensor) -> torch.Tensor:
    """The log-SNR of predictions that were never made."""
    return torch.full_like(logsnr, math.nan)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "multistep"])
@fast
@given(a=st.floats(1e-3, 1), b=st.floats(0, 1))
def test_a_step_with_the_true_x_keeps_the_marginals(sampler: str, a: float, b: float) -> None:
    """keep alpha_t + pull = alpha_s and keep² sigma_t² + stir² = sigma_s²: z_s is again alpha_s x + sigma_s eps."""
    l = CosineSchedule().logsnr(tensor(a, a * b))
    (alpha_t, alpha_s), (sigma_t, sigma_s) = alpha_sigma(l)
    by = SAMPLERS[sampler](l[:1], l[1:], none(l[:1]))
    assert (by.keep * alpha_t + by.pull).item() == pytest.approx(alpha_s.item(), abs=1e-12)
    assert (by.keep**2 * sigma_t**2 + by.stir**2).item() == pytest.approx(sigma_s.item() ** 2, abs=1e-12)


@fast
@given(a=st.floats(0.01, 0.99), b=st.floats(0.01, 0.99))
def test_ancestral_is_the_posterior_by_bayes(a: float, b: float) -> None:
    """q(z_s | z_t, x) from the Gaussian of z_s and the channel z_t = (alpha_t / alpha_s) z_s + noise."""
    l = CosineSchedule().logsnr(tensor(a, a * b))
    (alpha_t, alpha_s), (sigma_t, sigma_s) = ((each[0].item(), each[1].item()) for each in alpha_sigma(l))
    ratio = alpha_t / alpha_s
    channel = sigma_t**2 - ratio**2 * sigma_s**2
    variance = 1 / (1 / sigma_s**2 + ratio**2 / channel)
    by = Ancestral()(l[:1], l[1:], none(l[:1]))
    assert by.keep.item() == pytest.approx(variance * ratio / channel, rel=1e-6)
    assert by.pull.item() == pytest.approx(variance * alpha_s / sigma_s**2, rel=1e-6)
    assert by.stir.item() ** 2 == pytest.approx(variance, rel=1e-6)
    third = Ancestral(noise=1 / 3)(l[:1], l[1:], none(l[:1]))
    assert third.stir.item() ** 2 == pytest.approx(variance ** (2 / 3) * channel ** (1 / 3), rel=1e-6)
    assert (third.keep, third.pull) == (by.keep, by.pull)


@pytest.mark.parametrize("noise", [-0.1, 1.0, math.nan])
def test_a_share_of_the_noise_outside_its_range_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match=r"noise=.*: a share of the way in \[0, 1\); 0 is the posterior's variance"):
        Ancestral(noise=noise)


@fast
@given(a=st.floats(0.05, 0.95), b=st.floats(0.05, 0.95), c=st.floats(0.05, 0.95))
def test_multistep_is_the_published_solver(a: float, b: float, c: float) -> None:
    """DPM-Solver++(2M), Algorithm 2: z_s = sigma_s / sigma_t z - alpha_s (e^-h - 1) ((1 + 1 / 2r) x - 1 / 2r x')."""
    l = CosineSchedule().logsnr(tensor(a, a * b, a * b * c))
    (_, alpha_t, alpha_s), (_, sigma_t, sigma_s) = ([one.item() for one in each] for each in alpha_sigma(l))
    h, before = ((l[2] - l[1]) / 2).item(), ((l[1] - l[0]) / 2).item()
    r = before / h
    by = Multistep()(l[1:2], l[2:], l[:1])
    z, x, x_before = tensor(0.3), tensor(-1.2), tensor(0.7)
    expected = sigma_s / sigma_t * z - alpha_s * math.expm1(-h) * ((1 + 1 / (2 * r)) * x - x_before / (2 * r))
    assert step(z, x, x_before, 0.0, by).item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)


def test_multistep_is_of_first_order_without_a_usable_previous_prediction() -> None:
    """A frame that has just entered, one whose time stood still, one that becomes clean, one predicted at pure noise before."""
    t, s, before = tensor(-2.0, 1.0, 3.0, -1.0), tensor(-1.0, 2.0, INF, 0.0), tensor(math.nan, 1.0, 2.0, -INF)
    ours, first = Multistep()(t, s, before), DDIM()(t, s, before)
    assert all(torch.equal(a, b) for a, b in zip(ours, first, strict=True)) and not ours.past.any()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_corners_are_exact(sampler: str, dtype: torch.dtype) -> None:
    """Pairs (t, s): clean stays, noise stays, s = t stays; s = 0 gives x̂; from t = 1 the ancestral ones forget z.

    Whatever was predicted before, at whatever time.
    """
    half = 0.7
    t = tensor(INF, -INF, half, half, -INF, -INF, dtype=dtype)
    s = tensor(INF, -INF, half, INF, INF, half, dtype=dtype)
    z, x_hat, before, eps = (draw(1, 6, 4, seed=i, dtype=dtype) for i in range(4))
    for previous in (math.nan, INF, -INF, half, 0.1):
        by = SAMPLERS[sampler](t, s, torch.full_like(t, previous))
        assert all(c.isfinite().all() for c in by)
        moved = step(z, x_hat, before, eps, Coefficients(*(c[:, None] for c in by)))
        assert torch.equal(moved[:, :3], z[:, :3])
        assert torch.equal(moved[:, 3:5], x_hat[:, 3:5])
        assert by.keep[5] == (0 if isinstance(SAMPLERS[sampler], Ancestral) else alpha_sigma(s)[1][5])


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_a_thousand_small_steps_are_stable(dtype: torch.dtype, tolerance: float) -> None:
    """With the true x̂ the means of all steps telescope: from any z at t = 1, the last step gives x exactly."""
    l = CosineSchedule().logsnr(torch.linspace(1, 0, 1001, dtype=dtype))
    for sampler in (Ancestral(), DDIM()):
        by = sampler(l[:-1], l[1:], none(l[1:]))
        assert all(c.isfinite().all() and (c >= 0).all() for c in by)
        marginal = by.keep * alpha_sigma(l[:-1])[0] + by.pull
        assert (marginal - alpha_sigma(l[1:])[0]).abs().max() < tolerance


class Constant(nn.Module):
    """A network that predicts the same number everywhere; it keeps what it was asked."""

    def __init__(self, value: float, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=dtype))

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        self.asked = logsnr
        return self.value.expand(z.shape)


def test_the_loss_is_taken_on_frames_between_clean_and_noise_only() -> None:
    x, eps = draw(2, 4, 3), draw(2, 4, 3, seed=1)
    logsnr = tensor(INF, 1.0, -2.0, -INF).expand(2, 4)
    expected = (0.5 - target(x, eps, logsnr, "v")).square()[:, 1:3].mean()
    network = Constant(0.5)
    assert diffusion_loss(Denoiser(network), x, logsnr, eps).item() == pytest.approx(expected.item(), rel=1e-12)
    assert network.asked.abs().max() <= 15

    prediction = torch.zeros(2, 4, 3, dtype=torch.float64, requires_grad=True)
    diffusion_loss(Denoiser(Given(prediction)), x, logsnr, eps).backward()
    assert prediction.grad is not None
    assert (prediction.grad[:, [0, 3]] == 0).all() and (prediction.grad[:, 1:3] != 0).all()


class Given(nn.Module):
    def __init__(self, prediction: Tensor) -> None:
        super().__init__()
        self.prediction = prediction

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        return self.prediction


def test_the_loss_of_a_batch_is_the_mean_over_its_windows() -> None:
    """So cutting a batch into micro-batches changes nothing, also where windows count different numbers of frames."""
    x, eps = draw(4, 3, 5), draw(4, 3, 5, seed=1)
    logsnr = tensor(INF, 1.0, -2.0, INF, INF, 3.0, INF, 0.0, -INF, 1.0, 2.0, 3.0).reshape(4, 3)
    denoiser = Denoiser(Constant(0.3))
    alone = [diffusion_loss(denoiser, x[i : i + 1], logsnr[i : i + 1], eps[i : i + 1]).item() for i in range(4)]
    assert diffusion_loss(denoiser, x, logsnr, eps).item() == pytest.approx(sum(alone) / 4, rel=1e-12)


def test_a_window_without_a_frame_to_learn_from_costs_nothing() -> None:
    x = draw(1, 2, 3)
    assert diffusion_loss(Denoiser(Constant(0.3)), x, tensor(INF, -INF)[None], x) == 0


class Mixing(nn.Module):
    """One linear layer over the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        return self.layer(z)


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
@pytest.mark.parametrize("weighting", PARAMETRISATIONS)
def test_the_loss_is_finite_in_short_precision_at_both_ends(parametrisation: str, weighting: str) -> None:
    network = Mixing()
    t = torch.tensor([[0.0, 1e-6, 1e-3, 0.5, 0.999, 1 - 1e-6, 1.0]])
    x, eps = draw(1, 7, 8, dtype=torch.float32), draw(1, 7, 8, seed=1, dtype=torch.float32)
    denoiser = Denoiser(network, parametrisation=parametrisation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = diffusion_loss(denoiser, x, CosineSchedule().logsnr(t), eps, weighting)  # type: ignore[arg-type]
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
def test_a_denoiser_is_finite_at_the_hard_end_points_and_clips_on_request(parametrisation: str) -> None:
    z = draw(2, 3, 4)
    logsnr = tensor(INF, 0.0, -INF).expand(2, 3)
    free = Denoiser(Constant(3.0), parametrisation=parametrisation)(z, logsnr)
    assert free.isfinite().all() and free.abs().max() > 1
    clipped = Denoiser(Constant(3.0), parametrisation=parametrisation, clip=1.0)(z, logsnr)
    assert torch.equal(clipped, free.clamp(-1, 1))


def test_a_denoiser_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="parametrisation='u' is not one of v, eps, x"):
        Denoiser(Constant(0.0), parametrisation="u")
    with pytest.raises(ValueError, match="clip=0 must be positive"):
        Denoiser(Constant(0.0), clip=0)
