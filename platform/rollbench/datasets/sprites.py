"""Sprites: a small world of moving shapes, for machines without videos.

Shapes drift over a slowly panning ground, bounce off the walls and off each other, hide one another, and at random moments are
kicked, change their looks, or vanish and come back elsewhere. So the near future follows from a few frames and the far one does
not, and the more ticks lie between two frames the less one says of the next: the stride matters as it does for videos.

The world knows neither stride nor resolution: it lives in the unit square and in ticks, and its chances are drawn tick by tick from
a generator of the clip's own. Frame j at stride s is frame s·j at stride 1, and a coarse frame shows what a fine one shows.
Edges are antialiased by signed distance: a pixel is covered by 1/2 − distance in pixels, between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rollbench.datasets.base import Simulated
from rollbench.spec import BadInput

CORNERS = (0, 3, 4, 6)  # of a shape; 0 is a disc
RADIUS = (0.09, 0.17)  # of a shape, in sides of the square
WAVES = 4  # of the ground's pattern
Array = NDArray[Any]


@dataclass(frozen=True)
class Sprites:
    """size: pixels of a side. stride: ticks from one frame to the next. fps: ticks a second. sprites: shapes in the world.
    speed: typical, sides per second. events: random ones, per second and shape."""

    size: int = 64
    stride: int = 1
    frames: int = 16
    sprites: int = 4
    speed: float = 0.35
    events: float = 0.4
    fps: float = 25.0
    seed: int = 0

    kind: ClassVar[str] = "video"

    def __post_init__(self) -> None:
        for name in ("size", "stride", "frames", "sprites"):
            if getattr(self, name) < 1:
                raise BadInput(f"Sprites {name} = {getattr(self, name)} is below 1; the nearest right choice is 1")
        for name in ("speed", "events", "fps"):
            if not 0 <= getattr(self, name) < math.inf or (name == "fps" and self.fps == 0):
                raise BadInput(
                    f"Sprites {name} = {getattr(self, name)} must be finite and not negative (fps above 0); "
                    f"the default is {getattr(Sprites, name)}"
                )
        if self.events > self.fps:
            raise BadInput(f"Sprites events = {self.events} exceed one per tick; the most is fps = {self.fps}")

    @property
    def frame_interval(self) -> float:
        return self.stride / self.fps

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    def describe(self) -> str:
        return f"{self.size}×{self.size} frames of sprites, stride {self.stride}"

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Sprites:
        """At most `frame_grid` pixels a side, and no more frames than are needed."""
        return replace(self, size=min(self.size, frame_grid), frames=min(self.frames, least))

    def simulate(self, ids: Sequence[int]) -> Simulated:
        """The clips with these numbers: frames uint8 [k, frames, 3, size, size]."""
        frames = np.empty((len(ids), self.frames, *self.frame_shape), np.uint8)
        for clip, number in zip(frames, ids, strict=True):
            world = _World(np.random.default_rng([self.seed, int(number)]), self)
            ground = world.ground
            states = []
            for tick in range((self.frames - 1) * self.stride + 1):
                if tick % self.stride == 0:
                    states.append(world.state())
                world.advance()
            for frame, state in zip(clip, states, strict=True):
                frame[...] = _drawn(state, ground, self.size)
        return Simulated(tuple(int(i) for i in ids), frames, {})


@dataclass(frozen=True)
class _State:
    """The world at one tick. Arrays over shapes, the hindmost first."""

    time: float
    place: Array
    angle: Array
    radius: Array
    corners: Array
    colors: Array


class _World:
    """Shapes with positions, velocities and looks. Every tick draws equally many numbers, whatever happens in it."""

    def __init__(self, rng: np.random.Generator, of: Sprites) -> None:
        self.rng, self.of, self.time, n = rng, of, 0.0, of.sprites
        self.radius = rng.uniform(*RADIUS, n)
        self.place = rng.uniform(self.radius[:, None], 1 - self.radius[:, None], (n, 2))
        self.velocity = of.speed * rng.normal(0, math.sqrt(0.5), (n, 2))
        self.angle, self.spin = rng.uniform(0, 2 * math.pi, n), rng.normal(0, 1.0, n)
        self.corners, self.colors = rng.choice(CORNERS, n), _colors(rng, n)
        # Direction, phase and speed of each wave; two colours between which they mix.
        self.ground = (rng.normal(0, 5, (WAVES, 2)), rng.uniform(0, 2 * math.pi, WAVES), rng.normal(0, 0.15, 2),
                       rng.uniform(20, 150, (2, 3)))  # fmt: skip

    def state(self) -> _State:
        arrays = (self.place, self.angle, self.radius, self.corners, self.colors)
        return _State(self.time, *(each.copy() for each in arrays))

    def advance(self) -> None:
        dt = 1 / self.of.fps
        self.time += dt
        self.place += dt * self.velocity
        self.angle += dt * self.spin
        self._bounce()
        self._collide()
        self._events()

    def _bounce(self) -> None:
        low, high = self.radius[:, None], 1 - self.radius[:, None]
        self.velocity = np.where(self.place < low, np.abs(self.velocity), self.velocity)
        self.velocity = np.where(self.place > high, -np.abs(self.velocity), self.velocity)

    def _collide(self) -> None:
        """Elastic collisions of discs whose mass is their area. The last shape flies in front of all others and hits none."""
        mass = self.radius**2
        for i in range(len(mass) - 1):
            for j in range(i + 1, len(mass) - 1):
                gap = self.place[i] - self.place[j]
                distance = math.hypot(*gap)
                if 0 < distance < self.radius[i] + self.radius[j]:
                    normal = gap / distance
                    closing = float((self.velocity[i] - self.velocity[j]) @ normal)
                    if closing < 0:
                        push = 2 * closing / (mass[i] + mass[j]) * normal
                        self.velocity[i] -= mass[j] * push
                        self.velocity[j] += mass[i] * push

    def _events(self) -> None:
        n, rng = self.of.sprites, self.rng
        happens = rng.random(n) < self.of.events / self.of.fps
        which = rng.integers(0, 3, n)
        kick, place = self.of.speed * rng.normal(0, math.sqrt(0.5), (n, 2)), rng.random((n, 2))
        corners, colors = rng.choice(CORNERS, n), _colors(rng, n)
        kicked, changed, moved = (happens & (which == event) for event in range(3))
        self.velocity[kicked | moved] = kick[kicked | moved]
        self.corners[changed], self.colors[changed] = corners[changed], colors[changed]
        inside = self.radius[:, None] + place * (1 - 2 * self.radius[:, None])
        self.place[moved] = inside[moved]


def _colors(rng: np.random.Generator, n: int) -> Array:
    """[n, 3] saturated colours: one channel bright, one dark, one between, in random order."""
    levels = np.stack([rng.uniform(200, 255, n), rng.uniform(20, 80, n), rng.uniform(20, 255, n)], axis=1)
    return rng.permuted(levels, axis=1)


def _drawn(state: _State, ground: tuple[Array, Array, Array, Array], size: int) -> NDArray[np.uint8]:
    """A frame [3, size, size]."""
    middle = ((np.arange(size) + 0.5) / size).astype(np.float32)
    y, x = middle[:, None], middle[None, :]
    wave, phase, pan, colors = ground
    waves = [
        np.sin(kx * (x - pan[0] * state.time) + ky * (y - pan[1] * state.time) + p, dtype=np.float32)
        for (kx, ky), p in zip(wave, phase, strict=True)
    ]
    mix = 0.5 + np.sum(waves, axis=0) / (2 * WAVES)
    image = (colors[0][:, None, None] + (colors[1] - colors[0])[:, None, None] * mix).astype(np.float32)
    for place, angle, radius, corners, color in zip(
        state.place, state.angle, state.radius, state.corners, state.colors, strict=True
    ):
        dx, dy = x - place[0], y - place[1]
        cover = np.clip(0.5 - size * _distance(dx, dy, radius, int(corners), angle), 0, 1)
        # Stripes fixed to the shape, so that its turning is seen.
        stripes = 0.85 + 0.15 * np.sin((math.cos(angle) * dx + math.sin(angle) * dy) * (9 / radius))
        image += cover * (color[:, None, None] * stripes - image)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _distance(dx: Array, dy: Array, radius: float, corners: int, angle: float) -> Array:
    """Signed distance to the edge, below 0 inside: of a disc, or of a regular polygon (exact but outside its corners)."""
    if corners == 0:
        return np.hypot(dx, dy) - radius
    normals = angle + 2 * math.pi * np.arange(corners) / corners
    sides = [math.cos(a) * dx + math.sin(a) * dy for a in normals]
    return np.maximum.reduce(sides) - radius * math.cos(math.pi / corners)
