"""The cosine log-SNR schedule and the local times, against closed forms and exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rollbench import CosineSchedule
from rollbench.diffusion.times import drawn_times, exact_times, init_clip, init_rescaled, linear, standard

fast = settings(max_examples=40, deadline=None, derandomize=True)
times = st.fractions(0, 1, max_denominator=500)
windows = st.tuples(st.integers(0, 5), st.integers(1, 12))


def closed_form(t: float, low: float = -15.0, high: float = 15.0) -> float:
    a, b = math.atan(math.exp(-high / 2)), math.atan(math.exp(-low / 2))
    return -2 * math.log(math.tan(a + t * (b - a)))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_logsnr_is_the_cosine_schedule(dtype: torch.dtype, tolerance: float) -> None:
    inside = [1e-4, 1e-3, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 0.9999]
    t = torch.tensor(inside, dtype=dtype)
    expected = torch.tensor([closed_form(float(each)) for each in t], dtype=torch.float64)
    assert (CosineSchedule().logsnr(t).double() - expected).abs().max() < tolerance
    assert CosineSchedule().logsnr(torch.tensor(0.5, dtype=torch.float64)).abs() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_end_points_are_hard_and_a_network_never_sees_them(dtype: torch.dtype) -> None:
    schedule = CosineSchedule()
    ends = schedule.logsnr(torch.tensor([0.0, 1.0], dtype=dtype))
    assert ends.tolist() == [math.inf, -math.inf]
    assert schedule.clamp(ends).tolist() == [15.0, -15.0]


@fast
@given(st.floats(0, 1), st.floats(-20, -5), st.floats(5, 20), st.floats(-4, 4))
def test_time_is_the_inverse_and_logsnr_falls(t: float, low: float, high: float, shift: float) -> None:
    schedule = CosineSchedule(low, high, shift)
    here = torch.tensor(t, dtype=torch.float64)
    assert schedule.time(schedule.logsnr(here)).item() == pytest.approx(t, abs=1e-9)
    assert schedule.logsnr(here) >= schedule.logsnr((here + 1e-3).clamp(max=1))


def test_shift_is_added() -> None:
    t, shift = torch.linspace(0.01, 0.99, 9), 2 * math.log(32 / 64)
    assert torch.allclose(CosineSchedule(shift=shift).logsnr(t), CosineSchedule().logsnr(t) + shift)


def test_a_schedule_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="logsnr_min=15 is not below logsnr_max=-15"):
        CosineSchedule(15, -15)
    with pytest.raises(ValueError, match="finite"):
        CosineSchedule(shift=math.nan)


@fast
@given(windows, times)
def test_clip_init_of_t_over_B_is_linear_of_t(window: tuple[int, int], t: Fraction) -> None:
    n, B = window
    assert exact_times(init_clip, t / B, n, B) == exact_times(linear, t, n, B)


@fast
@given(windows)
def test_at_time_zero_the_rolling_times_agree_and_frame_n_is_clean(window: tuple[int, int]) -> None:
    n, B = window
    expected = (Fraction(0),) * n + tuple(Fraction(i, B) for i in range(B))
    for local in (linear, init_clip, init_rescaled):
        assert exact_times(local, Fraction(0), n, B) == expected


@fast
@given(windows)
def test_a_full_slide_moves_the_window_by_one_frame(window: tuple[int, int]) -> None:
    n, B = window
    after, before = exact_times(linear, Fraction(0), n, B), exact_times(linear, Fraction(1), n, B)
    assert before == (*after[1:], Fraction(1))


@fast
@given(windows)
def test_every_method_starts_from_noise_behind_clean_frames(window: tuple[int, int]) -> None:
    n, B = window
    for local in (init_clip, init_rescaled, standard):
        assert exact_times(local, Fraction(1), n, B) == (Fraction(0),) * n + (Fraction(1),) * B


@fast
@given(st.integers(2, 12), times.filter(bool), times)
def test_rescaled_meets_linear_only_at_time_zero(B: int, t: Fraction, other: Fraction) -> None:
    """So training with rescaled alone cannot roll out; Appendix G's claim at t = 1/W is (w + 1)/W - w/W² instead."""
    assert exact_times(init_rescaled, t, 0, B) != exact_times(linear, other, 0, B)
    hold_lease = exact_times(init_rescaled, Fraction(1, B), 0, B)
    assert hold_lease == tuple(Fraction(w + 1, B) - Fraction(w, B**2) for w in range(B))
    assert hold_lease != exact_times(linear, Fraction(1), 0, B)


def test_floating_point_would_move_frames_between_the_sets() -> None:
    """The reason for Fractions: in floats, walking in steps of 1 / T, a noise frame is at 1 - 1e-16: no longer noise."""
    w, i, T = 1, 35, 42
    assert 1 / 6 + i * (1 / T) == 1 - 2**-53
    assert exact_times(init_clip, Fraction(i, T), 0, 6)[w] == 1


@pytest.mark.parametrize("local", [standard, linear, init_clip, init_rescaled])
def test_drawn_times_are_the_exact_ones(local: object) -> None:
    steps = [Fraction(i, 8) for i in range(9)]
    expected = torch.tensor([[float(each) for each in exact_times(local, t, 2, 4)] for t in steps])  # type: ignore[arg-type]
    drawn = drawn_times(local, torch.tensor([float(t) for t in steps]), 2, 4)  # type: ignore[arg-type]
    assert torch.equal(drawn, expected)
