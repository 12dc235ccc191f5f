"""FVD: published values to the digit, and protocols that cannot be mixed."""

import itertools

import numpy as np
import pytest

from evaluators import frechet, fvd, protocols
from evaluators.base import UserError
from evaluators.fvd import FVD
from evaluators.protocols import PROTOCOLS, Protocol
from evaluators.videos import Clip
from tests.evaluators.test_scoring import bair, features, gaussian


@pytest.fixture(scope="module")
def reference(shared):
    return np.load(shared / "i3d" / "fvd_reference.npz")


@pytest.fixture(scope="module")
def metric():
    try:
        FVD(device="cpu").extractor  # noqa: B018
    except UserError as error:
        pytest.skip(str(error))
    return FVD(device="cpu")


# --- the published numbers ---------------------------------------------------------------------------------------------
def test_the_example_of_google_research(metric):
    """16 black clips of 15 frames against 16 white ones: 133.909, as its repository prints."""
    black, white = (metric.features(np.full((1, 15, 64, 64, 3), level, np.uint8)).vectors for level in (0, 255))
    result = metric.score(features(np.repeat(black, 16, 0)), features(np.repeat(white, 16, 0), "d"))
    assert result.value == pytest.approx(133.909, abs=0.01)
    assert result.low <= result.value <= result.high


@pytest.mark.parametrize(
    ("resize", "truth"),
    [("original", "fvd_tfgan_legacy_A_B"), pytest.param("halfpixel", "fvd_tfgan_halfpix_A_B", marks=pytest.mark.slow)],
)
def test_fvd_of_the_reference_clips(metric, reference, resize, truth):
    result = FVD(resize, device="cpu").between(reference["A_uint8"], reference["B_uint8"])
    assert result.value == pytest.approx(float(reference[truth]), rel=1e-5)
    assert f"{resize}@1" in result.name and "af5c50f0df57" in result.name


def test_the_reference_logits_give_the_reference_fvd(reference):
    """The Frechet step alone, on the logits of the TF graph."""
    for how, truth in (("legacy", "fvd_tfgan_legacy_A_B"), ("halfpix", "fvd_tfgan_halfpix_A_B")):
        value = frechet.distance(reference[f"A_logits_tf_{how}"], reference[f"B_logits_tf_{how}"])
        assert value == pytest.approx(float(reference[truth]), rel=1e-6)


# --- how it is computed does not matter --------------------------------------------------------------------------------
def test_batches_do_not_matter(metric, reference):
    clips = reference["A_uint8"][:4]
    one = metric.features(itertools.starmap(Clip, [(f"{i}", 0, clip) for i, clip in enumerate(clips)]))
    np.testing.assert_array_equal(metric.features(clips).vectors, one.vectors)


# --- protocols ---------------------------------------------------------------------------------------------------------
def test_a_result_names_what_it_is():
    result = FVD("halfpixel").score(
        *(features(gaussian(50, k), name, resize="halfpixel") for k, name in enumerate("rf"))
    )
    assert result.name == "fvd@1 halfpixel@1 net:1 16 frames"


def test_different_measures_are_not_compared_silently():
    def result(protocol, extractor="net:1", frames=16):
        sides = (features(gaussian(50, k), n, resize=PROTOCOLS[protocol].resize, extractor=extractor, frames=frames)
                 for k, n in enumerate("rf"))  # fmt: skip
        return FVD(protocol).score(*sides)

    base = result("original")
    for other in (result("halfpixel"), result("original", "net:2"), result("original", frames=20)):
        with pytest.raises(UserError, match="different measures"):
            fvd.compare(base, other)
        assert fvd.compare(base, other, across_protocols=True).value == base.value - other.value
    assert fvd.compare(base, result("original")).value == 0
    more = FVD().score(features(gaussian(60, 0), "r"), features(gaussian(60, 1), "f"))
    with pytest.raises(UserError, match="50 against 50 clips and 60 against 60"):
        fvd.compare(base, more)
    assert fvd.compare(base, more, across_protocols=True).low < base.value - more.value


def test_features_of_another_make_are_refused():
    real = features(gaussian(20, 0))
    for change in ({"resize": "halfpixel"}, {"extractor": "net:2"}, {"frames": 20}):
        with pytest.raises(UserError, match="make them alike"):
            FVD().score(real, features(gaussian(20, 1), "f", **change))
    with pytest.raises(UserError, match="needs halfpixel"):
        FVD("halfpixel").score(real, features(gaussian(20, 1), "f"))


def test_a_protocol_is_complete():
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name and protocol.version >= 1 and protocol.ddof == 1 and protocol.source
        assert protocol.clip is None or protocol.clip >= 9
    assert PROTOCOLS["bair-1to15"].clip == 16 and PROTOCOLS["bair-1to15"].samples == 100
    assert PROTOCOLS["teco-20to80"].resize == "halfpixel" and PROTOCOLS["teco-20to80"].matched
    with pytest.raises(UserError, match="perhaps 'halfpixel'"):
        protocols.named("halfpixels")
    with pytest.raises(ValueError, match="nothing is left"):
        Protocol("x", 1, "original", "s", clip=16, context=16)


def test_a_scaled_protocol_says_so_in_its_name():
    published = PROTOCOLS["kinetics-rollout"]
    small = protocols.scaled(published, clip=16, real=64)
    assert small.key == "kinetics-rollout@2 at 16 frames, 64 clips" and (small.clip, small.real) == (16, 64)
    assert (small.resize, small.context, small.source) == (published.resize, published.context, published.source)
    assert protocols.scaled(published, clip=24, real=8192, samples=1) == published
    assert protocols.scaled(PROTOCOLS["bair-1to15"], samples=1).key == "bair-1to15@1 at 1 sample of each"
    free = protocols.scaled(PROTOCOLS["original"], clip=16, real=64)  # which the protocol leaves to the user
    assert free.key == "original@1" and FVD(free).length == 16
    sides = features(gaussian(64, 0)), features(gaussian(64, 1))
    ours, theirs = FVD(small).score(*sides), FVD(published, any_count=True).score(*sides)
    with pytest.raises(UserError, match="different measures"):
        fvd.compare(ours, theirs)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"clip": 8}, "clip = 9: one generated frame, and 9 scored"),
        ({"real": 1}, "real = 2"),
        ({"samples": 0}, "samples = 1"),
    ],
)
def test_a_protocol_is_not_scaled_below_what_can_be_scored(sizes, words):
    with pytest.raises(UserError, match=words):
        protocols.scaled(PROTOCOLS["kinetics-rollout"], **sizes)
    with pytest.raises(UserError, match="clip = 21"):
        protocols.scaled(PROTOCOLS["teco-20to80"], clip=20)  # only given frames would be left
    with pytest.raises(UserError, match="scaled already"):
        protocols.scaled(protocols.scaled(PROTOCOLS["teco-20to80"], real=64), clip=30)


def test_scored_frames_are_the_protocols():
    given = Protocol("mine", 1, "original", "here", clip=16, context=5, scored="generated")
    metric = FVD(given)
    assert (metric.start, metric.length) == (5, 11)
    assert (FVD("bair-1to15").start, FVD("bair-1to15").length) == (0, 16)
    with pytest.raises(UserError, match="16 frames, not 20"):
        FVD("bair-1to15", clip=20)
    with pytest.raises(UserError, match="at least 9"):
        FVD(clip=8)
    with pytest.raises(UserError, match="at least 9"):
        FVD(Protocol("mine", 1, "original", "here", clip=16, context=8, scored="generated"))


def test_counts_are_part_of_a_protocol():
    real, fake = bair()
    with pytest.raises(UserError, match="256 real clips and 100 samples.*32 real clips.*5 samples.*--any-count"):
        FVD("bair-1to15").score(real, fake)
    assert "(32 real clips, 32 generated ones of 5 samples)" in FVD("bair-1to15", any_count=True).score(real, fake).name
    with pytest.raises(UserError, match="8192 real clips and 1 samples"):
        FVD("kinetics-rollout").score(features(gaussian(8192, 0)), features(gaussian(100, 1), "f"))
    several = FVD().score(features(gaussian(32, 0)), features(gaussian(64, 1), "f", samples=2))
    assert several.name.endswith("(32 real clips, 32 generated ones of 2 samples)")
    right = features(gaussian(256, 0)), features(gaussian(25_600, 1), samples=100)
    assert FVD("bair-1to15", resamples=20).score(*right).name.endswith("16 frames")
    with pytest.raises(UserError, match="00000 is on one side only"):
        FVD("bair-1to15", any_count=True).score(real, features(gaussian(32, 1), "d"))


def test_the_library_has_a_front_door():
    import evaluators

    assert evaluators.FVD is FVD
    with pytest.raises(AttributeError, match="FDV"):
        evaluators.FDV  # noqa: B018


def test_arrays_that_are_no_clips_are_refused():
    clips = np.zeros((3, 16, 8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="colours last"):
        FVD().between(clips[0], clips)
    with pytest.raises(UserError, match="16 frames: 20 are needed"):
        FVD(clip=20).between(clips, clips)
    with pytest.raises(UserError, match="does not exist"):
        FVD().between("nowhere", clips)
    with pytest.raises(UserError, match="unknown back end 'jax'"):
        FVD(backend="jax")
