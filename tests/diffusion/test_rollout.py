"""The rollout: samples that depend on nothing but their own seed, and exact bookkeeping of contexts, frames and calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rollbench import CosineSchedule, Denoiser, DiffusionForcing, Ensemble, Regression, Rolling, Standard, rollout
from rollbench.diffusion.exact import Autoregression, ExactDenoiser, rollout_law
from rollbench.diffusion.rollout import sample_seed
from rollbench.diffusion.step import SAMPLERS
from rollbench.methods import Method

ALL = [
    Standard(2, 4),
    Standard(2, 1),
    Rolling(2, 4),
    Rolling(2, 4, init="rescaled"),
    Regression(2, 4),
    DiffusionForcing(2, 4),
    Ensemble(Rolling(2, 4), members=3),
]


class Mixer(nn.Module):
    """A network over pixels and neighbouring frames, made of sums and products: batch entries cannot touch each other."""

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        scale = (logsnr / 30)[(...,) + (None,) * (z.ndim - 2)]
        return 0.3 * z + 0.2 * z.roll(1, 1) + scale * z


def contexts(samples: int, clean: int = 2, *shape: int, seed: int = 5) -> Tensor:
    return torch.randn(samples, clean, *(shape or (2, 4, 4)), generator=torch.Generator().manual_seed(seed))


def denoiser_of(method: Method) -> Denoiser:
    return Denoiser(Mixer(), parametrisation=method.parametrisation)


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_depend_neither_on_the_batch_nor_on_the_order_nor_on_the_workers(method: Method, sampler: str) -> None:
    context, ids = contexts(5), ["a", "b", "c", "d", "e"]

    def samples(which: Sequence[int]) -> Tensor:
        chosen = [ids[i] for i in which]
        return rollout(denoiser_of(method), method, context[which], 7, 3, seed=1, ids=chosen, sampler=sampler)

    together = samples(range(5))
    assert torch.equal(torch.cat([samples([i]) for i in range(5)]), together)
    assert torch.equal(samples([3, 0, 4])[[1, 0, 2]], together[[0, 3, 4]])
    assert torch.equal(torch.cat([samples([0, 1, 2]), samples([3, 4])]), together), "two workers"


@pytest.mark.parametrize("method", [m for m in ALL if not isinstance(m, Regression)])
def test_seed_id_and_sample_each_make_another_sample(method: Method) -> None:
    context = contexts(1).expand(2, -1, -1, -1, -1)

    def sampled(seed: int = 0, ids: Sequence[str] = ("a", "b"), sample: int = 0) -> Tensor:
        return rollout(denoiser_of(method), method, context, 4, 3, seed=seed, ids=ids, sample=sample)

    one = sampled()
    assert not torch.equal(one[0], one[1])
    assert torch.equal(sampled(), one)
    assert not torch.equal(sampled(seed=1), one) and not torch.equal(sampled(sample=1), one)
    assert torch.equal(sampled(ids=("b", "a"))[0], one[1])


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("horizon", [1, 4, 9])
@pytest.mark.parametrize("shape", [(), (3,), (1, 4, 6)])
def test_samples_have_the_horizon_and_the_shape_of_the_context(
    method: Method, horizon: int, shape: tuple[int, ...]
) -> None:
    context = torch.randn(3, 2, *shape, generator=torch.Generator().manual_seed(0))
    assert rollout(denoiser_of(method), method, context, horizon, 2).shape == (3, horizon, *shape)


@pytest.mark.parametrize("method", ALL)
def test_a_denoiser_that_knows_the_answer_is_believed_exactly(method: Method) -> None:
    """Emitted frames are at time 0, where z_s = x̂, so a constant x̂ is the sample, without any noise left."""
    samples = rollout(lambda z, logsnr: torch.full_like(z, 0.75), method, contexts(2), 9, Fraction(7, 2))
    assert (samples == 0.75).all()


class Recorder:
    """A denoiser that keeps what it is asked."""

    def __init__(self) -> None:
        self.windows: list[Tensor] = []
        self.logsnrs: list[Tensor] = []

    def __call__(self, z: Tensor, logsnr: Tensor) -> Tensor:
        self.windows.append(z)
        self.logsnrs.append(logsnr)
        return 0.5 * z


@pytest.mark.parametrize("method", [Standard(2, 3), Rolling(2, 3), DiffusionForcing(2, 3)])
def test_the_context_stays_clean_and_emitted_frames_become_context(method: Method) -> None:
    context, asked, schedule = contexts(2), Recorder(), CosineSchedule()
    plan = method.plan(8, 2)
    samples = rollout(asked, method, context, 8, 2)
    story, out = torch.cat([context, samples], 1), 0
    for step, z, logsnr in zip(plan.steps, asked.windows, asked.logsnrs, strict=True):
        assert torch.equal(z[:, :2], story[:, out : out + 2]), "the last two frames that are finished"
        assert torch.equal(logsnr, schedule.at([step.t]).float().expand(2, -1))
        assert (logsnr[:, :2] == math.inf).all()
        out += step.emit


def test_a_regression_is_rolled_out_block_by_block() -> None:
    method, denoiser, context = Regression(2, 3), denoiser_of(Regression(2, 3)), contexts(2)
    story = context
    logsnr = torch.tensor([math.inf] * 2 + [-math.inf] * 3).expand(2, -1)
    for _ in range(3):
        window = torch.cat([story[:, -2:], torch.zeros(2, 3, 2, 4, 4)], 1)
        story = torch.cat([story, denoiser(window, logsnr)[:, 2:]], 1)
    assert torch.allclose(rollout(denoiser, method, context, 7), story[:, 2:9], atol=1e-6)
    assert torch.equal(rollout(denoiser, method, context, 7, seed=1), rollout(denoiser, method, context, 7, seed=2))


def test_an_ensemble_is_the_mean_of_its_methods_samples() -> None:
    inner, context = Rolling(2, 4), contexts(3)
    members = [rollout(denoiser_of(inner), inner, context, 6, 3, sample=i) for i in (3, 4, 5)]
    mean = rollout(denoiser_of(inner), Ensemble(inner, members=3), context, 6, 3, sample=1)
    assert torch.allclose(mean, torch.stack(members).mean(0), atol=1e-6)
    assert torch.equal(rollout(denoiser_of(inner), Ensemble(inner, members=1), context, 6, 3, sample=3), members[0])


@pytest.mark.parametrize("method", ALL)
def test_progress_tells_each_network_call(method: Method) -> None:
    asked, reports = Recorder(), []
    rollout(asked, method, contexts(2), 6, 3, progress=lambda done, total: reports.append((done, total)))
    calls = len(asked.windows)
    assert reports == [(i + 1, calls) for i in range(calls)]
    assert calls == method.plan(6, 3).calls


def test_ddim_draws_no_noise_on_the_way() -> None:
    """From a given start a sample is a function: with one generated frame, mean and start times one fixed factor each."""
    process, pixels = Autoregression.scalar(0.9), 400
    context = process.sample(1, 1, torch.Generator().manual_seed(0), (pixels,)).float()
    sample = rollout(ExactDenoiser(process), Standard(1, 1), context, 1, 5, sampler="ddim")
    start = torch.empty(pixels).normal_(generator=torch.Generator().manual_seed(sample_seed(0, "0", 0)))
    law = rollout_law(process, Standard(1, 1), 1, 5, "ddim")
    assert torch.allclose(
        sample[0, 0, 0], float(law.gain) * context[0, 0, 0] + float(law.covariance.sqrt()) * start, atol=1e-5
    )


@pytest.mark.parametrize("method", [Rolling(1, 3), Rolling(1, 3, init="rescaled"), Standard(1, 3)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_sampled_law_is_the_exact_one(method: Method, sampler: str) -> None:
    """32,000 samples: each covariance within 4 % of the largest. Shifts of the window and of the last predictions take part."""
    process, calls = Autoregression.scalar(0.9), Fraction(5, 3)
    past = process.sample(1, 1, torch.Generator().manual_seed(1)).float()
    context = past[..., None].expand(8, -1, -1, 4_000)
    out = rollout(ExactDenoiser(process), method, context, 6, calls, sampler=sampler)
    flat = out.flatten(1, 2).transpose(1, 2).flatten(0, 1).double()
    law = rollout_law(process, method, 6, calls, sampler)
    assert ((torch.cov(flat.T) - law.covariance).abs() / law.covariance.max()).max() < 0.04
    assert (flat.mean(0) - law.gain @ past.flatten().double()).abs().max() < 0.02


def test_a_module_is_evaluated_without_dropout_and_left_as_it_was() -> None:
    network = nn.Sequential(nn.Dropout(0.9), nn.Identity())
    network[1].eval()
    modes: list[bool] = []
    network.register_forward_pre_hook(lambda module, inputs: modes.append(module.training))
    samples = rollout(Denoiser(Wrapped(network), parametrisation="x"), Standard(2, 2), contexts(1), 4, 2)
    assert modes == [False] * 8 and not samples.requires_grad
    assert network.training and network[0].training and not network[1].training


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        return self.inner(z)


def test_the_global_generator_and_the_context_are_untouched() -> None:
    state, context = torch.random.get_rng_state(), contexts(2)
    before = context.clone()
    rollout(denoiser_of(Rolling(2, 4)), Rolling(2, 4), context, 5, 2)
    assert torch.equal(torch.random.get_rng_state(), state) and torch.equal(context, before)


def test_the_schedule_is_the_denoisers_own_unless_given() -> None:
    shifted = CosineSchedule(shift=-2.0)
    own = rollout(Denoiser(Mixer(), schedule=shifted), Standard(2, 2), contexts(1), 2, 4)
    given_ = rollout(Denoiser(Mixer(), schedule=shifted), Standard(2, 2), contexts(1), 2, 4, schedule=shifted)
    other = rollout(Denoiser(Mixer(), schedule=shifted), Standard(2, 2), contexts(1), 2, 4, schedule=CosineSchedule())
    assert torch.equal(own, given_) and not torch.equal(own, other)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 3), st.integers(1, 6), st.integers(1, 12), st.fractions(1, 6, max_denominator=7))
def test_any_window_horizon_and_cost_gives_finite_samples(n: int, B: int, horizon: int, calls: Fraction) -> None:
    for method in (Standard(n, B), Rolling(n, B), DiffusionForcing(n, B)):
        samples = rollout(denoiser_of(method), method, contexts(2, n, 1), horizon, calls)
        assert samples.shape == (2, horizon, 1) and samples.isfinite().all()


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_context_of_the_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"conditions on exactly 2 clean frames, .*of a longer one pass the last 2"):
        rollout(Mixer(), Rolling(2, 4), contexts(2, length, 1, 4, 4), 4, 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_context_that_is_not_finite_is_refused(bad: float) -> None:
    context = contexts(3)
    context[1, 0, 0, 0, 0] = bad
    with pytest.raises(ValueError, match="context is not finite in 1 of 3 clips"):
        rollout(Mixer(), Rolling(2, 4), context, 4, 2)


def test_other_bad_input_is_refused() -> None:
    for options, match in (
        ({"ids": ["a", "a", "b"]}, r"3 ids \(2 distinct\) for 3 clips"),
        ({"ids": ["a"]}, "1 ids"),
        ({"sampler": "euler"}, "sampler='euler' is not one of ancestral, between, ddim, multistep"),
        ({"horizon": 0}, "horizon=0"),
        ({"calls_per_frame": None}, "calls_per_frame=None is not a positive number"),
    ):
        with pytest.raises(ValueError, match=match) as refusal:
            rollout(Mixer(), Rolling(2, 4), contexts(3), **{"horizon": 4, "calls_per_frame": 2, **options})
        assert "\n" not in str(refusal.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("method", ALL)
def test_samples_are_made_on_the_contexts_device(method: Method) -> None:
    context = contexts(3).cuda()
    together = rollout(denoiser_of(method).cuda(), method, context, 5, 3, ids=["a", "b", "c"])
    alone = rollout(denoiser_of(method).cuda(), method, context[1:2], 5, 3, ids=["b"])
    assert together.device.type == "cuda" and torch.equal(together[1:2], alone)


AR1, AR2 = Autoregression.scalar(0.9), Autoregression.scalar(1.2, -0.5)
VAR = Autoregression(
    torch.tensor([[[0.8, 0.2], [-0.2, 0.7]]], dtype=torch.float64),
    torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=torch.float64),
)
SAMPLED = [
    (AR1, Rolling(1, 6)),
    (AR1, Rolling(1, 6, init="rescaled")),
    (AR1, Standard(1, 6)),
    (AR1, Standard(1, 1)),
    (AR1, DiffusionForcing(1, 6)),
    (AR1, Rolling(0, 6)),
    (AR2, Rolling(2, 6)),
    (AR2, Rolling(1, 6)),
    (AR2, Standard(2, 6)),
    (VAR, Rolling(1, 6)),
    (VAR, Standard(1, 6)),
]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("process, method", SAMPLED)
def test_the_sampled_law_of_the_real_rollout_is_the_exact_one(
    process: Autoregression, method: Method, sampler: str
) -> None:
    """480,000 samples: every covariance within 2 % of the largest, every mean within 5 standard errors.

    Each pixel is a process of its own, so 48 samples hold 10,000 independent ones each.
    """
    horizon, calls, samples, pixels = 12, 4, 48, 10_000
    past = process.sample(1, method.clean, torch.Generator().manual_seed(1)).float()
    context = past[..., None].expand(samples, -1, -1, pixels)
    out = rollout(ExactDenoiser(process), method, context, horizon, calls, sampler=sampler)
    flat = out.flatten(1, 2).transpose(1, 2).flatten(0, 1).double()
    law = rollout_law(process, method, horizon, calls, sampler)
    assert ((torch.cov(flat.T) - law.covariance).abs() / law.covariance.max()).max() < 0.02
    standard_errors = (law.covariance.diag() / (samples * pixels)).sqrt()
    assert ((flat.mean(0) - law.gain @ past.flatten().double()).abs() / standard_errors).max() < 5
