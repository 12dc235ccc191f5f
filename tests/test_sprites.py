"""The world of sprites: it knows neither stride nor resolution nor neighbours, and gets less predictable with the stride."""

from dataclasses import replace

import numpy as np
import pytest

from rollbench.datasets.sprites import Sprites
from rollbench.spec import BadInput

SMALL = Sprites(size=16, frames=9)


def test_frames_are_colour_videos() -> None:
    clips = SMALL.simulate([3, 4])
    assert clips.frames.shape == (2, 9, 3, 16, 16) and clips.frames.dtype == np.uint8
    assert clips.clip_ids == ("00000003", "00000004")
    assert clips.frames.std() > 20  # something is seen


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    together, alone = SMALL.simulate([7, 1, 5]).frames, SMALL.simulate([5]).frames
    assert np.array_equal(together[2], alone[0])
    assert not np.array_equal(together[0], together[1])


def test_a_long_stride_shows_every_so_manyth_frame() -> None:
    fine = replace(SMALL, frames=33).simulate([2]).frames
    assert np.array_equal(fine[:, ::4], replace(SMALL, stride=4).simulate([2]).frames)


def test_a_longer_film_begins_like_a_shorter_one() -> None:
    assert np.array_equal(replace(SMALL, frames=20).simulate([2]).frames[:, :9], SMALL.simulate([2]).frames)


def test_a_coarse_frame_shows_what_a_fine_one_shows() -> None:
    fine = replace(SMALL, size=64).simulate(range(8)).frames.astype(float)
    averaged = fine.reshape(8, 9, 3, 16, 4, 16, 4).mean((4, 6))
    coarse = SMALL.simulate(range(8)).frames
    assert np.abs(averaged - coarse).mean() < 3.0  # grey levels of 255; another world differs by 50
    assert np.abs(averaged - SMALL.simulate(range(8, 16)).frames).mean() > 30.0


def test_the_future_is_less_certain_the_longer_the_stride() -> None:
    persistence, straight = [], []
    for stride in (1, 2, 4, 8):
        f = replace(SMALL, stride=stride).simulate(range(48)).frames / 255
        persistence.append(np.square(f[:, 1:] - f[:, :-1]).mean())
        straight.append(np.square(f[:, 2:] - 2 * f[:, 1:-1] + f[:, :-2]).mean())
    assert all(a < b for a, b in zip(persistence, persistence[1:], strict=False))
    assert all(a < b for a, b in zip(straight, straight[1:], strict=False))


def test_collisions_keep_momentum_and_energy() -> None:
    from rollbench.datasets.sprites import _World

    world = _World(np.random.default_rng(0), replace(SMALL, sprites=3))
    world.radius = np.array([0.15, 0.1, 0.1])
    world.place = np.array([[0.4, 0.5], [0.6, 0.52], [0.1, 0.1]])
    world.velocity = np.array([[0.5, 0.1], [-0.3, 0.0], [0.0, 0.0]])
    mass = world.radius**2

    def totals() -> tuple[np.ndarray, float]:
        return mass @ world.velocity, float(mass @ np.square(world.velocity).sum(1))

    (momentum, energy), before = totals(), world.velocity.copy()
    world._collide()
    assert not np.allclose(world.velocity[:2], before[:2])
    assert totals()[0] == pytest.approx(momentum) and totals()[1] == pytest.approx(energy)


def test_without_events_and_speed_only_the_ground_moves_on() -> None:
    still = replace(SMALL, speed=0.0, events=0.0).simulate([0]).frames[0] / 255
    assert np.square(still[-1] - still[0]).mean() < np.square(SMALL.simulate([0]).frames[0, -1] / 255 - still[0]).mean()


def test_a_scale_caps_pixels_and_frames() -> None:
    capped = Sprites(size=64, frames=74).capped(grid=32, frame_grid=16, frames=8, least=20)
    assert (capped.size, capped.frames) == (16, 20)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("size", 0, "below 1"),
        ("stride", 0, "below 1"),
        ("speed", -1.0, "not negative"),
        ("events", 26.0, "most is fps"),
    ],
)
def test_what_is_no_world_is_refused(field: str, value: float, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        replace(SMALL, **{field: value})
