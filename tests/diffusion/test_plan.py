"""Plans of every method, replayed by an independent simulation of the window, and their cost against the paper's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollbench import DiffusionForcing, Ensemble, Regression, Rolling, Standard
from rollbench.config.sampling import Sampling
from rollbench.diffusion.plan import Plan, Step, descend, exact_calls, spread
from rollbench.diffusion.times import linear, standard
from rollbench.errors import UserError
from rollbench.methods import Method

thorough = settings(max_examples=120, deadline=None, derandomize=True)
fast = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def methods(draw: st.DrawFn) -> Method:
    n, B = draw(st.integers(0, 4)), draw(st.integers(1, 8))
    return draw(
        st.sampled_from(
            [
                Standard(n, B),
                Rolling(n, B, init="clip"),
                Rolling(n, B, init="rescaled"),
                Rolling(n, B, init="rescaled", init_calls=draw(st.integers(1, 20))),
                Regression(n, B),
                DiffusionForcing(n, B, delay=draw(st.integers(0, B))),
                Ensemble(Rolling(n, B), members=3),
            ]
        )
    )


def replay(steps: Sequence[Step], clean: int, generated: int) -> int:
    """Follow the steps frame by frame; assert the contract; return the number of frames that left."""
    window, out = [Fraction(0)] * clean + [Fraction(1)] * generated, 0
    for step in steps:
        assert list(step.t) == window, "continuous"
        assert all(0 <= s <= t <= 1 for s, t in zip(step.s, step.t, strict=True)), "never noisier"
        assert step.s != step.t, "no idle call"
        window, out = list(step.s), out + step.emit
        for _ in range(step.emit):
            assert window[clean] == 0, "leaves clean"
            window = [*window[1:], Fraction(1)]
    return out


@thorough
@given(methods(), st.integers(1, 30), st.fractions(1, 12, max_denominator=20))
def test_every_plan_keeps_the_contract(method: Method, horizon: int, calls: Fraction) -> None:
    plan = method.plan(horizon, calls)
    out = replay(plan.steps, method.clean, method.generated)
    assert out - plan.steps[-1].emit < horizon <= out == plan.emitted
    assert plan.calls == len(plan.steps) * method.members
    assert plan.calls_per_frame_total == Fraction(plan.calls, horizon)


@thorough
@given(methods(), st.integers(1, 40), st.fractions(1, 12, max_denominator=20))
def test_no_plan_costs_more_than_asked(method: Method, horizon: int, calls: Fraction) -> None:
    """The steady cost is the request but for rounding down; only a forced init phase could exceed it."""
    plan = method.plan(horizon, calls)
    if isinstance(method, Regression):
        assert plan.calls_per_frame == Fraction(1, method.generated)
        return
    asked = calls * method.members
    assert plan.calls_per_frame <= asked
    assert asked - plan.calls_per_frame < Fraction(method.members, plan.emitted)


@fast
@given(methods(), st.integers(2, 30), st.integers(0, 300))
def test_equal_total_calls_are_met_from_below(method: Method, horizon: int, more: int) -> None:
    """The other accounting: the startup included, so that all methods can be given the same number of calls in all."""
    total = method.plan(horizon, 1).calls + more
    plan = method.plan(horizon, method.calls_per_frame_for(horizon, total))
    if isinstance(method, Regression):
        assert plan.calls <= total
    else:
        assert 0 <= total - plan.calls < 2 * method.members


@pytest.mark.parametrize("method", [Standard(5, 11), Rolling(5, 11, init="clip"), Ensemble(Rolling(2, 4), 3)])
def test_a_sample_costs_what_the_accounting_says(method: Method) -> None:
    steady, total = (Sampling(horizon=19, calls_per_frame="100/11", accounting=a) for a in ("steady", "total"))
    assert steady.calls_of(method) == Fraction(100, 11)
    budget = 172 * method.members  # 19 · 100 / 11, rounded down
    plan = method.plan(19, total.calls_of(method))
    assert budget - 2 * method.members < plan.calls <= budget
    assert method.plan(19, steady.calls_of(method)).calls > budget
    with pytest.raises(UserError, match="unknown accounting 'all'.*'total'"):
        Sampling(accounting="all")  # type: ignore[arg-type]


def test_a_total_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="calls=0: too few for 4 frames"):
        Standard(2, 2).calls_per_frame_for(4, 0)
    with pytest.raises(ValueError, match="calls=1: too few for 4 frames"):
        Regression(2, 2).calls_per_frame_for(4, 1)


def test_one_hundred_steps_per_eleven_frames() -> None:
    """Kinetics-600 as the paper counts: 100 sampling steps per 11 frames."""
    k = Fraction(100, 11)
    block = Standard(5, 11).plan(11, k)
    assert block.calls == 100 and block.calls_per_frame == k and block.steps_per_frame == 100

    assert [plan.calls for plan in (Standard(8, 8).plan(8, k), Standard(8, 8).plan(88, k))] == [72, 800]
    assert [Standard(15, 1).plan(frames, k).calls for frames in (1, 11)] == [9, 100]

    rolling = Rolling(5, 11).plan(12, k)
    emissions = [i + 1 for i, step in enumerate(rolling.steps) if step.emit]
    assert emissions[0] == 100, "the init phase: k · B calls"
    assert [b - a for a, b in zip(emissions, emissions[1:], strict=False)] == [9] * 10 + [10]
    assert rolling.calls == 200 and rolling.calls_per_frame == k
    assert rolling.startup == 100 - k and rolling.calls_per_frame_total == Fraction(200, 12)


@pytest.mark.parametrize("B, k", [(1, 4), (6, 4), (8, 2), (11, 3)])
def test_what_a_frame_sees_and_what_filling_the_window_costs(B: int, k: int) -> None:
    rolling, block = Rolling(2, B).plan(40, k), Standard(2, B).plan(5 * B, k)
    assert rolling.steps_per_frame == k * B and block.steps_per_frame == k * B
    assert rolling.startup == (B - 1) * k and block.startup == 0
    assert rolling.calls == 40 * k + (B - 1) * k and block.calls == 5 * B * k


def test_a_fixed_length_clip_is_one_init_phase_and_the_slides() -> None:
    """BAIR, 1 -> 15: what remains of the window is discarded."""
    plan = Rolling(1, 15).plan(15, 4)
    assert [step.emit for step in plan.steps if step.emit] == [1] * 15 and plan.emitted == 15
    assert plan.calls == 4 * 15 + 14 * 4


def test_an_ensemble_pays_for_its_members() -> None:
    one, ten = Rolling(2, 8).plan(48, 4), Ensemble(Rolling(2, 8), members=10).plan(48, 4)
    assert ten.calls == 10 * one.calls and ten.calls_per_frame == 40
    assert ten.calls_per_frame_total == 10 * one.calls_per_frame_total


def test_a_last_block_is_cut_off_but_paid_for() -> None:
    plan = Standard(2, 8).plan(9, 4)
    assert plan.emitted == 16 and plan.calls == 64
    assert plan.calls_per_frame == 4 and plan.calls_per_frame_total == Fraction(64, 9)


def test_diffusion_forcing_spans_from_a_block_at_once_to_frame_by_frame() -> None:
    assert DiffusionForcing(2, 4, delay=0).plan(8, 5) == Standard(2, 4).plan(8, 5)
    steps = DiffusionForcing(2, 4, delay=4).plan(4, 5).steps
    moving = [[w for w, (t, s) in enumerate(zip(step.t, step.s, strict=True)) if s < t] for step in steps]
    assert moving == [[2]] * 5 + [[3]] * 5 + [[4]] * 5 + [[5]] * 5
    staggered = DiffusionForcing(1, 4, delay=1).plan(4, 7).steps  # 28 calls take τ from 1 to -3/4
    assert staggered[12].t == (0, *(Fraction(quarter, 4) for quarter in (1, 2, 3, 4)))
    assert staggered[20].t == (0, 0, *(Fraction(quarter, 4) for quarter in (0, 1, 2)))


@fast
@given(st.fractions(1, 20, max_denominator=50), st.integers(0, 60))
def test_spread_never_runs_ahead_and_is_even(calls: Fraction, units: int) -> None:
    parts, upto = spread(calls, units), Fraction(0)
    for i, part in enumerate(parts, start=1):
        upto += part
        assert 0 <= calls * i - upto < 1
    assert max(parts, default=1) - min(parts, default=1) <= 1


def test_calls_per_frame_is_read_exactly() -> None:
    assert exact_calls(100 / 11) == Fraction(100, 11) and exact_calls(8) == 8
    for wrong in (None, 0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="is not a positive number"):
            exact_calls(wrong)


GOOD = Plan(1, 2, 2, descend(standard, 1, 2, 3, emit=2))
FAULTS = {
    "not continuous": (GOOD.steps[0], GOOD.steps[2]),
    "noisier": (GOOD.steps[0], Step(GOOD.steps[0].s, GOOD.steps[0].t)),
    "moves no frame": (Step(GOOD.steps[0].t, GOOD.steps[0].t), *GOOD.steps),
    "must leave clean": (replace(GOOD.steps[0], emit=1), *GOOD.steps[1:]),
    "emit 0 frames of 2": GOOD.steps[:2],
    "comes after all 2 frames": (*GOOD.steps, *GOOD.steps),
    "leaves \\[0, 1\\]": (Step(GOOD.steps[0].t, (Fraction(0), Fraction(-1), Fraction(0)), 2),),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_the_checker_refuses_a_planted_fault(rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Plan(1, 2, 2, FAULTS[rule])


def test_the_checker_refuses_the_classic_mistakes_of_rolling() -> None:
    """A slide that starts where the window is not, an init phase that noises the context, a frame that leaves early."""
    start = Rolling(1, 3).plan(1, 2).steps
    slide = descend(linear, 1, 3, 2, emit=1)
    assert Plan(1, 3, 2, (*start, *slide)).emitted == 2
    with pytest.raises(ValueError, match="not continuous"):
        Plan(1, 3, 2, (*start, *slide[1:]))
    with pytest.raises(ValueError, match="not continuous"):
        Plan(1, 3, 1, descend(lambda w, t, n, B: max(w - n + B * t, 0 * t) / B, 1, 3, 6, emit=1))
    with pytest.raises(ValueError, match="must leave clean"):
        Plan(1, 3, 2, (*start[:-1], replace(start[-1], emit=2)))


@pytest.mark.parametrize("horizon", [0, -3])
@pytest.mark.parametrize("method", [Standard(1, 2), Rolling(1, 2), Regression(1, 2), DiffusionForcing(1, 2)])
def test_a_horizon_without_frames_is_refused(method: Method, horizon: int) -> None:
    with pytest.raises(ValueError, match=f"horizon={horizon}"):
        method.plan(horizon, 4)


def test_fewer_calls_than_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="each slide needs at least one call; use 1 or more"):
        Rolling(2, 8).plan(4, Fraction(1, 2))
    assert Standard(2, 8).plan(8, Fraction(1, 2)).calls == 4
    with pytest.raises(ValueError, match="at least one"):
        Standard(2, 8).plan(8, Fraction(1, 9))
