"""I3D against logits of TF-Hub's own graph, and that a clip's vector does not depend on how it is brought."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from evaluators import i3d, resize, winograd
from evaluators.base import UserError
from evaluators.i3d import I3DFeatures


@pytest.fixture(scope="module")
def extractor():
    try:
        return I3DFeatures("original", device="cpu")
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def reference(shared):
    return np.load(shared / "i3d" / "fvd_reference.npz")


def error(found, truth):
    return float(np.abs(found - truth).max())


@pytest.mark.parametrize("how", ["original", "halfpixel"])
def test_logits_are_the_tf_graphs(extractor, reference, how):
    other = I3DFeatures(how, device="cpu")
    truth = reference["two_logits_tf_" + {"original": "legacy", "halfpixel": "halfpix"}[how]]
    assert error(other.features(reference["two_clips_uint8"]), truth) < 1e-4
    assert np.abs(truth).max() > 5  # the bound is a thousandth of a percent of the logits' range


def test_constant_clips_of_15_frames(extractor, reference):
    clips = np.zeros((1, 15, 64, 64, 3), np.uint8)
    assert error(extractor.features(clips), reference["example_zeros_logits_tf"]) < 1e-4
    assert error(extractor.features(clips + 255), reference["example_255_logits_tf"]) < 1e-4


def test_floats_in_the_unit_interval_are_bytes(extractor, reference):
    clip = reference["two_clips_uint8"][:1]
    assert error(extractor.features(clip / np.float32(255)), extractor.features(clip)) < 1e-4


def test_a_vector_does_not_depend_on_its_batch(extractor, reference):
    clips = np.concatenate([reference["two_clips_uint8"], reference["A_uint8"][:1]])
    together = extractor.features(clips)
    alone = np.concatenate([extractor.features(clip[None]) for clip in clips])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(extractor.features(clips[::-1])[::-1], together)


def test_wider_lanes_are_padded(extractor, reference, monkeypatch):
    """What a GPU does: lanes of several clips, the last one filled up."""
    clips = np.concatenate([reference["two_clips_uint8"], reference["A_uint8"][:1]])
    alone = extractor.features(clips)
    monkeypatch.setattr(extractor, "lane", 2)
    assert error(extractor.features(clips), alone) < 2e-5


def test_oneDNN_weights_change_nothing_but_the_time(extractor, reference, monkeypatch):
    fast = extractor.features(reference["two_clips_uint8"])
    monkeypatch.setattr(i3d, "prepacking", lambda: False)
    assert error(extractor.features(reference["two_clips_uint8"]), fast) < 5e-5


@pytest.mark.parametrize("shape", [(1, 8, 28, 28), (2, 5, 14, 17), (1, 1, 6, 4), (1, 3, 5, 9)])
def test_winograd_is_the_convolution(shape):
    """Tiles of 4 that fit and that do not, several clips, a single frame; in float64 it is exact."""
    generator = torch.Generator().manual_seed(0)
    batch, *rest = shape
    for dtype, tolerance in ((torch.float32, 2e-5), (torch.float64, 1e-13)):
        x = torch.randn(batch, 8, *rest, generator=generator, dtype=dtype).contiguous(
            memory_format=torch.channels_last_3d
        )
        weight = torch.randn(12, 8, 3, 3, 3, generator=generator, dtype=dtype) / 15
        bias = torch.randn(12, generator=generator, dtype=dtype)
        products = F.conv3d(winograd.tiles(x), winograd.kernel(weight), padding=(1, 0, 0), groups=winograd.GROUPS)
        found = winograd.untiled(products, bias, *rest[1:])
        truth = F.relu(F.conv3d(x.double(), weight.double(), bias.double(), padding=1))
        assert found.shape == truth.shape and float((found - truth).abs().max()) < tolerance
        assert found.is_contiguous(memory_format=torch.channels_last_3d)


def test_this_torch_can_prepack():
    """A private name of torch's: where it vanishes FVD is twice as slow, and this test says so."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch without oneDNN")
    assert i3d.prepacking()


@pytest.mark.parametrize("shape", [(9, 64, 64), (12, 48, 80), (10, 224, 224), (9, 300, 200)])
def test_short_and_non_square_clips_work(extractor, shape):
    clips = np.random.default_rng(0).integers(0, 256, (1, *shape, 3), dtype=np.uint8)
    assert np.isfinite(extractor.features(clips)).all()


def test_eight_frames_are_refused_with_the_reason(extractor):
    with pytest.raises(UserError, match="8 frames.*at least 9"):
        extractor.features(np.zeros((1, 8, 64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (np.zeros((1, 3, 16, 64, 64), np.uint8), "colours last"),
        (np.zeros((16, 64, 64, 3), np.uint8), "colours last"),
        (np.zeros((1, 16, 64, 64, 3), np.int64), "int64"),
        (np.full((1, 16, 64, 64, 3), 200.0), "200"),
        (np.full((1, 16, 64, 64, 3), -1.0), "-1"),
        (np.full((1, 16, 64, 64, 3), np.nan), "nan"),
    ],
)
def test_clips_that_are_no_clips_are_refused(extractor, clips, words):
    with pytest.raises(UserError, match=words):
        extractor.features(clips)


@pytest.mark.parametrize(
    ("n", "size", "stride"), [(16, 7, 2), (9, 7, 2), (224, 7, 2), (5, 3, 2), (8, 3, 2), (3, 2, 2), (4, 2, 2)]
)
def test_same_padding_is_tensorflows(n, size, stride):
    """ceil(n / stride) outputs; pads differ by at most one, the larger after."""
    before, after = i3d.same(n, size, stride)
    assert (n + before + after - size) // stride + 1 == -(-n // stride)
    assert after - before in (0, 1)


@pytest.mark.parametrize("shape", [(5, 28, 28), (8, 28, 28), (3, 14, 14), (4, 14, 14), (2, 7, 7)])
@pytest.mark.parametrize(
    ("size", "stride"), [((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((1, 3, 3), (1, 2, 2))]
)
def test_pooling_is_that_of_the_padded_input(shape, size, stride):
    x = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    pads = [p for n, k, s in zip(shape[::-1], size[::-1], stride[::-1], strict=True) for p in i3d.same(n, k, s)]
    truth = F.max_pool3d(F.pad(x, pads, value=-1.0), size, stride)
    assert torch.equal(i3d.pool(x, size, stride), truth)


def test_halfpixel_is_interpolate_and_original_starts_at_the_corner():
    frames = torch.rand(2, 48, 80, 3, generator=torch.Generator().manual_seed(0))
    half = resize.resize(frames, "halfpixel")
    theirs = F.interpolate(frames.permute(0, 3, 1, 2), (224, 224), mode="bilinear", align_corners=False)
    torch.testing.assert_close(half, theirs.permute(0, 2, 3, 1), atol=1e-5, rtol=0)
    original = resize.resize(frames, "original")
    torch.testing.assert_close(original[:, 0, 0], frames[:, 0, 0])
    # 14 target rows step over 3 source rows: row 14 is source row 3 exactly.
    torch.testing.assert_close(original[:, 14, 0], frames[:, 3, 0])
    assert (original - half).abs().max() > 0.05


def test_resizing_a_ramp_keeps_its_slope():
    ramp = torch.arange(64.0).reshape(1, 64, 1, 1).expand(1, 64, 64, 3)
    for how, offset in (("original", 0.0), ("halfpixel", 0.5 * 64 / 224 - 0.5)):
        rows = resize.resize(ramp, how)[0, 10:200, 5, 0]
        torch.testing.assert_close(rows, torch.arange(10.0, 200) * 64 / 224 + offset, atol=1e-5, rtol=0)
