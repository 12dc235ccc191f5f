"""Kolmogorov flow: two-dimensional turbulence stirred by a sine, the paper's Table 7 (simulated there by jax-cfd).

A trajectory starts from filtered noise and is stored every `frame_interval` seconds, the first time one interval after the start (so frame j is at
(j + 1) * frame_interval), as face means on `frame_grid`^2 cells (see `physics.frames`): one definition for every ratio of
grid to frame. Its viscosity, density and initial field come from a generator seeded by (seed, id), so a trajectory is the same whoever
simulates it, with whatever others.

Readings where the table is silent. "Max dt 0.05" is the outer step; the solver divides it into the fewest equal steps that
keep max_velocity within the CFL factor (29 at 256^2, 8 at 64^2, 4 at 32^2). Density divides viscosity, forcing and drag, as
in jax-cfd. `filter_rate` is ours: the damping at a coarse grid's cut-off (see `physics.flow`); 0 turns it off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rollbench.datasets.base import Simulated


@dataclass(frozen=True)
class Kolmogorov:
    """Table 7. Lengths in the square's side / 2 pi, times in s, velocities in m/s.

    trajectories: how many the data set has. viscosity, density: the ranges (low, high) they are drawn from, uniformly.
    forcing, wavenumber: F and m of the body force F sin(m y) ex. linear_coefficient: c of the force c u, negative: drag.
    lanes: how many trajectories are integrated side by side; a short batch is filled up, so it costs as much as a full one.
    """

    trajectories: int = 200_000
    grid: int = 256
    frame_grid: int = 64
    frames: int = 200
    frame_interval: float = 1.5
    viscosity: tuple[float, float] = (5e-4, 5e-3)
    density: tuple[float, float] = (0.5, 2.0)
    max_velocity: float = 7.0
    cfl: float = 0.5
    max_dt: float = 0.05
    forcing: float = 2.5
    wavenumber: int = 4
    linear_coefficient: float = -0.1
    peak_wavenumber: float = 3.0
    filter_rate: float = 8.0
    precision: Literal["float32", "float64"] = "float32"
    lanes: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("trajectories", "frames", "lanes", "wavenumber"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "must be at least 1", 1)
        for name in ("frame_interval", "max_velocity", "cfl", "max_dt", "peak_wavenumber"):
            require(name, getattr(self, name), getattr(self, name) > 0, "must be positive", type(self).__dict__[name])
        for name in ("forcing", "filter_rate", "seed"):
            require(name, getattr(self, name), getattr(self, name) >= 0, "must not be negative", 0)
        require("cfl", self.cfl, self.cfl <= 1, "must not exceed 1: a step may not cross more than a cell", 0.5)
        require(
            "linear_coefficient",
            self.linear_coefficient,
            self.linear_coefficient <= 0,
            "must not be positive: it is a drag",
            -0.1,
        )
        require(
            "viscosity",
            self.viscosity,
            0 <= self.viscosity[0] <= self.viscosity[1],
            "must be 0 <= low <= high",
            (5e-4, 5e-3),
        )
        require("density", self.density, 0 < self.density[0] <= self.density[1], "must be 0 < low <= high", (0.5, 2.0))
        require(
            "precision",
            self.precision,
            self.precision in ("float32", "float64"),
            "must be float32 or float64",
            "float32",
        )
        self._check_grids()

    def _check_grids(self) -> None:
        even = max(8, self.grid + self.grid % 2)
        require("grid", self.grid, self.grid == even, "must be even and at least 8", even)
        needed = 3 * self.wavenumber + 2 - self.wavenumber % 2
        require(
            "grid",
            self.grid,
            self.grid > 3 * self.wavenumber,
            f"must resolve the forcing, grid > 3 * {self.wavenumber}",
            needed,
        )
        fitting = [n for n in range(2, self.grid + 1) if self.grid % n == 0]
        nearest = min(fitting, key=lambda n: abs(n - self.frame_grid))
        require(
            "frame_grid", self.frame_grid, self.frame_grid in fitting, f"must divide the grid of {self.grid}", nearest
        )

    @property
    def channels(self) -> int:
        return 2

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (self.channels, self.frame_grid, self.frame_grid)

    @property
    def steps_per_frame(self) -> int:
        """Solver steps between two frames: outer steps of at most max_dt, each of the fewest steps within the CFL factor."""
        outer = at_least(self.frame_interval / self.max_dt)
        courant = self.cfl * (2 * math.pi / self.grid) / self.max_velocity
        return outer * at_least(self.frame_interval / outer / courant)

    @property
    def step(self) -> float:
        """The solver's time step, s."""
        return self.frame_interval / self.steps_per_frame

    def simulate(
        self, ids: Sequence[int], *, device: str = "cpu", progress: Callable[[int, int], None] | None = None
    ) -> Simulated:
        """The trajectories with these ids, bit for bit the same in any company.

        progress(done, total) is called after each frame of each group of lanes. Raises FlowError if a run leaves the ground.
        """
        ids = [int(i) for i in ids]
        frames = np.empty((len(ids), self.frames, *self.frame_shape), np.float32)
        parameters = np.empty((len(ids), 2))
        starts = range(0, len(ids), self.lanes)
        with one_thread():
            for group, start in enumerate(starts):
                members = ids[start : start + self.lanes]
                rows = slice(start, start + len(members))
                advance = (
                    None
                    if progress is None
                    else lambda j, g=group: progress(g * self.frames + j, len(starts) * self.frames)
                )
                frames[rows], parameters[rows] = self._group(members, device, advance)
        return Simulated(tuple(ids), frames, {"viscosity": parameters[:, 0], "density": parameters[:, 1]})

    def _group(
        self, members: list[int], device: str, advance: Callable[[int], None] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames and (viscosity, density) of at most `lanes` trajectories; empty lanes repeat the last one."""
        import torch

        from rollbench.physics.checks import check
        from rollbench.physics.flow import Flow

        lanes = members + members[-1:] * (self.lanes - len(members))
        viscosity, density, vorticity = (np.stack(drawn) for drawn in zip(*map(self.draw, lanes), strict=True))
        precision = getattr(torch, self.precision)
        flow = Flow(
            viscosity,
            density,
            grid=self.grid,
            step=self.step,
            forcing=self.forcing,
            wavenumber=self.wavenumber,
            linear_coefficient=self.linear_coefficient,
            filter_rate=self.filter_rate,
            precision=precision,
            device=device,
        )
        frames = np.empty((len(members), self.frames, *self.frame_shape), np.float32)
        with torch.inference_mode():
            w = flow.state(vorticity)
            for j in range(self.frames):
                for _ in range(self.steps_per_frame):
                    w = flow.step(w)
                frame = flow.faces(w, self.frame_grid)
                check(flow.velocity(w), frame, flow.dt, lanes, (j + 1) * self.frame_interval)
                frames[:, j] = frame[: len(members)].cpu().numpy()
                if advance is not None:
                    advance(j + 1)
        return frames, np.stack([viscosity, density], axis=1)[: len(members)]

    def draw(self, trajectory: int) -> tuple[float, float, np.ndarray]:
        """Viscosity, density and initial vorticity spectrum of a trajectory, from the generator seeded by (seed, id)."""
        from rollbench.physics.initial import filtered_vorticity

        rng = np.random.default_rng([self.seed, trajectory])
        viscosity, density = rng.uniform(*self.viscosity), rng.uniform(*self.density)
        return viscosity, density, filtered_vorticity(rng, self.grid, self.max_velocity, self.peak_wavenumber)


def at_least(count: float) -> int:
    """The smallest whole number >= count, forgiving the rounding of a quotient such as 1.5 / 0.05."""
    return max(1, math.ceil(count - 1e-9))


def require(name: str, value: object, holds: bool, rule: str, nearest: object) -> None:
    if not holds:
        raise ValueError(f"{name}={value!r} {rule}; the nearest right choice is {nearest!r}")


@contextmanager
def one_thread():
    """torch on one thread: the split of a batch over threads could move the last bit, and small transforms gain nothing."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
