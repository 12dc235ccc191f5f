"""Kolmogorov flow, turbulence in two dimensions stirred by a sine: the paper's Table 7, simulated there by jax-cfd.

A trajectory starts from filtered noise. Frame j is the flow at (j + 1) * frame_interval, stored as means over the faces of
frame_grid^2 cells (`physics.frames`): one definition for every ratio of grid to frame. Viscosity, density and initial field
come from a generator seeded by (seed, id), and trajectories are integrated in groups of a fixed number of lanes: a trajectory
has the same bits whoever simulates it, with whatever others, on one kind of machine.

Readings where the table is silent. "Max dt 0.05" is an outer step: the solver divides it into the fewest equal steps that
keep max_velocity within the CFL factor (29 at 256^2, 8 at 64^2, 4 at 32^2). Density divides viscosity, forcing and drag, as
in jax-cfd. cutoff_damping is ours: the filter's rate in `physics.flow` is cutoff_damping * max_velocity * K, so that it acts
within a turn of the smallest eddies on every grid.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rollbench.datasets.base import Simulated
from rollbench.errors import UserError

Drawn = tuple[float, float, NDArray[np.complex128]]  # viscosity, density, initial vorticity


@dataclass(frozen=True)
class Kolmogorov:
    """Table 7, and what it leaves open. The square has the side 2 pi; s, m/s.

    trajectories: how many the data set has. viscosity, density: ranges (low, high), drawn from uniformly.
    forcing, wavenumber: F and m of the body force F sin(m y) ex. linear_coefficient: c of the force c u, a drag.
    precision: of the solver; frames are float32. lanes: trajectories integrated side by side; a shorter batch is filled
    up and costs as much as a full one.
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
    cutoff_damping: float = 0.05
    precision: Literal["float32", "float64"] = "float32"
    lanes: int = 16
    seed: int = 0

    kind: ClassVar[str] = "flow"

    def __post_init__(self) -> None:
        for name in ("trajectories", "grid", "frame_grid", "frames", "wavenumber", "lanes"):
            value = getattr(self, name)
            did_you_mean = 1 if isinstance(value, int) else getattr(Kolmogorov, name)
            self._require(
                name, isinstance(value, int) and value >= 1, "must be a whole number of at least 1", did_you_mean
            )
        for name in ("frame_interval", "max_velocity", "cfl", "max_dt", "peak_wavenumber"):
            positive = 0 < getattr(self, name) < math.inf
            self._require(name, positive, "must be positive and finite", getattr(Kolmogorov, name))
        for name in ("forcing", "cutoff_damping", "seed"):
            self._require(name, 0 <= getattr(self, name) < math.inf, "must be finite and not negative", 0)
        self._require("cfl", self.cfl <= 1, "must not exceed 1, or a step crosses more than a cell", 1.0)
        self._require(
            "linear_coefficient", -math.inf < self.linear_coefficient <= 0, "must be a drag, not positive", 0.0
        )
        low, high = self.viscosity
        self._require(
            "viscosity", 0 <= low <= high < math.inf, "must be 0 <= low <= high", (max(0.0, low), max(0.0, low, high))
        )
        low, high = self.density
        self._require("density", 0 < low <= high < math.inf, "must be 0 < low <= high", Kolmogorov.density)
        self._require("precision", self.precision in ("float32", "float64"), "must be float32 or float64", "float32")
        self._check_grids()

    def _check_grids(self) -> None:
        smallest = 2 * (3 * self.wavenumber // 2 + 1)
        rule = f"must be even and exceed 3 * wavenumber = {3 * self.wavenumber}, or it cannot carry the forcing"
        did_you_mean = max(smallest, self.grid + self.grid % 2)
        self._require("grid", self.grid == did_you_mean, rule, did_you_mean)
        fitting = [n for n in range(2, self.grid + 1, 2) if self.grid % n == 0]
        rule = f"must be even and divide the simulation's grid of {self.grid}"
        self._require(
            "frame_grid", self.frame_grid in fitting, rule, min(fitting, key=lambda n: abs(n - self.frame_grid))
        )

    def _require(self, name: str, holds: bool, rule: str, did_you_mean: Any) -> None:
        if not holds:
            value = getattr(self, name)
            raise UserError(f"Kolmogorov {name} = {value!r} {rule}; the nearest right choice is {did_you_mean!r}")

    @property
    def channels(self) -> int:
        return 2

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (self.channels, self.frame_grid, self.frame_grid)

    def describe(self) -> str:
        return f"{self.frame_grid}×{self.frame_grid} frames of a {self.grid}×{self.grid} flow every {self.frame_interval:g} s"

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Kolmogorov:
        """The elementwise minimum with these caps, but no fewer than `least` frames: the first ones are the spin-up."""
        return replace(
            self,
            grid=min(self.grid, grid),
            frame_grid=min(self.frame_grid, frame_grid),
            frames=min(self.frames, max(frames, least)),
        )

    def seconds_per_clip(self) -> float:
        """Seconds that one trajectory takes on one core: measured on one outer step (after another that warms up), side by side with
        as many as fit a cache."""
        lanes = min(self.lanes, max(1, 2**17 // self.grid**2))
        piece = replace(self, frames=1, frame_interval=min(self.max_dt, self.frame_interval), lanes=lanes)
        piece.simulate(range(lanes))
        start = time.perf_counter()
        piece.simulate(range(lanes))
        per_frame = (time.perf_counter() - start) / lanes * self.frame_interval / piece.frame_interval
        return per_frame * self.frames

    @property
    def steps_per_frame(self) -> int:
        """Solver steps between two frames: outer steps of at most max_dt, each divided by the CFL factor."""
        outer = _whole(self.frame_interval / self.max_dt)
        allowed = self.cfl * (2 * math.pi / self.grid) / self.max_velocity
        return outer * _whole(self.frame_interval / outer / allowed)

    @property
    def dt(self) -> float:
        """The solver's time step, s."""
        return self.frame_interval / self.steps_per_frame

    def simulate(
        self, ids: Sequence[int], *, device: str = "cpu", progress: Callable[[int, int], None] | None = None
    ) -> Simulated:
        """The trajectories with these numbers: frames [k, frames, 2, frame_grid, frame_grid], m/s.

        progress(done, total), in frames of a group of lanes. Raises physics.checks.FlowError if a run leaves the ground.
        """
        ids = tuple(int(i) for i in ids)
        frames = np.empty((len(ids), self.frames, *self.frame_shape), np.float32)
        parameters = np.empty((len(ids), 2))
        total = math.ceil(len(ids) / self.lanes) * self.frames
        with _one_thread():
            for first in range(0, len(ids), self.lanes):
                group = ids[first : first + self.lanes]
                rows = slice(first, first + len(group))
                drawn = [self.draw(i) for i in group]
                parameters[rows] = [d[:2] for d in drawn]
                for j, frame in enumerate(self._frames(group, drawn, device)):
                    frames[rows, j] = frame
                    if progress is not None:
                        progress(first // self.lanes * self.frames + j + 1, total)
        return Simulated(ids, frames, {"viscosity": parameters[:, 0], "density": parameters[:, 1]})

    def draw(self, trajectory: int) -> Drawn:
        """Viscosity, density and initial vorticity spectrum, from the generator of this trajectory."""
        from rollbench.physics.initial import filtered_vorticity

        rng = np.random.default_rng([self.seed, trajectory])
        viscosity, density = rng.uniform(*self.viscosity), rng.uniform(*self.density)
        return viscosity, density, filtered_vorticity(rng, self.grid, self.max_velocity, self.peak_wavenumber)

    def _frames(self, ids: tuple[int, ...], drawn: list[Drawn], device: str) -> Iterator[NDArray[np.float32]]:
        """The frames of at most `lanes` trajectories, one time after another; the last one fills the lanes left over."""
        import torch

        from rollbench.physics.flow import Flow

        idle = self.lanes - len(ids)
        viscosity, density, vorticity = (np.stack(each) for each in zip(*drawn, *drawn[-1:] * idle, strict=True))
        flow = Flow(
            viscosity,
            density,
            grid=self.grid,
            dt=self.dt,
            forcing=self.forcing,
            wavenumber=self.wavenumber,
            linear_coefficient=self.linear_coefficient,
            filter_rate=self.cutoff_damping * self.max_velocity * self.grid / 3,
            dtype=getattr(torch, self.precision),
            device=device,
        )
        names = ids + ids[-1:] * idle
        for frame in flow.trajectory(
            flow.state(vorticity), frames=self.frames, steps=self.steps_per_frame, frame_grid=self.frame_grid, ids=names
        ):
            yield frame[: len(ids)].cpu().numpy()


def _whole(count: float) -> int:
    """The smallest whole number >= count and >= 1, forgiving the rounding of a quotient such as 1.5 / 0.05."""
    return max(1, math.ceil(count - 1e-9))


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread: splitting a batch over threads could move last bits, and small transforms gain nothing."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
