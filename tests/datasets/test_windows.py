"""Windows: the right frames, every window once per epoch, and an order that is fair and owed to nothing but its seed."""

from pathlib import Path

import numpy as np
import pytest

from rollbench.datasets.windows import Windows, permuted


def clips(*frames: int) -> list[np.ndarray]:
    """Clips whose every value says which clip and frame it is of: 100 * clip + frame."""
    return [
        np.broadcast_to(100.0 * i + np.arange(n, dtype=np.float32)[:, None, None, None], (n, 2, 4, 3))
        for i, n in enumerate(frames)
    ]


def first_frames(windows: Windows, indices: range) -> list[float]:
    return windows.take(indices)[:, 0, 0, 0, 0].tolist()


@pytest.mark.parametrize(("stride", "starts"), [(1, [0, 1, 2, 3, 100, 200, 201]), (2, [0, 2, 100, 200])])
def test_an_epoch_holds_every_window_once(stride: int, starts: list[int]) -> None:
    windows = Windows(clips(7, 4, 5), length=4, stride=stride, seed=5)
    assert len(windows) == len(starts)
    for epoch in range(3):
        found = first_frames(windows, range(epoch * len(windows), (epoch + 1) * len(windows)))
        assert sorted(found) == starts


def test_a_window_is_consecutive_frames_of_one_clip() -> None:
    taken = Windows(clips(7, 4, 5), length=4).take(range(7))
    assert taken.shape == (7, 4, 2, 4, 3) and taken.dtype == np.float32
    assert (np.diff(taken, axis=1) == 1).all()
    assert (taken == taken[:, :, :1, :1, :1]).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16, 17, 100, 255, 1000, 4097])
def test_the_order_is_a_permutation_of_any_length(n: int) -> None:
    for seed, epoch in ((0, 0), (1, 7), (2**63, 10**9)):
        assert sorted(permuted(np.arange(n, dtype=np.uint64), n, seed, epoch).tolist()) == list(range(n))


def test_a_position_outside_the_order_is_refused() -> None:
    with pytest.raises(ValueError, match="position 5: must be below 5"):
        permuted(np.array([5], np.uint64), 5, 0, 0)


def test_a_long_order_needs_no_memory() -> None:
    n = 10**12
    found = permuted(np.arange(10_000, dtype=np.uint64), n, seed=3, epoch=0)
    assert len(np.unique(found)) == 10_000 and found.max() < n
    assert np.abs(found.mean() / n - 0.5) < 5 / np.sqrt(12 * 10_000)  # five standard errors of a uniform mean


def test_any_share_of_the_samples_can_be_taken_alone_in_any_order() -> None:
    windows = Windows(clips(9, 6, 12), length=3, seed=1)
    whole = windows.take(range(3 * len(windows)))
    parts = [windows.take([i])[0] for i in reversed(range(3 * len(windows)))]
    assert np.array_equal(whole, np.stack(parts[::-1]))
    across = range(len(windows) - 2, len(windows) + 2)  # two epochs in one batch
    assert np.array_equal(windows.take(across), whole[list(across)])


def test_epochs_and_seeds_are_shuffled_differently_and_repeatably() -> None:
    n = 64
    position = np.arange(n, dtype=np.uint64)
    orders = {(s, e): tuple(permuted(position, n, s, e).tolist()) for s in range(20) for e in range(20)}
    assert len(set(orders.values())) == 400
    assert orders[3, 4] == tuple(permuted(position, n, 3, 4).tolist())


@pytest.mark.parametrize("n", [6, 13])
def test_every_order_is_fair(n: int) -> None:
    """Over many epochs each position holds each window equally often, and so does each pair of neighbours."""
    epochs = 6000
    position = np.tile(np.arange(n, dtype=np.uint64), epochs)
    orders = permuted(position, n, 0, np.repeat(np.arange(epochs), n)).reshape(epochs, n).astype(int)
    for i, j in ((0, 1), (2, n - 1)):
        counts = np.zeros((n, n))
        np.add.at(counts, (orders[:, i], orders[:, j]), 1)
        assert (np.diag(counts) == 0).all()
        expected = epochs / (n * (n - 1))
        chi2 = ((counts[~np.eye(n, dtype=bool)] - expected) ** 2 / expected).sum()
        freedom = n * (n - 1) - 1
        assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


def test_memory_mapped_clips_stay_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.arange(2 * 10 * 3 * 4 * 4, dtype=np.float32).reshape(20, 3, 4, 4))
    clip = np.load(tmp_path / "clip.npy", mmap_mode="r")
    windows = Windows([clip], length=5)
    assert windows.clips[0] is clip
    taken = windows.take([0, 1])
    assert taken.flags.owndata and taken.flags.writeable
    assert any(np.array_equal(taken[0], clip[start : start + 5]) for start in range(16))


def test_values_are_normalised_by_channel_and_pixels_by_one_number() -> None:
    frames = np.random.default_rng(0).normal(size=(6, 2, 4, 4)).astype(np.float32)
    centre, scale = np.array([1.0, -2.0])[:, None, None], np.array([0.5, 3.0])[:, None, None]
    plain, scaled = (Windows([frames], 6, **words).take([0]) for words in ({}, {"centre": centre, "scale": scale}))
    np.testing.assert_allclose(scaled, (plain - centre) / scale, rtol=1e-5)
    pixels = Windows([np.full((3, 3, 2, 2), 255, np.uint8)], 3, centre=127.5, scale=127.5).take([0])
    assert pixels.dtype == np.float32 and (pixels == 1).all()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"length": 6}, "window of 6 frames: the shortest clip has 5"),
        ({"length": 0}, "length 0"),
        ({"length": 2, "stride": 0}, "stride 0"),
        ({"length": 2, "scale": 0.0}, "scale 0.0"),
    ],
)
def test_impossible_windows_are_refused(words: dict[str, float], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Windows(clips(7, 5), **words)


def test_clips_of_different_frames_and_no_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="must share one"):
        Windows([np.zeros((4, 1, 2, 2)), np.zeros((4, 1, 3, 3))], 2)
    with pytest.raises(ValueError, match="must share one"):
        Windows([], 2)
