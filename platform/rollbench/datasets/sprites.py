"""Sprites: a small world of moving shapes, for machines without videos.

Shapes drift over a slowly panning ground, bounce off the walls and off each other, hide and shade one another, and at random
moments are kicked, change their looks, or vanish and come back elsewhere. So the near future follows from a few frames and the far
one does not, and the more ticks lie between two frames the less one says of the next: the stride matters as it does for videos.

The world knows neither stride nor resolution. It lives in the unit square and in ticks, and row t of a clip's chances, numbers
from a generator of its own, is all that luck has to do with tick t: frame j at stride s is frame s·j at stride 1, bit for bit. It
moves by sums, products and quotients alone, which are exact to the last bit however many worlds move side by side. How it is
drawn stands in `datasets.drawing`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np

from rollbench.datasets.base import Simulated
from rollbench.datasets.drawing import GROUND, Array, Ground, draw, draw_plain
from rollbench.datasets.drawing import LOOKS as STYLES
from rollbench.errors import UserError, did_you_mean

RADIUS = (0.10, 0.17)  # of a shape, in sides of the square
SHRINKING = 0.2  # s that a shape takes to vanish, and to come back
KICKED, CHANGED, MOVED = range(3)  # what may happen to a shape

# Where the chances of a shape at a tick stand. Looks: radius, hue, brightness, shape, pattern.
EVENT, FATE, VELOCITY, SPIN, PLACE, LOOKS, ANGLE, CHANCES = 0, 1, slice(2, 4), 4, slice(5, 7), slice(7, 12), 12, 13


@dataclass(frozen=True)
class Sprites:
    """A world of moving shapes, a stand-in for videos."""

    size: int = 64  # pixels per side
    stride: int = 1  # ticks from one frame to the next
    frames: int = 16  # per clip
    sprites: int = 4  # shapes in the world
    layers: int = 2  # shapes of one layer collide; those of a nearer layer hide those behind
    speed: float = 0.35  # typical, in sides per second
    events: float = 0.4  # random ones, per second and shape
    fps: float = 25.0  # ticks per second
    seed: int = 0
    # See `datasets.drawing`.
    looks: Literal["full", "plain", "black"] = "full"

    kind: ClassVar[str] = "video"

    def __post_init__(self) -> None:
        for name in ("size", "stride", "frames", "sprites", "layers"):
            value = getattr(self, name)
            self._require(name, isinstance(value, int) and value >= 1, "must be a whole number of at least 1", 1)
        self._require("seed", isinstance(self.seed, int) and self.seed >= 0, "must be a whole number, not negative", 0)
        if self.looks not in STYLES:
            raise UserError(f"Sprites looks = {self.looks!r}: unknown; {did_you_mean(self.looks, STYLES)}")
        self._require("fps", 0 < self.fps < math.inf, "must be positive and finite", Sprites.fps)
        for name, most, why in (
            ("speed", self.fps / 10, "a tenth of a side a tick"),
            ("events", self.fps, "one a tick"),
        ):
            value, rule = getattr(self, name), f"must be from 0 to {most:g}, {why}"
            self._require(name, 0 <= value <= most, rule, min(max(0.0, value), most))

    def _require(self, name: str, holds: bool, rule: str, did_you_mean: Any) -> None:
        if not holds:
            raise UserError(
                f"Sprites {name} = {getattr(self, name)!r} {rule}; the nearest right choice is {did_you_mean!r}"
            )

    @property
    def frame_interval(self) -> float:
        return self.stride / self.fps

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    def describe(self) -> str:
        look = {"full": "sprites", "plain": "plain sprites", "black": "plain sprites on black"}[self.looks]
        return f"{self.size}×{self.size} frames of {self.sprites} moving {look}, stride {self.stride}"

    def capped(self, *, grid: int, frame_grid: int, frames: int, least: int) -> Sprites:
        """At most `frame_grid` pixels a side, and no more frames than are needed."""
        return replace(self, size=min(self.size, frame_grid), frames=min(self.frames, least))

    def simulate(self, ids: Sequence[int]) -> Simulated:
        """The clips with these numbers: frames uint8 [k, frames, 3, size, size]."""
        ids = tuple(int(i) for i in ids)
        frames = np.empty((len(ids), self.frames, *self.frame_shape), np.uint8)
        drawn = [self._chances(i) for i in ids]
        grounds = [Ground(chances) for chances, _ in drawn]
        if ids:
            for j, worlds in enumerate(self._states(np.stack([chances for _, chances in drawn]))):
                for frame, ground, shapes in zip(frames[:, j], grounds, worlds, strict=True):
                    frame[...] = np.rint(self._image(ground, shapes, j * self.stride / self.fps).clip(0, 255))
        return Simulated(ids, frames, {})

    def _image(self, ground: Ground, shapes: Array, time: float) -> Array:
        """One frame [3, size, size] at `time`, s."""
        plain = self.looks != "full"
        image = ground.plain(self.looks, self.size) if plain else ground.drawn(time, self.size)
        for shape in shapes:
            (draw_plain if plain else draw)(image, shape)
        return image

    def _chances(self, clip: int) -> tuple[Array, Array]:
        """Uniform numbers: of the ground [GROUND], and of the shapes [ticks, sprites, CHANCES]; more ticks only add rows."""
        rng = np.random.default_rng([self.seed, clip])
        ticks = (self.frames - 1) * self.stride + 1
        return rng.random(GROUND), rng.random((ticks, self.sprites, CHANCES))

    def _states(self, chances: Array) -> Iterator[Array]:
        """The shapes [k, sprites, 8] at every frame (see `World.shapes`), of chances [k, ticks, sprites, CHANCES]."""
        world = World(self, chances[:, 0])
        yield world.shapes()
        for tick in range(1, chances.shape[1]):
            world.advance(chances[:, tick])
            if tick % self.stride == 0:
                yield world.shapes()


class World:
    """The shapes of k worlds, the hindmost first: arrays [k, sprites] and [k, sprites, 2]."""

    def __init__(self, of: Sprites, chances: Array) -> None:
        self.of, self.dt, self.hiding = of, 1 / of.fps, max(1, round(SHRINKING * of.fps))
        layer = [i * of.layers // of.sprites for i in range(of.sprites)]
        self.pairs = [(i, j) for i, j in combinations(range(of.sprites), 2) if layer[i] == layer[j]]
        self.velocity, self.spin = self._motion(chances)
        self.looks, self.angle = chances[..., LOOKS], 2 * math.pi * chances[..., ANGLE]
        self.place = self._inside(chances)
        self.fate = np.full(chances.shape[:2], KICKED)  # the last event
        self.clock = np.zeros(chances.shape[:2])  # ticks until it is over; half of them it takes to vanish

    def _motion(self, chances: Array) -> tuple[Array, Array]:
        """Velocities of mean square speed², and spins up to 2 rad/s."""
        return self.of.speed * math.sqrt(1.5) * (2 * chances[..., VELOCITY] - 1), 4 * chances[..., SPIN] - 2

    def _inside(self, chances: Array) -> Array:
        full = self.full[..., None]
        return full + chances[..., PLACE] * (1 - 2 * full)

    @property
    def full(self) -> Array:
        """The radius of a shape that is not about to vanish."""
        return RADIUS[0] + (RADIUS[1] - RADIUS[0]) * self.looks[..., 0]

    @property
    def radius(self) -> Array:
        return self.full * np.abs(1 - self.clock / self.hiding)

    def shapes(self) -> Array:
        """[k, sprites, 8]: x, y, angle, radius; hue, brightness, shape, pattern from 0 to 1."""
        moving = [self.place, self.angle[..., None], self.radius[..., None]]
        return np.concatenate([*moving, self.looks[..., 1:]], axis=-1)

    def advance(self, chances: Array) -> None:
        """One tick, with the chances [k, sprites, CHANCES] of its own."""
        self._happen(chances)
        self.place = self.place + self.dt * self.velocity
        self.angle = self.angle + self.dt * self.spin
        self._bounce()
        for i, j in self.pairs:
            self._collide(i, j)

    def _happen(self, chances: Array) -> None:
        begins = (chances[..., EVENT] < self.of.events * self.dt) & (self.clock == 0)
        self.fate = np.where(begins, np.floor(3 * chances[..., FATE]), self.fate)
        vanishes = begins & (self.fate != KICKED)
        self.clock = np.where(vanishes, 2 * self.hiding, np.maximum(self.clock - 1, 0))
        unseen = self.clock == self.hiding
        self.looks = np.where(unseen[..., None], chances[..., LOOKS], self.looks)
        elsewhere = unseen & (self.fate == MOVED)
        self.place = np.where(elsewhere[..., None], self._inside(chances), self.place)
        turns = elsewhere | (begins & (self.fate == KICKED))
        velocity, spin = self._motion(chances)
        self.velocity = np.where(turns[..., None], velocity, self.velocity)
        self.spin = np.where(turns, spin, self.spin)

    def _bounce(self) -> None:
        low = self.radius[..., None]
        self.velocity = np.where(self.place < low, np.abs(self.velocity), self.velocity)
        self.velocity = np.where(self.place > 1 - low, -np.abs(self.velocity), self.velocity)
        self.place = np.clip(self.place, low, 1 - low)

    def _collide(self, i: int, j: int) -> None:
        """Elastic, as of discs whose mass is their full area, if they touch and close in."""
        radius, place, velocity = self.radius, self.place, self.velocity
        (dx, dy), (u, v) = ((each[:, i] - each[:, j]).T for each in (place, velocity))
        square, closing = dx * dx + dy * dy, dx * u + dy * v
        reach = radius[:, i] + radius[:, j]
        hit = (square < reach * reach) & (closing < 0) & (square > 0)
        a, b = (self.full[:, k] * self.full[:, k] for k in (i, j))
        push = np.where(hit, 2 * closing / (np.where(hit, square, 1.0) * (a + b)), 0.0)
        for k, gain in ((i, -b * push), (j, a * push)):
            velocity[:, k] += np.stack([gain * dx, gain * dy], axis=-1)
