"""What each method trains on, what it costs to combine, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rollbench import Denoiser, DiffusionForcing, Ensemble, Regression, Rolling, Standard
from rollbench.config.canonical import canonical
from rollbench.diffusion.loss import diffusion_loss
from rollbench.methods import DiffusionMethod, Method

ALL = [
    Standard(2, 4),
    Rolling(2, 4),
    Rolling(2, 4, init="rescaled", beta=0.1),
    Regression(2, 4),
    DiffusionForcing(2, 4),
    Ensemble(Rolling(2, 4), members=3),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Listening(nn.Module):
    """A small network that keeps what it was asked last."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.3))

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        self.z, self.logsnr = z, logsnr
        return self.slope * z


@pytest.mark.parametrize(
    "method", [Standard(2, 4), Rolling(2, 4), Rolling(2, 4, init="rescaled"), DiffusionForcing(2, 4)]
)
def test_the_context_is_clean_in_training_and_times_lie_in_the_unit_interval(method: DiffusionMethod) -> None:
    """Also for the init times, whose equations read literally would noise the conditioning."""
    t = method.times(5_000, seeded())
    assert t.shape == (5_000, 6)
    assert (t[:, :2] == 0).all() and t.min() >= 0 and t.max() <= 1


def test_standard_frames_share_one_uniform_time() -> None:
    t = Standard(2, 4).times(20_000, seeded())[:, 2:]
    assert (t == t[:, :1]).all()
    assert distance_from_uniform(t[:, 0]) < 1.63 / math.sqrt(20_000), "Kolmogorov-Smirnov at 1 %"


def test_forcing_frames_have_independent_uniform_times() -> None:
    t = DiffusionForcing(2, 4).times(20_000, seeded())[:, 2:]
    assert distance_from_uniform(t.flatten()) < 1.63 / math.sqrt(80_000)
    assert (torch.corrcoef(t.T) - torch.eye(4)).abs().max() < 5 / math.sqrt(20_000)


def distance_from_uniform(t: Tensor) -> float:
    grid = (torch.arange(len(t)) + 0.5) / len(t)
    return float((t.sort().values - grid).abs().max())


def linear_share(times: Tensor, generated: int) -> float:
    """The share of windows whose generated frames climb in steps of 1 / B without touching an end: the linear times."""
    climbs = times[:, -generated:].diff(dim=1)
    return float(((climbs - 1 / generated).abs() < 1e-5).all(1).double().mean())


def printed_algorithm_1(method: Rolling, batch: int, generator: torch.Generator) -> Tensor:
    """The branch as Algorithm 1 prints it: the init times with probability beta, else the linear ones."""
    swapped = Rolling(method.clean, method.generated, init=method.init, beta=1 - method.beta)
    return swapped.times(batch, generator)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_beta_is_the_probability_of_the_linear_times(beta: float) -> None:
    method, n = Rolling(2, 8, init="rescaled", beta=beta), 20_000
    error = 5 * math.sqrt(beta * (1 - beta) / n)
    assert abs(linear_share(method.times(n, seeded()), 8) - beta) < error
    if beta != 0.5:
        assert abs(linear_share(printed_algorithm_1(method, n, seeded()), 8) - beta) > error


def test_the_printed_branch_contradicts_the_row_clip_beta_0() -> None:
    """That row reports a model that rolls out, so it was trained on the init phase, where frames are still pure noise.

    With beta = P(linear) it is, and clip contains the linear times; as printed, no window of it ever holds a noise frame.
    """
    method, generated = Rolling(5, 11, init="clip", beta=0.0), 11
    ours, printed = method.times(5_000, seeded()), printed_algorithm_1(method, 5_000, seeded())
    assert (ours[:, -1] == 1).double().mean() > 0.8
    assert 0.05 < linear_share(ours, generated) < 0.15, "clip(t) is linear for t < 1 / B"
    assert (printed < 1).all() and linear_share(printed, generated) == 1


def test_times_come_from_the_generator_alone() -> None:
    state = torch.random.get_rng_state()
    x = torch.ones(3, 6, 2, 4, 4)
    for method in ALL:
        denoiser = Denoiser(Listening(), parametrisation=method.parametrisation)
        first, again, other = (method.loss(denoiser, x, seeded(seed)).item() for seed in (0, 0, 1))
        assert first == again
        assert isinstance(method, Regression) or first != other
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("method", [Standard(2, 4), Rolling(2, 4, beta=0.3), DiffusionForcing(2, 4, weighting="eps")])
def test_a_diffusion_loss_is_the_loss_at_the_times_it_draws(method: DiffusionMethod) -> None:
    x, denoiser, generator = torch.randn(5, 6, 3, generator=seeded(3)), Denoiser(Listening()), seeded()
    logsnr = denoiser.schedule.logsnr(method.times(5, generator))
    eps = torch.randn(x.shape, generator=generator)
    expected = diffusion_loss(denoiser, x, logsnr, eps, method.weighting)
    assert method.loss(denoiser, x, seeded()) == expected


def test_a_regression_sees_context_and_zeros_and_minimises_plain_mse() -> None:
    method, network = Regression(2, 4), Listening()
    x = torch.randn(3, 6, 2, 5, generator=seeded(1))
    loss = method.loss(Denoiser(network, parametrisation=method.parametrisation), x, seeded())
    assert torch.equal(network.z[:, :2], x[:, :2]) and (network.z[:, 2:] == 0).all()
    assert network.logsnr.tolist() == [[15, 15, -15, -15, -15, -15]] * 3
    assert loss.item() == pytest.approx(x[:, 2:].square().mean().item(), rel=1e-6), "the network maps zeros to zeros"


def test_an_ensemble_is_trained_and_shaped_as_its_method() -> None:
    inner = Rolling(2, 8, beta=0.2, init_calls=20)
    ensemble = Ensemble(inner, members=10)
    assert ensemble.trained_as == inner.trained_as == Rolling(2, 8, beta=0.2)
    assert (ensemble.clean, ensemble.generated, ensemble.window) == (2, 8, 10)
    assert ensemble.parametrisation == "v" and Ensemble(Regression(2, 2), members=2).noise_scale == 0
    assert ensemble.label == "10-Ensemble (2-8)" and inner.label == "(2-8)"


def test_what_concerns_sampling_alone_does_not_divide_models() -> None:
    assert DiffusionForcing(2, 8, delay=8).trained_as == DiffusionForcing(2, 8, delay=0).trained_as
    assert Standard(2, 8).trained_as == Standard(2, 8) != Standard(2, 4).trained_as


def test_every_method_has_a_key_of_its_own() -> None:
    assert len({canonical(method) for method in ALL}) == len(ALL)


REFUSED: list[tuple[Callable[[], Method], str]] = [
    (lambda: Standard(2, 0), "generated=0: it must be a whole number >= 1; the nearest is generated=1"),
    (lambda: Regression(2, -1), "generated=-1"),
    (lambda: Rolling(-1, 3), "clean=-1: it must be a whole number >= 0; the nearest is clean=0"),
    (lambda: Rolling(2, 2.5), "generated=2.5"),  # type: ignore[arg-type]
    (lambda: Rolling(2, 8, beta=1.5), r"beta=1.5: it is P\(linear\), a probability in \[0, 1\]"),
    (lambda: Rolling(2, 8, beta=-0.1), "beta=-0.1"),
    (lambda: Rolling(2, 8, beta=math.nan), "beta=nan"),
    (lambda: Rolling(2, 8, init="rescaled", beta=0), "could never slide; use beta > 0 .* or init='clip'"),
    (lambda: Rolling(2, 8, init="clipped"), "init='clipped' is not one of clip, rescaled"),  # type: ignore[arg-type]
    (lambda: Rolling(2, 8, init_calls=0), "init_calls=0: the init phase needs at least 1 call"),
    (lambda: Standard(2, 8, weighting="snr"), "weighting='snr' is not one of v, eps, x"),  # type: ignore[arg-type]
    (lambda: Standard(2, 8, parametrisation="u"), "parametrisation='u' is not one of"),  # type: ignore[arg-type]
    (lambda: DiffusionForcing(2, 8, delay=9), r"delay=9: a whole number from 0 .* to 8"),
    (lambda: Ensemble(Standard(2, 8), members=0), "members=0"),
    (lambda: Ensemble(Ensemble(Standard(2, 8), members=2), members=3), "members=6"),
]


@pytest.mark.parametrize("make, message", REFUSED)
def test_bad_input_is_refused_by_name(make: Callable[[], Method], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("method", ALL)
def test_windows_of_a_wrong_length_are_refused(method: Method) -> None:
    with pytest.raises(ValueError, match=r"\(2-4\) trains on 2 \+ 4 frames, so they must be \[b, 6, ...\]"):
        method.loss(Denoiser(Listening()), torch.zeros(2, 5, 1, 4, 4), seeded())
