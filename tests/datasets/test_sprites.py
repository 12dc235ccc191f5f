"""The world of sprites: it knows neither stride nor resolution nor neighbours, and gets less predictable with the stride."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from rollbench.datasets.base import Generated
from rollbench.datasets.drawing import GROUNDS, LOOKS, SHAPES, _distance, draw
from rollbench.datasets.sprites import CHANCES, RADIUS, SHRINKING, Sprites, World
from rollbench.errors import UserError

SMALL = Sprites(size=16, frames=9)


def test_it_is_a_generated_data_set_of_colour_videos() -> None:
    data: Generated = SMALL
    assert isinstance(data, Generated) and data.kind == "video" and data.frame_shape == (3, 16, 16)
    assert replace(SMALL, stride=5).frame_interval == pytest.approx(0.2), "25 ticks a second"
    assert data.describe() == "16×16 frames of 4 moving sprites, stride 1"
    clips = data.simulate([3, 4])
    assert clips.frames.shape == (2, 9, 3, 16, 16) and clips.frames.dtype == np.uint8
    assert clips.clip_ids == ("00000003", "00000004")
    assert (clips.frames.std((3, 4)) > 10).all(), "something is seen in every colour of every frame"
    assert data.simulate([]).frames.shape == (0, 9, 3, 16, 16)


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    data = replace(SMALL, stride=8, events=2.0)
    together = data.simulate(range(9)).frames
    for order in ([5], [7, 1, 5, 1]):
        assert np.array_equal(data.simulate(order).frames, together[order])
    assert all(np.abs(a.astype(int) - b).mean() > 5 for i, a in enumerate(together) for b in together[:i])
    assert not np.array_equal(replace(data, seed=1).simulate([5]).frames[0], together[5])


def test_the_global_generator_plays_no_part() -> None:
    first = SMALL.simulate([0]).frames
    np.random.seed(5)
    assert np.array_equal(SMALL.simulate([0]).frames, first)


@pytest.mark.parametrize("stride", [3, 8])
def test_a_long_stride_shows_every_so_manyth_frame(stride: int) -> None:
    fine = replace(SMALL, frames=8 * stride + 1).simulate(range(4)).frames
    assert np.array_equal(fine[:, ::stride], replace(SMALL, stride=stride).simulate(range(4)).frames)


def test_a_longer_film_begins_like_a_shorter_one() -> None:
    assert np.array_equal(replace(SMALL, frames=20).simulate([2]).frames[:, :9], SMALL.simulate([2]).frames)


PLAIN = replace(SMALL, size=32, looks="plain", stride=8)


@pytest.mark.parametrize("looks", GROUNDS)
def test_plain_looks_move_as_full_ones_and_are_pure_colours_on_one(looks: str) -> None:
    """Of a pixel inside a shape each channel is 0 or 255, so that clipping to the pixel range removes its grain."""
    frames = replace(PLAIN, looks=looks).simulate(range(6)).frames
    low, high = GROUNDS[looks]
    for clip in frames.swapaxes(1, 2).reshape(6, 3, -1):
        colours, counts = np.unique(clip, axis=1, return_counts=True)
        ground = colours[:, counts.argmax()]
        assert ((ground >= low) & (ground <= high)).all() and counts.max() > 0.6 * counts.sum(), "one colour a clip"
        pure = np.isin(colours, (0, 255)).all(0) & (colours != ground[:, None]).any(0)
        assert 0.03 < counts[pure].sum() / counts.sum() < 0.3
        assert counts.max() + counts[pure].sum() > 0.85 * counts.sum(), "the others are edges"
    assert PLAIN.describe() == "32×32 frames of 4 moving plain sprites, stride 8"
    assert replace(PLAIN, looks="black").describe() == "32×32 frames of 4 moving plain sprites on black, stride 8"
    assert np.array_equal(
        replace(PLAIN, looks="full").simulate([2]).frames, replace(SMALL, size=32, stride=8).simulate([2]).frames
    )
    changes = [
        np.abs(np.diff(replace(PLAIN, looks=looks).simulate([0]).frames.astype(int), axis=1)).mean((0, 2, 3, 4))
        for looks in LOOKS
    ]
    assert np.corrcoef(changes).min() > 0.5, "the same shapes move at the same moments"


@pytest.mark.parametrize("stride", [3, 8])
def test_a_long_stride_of_the_plain_world_shows_every_so_manyth_frame(stride: int) -> None:
    fine = replace(PLAIN, stride=1, frames=2 * stride + 1).simulate(range(3)).frames
    assert np.array_equal(fine[:, ::stride], replace(PLAIN, stride=stride, frames=3).simulate(range(3)).frames)


def test_looks_that_do_not_exist_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="Sprites looks = 'plane': unknown; did you mean 'plain'") as refusal:
        Sprites(looks="plane")  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)


def test_a_coarse_frame_shows_what_a_fine_one_shows() -> None:
    fine = replace(SMALL, size=64).simulate(range(8)).frames.astype(float)
    averaged = fine.reshape(8, 9, 3, 16, 4, 16, 4).mean((4, 6))
    assert np.abs(averaged - SMALL.simulate(range(8)).frames).mean() < 1.75, "grey levels, of 255"
    assert np.abs(averaged - SMALL.simulate(range(8, 16)).frames).mean() > 20.0, "another world"


def test_edges_are_smooth() -> None:
    """A slow world changes little by little: no pixel jumps by more than the share of it that an edge crosses."""
    slow = Sprites(size=32, frames=9, speed=0.02, events=0.0).simulate(range(4)).frames.astype(int)
    assert np.abs(np.diff(slow, axis=1)).max() < 60
    assert np.abs(slow[:, -1] - slow[:, 0]).max() > 60


def errors(stride: int) -> tuple[float, float]:
    """Mean square error of the next frame: that it is as the last one, and of the best linear forecast from the last two."""
    f = replace(SMALL, stride=stride, frames=8).simulate(range(40)).frames / 255
    last, before, after = (each.ravel() for each in (f[:, 1:-1], f[:, :-2], f[:, 2:]))
    X = np.stack([last, before, np.ones_like(last)], axis=1)
    best = X @ np.linalg.lstsq(X, after, rcond=None)[0]
    return float(np.square(after - last).mean()), float(np.square(after - best).mean())


def test_the_future_is_less_certain_the_longer_the_stride() -> None:
    persistence, linear = np.array([errors(stride) for stride in (1, 2, 4, 8, 16)]).T
    assert (np.diff(persistence) > 0.1 * persistence[:-1]).all() and (np.diff(linear) > 0.1 * linear[:-1]).all()
    assert linear[0] < 0.75 * persistence[0], "motion has inertia: at short strides two frames say more than one"
    assert linear[-1] > 10 * linear[0]


def run(data: Sprites, worlds: int, ticks: int) -> tuple[World, list[dict[str, np.ndarray]]]:
    """Worlds side by side, and what they were after each tick."""
    chances = np.random.default_rng(0).random((ticks + 1, worlds, data.sprites, CHANCES))
    world, seen = World(data, chances[0]), []
    for each in chances[1:]:
        world.advance(each)
        state = {name: getattr(world, name).copy() for name in ("place", "velocity", "looks", "clock", "fate")}
        seen.append(state | {"radius": world.radius})
    return world, seen


def test_events_come_at_their_rate() -> None:
    data = Sprites(sprites=6, layers=6, events=1.0)
    _, seen = run(data, 60, 400)
    idle = np.array([s["clock"] for s in seen]) == 0
    looks = np.array([s["looks"] for s in seen])
    changes = (np.diff(looks, axis=0) != 0).any(-1).mean() * data.fps
    expected = 1 / (1 / (2 / 3 * data.events) + 2 * SHRINKING)  # per s: two of three events hide a shape for that long
    assert changes == pytest.approx(expected, rel=0.06), "4,000 events: a standard error of 1.5 %"
    assert idle.mean() == pytest.approx(1 - expected * 2 * SHRINKING, abs=0.02)


def test_shapes_stay_inside_and_vanish_by_shrinking() -> None:
    data = Sprites(events=2.0)
    _, seen = run(data, 20, 300)
    place, radius = (np.array([s[name] for s in seen]) for name in ("place", "radius"))
    assert (place >= radius[..., None]).all() and (place <= 1 - radius[..., None]).all()
    assert radius.min() == 0 and radius.max() <= RADIUS[1]
    assert np.abs(np.diff(radius, axis=0)).max() <= RADIUS[1] / 5 + 1e-12, "a fifth of it in each of five ticks"
    jumps = np.abs(np.diff(place, axis=0)).max(-1) > 0.13
    assert jumps.any() and radius[1:][jumps].max() == 0, "only what is not seen is elsewhere at once"
    looks = (np.diff(np.array([s["looks"] for s in seen]), axis=0) != 0).any(-1)
    assert looks.any() and radius[1:][looks].max() == 0


def test_without_events_shapes_keep_going() -> None:
    _, seen = run(Sprites(sprites=3, layers=3, events=0.0), 20, 200)
    speeds = np.array([np.abs(s["velocity"]) for s in seen])
    assert np.allclose(speeds, speeds[0]), "walls turn a velocity, nothing else does"
    moved = np.array([s["place"] for s in seen])
    assert (moved.max(0) - moved.min(0)).mean() > 0.5


def test_collisions_keep_momentum_and_energy() -> None:
    """Of two that touch and close in; not of others, and not of shapes in different layers."""
    place = np.array([[[0.4, 0.5], [0.6, 0.52], [0.1, 0.1], [0.6, 0.52]]])
    velocity = np.array([[[0.5, 0.1], [-0.3, 0.0], [0.2, 0.0], [-0.3, 0.0]]])

    def collided(layers: int) -> tuple[np.ndarray, np.ndarray]:
        world = World(Sprites(layers=layers), np.full((1, 4, CHANCES), 0.5))
        world.looks[..., 0] = [1.0, 0.0, 0.5, 0.5]
        world.place, world.velocity = place.copy(), velocity.copy()
        for i, j in world.pairs:
            world._collide(i, j)
        return world.radius[0] ** 2, world.velocity[0]

    mass, after = collided(layers=2)
    before = velocity[0]
    assert (after[2:] == before[2:]).all() and (after[:2] != before[:2]).any(-1).all()
    assert mass @ after == pytest.approx(mass @ before)
    assert mass @ np.square(after).sum(1) == pytest.approx(mass @ np.square(before).sum(1))
    gap = (place[0, 0] - place[0, 1]) / np.linalg.norm(place[0, 0] - place[0, 1])
    assert gap @ (after[0] - after[1]) == pytest.approx(-gap @ (before[0] - before[1])), "and they part as they met"
    assert (collided(layers=4)[1] == before).all()


def test_the_nearer_shape_hides_the_other() -> None:
    """Two discs in one place: only the last one's colour is seen; in either order."""

    def middle(*hues: float) -> np.ndarray:
        image = np.zeros((3, 32, 32), np.float32)
        for hue in hues:
            draw(image, np.array([0.5, 0.5, 0.0, 0.2, hue, 0.5, 0.0, 0.0]))
        return image[:, 16, 16]

    assert np.allclose(middle(0.0, 0.4), middle(0.4)) and np.allclose(middle(0.4, 0.0), middle(0.0))
    assert np.abs(middle(0.4) - middle(0.0)).max() > 50


@pytest.mark.parametrize("kind", SHAPES)
def test_distances_are_distances(kind: tuple[int, float, float, float]) -> None:
    """The slope of a distance is 1, but on the few ridges where two edges are equally near; and it turns with the shape."""
    x, y = np.meshgrid(*2 * [np.linspace(-1, 1, 400)])
    d = _distance(x, y, 0.3, 0.6, kind)
    slope = np.hypot(*np.gradient(d, x[0], x[0]))
    assert np.quantile(np.abs(slope - 1), 0.9) < 0.02 and slope.max() < 1.1
    assert d[np.hypot(x, y) > 0.61].min() > 0 and d.min() < -0.1, "the corners lie on the circle"
    turn = 2 * np.pi / kind[0]
    assert np.allclose(_distance(x, y, 0.3 + turn, 0.6, kind), d)


def test_every_number_of_the_world_is_a_field() -> None:
    changes: dict[str, Any] = {
        "size": 32, "stride": 2, "frames": 2, "sprites": 3, "layers": 1, "speed": 0.7, "events": 5.0, "fps": 12.0, "seed": 1,
        "looks": "plain",
    }  # fmt: skip
    assert {f.name for f in fields(Sprites)} == set(changes)
    data = replace(SMALL, frames=40)
    reference = data.simulate([0]).frames
    for name, value in changes.items():
        other = replace(data, **{name: value}).simulate([0]).frames
        assert other.shape != reference.shape or not np.array_equal(other, reference), name


def test_a_scale_caps_pixels_and_frames() -> None:
    data, caps = Sprites(size=64, frames=74), {"grid": 32, "frames": 8}
    assert data.capped(**caps, frame_grid=16, least=20) == replace(data, size=16, frames=20), "no more than are needed"
    assert data.capped(**caps, frame_grid=128, least=99) == data, "nothing is larger than it was"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"size": 0}, "size = 0 must be a whole number of at least 1; the nearest right choice is 1"),
    ({"stride": 0}, "stride = 0 must be a whole number of at least 1"),
    ({"frames": 2.5}, "frames = 2.5 must be a whole number"),
    ({"sprites": 0}, "sprites = 0 must be a whole number"),
    ({"layers": 0}, "layers = 0 must be a whole number"),
    ({"seed": -1}, "seed = -1 must be a whole number, not negative; the nearest right choice is 0"),
    ({"fps": 0.0}, "fps = 0.0 must be positive and finite; the nearest right choice is 25.0"),
    ({"speed": -1.0}, "speed = -1.0 must be from 0 to 2.5, a tenth of a side a tick; the nearest right choice is 0.0"),
    ({"speed": float("nan")}, "speed = nan must be from 0 to 2.5"),
    ({"events": 26.0}, "events = 26.0 must be from 0 to 25, one a tick; the nearest right choice is 25.0"),
]


@pytest.mark.parametrize(("setting", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_bad_settings_are_refused_in_one_line(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as refusal:
        Sprites(**setting)
    assert "\n" not in str(refusal.value) and "the nearest right choice is" in str(refusal.value)
