"""How the world of `datasets.sprites` looks.

full    a panning ground of two colours and waves; on it six kinds of shapes with light, shadow and patterns
plain   a still grey ground, tinted a little; on it triangles, squares and discs, each of one of six pure colours
black   the same shapes on black

A pure colour has channels of 0 and 255 alone, so that a prediction clipped to the pixel range has no grain inside a shape, nor on black.
Everything is a function of places in the unit square, taken at the middles of pixels: a coarse picture shows what a fine one shows.
Edges are antialiased by signed distance: a pixel is covered by 1/2 − distance in pixels, between 0 and 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Corners; sharpness (2: a regular polygon, more: a star); roundness (1: a disc); thickness of its line (1: no hole).
SHAPES = (
    (3, 2.0, 1.0, 1.0),
    (3, 2.0, 1.0, 0.45),
    (3, 2.0, 0.2, 1.0),
    (4, 2.0, 0.2, 1.0),
    (6, 2.0, 0.1, 1.0),
    (5, 2.8, 0.15, 1.0),
)
PLAIN_SHAPES = (SHAPES[0][:2] + (0.0, 1.0), SHAPES[3][:2] + (0.0, 1.0), SHAPES[0])  # triangle, square, disc
PURE = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1))  # colours of plain shapes, of 255
GROUNDS = {"plain": (110, 145), "black": (0, 0)}  # of a ground of one colour, each channel's range
LOOKS = ("full", *GROUNDS)
PATTERNS = 3  # of a shape: none, stripes, checks
WAVES = 4  # of the ground
GROUND = (WAVES + 2, 4)  # the shape of the chances that make a ground
PAN = 0.06  # of the ground, at most, sides per second in each direction


class Ground:
    """Two colours and a pattern of waves, over which the camera pans."""

    def __init__(self, chances: Array) -> None:
        """chances: uniform numbers of shape GROUND."""
        waves, (pan, looks) = chances[:WAVES], chances[WAVES:]
        self.wave = 2 * math.pi * 2 * (2 * waves[:, :2] - 1)  # [WAVES, (x, y)], at most two turns in a side
        self.phase = 2 * math.pi * waves[:, 2]
        self.pan = PAN * (2 * pan[:2] - 1)
        self.tint = looks[:3]
        dark, bright = 70 + 40 * looks[2], 150 + 50 * looks[3]
        self.colors = _color(looks[0], 0.45, dark), _color(looks[0] + 0.3 * looks[1], 0.45, bright)

    def plain(self, looks: str, size: int) -> Array:
        """The ground of one colour that `looks` has: float32 [3, size, size], from 0 to 255."""
        low, high = GROUNDS[looks]
        return np.broadcast_to((low + (high - low) * self.tint)[:, None, None], (3, size, size)).astype(np.float32)

    def drawn(self, time: float, size: int) -> Array:
        """The full ground at `time`, s: float32 [3, size, size], from 0 to 255."""
        middle = (np.arange(size) + 0.5) / size
        x, y = (self.wave[:, [i]] * (middle - self.pan[i] * time) for i in (0, 1))
        x = x + self.phase[:, None]
        across = np.concatenate([np.sin(x), np.cos(x)]).astype(np.float32)
        down = np.concatenate([np.cos(y), np.sin(y)]).astype(np.float32)
        mix = np.einsum("wy,wx->yx", down, across) / (2 * WAVES) + 0.5
        dark, bright = (color[:, None, None] for color in self.colors)
        return dark + (bright - dark) * mix


def draw(image: Array, shape: Array) -> None:
    """Put a shape (a row of `sprites.World.shapes`) and its shadow into an image [3, size, size]."""
    size = image.shape[-1]
    x, y, angle, radius, hue, brightness, form, pattern = shape.tolist()
    if radius * size < 0.1:
        return
    reach = 1.5 * radius + 1 / size  # of the shadow
    (left, right), (top, bottom) = ((max(0, int((c - reach) * size)), int((c + reach) * size) + 1) for c in (x, y))
    part = image[:, top:bottom, left:right]
    middle = ((np.arange(size) + 0.5) / size).astype(np.float32)
    dx, dy = middle[left:right] - np.float32(x), middle[top:bottom, None] - np.float32(y)
    kind, shade = SHAPES[int(form * len(SHAPES))], 0.3 * radius
    part *= 1 - 0.4 * np.clip(0.5 - _distance(dx - 0.7 * shade, dy - shade, angle, radius, kind) / shade, 0, 1)
    distance = _distance(dx, dy, angle, radius, kind)
    bevel = np.clip(-distance / shade, 0, 1)
    light = (0.7 + 0.3 * bevel) * (1 - (0.12 / radius) * (dx + dy)) + _pattern(dx, dy, angle, radius, pattern, size)
    color = _color(hue, 0.85, 190 + 50 * brightness)[:, None, None]
    part += np.clip(0.5 - size * distance, 0, 1) * (color * light - part)


def draw_plain(image: Array, shape: Array) -> None:
    """Put a shape (a row of `sprites.World.shapes`) of one pure colour into an image [3, size, size]."""
    size = image.shape[-1]
    x, y, angle, radius, hue, _, form, _ = shape.tolist()
    if radius * size < 0.1:
        return
    middle = ((np.arange(size) + 0.5) / size).astype(np.float32)
    kind = PLAIN_SHAPES[int(form * len(PLAIN_SHAPES))]
    distance = _distance(middle - np.float32(x), middle[:, None] - np.float32(y), angle, radius, kind)
    color = 255 * np.array(PURE[int(hue * len(PURE))], np.float32)[:, None, None]
    image += np.clip(0.5 - size * distance, 0, 1) * (color - image)


def _pattern(dx: Array, dy: Array, angle: float, radius: float, pattern: float, size: int) -> Array | float:
    """Fixed to the shape, so that its turning is seen; fainter where pixels are too coarse to carry it."""
    kind, wave = int(pattern * PATTERNS), 9 / radius
    if kind == 0:
        return 0.0
    c, s, amplitude = math.cos(angle), math.sin(angle), 0.18 * max(0.0, float(np.sinc(wave / (2 * math.pi * size))))
    stripes = np.sin(wave * (c * dx + s * dy))
    return amplitude * stripes * (np.sin(wave * (c * dy - s * dx)) if kind == 2 else 1.0)


def _distance(dx: Array, dy: Array, angle: float, radius: float, kind: tuple[int, float, float, float]) -> Array:
    """Signed distance to the edge, below 0 inside, of a regular polygon or star with rounded corners and maybe a hole.

    The plane is folded onto one corner's sector, in which the edge is one segment (I. Quilez, "2D distance functions", sdStar).
    """
    corners, sharpness, roundness, thickness = kind
    inner, half, slope = radius * (1 - roundness), math.pi / corners, math.pi / sharpness
    length, turn = np.hypot(dx, dy), (np.arctan2(dy, dx) - angle) / (2 * half)
    turn = 2 * half * (turn - np.rint(turn))
    px, py = length * np.cos(turn) - inner * math.cos(half), length * np.abs(np.sin(turn)) - inner * math.sin(half)
    along = np.clip(-(math.cos(slope) * px + math.sin(slope) * py), 0, inner * math.sin(half) / math.sin(slope))
    px, py = px + math.cos(slope) * along, py + math.sin(slope) * along
    edge = np.copysign(np.hypot(px, py), px) - radius * roundness
    line = thickness * radius / 2
    return np.abs(edge + line) - line if thickness < 1 else edge


def _color(hue: float, saturation: float, value: float) -> NDArray[np.float32]:
    """RGB [3], 0 to 255, of a hue from 0 to 1 around the circle."""
    wheel = 0.5 + 0.5 * np.cos(2 * math.pi * (hue + np.array([0, 1 / 3, 2 / 3])))
    return (value * (1 - saturation + saturation * wheel)).astype(np.float32)
