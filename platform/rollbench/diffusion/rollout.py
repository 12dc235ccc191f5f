"""Rollouts: follow a method's plan with a denoiser.

The loop is a network call and one affine update a step; the log-SNRs and coefficients of each distinct step are
computed once per plan, in float64 from exact times.

Each sample draws its noise from its own generator, seeded by (seed, clip id, sample), so a sample does not depend
on its batch, on the order of clips or on the number of workers, as far as the denoiser treats its
batch entries alike. Samples are generated on the context's device; generators of different kinds of device draw different
numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from rollbench.diffusion.plan import Plan, last_predicted
from rollbench.diffusion.schedule import CosineSchedule
from rollbench.diffusion.step import SAMPLERS, Coefficients, Sampler, step

DenoiserLike = Callable[[Tensor, Tensor], Tensor]  # (z [b, w, ...], logsnr [b, w]) -> x̂ of z's shape


class RolloutMethod(Protocol):
    """What a rollout needs of a method; see `rollbench.methods`."""

    @property
    def clean(self) -> int: ...
    @property
    def members(self) -> int: ...
    @property
    def noise_scale(self) -> float: ...
    def plan(self, horizon: int, calls_per_frame: float | Fraction | None) -> Plan: ...


def rollout(
    denoiser: DenoiserLike,
    method: RolloutMethod,
    context: Tensor,
    horizon: int,
    calls_per_frame: float | Fraction | None = None,
    *,
    seed: int = 0,
    ids: Sequence[str] | None = None,
    sample: int = 0,
    sampler: str | Sampler = "ancestral",
    schedule: CosineSchedule | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The next `horizon` frames [b, horizon, ...] after each context [b, clean, ...].

    calls_per_frame: network calls per emitted frame (a regression needs none). ids: names of the clips ("0", "1",
    .. if not given). sample: which of many samples of the same clip. sampler: a value of `diffusion.step` or a name in its
    SAMPLERS. schedule: if not given, the denoiser's own or the default one. progress: called with (calls done, calls in all) after each
    network call.

    Raises ValueError for a context of the wrong length or not finite, for repeated ids, an unknown sampler, and
    whatever the method's plan refuses.
    """
    plan = method.plan(horizon, calls_per_frame)
    ids = [str(i) for i in range(len(context))] if ids is None else ids
    _check(context, plan, ids)
    schedule = schedule or getattr(denoiser, "schedule", None) or CosineSchedule()
    moves = _moves(plan, schedule, named(sampler), context)
    done = count(1)

    def on_call() -> None:
        if progress:
            progress(next(done), plan.calls)

    # One member after the other: a network call carries as many samples as there are contexts, whatever the method.
    samples = []
    with torch.no_grad(), evaluating(denoiser):
        for member in range(sample * method.members, (sample + 1) * method.members):
            noise = SampleNoise([(seed, name, member) for name in ids], context, method.noise_scale)
            samples.append(_follow(plan, moves, denoiser, context, noise, on_call))
    return torch.stack(samples).mean(0) if len(samples) > 1 else samples[0]


def _follow(
    plan: Plan,
    moves: list[Move],
    denoiser: DenoiserLike,
    context: Tensor,
    noise: SampleNoise,
    on_call: Callable[[], None],
) -> Tensor:
    n, done = plan.clean, 0
    samples = context.new_empty(len(context), plan.emitted, *context.shape[2:])
    window = torch.cat([context, noise.fresh(plan.generated)], 1)
    before = torch.zeros_like(window[:, n:])  # the last prediction of each generated frame
    for now, move in zip(plan.steps, moves, strict=True):
        x_hat = denoiser(window, move.logsnr.expand(len(context), -1))[:, n:]
        eps = noise.step_noise(plan.generated, move.stirred) if move.stirred else 0.0
        window = torch.cat([window[:, :n], step(window[:, n:], x_hat, before, eps, move.by)], 1)
        before = x_hat
        if now.emit:
            samples[:, done : done + now.emit] = window[:, n : n + now.emit]
            done += now.emit
            window = torch.cat([window[:, now.emit :], noise.fresh(now.emit)], 1)
            before = torch.cat([x_hat[:, now.emit :], torch.zeros_like(x_hat[:, : now.emit])], 1)
        on_call()
    return samples[:, : plan.horizon]


class Move(NamedTuple):
    """One prepared step: log-SNR [w], coefficients of the generated frames, and the slots that get noise."""

    logsnr: Tensor
    by: Coefficients
    stirred: slice | None


def _moves(plan: Plan, schedule: CosineSchedule, sampler: Sampler, like: Tensor) -> list[Move]:
    """The moves of a plan on the device and in the dtype of `like`, computed at once for all distinct steps."""
    pairs = list(zip(plan.steps, last_predicted(plan.steps), strict=True))
    distinct = list(dict.fromkeys(pairs))
    times = [now.t for now, _ in distinct], [now.s for now, _ in distinct], [last for _, last in distinct]
    logsnr_t, logsnr_s, previous = (schedule.at(each) for each in times)
    by = [c[:, plan.clean :] for c in sampler(logsnr_t, logsnr_s, previous)]
    spans = [_span(row) for row in (by[3] > 0).tolist()]
    shaped = [c[(...,) + (None,) * (like.ndim - 2)].to(like.device, like.dtype) for c in by]
    moves = map(Move, logsnr_t.to(like.device, like.dtype), map(Coefficients, *shaped), spans)
    prepared = dict(zip(distinct, moves, strict=True))
    return [prepared[pair] for pair in pairs]


def _span(marked: list[bool]) -> slice | None:
    """The slots from the first marked one to the last."""
    slots = [i for i, mark in enumerate(marked) if mark]
    return slice(slots[0], slots[-1] + 1) if slots else None


class SampleNoise:
    """Standard normal frames, each sample's from its own generator.

    names: (seed, clip id, sample) of each sample. like: gives device, dtype and the shape [b, w, ...] of frames.
    start: the scale of fresh frames (0 for a regression, whose window starts from zeros).
    """

    def __init__(self, names: Sequence[tuple[int, str, int]], like: Tensor, start: float = 1.0) -> None:
        self.generators = [torch.Generator(like.device).manual_seed(sample_seed(*name)) for name in names]
        self.like, self.start = like, start

    def draw(self, frames: int) -> Tensor:
        """[samples, frames, ...]: one call of each sample's generator."""
        out = self.like.new_empty(len(self.generators), frames, *self.like.shape[2:])
        for frames_of_sample, generator in zip(out, self.generators, strict=True):
            frames_of_sample.normal_(generator=generator)
        return out

    def fresh(self, frames: int) -> Tensor:
        """Frames at time 1, as they enter the window."""
        return self.draw(frames) if self.start == 1 else self.start * self.draw(frames)

    def step_noise(self, generated: int, stirred: slice) -> Tensor:
        """Noise for the slots that a step adds noise to, zero for the others."""
        drawn = self.draw(stirred.stop - stirred.start)
        if stirred == slice(0, generated):
            return drawn
        out = drawn.new_zeros(len(drawn), generated, *drawn.shape[2:])
        out[:, stirred] = drawn
        return out


def sample_seed(seed: int, name: str, sample: int) -> int:
    """The seed of one sample's generator, 63 bits of a hash.

    A CPU generator keeps 32 of them: among 10,000 samples the chance that any two share their noise is 1 %.
    """
    digest = hashlib.sha256(f"{seed}/{sample}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def evaluating(denoiser: DenoiserLike) -> Iterator[None]:
    """A module in evaluation mode (no dropout), and afterwards as it was."""
    training = [m for m in denoiser.modules() if m.training] if isinstance(denoiser, nn.Module) else []
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def named(sampler: str | Sampler) -> Sampler:
    """The sampler of that name; a value is returned as it is. ValueError for an unknown name."""
    if isinstance(sampler, Sampler):
        return sampler
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler={sampler!r} is not one of {', '.join(SAMPLERS)}; the default is 'ancestral'")
    return SAMPLERS[sampler]


def _check(context: Tensor, plan: Plan, ids: Sequence[str]) -> None:
    if context.ndim < 2 or context.shape[1] != plan.clean:
        raise ValueError(
            f"context of shape {tuple(context.shape)}: the method conditions on exactly {plan.clean} clean frames, so "
            f"it must be [b, {plan.clean}, ...]; of a longer one pass the last {plan.clean}"
        )
    if not context.isfinite().all():
        bad = int((~context.isfinite()).flatten(1).any(1).sum())
        raise ValueError(f"context is not finite in {bad} of {len(context)} clips: mend or drop those clips")
    if len(ids) != len(context) or len(set(ids)) != len(ids):
        raise ValueError(
            f"{len(ids)} ids ({len(set(ids))} distinct) for {len(context)} clips: each clip needs its own id, since "
            "equal ids draw equal noise; for more samples of one clip use sample="
        )
