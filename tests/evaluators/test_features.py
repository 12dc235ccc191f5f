"""Feature sets: ordered by clip, put together from parts, kept in a file."""

import numpy as np
import pytest

from evaluators.base import UserError
from evaluators.features import Features, extract
from evaluators.videos import Clip

VECTORS = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


def made(rows, ids, samples=None, **changes):
    facts = {"extractor": "net:1", "resize": "original", "frames": 16} | changes
    return Features(VECTORS[rows], tuple(ids), tuple(samples or [0] * len(ids)), **facts)


class Sums:
    """An extractor that counts its calls: the vector of a clip is its sum over time."""

    identity = "sums:1"

    def __init__(self):
        self.batches = []

    def features(self, clips):
        self.batches.append(len(clips))
        return clips.sum(axis=(1, 2, 3)).astype(np.float32)


def test_rows_are_in_the_order_of_clip_and_sample():
    found = made([4, 2, 0, 1], ["b", "a", "b", "a"], [1, 1, 0, 0])
    assert found.ids == ("a", "a", "b", "b") and found.samples == (0, 1, 0, 1)
    np.testing.assert_array_equal(found.vectors, VECTORS[[1, 2, 0, 4]])


def test_parts_in_any_order_are_the_whole():
    whole = made(range(5), "abcde")
    parts = [made([i], "abcde"[i]) for i in range(5)]
    for order in (range(5), (3, 0, 4, 1, 2)):
        total = parts[order[0]]
        for i in order[1:]:
            total = total + parts[i]
        for found in (total, Features.merged([parts[i] for i in order])):
            assert found.ids == whole.ids
            np.testing.assert_array_equal(found.vectors, whole.vectors)
    assert whole.moments().n == 5
    with pytest.raises(UserError, match="cannot be put together"):
        whole + made([0], "z", resize="halfpixel")


def test_a_clip_is_there_once():
    with pytest.raises(UserError, match="clip a sample 0 exists twice"):
        made([0, 1, 2], ["a", "b", "a"])


def test_kept_and_read_again(tmp_path):
    found = made(range(4), ["ä", "b/c", "d", "e"], [3, 0, 1, 2], bad=("x cannot be read",))
    found.save(tmp_path / "new" / "f.npz")
    again = Features.load(tmp_path / "new" / "f.npz")
    np.testing.assert_array_equal(again.vectors, found.vectors)
    assert (again.ids, again.samples, again.made, again.bad) == (found.ids, found.samples, found.made, found.bad)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["f.npz"]
    (tmp_path / "torn.npz").write_bytes((tmp_path / "new" / "f.npz").read_bytes()[:-30])
    for name in ("torn.npz", "missing.npz"):
        with pytest.raises(UserError, match="cannot be read"):
            Features.load(tmp_path / name)


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_extraction_streams_in_batches(batch):
    clips = np.random.default_rng(1).integers(0, 256, (7, 9, 4, 4, 3), dtype=np.uint8)
    sums = Sums()
    found = extract(sums, "original", (Clip(f"{i}", 0, clip) for i, clip in enumerate(clips)), batch)
    np.testing.assert_array_equal(found.vectors, clips.sum(axis=(1, 2, 3)))
    assert max(sums.batches) <= batch and sum(sums.batches) == 7
    assert found.made == "sums:1, resize original, 9 frames of 4x4"


def test_nothing_to_extract_and_mixed_lengths():
    with pytest.raises(UserError, match="no clip could be read"):
        extract(Sums(), "original", [])
    short = [Clip("a", 0, np.zeros((9, 4, 4, 3), np.uint8)), Clip("b", 0, np.zeros((8, 4, 4, 3), np.uint8))]
    wide = [Clip("a", 0, np.zeros((9, 4, 4, 3), np.uint8)), Clip("b", 0, np.zeros((9, 4, 6, 3), np.uint8))]
    for clips, words in ((short, "clip b has 8 frames of 4x4"), (wide, "clip b has 9 frames of 6x4")):
        with pytest.raises(UserError, match=words):
            extract(Sums(), "original", clips)


def test_sets_fit_where_nothing_that_is_known_differs():
    plain, small, large = made([0], "a"), made([1], "b", size="64x64"), made([2], "c", size="128x128")
    assert plain.fits(small) and plain.fits(large) and small.fits(small)
    assert not small.fits(large) and not small.fits(made([3], "d", frames=9, size="64x64"))
    with pytest.raises(UserError, match="frames of 64x64 and of net:1.*frames of 128x128"):
        small + large
