"""Energies of a video against closed forms, and planted faults in real clips, told apart as a person would."""

import numpy as np
import pytest

from evaluators import motion
from rollbench.datasets.sprites import Sprites


def test_a_travelling_wave_has_the_energies_of_its_closed_form() -> None:
    """sin(k x - w t) + 3: a change of one step has mean square 1 - cos w, a step of one pixel 1 - cos k."""
    n, w = 32, 0.3
    k = 2 * np.pi * 3 / n
    t, x = np.mgrid[-1:6, :n]
    frames = np.broadcast_to((np.sin(k * x - w * t) + 3)[:, None, None], (7, 2, n, n))
    np.testing.assert_allclose(motion.motion(frames[None, 1:], frames[None, 0]), np.full((1, 6), 1 - np.cos(w)))
    periodic = np.concatenate([frames, frames[..., :1]], -1)
    np.testing.assert_allclose(motion.detail(periodic[None]), np.full((1, 7), (1 - np.cos(k)) / 2))


def test_white_noise_adds_twice_its_variance_to_both() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal((4, 9, 3, 64, 64))
    assert motion.motion(noise[:, 1:], noise[:, 0]).mean() == pytest.approx(0.02, rel=0.01)
    assert motion.detail(noise).mean() == pytest.approx(0.02, rel=0.01)


def test_bytes_do_not_wrap_around() -> None:
    frames = np.array([0, 255], np.uint8)[None, :, None, None, None] * np.ones((1, 1, 1, 2, 2), np.uint8)
    np.testing.assert_array_equal(motion.motion(frames, frames[:, 1]), [[255.0**2, 255.0**2]])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="the frame before"):
        motion.motion(np.zeros((2, 3, 1, 4, 4)), np.zeros((2, 3, 1, 4, 4)))
    with pytest.raises(ValueError, match="at least 2 x 2"):
        motion.detail(np.zeros((2, 3, 1, 1, 4)))


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    """Real clips [n, t, c, y, x] from 0 to 1, in slow motion."""
    frames = Sprites(size=32, stride=1, frames=17, sprites=3, looks="plain").simulate(range(24)).frames
    return frames.astype(np.float64) / 255


def ratios(fake: np.ndarray, clips: np.ndarray) -> tuple[float, float]:
    """Motion and detail of clips [n, t, c, y, x] over those of real ones, frames 1 to the last."""
    moved = motion.motion(fake[:, 1:], clips[:, 0]).mean() / motion.motion(clips[:, 1:], clips[:, 0]).mean()
    return moved, motion.detail(fake[:, 1:]).mean() / motion.detail(clips[:, 1:]).mean()


def blurred(clips: np.ndarray) -> np.ndarray:
    """A mean over 3 x 3 pixels."""
    padded = np.pad(clips, ((0, 0),) * 3 + ((1, 1),) * 2, "edge")
    h, w = clips.shape[-2:]
    return np.mean([padded[..., i : i + h, j : j + w] for i in range(3) for j in range(3)], axis=0)


def faulty(clips: np.ndarray, fault: str, strength: float) -> np.ndarray:
    """Clips with a planted fault; at strength 0 there is none."""
    rng, ground = np.random.default_rng(1), clips.mean((3, 4), keepdims=True)
    share = strength * np.linspace(0, 1, clips.shape[1])[:, None, None, None]  # grows with the lead
    if fault == "faded":
        return clips + share * (ground - clips)
    if fault == "speckled":
        return clips + 0.2 * strength * rng.standard_normal(clips.shape)
    if fault == "blurred":
        return clips + strength * (blurred(clips) - clips)
    if fault == "frozen":
        return clips + strength * (clips[:, :1] - clips)
    raise KeyError(fault)


@pytest.mark.parametrize(
    "fault, moved, sharp", [("faded", -1, -1), ("blurred", -1, -1), ("speckled", 1, 1), ("frozen", -1, None)]
)
def test_a_stronger_fault_is_further_from_one(clips: np.ndarray, fault: str, moved: int, sharp: int | None) -> None:
    """As a person ranks them: real, half of the fault, all of it; the signs say in which direction it errs."""
    logs = [np.log(np.maximum(ratios(faulty(clips, fault, s), clips), 1e-9)) for s in (0.0, 0.5, 1.0)]
    assert np.allclose(logs[0], 0.0)
    for side, sign in enumerate((moved, sharp)):
        if sign is not None:
            values = [sign * log[side] for log in logs]
            assert values[0] < values[1] < values[2] and values[2] > 0.2


def test_a_frozen_frame_has_detail_and_no_motion(clips: np.ndarray) -> None:
    moved, sharp = ratios(np.broadcast_to(clips[:, :1], clips.shape), clips)
    assert moved == 0.0 and sharp == pytest.approx(1.0, abs=0.15)


def test_frames_in_a_wrong_order_move_too_much_and_are_as_sharp(clips: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(np.arange(1, clips.shape[1]))
    shuffled = clips.copy()
    shuffled[:, 1:] = clips[:, order]
    moved, sharp = ratios(shuffled, clips)
    assert moved > 2 and sharp == pytest.approx(1.0)


def test_time_reversed_looks_real(clips: np.ndarray) -> None:
    """Shapes that move backwards look as real: both energies are those of the clip, from its own last frame on."""
    back = clips[:, ::-1]
    assert motion.motion(back[:, 1:], back[:, 0]).mean() == pytest.approx(
        motion.motion(clips[:, 1:], clips[:, 0]).mean()
    )
    assert motion.detail(back).mean() == pytest.approx(motion.detail(clips).mean())
