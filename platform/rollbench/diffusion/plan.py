"""A plan: the local time of every frame of the window before and after each network call, and which frames then leave.

This is the single contract of all methods. The window holds `clean` finished frames and `generated` ones that start
as noise. A step takes the frames from times t to times s; if it emits m frames, those are the slots clean .. clean
+ m - 1, the window then moves on by m, and m frames of fresh noise (time 1) enter at its end. A sampler needs to
know nothing else, any plan can be checked (`check`, done for every plan that is built), and its cost is read
off it. Times are Fractions: exact, so a frame is clean or noise when its time says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from rollbench.diffusion.times import LocalTime, exact_times

Times = tuple[Fraction, ...]
CLEAN, NOISE = Fraction(0), Fraction(1)


@dataclass(frozen=True)
class Step:
    """One network call: the window goes from local times t to s (one per frame), then `emit` frames leave."""

    t: Times
    s: Times
    emit: int = 0


@dataclass(frozen=True)
class Plan:
    """How `horizon` frames are generated, and its cost in network calls."""

    clean: int  # finished frames in the window
    generated: int  # noisy frames in the window
    horizon: int  # frames of the result
    steps: tuple[Step, ...]
    startup: Fraction = (
        CLEAN  # calls that are paid once, before the steady rhythm (rolling pays them to fill its window)
    )
    members: int = 1  # samples that are averaged to one result (an ensemble); each costs all steps

    def __post_init__(self) -> None:
        check(self)

    @property
    def emitted(self) -> int:
        """Frames that leave the window; what exceeds the horizon (the rest of a last block) is cut off."""
        return sum(step.emit for step in self.steps)

    @property
    def calls(self) -> int:
        """All network calls, of all members."""
        return len(self.steps) * self.members

    @property
    def calls_per_frame(self) -> Fraction:
        """Steady network calls per emitted frame: without the startup, a block cut off at the horizon counted whole."""
        return (len(self.steps) - self.startup) * self.members / self.emitted

    @property
    def calls_per_frame_total(self) -> Fraction:
        """All network calls, the startup included, per frame of the horizon."""
        return Fraction(self.calls, self.horizon)

    @property
    def steps_per_frame(self) -> Fraction:
        """Denoising steps that one emitted frame has seen, on average over the sample."""
        seen, window = Fraction(0), [0] * (self.clean + self.generated)
        for step in self.steps:
            window = [count + (s < t) for count, t, s in zip(window, step.t, step.s, strict=True)]
            seen += sum(window[self.clean : self.clean + step.emit])
            window = window[step.emit :] + [0] * step.emit
        return seen / self.emitted


def check(plan: Plan) -> None:
    """Accept a plan, or raise ValueError naming the step and the rule.

    The rules: continuous, never noisier, every call moves a frame, frames leave clean, and enough of them.
    """
    n, B = plan.clean, plan.generated
    if plan.horizon < 1:
        raise ValueError(f"horizon={plan.horizon}: a plan makes at least one frame; use horizon=1 or more")
    if n < 0 or B < 1 or plan.members < 1:
        raise ValueError(f"clean={n}, generated={B}, members={plan.members}: need clean >= 0, the others >= 1")
    now, remaining = (CLEAN,) * n + (NOISE,) * B, plan.horizon
    for i, step in enumerate(plan.steps):
        if step.t != now:
            raise ValueError(f"step {i} is not continuous: it starts at {_text(step.t)}, the window is at {_text(now)}")
        if len(step.s) != n + B or any(not 0 <= s <= t for s, t in zip(step.s, step.t, strict=False)):
            raise ValueError(f"step {i} makes a frame noisier or leaves [0, 1]: {_text(step.t)} to {_text(step.s)}")
        if step.s == step.t:
            raise ValueError(f"step {i} spends a network call and moves no frame: drop it")
        if not 0 <= step.emit <= B or any(step.s[n : n + step.emit]):
            raise ValueError(
                f"step {i} emits {step.emit} frames of {_text(step.s[n:])}: they must leave clean (time 0)"
            )
        if remaining <= 0:
            raise ValueError(f"step {i} comes after all {plan.horizon} frames are out: drop it")
        now, remaining = step.s[step.emit :] + (NOISE,) * step.emit, remaining - step.emit
    if remaining > 0:
        raise ValueError(f"the steps emit {plan.emitted} frames of {plan.horizon}: add steps for {remaining} more")


def _text(times: Times) -> str:
    return "(" + " ".join(str(t) for t in times) + ")"


def descend(local: LocalTime, clean: int, generated: int, calls: int, emit: int) -> tuple[Step, ...]:
    """`calls` equal steps of the window's time from 1 to 0 along the local times `local`; the last one emits."""
    times = [exact_times(local, Fraction(i, calls), clean, generated) for i in range(calls, -1, -1)]
    pairs = zip(times, times[1:], strict=False)
    return tuple(Step(t, s, emit if i == calls else 0) for i, (t, s) in enumerate(pairs, start=1))


def last_predicted(steps: Sequence[Step]) -> list[tuple[Fraction | None, ...]]:
    """The local time at which each frame of the window was last predicted, before each step; None for a frame that just entered."""
    before: tuple[Fraction | None, ...] = (None,) * len(steps[0].t)
    times: list[tuple[Fraction | None, ...]] = []
    for step in steps:
        times.append(before)
        before = step.t[step.emit :] + (None,) * step.emit
    return times


def spread(calls: Fraction, units: int) -> list[int]:
    """Whole numbers of calls for each of `units` units that cost `calls` each, never running ahead of the sum.

    100/11 calls for 11 slides are 9 ten times and then 10.
    """
    upto = [math.floor(calls * j) for j in range(units + 1)]
    return [b - a for a, b in zip(upto, upto[1:], strict=False)]


def exact_calls(calls_per_frame: float | Fraction | None) -> Fraction:
    """Calls per frame as an exact fraction; a float is read as the nearest one of denominator <= 1000."""
    if calls_per_frame is None or not math.isfinite(calls_per_frame) or calls_per_frame <= 0:
        raise ValueError(
            f"calls_per_frame={calls_per_frame} is not a positive number: it is how many network calls each frame may "
            "cost; try 8, or Fraction(100, 11) for 100 calls per 11 frames"
        )
    exact = Fraction(calls_per_frame)
    return exact.limit_denominator(1000) if isinstance(calls_per_frame, float) else exact


def in_blocks(
    clean: int,
    generated: int,
    horizon: int,
    calls_per_frame: float | Fraction | None,
    block: Callable[[int], tuple[Step, ...]],
) -> Plan:
    """Block after block of `generated` frames; `block` gives the steps of one block for a number of calls."""
    calls = exact_calls(calls_per_frame) * generated
    if calls < 1:
        raise ValueError(
            f"calls_per_frame={calls_per_frame} is {calls} calls for a block of {generated} frames, and each block "
            f"needs at least one: use calls_per_frame=Fraction(1, {generated}) or more"
        )
    cached_block = cache(block)
    steps = tuple(step for each in spread(calls, -(-horizon // generated)) for step in cached_block(each))
    return Plan(clean, generated, horizon, steps)
