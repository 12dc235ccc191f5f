"""The flow solver against closed forms and exact laws: transport, conservation, order, stability, frames, checks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from evaluators import spectra
from rollbench.physics import frames as on_frames
from rollbench.physics.checks import FlowError, check
from rollbench.physics.flow import Flow
from rollbench.physics.initial import filtered_vorticity
from rollbench.physics.spectral import resized, velocity_factors

KOLMOGOROV: dict[str, Any] = {"forcing": 2.5, "wavenumber": 4, "linear_coefficient": -0.1}


def points(grid: int) -> tuple[np.ndarray, np.ndarray]:
    """x [1, grid] and y [grid, 1]."""
    x = 2 * np.pi * np.arange(grid) / grid
    return x[None, :], x[:, None]


def spectrum(field: np.ndarray) -> np.ndarray:
    return np.fft.rfft2(field, norm="forward")


def random_vorticity(count: int, grid: int, seed: int = 0) -> np.ndarray:
    return np.stack([filtered_vorticity(np.random.default_rng([seed, i]), grid, 7.0, 3.0) for i in range(count)])


# Closed forms


def test_taylor_green_vortices_decay_as_they_must() -> None:
    """w = 2 cos kx cos ky is a steady solution of Euler's equation, so viscosity alone acts: exp(-2 k^2 (mu/rho) t)."""
    x, y = points(32)
    mu, rho, k, dt = np.array([0.05, 0.02]), np.array([1.0, 0.5]), np.array([1, 3]), 0.01
    start = np.stack([2 * np.cos(m * x) * np.cos(m * y) for m in k])
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 5e-5)):
        flow = Flow(mu, rho, grid=32, dt=dt, dtype=dtype)
        w = flow.state(spectrum(start))
        for _ in range(200):
            w = flow.step(w)
        expected = start * np.exp(-2 * k**2 * mu / rho * 200 * dt)[:, None, None]
        assert np.abs(flow.field(w).numpy() - expected).max() < tolerance * np.abs(expected).max()


def test_forcing_from_rest_gives_the_laminar_profile() -> None:
    """u = F/rho (1 - exp(-L t))/L sin(m y) with L = (mu m^2 - c)/rho: density divides viscosity, forcing and drag."""
    mu, rho, dt = np.array([0.1, 0.005, 0.0]), np.array([2.0, 0.5, 1.0]), 0.1
    flow = Flow(mu, rho, grid=32, dt=dt, **KOLMOGOROV)
    w = flow.state(np.zeros((3, 32, 17)))
    for _ in range(10):
        w = flow.step(w)
    rate = (mu * 16 + 0.1) / rho
    speed = 2.5 / rho * (1 - np.exp(-rate * 10 * dt)) / rate
    u, v = flow.velocity(w).numpy()
    assert np.abs(u - speed[:, None, None] * np.sin(4 * points(32)[1])).max() < 1e-12
    assert np.abs(v).max() < 1e-12


def test_forcing_without_any_damping_grows_linearly() -> None:
    flow = Flow([0.0], [1.0], grid=16, dt=0.5, forcing=2.5, wavenumber=2)
    u, _ = flow.velocity(flow.step(flow.state(np.zeros((1, 16, 9)))))
    assert np.abs(u.numpy() - 0.5 * 2.5 * np.sin(2 * points(16)[1])).max() < 1e-12


def test_nonlinear_term_is_the_transport_of_vorticity() -> None:
    """N = -(u dw/dx + v dw/dy), computed here point by point on a grid of twice the size, where no product is aliased."""
    w = random_vorticity(1, 32)[0]
    flow = Flow([0.0], [1.0], grid=32, dt=1.0)
    ours = flow.tendency(flow.state(w[None]))[0].numpy()

    fine = resized(w * flow.kept, 64)
    kx, ky = np.arange(33)[None, :], np.fft.fftfreq(64, 1 / 64)[:, None]
    u, v, wx, wy = np.fft.irfft2(
        np.stack([*(velocity_factors(64) * fine), 1j * kx * fine, 1j * ky * fine]), s=(64, 64), norm="forward"
    )
    truth = (resized(spectrum(-(u * wx + v * wy)), 32) * flow.kept)[:, :11]
    assert np.abs(ours - truth).max() < 1e-12 * np.abs(truth).max()


# Exact laws


def test_nonlinear_term_conserves_energy_and_enstrophy() -> None:
    """Both inner products <psi, N> and <w, N> vanish: the truncated equation keeps these two of Euler's invariants."""
    flow = Flow([0.0] * 4, [1.0] * 4, grid=48, dt=1.0)
    psi_over_w = 1 / np.maximum(np.arange(16) ** 2 + np.fft.fftfreq(48, 1 / 48)[:, None] ** 2, 1)
    twice = np.where(np.arange(16) == 0, 1, 2)
    w = flow.state(random_vorticity(4, 48))
    for weight in (psi_over_w, np.ones_like(psi_over_w)):
        terms = (w.conj() * flow.tendency(w)).real.numpy() * weight * twice
        assert np.all(np.abs(terms.sum((-2, -1))) < 1e-13 * np.abs(terms).sum((-2, -1)))


def test_step_is_second_order_in_dt() -> None:
    """Halving dt divides the error at t = 0.4 by four, with forcing, drag, viscosity and filter at work."""

    def end(steps: int) -> torch.Tensor:
        flow = Flow([2e-3] * 4, [1.0, 0.5, 2.0, 1.5], grid=32, dt=0.4 / steps, filter_rate=4.0, **KOLMOGOROV)
        w = flow.state(random_vorticity(4, 32))
        for _ in range(steps):
            w = flow.step(w)
        return w

    truth = end(1280)
    errors = [(end(steps) - truth).abs().square().sum().sqrt().item() for steps in (40, 80, 160)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert np.all(np.abs(orders - 2) < 0.1), f"orders {orders} of errors {errors}"


def test_step_is_stable_for_waves_carried_by_a_fast_flow() -> None:
    """A weak wave next to the cut-off on a steady jet of CFL 0.5: the plain midpoint rule multiplies it by 57 in 50 steps."""
    grid, speed = 32, 7.0
    dt = 0.5 * 2 * np.pi / grid / speed
    x, y = points(grid)
    flow = Flow([0.0], [1.0], grid=grid, dt=dt)
    w = flow.state(spectrum(-speed * np.cos(y) + 1e-6 * np.cos(10 * x))[None])
    sizes = []
    for _ in range(200):
        sizes.append(torch.linalg.vector_norm(w[0, :, 10]).item())
        w = flow.step(w)
    assert max(sizes) <= sizes[0] * (1 + 1e-6)


# Frames


def test_frames_hold_the_means_over_faces() -> None:
    """Against a quadrature over the faces of a random flow sampled finely."""
    grid, n, fine = 32, 8, 1024
    w = random_vorticity(1, grid)
    flow = Flow([1e-3], [1.0], grid=grid, dt=0.01)
    frame = flow.faces(flow.state(w), n)[0].numpy()
    u, v = np.fft.irfft2(
        resized(np.pad(flow.state(w)[0].numpy(), ((0, 0), (0, 6))), fine) * velocity_factors(fine),
        s=(fine, fine),
        norm="forward",
    )
    side = fine // n

    def along_faces(through: np.ndarray) -> np.ndarray:
        """through[face, along the face]: the trapezoidal rule from corner to corner."""
        lines = np.roll(through, -side, axis=0)[::side]
        closed = np.concatenate([lines, lines[:, :1]], axis=1)
        trapezoids = (closed[:, 1:] + closed[:, :-1]) / 2
        return trapezoids.reshape(n, n, side).mean(-1)

    assert np.abs(frame[0] - along_faces(u.T).T).max() < 1e-4
    assert np.abs(frame[1] - along_faces(v)).max() < 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_frames_are_divergence_free_at_every_ratio(dtype: torch.dtype, tolerance: float) -> None:
    flow = Flow([1e-3] * 3, [1.0] * 3, grid=64, dt=0.005, dtype=dtype, **KOLMOGOROV)
    w = flow.step(flow.state(random_vorticity(3, 64)))
    for n in (64, 32, 16, 8):
        frame = flow.faces(w, n).numpy()
        outflow = np.abs(on_frames.divergence(frame)).max() * 2 * np.pi / n
        assert outflow < tolerance * np.abs(frame).max(), f"{n} x {n}"


def test_vorticity_of_a_frame_is_exact_below_its_nyquist_wave_number() -> None:
    w = resized(resized(random_vorticity(2, 64)[0], 16), 64)[None]
    flow = Flow([1e-3], [1.0], grid=64, dt=0.01)
    frame = flow.faces(flow.state(w), 16).numpy()
    centres = flow.field(flow.state(w)).numpy()[:, 2::4, 2::4]
    assert np.abs(on_frames.vorticity(frame) - centres).max() < 1e-12 * np.abs(centres).max()


def test_the_energy_of_frames_is_that_of_their_spectrum() -> None:
    frame = np.random.default_rng(0).standard_normal((5, 2, 16, 16))
    assert np.allclose(spectra.energy(frame).sum(-1), on_frames.energy(frame), rtol=1e-12)
    x, _ = points(16)
    wave = np.stack([np.zeros((16, 16)), np.cos(3 * x) * np.ones((16, 1))])
    assert np.allclose(spectra.energy(wave)[:9], 0.25 * (np.arange(9) == 3))


# Checks


def test_a_run_that_goes_wrong_stops_and_says_which_and_when() -> None:
    """Too long a step for one of three trajectories: the CFL number names it, or infinities do once it has blown up."""
    w = random_vorticity(3, 32)
    w[1] *= 2.5
    flow = Flow([1e-3] * 3, [1.0] * 3, grid=32, dt=0.0125, **KOLMOGOROV)
    with pytest.raises(FlowError, match=r"trajectory 107 at t = 0\.0125 s: the CFL number is 1\.\d+, allowed 1; take"):
        list(flow.trajectory(flow.state(w), frames=3, steps=1, frame_grid=16, ids=[5, 107, 9]))
    w[1] *= 1e4
    with pytest.raises(
        FlowError, match=r"trajectory 1 at t = 0\.5 s: the number of speeds that are not finite is 1024, allowed 0"
    ):
        list(flow.trajectory(flow.state(w), frames=3, steps=40, frame_grid=16))


def test_a_frame_that_leaks_is_refused() -> None:
    flow = Flow([1e-3] * 2, [1.0] * 2, grid=32, dt=0.01)
    w = flow.state(random_vorticity(2, 32))
    velocity, frame = flow.velocity(w), flow.faces(w, 16).clone()
    check(velocity, frame, 0.001, [3, 4], 1.5)
    frame[1, 0, 5, 5] += 1e-2
    with pytest.raises(FlowError, match=r"trajectory 4 at t = 1.5 s: the net outflow of a cell") as caught:
        check(velocity, frame, 0.001, [3, 4], 1.5)
    same = copy.copy(caught.value)  # by way of __reduce__, as between processes
    assert str(same) == str(caught.value) and (same.trajectory, same.time) == (4, 1.5)
