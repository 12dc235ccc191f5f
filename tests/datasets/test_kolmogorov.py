"""Kolmogorov flow as a data set: Table 7, one trajectory the same in any company, bad settings refused before a run."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from evaluators import spectra
from rollbench.datasets.base import Dataset, Generated
from rollbench.datasets.kolmogorov import Kolmogorov
from rollbench.errors import UserError
from rollbench.physics import frames as on_frames
from rollbench.physics.checks import FlowError
from rollbench.physics.initial import LATTICE, filtered_vorticity
from rollbench.physics.spectral import velocity_factors, wavenumbers

SMALL = Kolmogorov(grid=32, frame_grid=16, frames=3, frame_interval=0.1, lanes=4)


def test_the_defaults_are_table_7() -> None:
    data = Kolmogorov()
    assert (data.grid, data.frame_grid, data.frames, data.frame_interval) == (256, 64, 200, 1.5)
    assert (data.viscosity, data.density) == ((5e-4, 5e-3), (0.5, 2.0))
    assert (data.max_velocity, data.cfl, data.max_dt, data.trajectories) == (7.0, 0.5, 0.05, 200_000)
    assert (data.forcing, data.linear_coefficient, data.wavenumber) == (2.5, -0.1, 4)
    assert data.frames * data.frame_interval == pytest.approx(6000 * data.max_dt), "6000 outer steps"
    assert data.frame_shape == (2, 64, 64)


def test_it_is_a_generated_data_set() -> None:
    data: Generated = SMALL
    assert isinstance(data, Generated) and data.kind == "flow" and data.frame_shape[0] == 2
    assert data.describe() == "16×16 frames of a 32×32 flow every 0.1 s"
    assert not isinstance(SMALL.simulate([]), Dataset), "the check tells a data set from other values"


def test_a_scale_caps_sizes_but_leaves_the_frames_that_a_table_needs() -> None:
    data, caps = Kolmogorov(frames=40), {"grid": 64, "frame_grid": 16, "frames": 30}
    assert data.capped(**caps, least=6) == replace(data, grid=64, frame_grid=16, frames=30), "with the spin-up"
    assert data.capped(**caps, least=35).frames == 35
    assert data.capped(**caps, least=99).frames == 40, "never more than there are"
    assert SMALL.capped(grid=256, frame_grid=64, frames=200, least=1) == SMALL, "nothing is larger than it was"


@pytest.mark.parametrize(("grid", "inner"), [(256, 29), (64, 8), (32, 4)])
def test_outer_steps_are_divided_by_the_cfl_factor(grid: int, inner: int) -> None:
    data = Kolmogorov(grid=grid, frame_grid=16)
    assert data.steps_per_frame == 30 * inner
    assert data.dt * data.max_velocity / (2 * np.pi / grid) <= data.cfl
    assert data.dt == pytest.approx(0.05 / inner)


def test_a_trajectory_is_the_same_in_any_company() -> None:
    """Alone, in another order, in another lane, beside a twin, on more threads: bit for bit."""
    together = SMALL.simulate(range(10))
    assert together.frames.dtype == np.float32 and together.frames.shape == (10, 3, 2, 16, 16)
    assert together.ids == tuple(range(10)) and together.clip_ids[7] == "00000007"
    order = [7, 2, 9, 0, 7, 5]
    for other in (SMALL.simulate(order), SMALL.simulate(np.array(order))):
        assert np.array_equal(other.frames, together.frames[order])
        for name in ("viscosity", "density"):
            assert np.array_equal(other.parameters[name], together.parameters[name][order])
    assert np.array_equal(SMALL.simulate([3]).frames[0], together.frames[3])
    torch.set_num_threads(2)
    try:
        assert np.array_equal(SMALL.simulate([3]).frames[0], together.frames[3])
        assert torch.get_num_threads() == 2, "the caller's setting comes back"
    finally:
        torch.set_num_threads(1)


def test_trajectories_differ_and_the_seed_counts() -> None:
    first, second = SMALL.simulate([0, 1]), replace(SMALL, seed=1).simulate([0, 1])
    every = [*first.frames[:, 0], *second.frames[:, 0]]
    assert all(np.abs(a - b).max() > 1 for i, a in enumerate(every) for b in every[:i])
    assert SMALL.simulate([]).frames.shape == (0, 3, 2, 16, 16)


def test_the_global_generators_play_no_part() -> None:
    first = SMALL.simulate([0]).frames
    np.random.seed(5)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert np.array_equal(SMALL.simulate([0]).frames, first)
    assert torch.equal(torch.get_rng_state(), before)


def test_frame_j_is_the_flow_at_j_plus_one_intervals() -> None:
    """Twice the frames at half the interval: every second one is the same, the solver's steps being the same."""
    half = replace(SMALL, frames=6, frame_interval=0.05)
    assert half.dt == SMALL.dt
    assert np.array_equal(half.simulate([0, 1]).frames[:, 1::2], SMALL.simulate([0, 1]).frames)


def test_viscosity_and_density_are_uniform_in_their_ranges() -> None:
    drawn = np.array([Kolmogorov(grid=32, frame_grid=16).draw(i)[:2] for i in range(400)])
    for values, (low, high) in zip(drawn.T, ((5e-4, 5e-3), (0.5, 2.0)), strict=True):
        unit = np.sort((values - low) / (high - low))
        assert unit[0] >= 0 and unit[-1] <= 1
        assert np.abs(unit - (np.arange(400) + 0.5) / 400).max() < 1.63 / np.sqrt(400), "Kolmogorov-Smirnov at 1 %"
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.15


def test_the_initial_field_has_the_law_of_jax_cfd() -> None:
    """Greatest speed exactly 7; per mode, energy is |p(k)/k|^2 times one Gaussian, isotropic, with no mean flow."""
    fields_drawn = [filtered_vorticity(np.random.default_rng([3, i]), LATTICE, 7.0, 3.0) for i in range(200)]
    velocity = np.fft.irfft2(
        np.stack(fields_drawn)[:, None] * velocity_factors(LATTICE), s=(LATTICE, LATTICE), norm="forward"
    )
    assert np.allclose(np.hypot(velocity[:, 0], velocity[:, 1]).max((1, 2)), 7.0, rtol=1e-12)
    assert np.abs(velocity.mean((2, 3))).max() < 1e-12
    share = spectra.energy(velocity).mean(0)[: LATTICE // 2 + 1]
    share /= share.sum()
    theirs = [0.0438, 0.3001, 0.3037, 0.2502, 0.0614, 0.0281, 0.0081]  # jax-cfd 0.2.1, 200 fields on 64 x 64, k = 1..7
    assert np.abs(share[1:8] - theirs).max() < 0.02
    u2, v2 = (velocity**2).mean((0, 2, 3))
    assert u2 == pytest.approx(v2, rel=0.1)
    assert 0.5 * (u2 + v2) == pytest.approx(4.037, abs=0.3), "jax-cfd's mean energy, standard error 0.05"


def test_one_draw_is_the_same_field_on_every_grid() -> None:
    fine, coarse = (filtered_vorticity(np.random.default_rng(1), grid, 7.0, 3.0) for grid in (128, 32))
    kx, ky = wavenumbers(32)
    shared_modes = (kx < 16) & (np.abs(ky) < 16)
    on_coarse = np.concatenate([fine[:16, :17], fine[-16:, :17]])
    assert np.array_equal(coarse[shared_modes], on_coarse[shared_modes])
    assert np.all(coarse[~shared_modes] == 0)


def test_frames_are_divergence_free_and_without_a_mean() -> None:
    frames = SMALL.simulate([0, 1]).frames
    assert np.abs(on_frames.divergence(frames)).max() * 2 * np.pi / 16 < 1e-5 * np.abs(frames).max()
    assert np.abs(frames.mean((-2, -1))).max() < 1e-5


def test_single_precision_follows_double_precision_while_chaos_allows() -> None:
    """After 0.3 s (24 steps) rounding has not grown beyond 1e-4 of the speed."""
    single, double = (replace(SMALL, precision=p).simulate(range(4)).frames for p in ("float32", "float64"))
    assert np.abs(single - double).max() < 1e-4 * np.abs(double).max()


def test_progress_is_told_of_every_frame() -> None:
    seen: list[tuple[int, int]] = []
    SMALL.simulate(range(6), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)], "two groups of lanes, three frames each"


def test_a_run_that_leaves_the_ground_names_its_trajectory() -> None:
    """The flow is driven to 40 m/s where the step was made for 7."""
    data = replace(SMALL, forcing=400.0, frames=20, density=(1.0, 1.0))
    with pytest.raises(
        FlowError, match=r"trajectory (11|12) at t = [\d.]+ s: the CFL number is [\d.]+, allowed 1; take a "
    ):
        data.simulate([11, 12])


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"viscosity": (-1e-3, 5e-3)},
        "viscosity = (-0.001, 0.005) must be 0 <= low <= high; the nearest right choice is (0.0, ",
    ),
    ({"viscosity": (5e-3, 5e-4)}, "viscosity = (0.005, 0.0005) must be"),
    ({"density": (0.0, 2.0)}, "density = (0.0, 2.0) must be 0 < low <= high"),
    ({"density": (0.5, float("inf"))}, "density = (0.5, inf) must be"),
    (
        {"grid": 32},
        "frame_grid = 64 must be even and divide the simulation's grid of 32; the nearest right choice is 32",
    ),
    (
        {"grid": 64, "frame_grid": 24},
        "frame_grid = 24 must be even and divide the simulation's grid of 64; the nearest",
    ),
    ({"grid": 33}, "grid = 33 must be even and exceed 3 * wavenumber = 12"),
    ({"grid": 64, "wavenumber": 30}, "grid = 64 must be even and exceed 3 * wavenumber = 90, or it cannot carry"),
    ({"frames": 0}, "frames = 0 must be a whole number of at least 1; the nearest right choice is 1"),
    ({"frames": 2.5}, "frames = 2.5 must be a whole number"),
    ({"cfl": 1.5}, "cfl = 1.5 must not exceed 1, or a step crosses more than a cell; the nearest right choice is 1.0"),
    ({"cfl": float("nan")}, "cfl = nan must be positive and finite; the nearest right choice is 0.5"),
    ({"max_dt": 0.0}, "max_dt = 0.0 must be positive"),
    ({"linear_coefficient": 0.1}, "linear_coefficient = 0.1 must be a drag, not positive"),
    ({"cutoff_damping": -1.0}, "cutoff_damping = -1.0 must be finite and not negative; the nearest right choice is 0"),
    (
        {"precision": "float16"},
        "precision = 'float16' must be float32 or float64; the nearest right choice is 'float32'",
    ),
    ({"lanes": 0}, "lanes = 0 must be a whole number"),
    ({"seed": -1}, "seed = -1 must be"),
]


@pytest.mark.parametrize(("setting", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_bad_settings_are_refused_in_one_line(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as refusal:
        Kolmogorov(**setting)
    assert "\n" not in str(refusal.value) and "the nearest right choice is" in str(refusal.value)


def test_every_number_of_the_data_is_a_field() -> None:
    """What a trajectory depends on is in the value, so that the key of its content is too."""
    changes: dict[str, Any] = {
        "seed": 1, "viscosity": (1e-3, 1e-3), "density": (1.0, 1.0), "max_velocity": 6.0, "cfl": 0.3, "max_dt": 0.01,
        "forcing": 2.0, "wavenumber": 3, "linear_coefficient": 0.0, "peak_wavenumber": 4.0, "cutoff_damping": 0.1,
        "precision": "float64", "frame_interval": 0.2, "frames": 2, "grid": 64, "frame_grid": 8,
    }  # fmt: skip
    assert {f.name for f in fields(Kolmogorov)} == set(changes) | {"trajectories", "lanes"}
    reference = SMALL.simulate([0]).frames
    for name, value in changes.items():
        other = replace(SMALL, **{name: value}).simulate([0]).frames
        assert other.shape != reference.shape or not np.array_equal(other, reference), name
