"""FVD: published values to the digit, protocols that cannot be mixed, results that do not depend on how they were computed."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import frechet, fvd, protocols, show
from evaluators.base import BadInput
from evaluators.features import Features
from evaluators.fvd import FVD
from evaluators.protocols import PROTOCOLS, Protocol
from evaluators.videos import Clip


@pytest.fixture(scope="module")
def reference(shared):
    return np.load(shared / "i3d" / "fvd_reference.npz")


@pytest.fixture(scope="module")
def metric():
    try:
        FVD(device="cpu").extractor  # noqa: B018
    except BadInput as error:
        pytest.skip(str(error))
    return FVD(device="cpu")


def features(vectors, name="c", samples=None, **changes):
    count = samples or 1
    ids = tuple(f"{name}{i // count:05d}" for i in range(len(vectors)))
    facts = {"extractor": "net:1", "resize": "original", "frames": 16} | changes
    return Features(np.asarray(vectors, np.float32), ids, tuple(i % count for i in range(len(vectors))), **facts)


def gaussian(n, seed, d=12, scale=1.0):
    return np.random.default_rng(seed).standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 * scale


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
def test_order_parts_and_moments_do_not_matter():
    real, fake = features(gaussian(300, 0)), features(gaussian(200, 1, scale=1.1), "d")
    metric = FVD()
    whole = metric.score(real, fake)
    order = np.random.default_rng(2).permutation(300)
    shuffled = Features(real.vectors[order], tuple(real.ids[i] for i in order), (0,) * 300, "net:1", "original", 16)
    again = metric.score(shuffled, fake)
    assert (again.value, again.low, again.high) == (whole.value, whole.low, whole.high)
    merged = sum((Features(real.vectors[i : i + 37], real.ids[i : i + 37], real.samples[i : i + 37], "net:1", "original", 16)
                  .moments() for i in range(37, 300, 37)), start=features(gaussian(300, 0)[:37]).moments())  # fmt: skip
    assert frechet.distance_of_moments(merged, fake.moments()) == pytest.approx(whole.value, rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([1, 3]), st.integers(1, 12))
def test_shards_of_any_cut_and_order_give_the_whole(seed, samples, count):
    """Features merged from parts, as actors find them: any rows in any part, parts in any order, on either side."""
    rng = np.random.default_rng(seed)
    sides = [features(gaussian(40, 0, d=6)), features(gaussian(40 * samples, 1, d=6, scale=1.2), samples=samples)]

    def cut(whole):
        parts = np.array_split(rng.permutation(len(whole)), count)
        return Features.merged([
            Features(whole.vectors[rows], tuple(whole.ids[i] for i in rows), tuple(whole.samples[i] for i in rows),
                     "net:1", "original", 16) for rows in parts
        ])  # fmt: skip

    whole, merged = (fvd.scores(*pair, "x", resamples=30) for pair in (sides, [cut(side) for side in sides]))
    for reading, result in whole.items():
        assert merged[reading].value == pytest.approx(result.value, rel=1e-9)
        np.testing.assert_allclose(merged[reading].replicates, result.replicates, rtol=1e-9)


def test_rows_share_their_resamples():
    """Two models on the same clips: a clip that a resample draws twice is drawn twice for both."""
    real, fake = features(gaussian(100, 0)), gaussian(100, 1, scale=1.3)
    first, again = (FVD().score(real, features(fake)) for _ in range(2))
    np.testing.assert_array_equal(first.replicates, again.replicates)
    assert len(first.replicates) == 1000
    near = FVD().score(real, features(fake + 1e-3 * gaussian(100, 2)))
    apart = FVD(seed=1).score(real, features(fake + 1e-3 * gaussian(100, 2)))
    assert np.corrcoef(first.replicates, near.replicates)[0, 1] > 0.999
    assert abs(np.corrcoef(first.replicates, apart.replicates)[0, 1]) < 0.15


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
        with pytest.raises(BadInput, match="different measures"):
            fvd.compare(base, other)
        assert fvd.compare(base, other, across_protocols=True).value == base.value - other.value
    assert fvd.compare(base, result("original")).value == 0
    more = FVD().score(features(gaussian(60, 0), "r"), features(gaussian(60, 1), "f"))
    with pytest.raises(BadInput, match="50 against 50 clips and 60 against 60"):
        fvd.compare(base, more)
    assert fvd.compare(base, more, across_protocols=True).low < base.value - more.value


def test_features_of_another_make_are_refused():
    real = features(gaussian(20, 0))
    for change in ({"resize": "halfpixel"}, {"extractor": "net:2"}, {"frames": 20}):
        with pytest.raises(BadInput, match="make them alike"):
            FVD().score(real, features(gaussian(20, 1), "f", **change))
    with pytest.raises(BadInput, match="needs halfpixel"):
        FVD("halfpixel").score(real, features(gaussian(20, 1), "f"))


def test_a_protocol_is_complete():
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name and protocol.version >= 1 and protocol.ddof == 1 and protocol.source
        assert protocol.clip is None or protocol.clip >= 9
    assert PROTOCOLS["bair-1to15"].clip == 16 and PROTOCOLS["bair-1to15"].samples == 100
    assert PROTOCOLS["teco-20to80"].resize == "halfpixel" and PROTOCOLS["teco-20to80"].matched
    with pytest.raises(BadInput, match="perhaps 'halfpixel'"):
        protocols.named("halfpixels")
    with pytest.raises(ValueError, match="nothing is left"):
        Protocol("x", 1, "original", "s", clip=16, context=16)


def test_a_scaled_protocol_says_so_in_its_name():
    published = PROTOCOLS["kinetics-rollout"]
    small = protocols.scaled(published, clip=16, real=64)
    assert small.key == "kinetics-rollout@1 at 16 frames, 64 clips" and (small.clip, small.real) == (16, 64)
    assert (small.resize, small.context, small.source) == (published.resize, published.context, published.source)
    assert protocols.scaled(published, clip=24, real=8192, samples=1) == published
    assert protocols.scaled(PROTOCOLS["bair-1to15"], samples=1).key == "bair-1to15@1 at 1 sample of each"
    free = protocols.scaled(PROTOCOLS["original"], clip=16, real=64)  # which the protocol leaves to the user
    assert free.key == "original@1" and FVD(free).length == 16
    sides = features(gaussian(64, 0)), features(gaussian(64, 1))
    ours, theirs = FVD(small).score(*sides), FVD(published, any_count=True).score(*sides)
    with pytest.raises(BadInput, match="different measures"):
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
    with pytest.raises(BadInput, match=words):
        protocols.scaled(PROTOCOLS["kinetics-rollout"], **sizes)
    with pytest.raises(BadInput, match="clip = 21"):
        protocols.scaled(PROTOCOLS["teco-20to80"], clip=20)  # only given frames would be left
    with pytest.raises(BadInput, match="scaled already"):
        protocols.scaled(protocols.scaled(PROTOCOLS["teco-20to80"], real=64), clip=30)


def test_scored_frames_are_the_protocols():
    given = Protocol("mine", 1, "original", "here", clip=16, context=5, scored="generated")
    metric = FVD(given)
    assert (metric.start, metric.length) == (5, 11)
    assert (FVD("bair-1to15").start, FVD("bair-1to15").length) == (0, 16)
    with pytest.raises(BadInput, match="16 frames, not 20"):
        FVD("bair-1to15", clip=20)
    with pytest.raises(BadInput, match="at least 9"):
        FVD(clip=8)
    with pytest.raises(BadInput, match="at least 9"):
        FVD(Protocol("mine", 1, "original", "here", clip=16, context=8, scored="generated"))


def bair(clips=32, samples=5, seed=0):
    """Real clips and samples that share half of their variance."""
    rng = np.random.default_rng(seed)
    source = gaussian(clips, seed)
    fake = 0.8 * np.repeat(source, samples, 0) + 0.6 * gaussian(clips * samples, rng.integers(1 << 30))
    return features(source), features(fake, samples=samples)


def test_readings_of_many_samples_per_clip():
    real, fake = bair()
    pooled, mean, debiased = (
        FVD(name, any_count=True).score(real, fake) for name in ("bair-1to15", "bair-1to15-mean", "bair-1to15-debiased")
    )
    each = [frechet.distance(real.vectors, fake.vectors[k::5]) for k in range(5)]
    assert pooled.value == pytest.approx(frechet.distance(real.vectors, fake.vectors))
    assert mean.value == pytest.approx(np.mean(each)) == pytest.approx(pooled.readings["mean"])
    assert debiased.value == pytest.approx(pooled.infinity.value) and debiased.value < pooled.value < mean.value
    assert pooled.sources == 32 and pooled.n == 32 and pooled.m == 160
    assert len({result.name for result in (pooled, mean, debiased)}) == 3
    every = fvd.scores(real, fake, "x")  # at the cost of one
    assert {reading: result.value for reading, result in every.items()} == {
        "pooled": pooled.value, "mean": mean.value, "debiased": debiased.value
    }  # fmt: skip
    np.testing.assert_array_equal(every["mean"].replicates, mean.replicates)
    with pytest.raises(BadInput, match="different measures"):
        fvd.compare(every["mean"], every["pooled"])


def test_counts_are_part_of_a_protocol():
    real, fake = bair()
    with pytest.raises(BadInput, match="256 real clips and 100 samples.*32 real clips.*5 samples.*--any-count"):
        FVD("bair-1to15").score(real, fake)
    assert "(32 real clips, 32 generated ones of 5 samples)" in FVD("bair-1to15", any_count=True).score(real, fake).name
    with pytest.raises(BadInput, match="8192 real clips and 1 samples"):
        FVD("kinetics-rollout").score(features(gaussian(8192, 0)), features(gaussian(100, 1), "f"))
    several = FVD().score(features(gaussian(32, 0)), features(gaussian(64, 1), "f", samples=2))
    assert several.name.endswith("(32 real clips, 32 generated ones of 2 samples)")
    right = features(gaussian(256, 0)), features(gaussian(25_600, 1), samples=100)
    assert FVD("bair-1to15", resamples=20).score(*right).name.endswith("16 frames")
    with pytest.raises(BadInput, match="00000 is on one side only"):
        FVD("bair-1to15", any_count=True).score(real, features(gaussian(32, 1), "d"))


def test_intervals_resample_source_clips_and_not_samples():
    """Twenty copies of every sample add nothing: the interval stays as wide, where resampling rows would narrow it."""
    real, fake = bair(clips=64, samples=1)
    copies = features(np.repeat(fake.vectors, 20, 0), samples=20)
    metric = FVD("bair-1to15", any_count=True)
    one, many = metric.score(real, fake), metric.score(real, copies)
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.1)


def test_sharing_clips_sharpens_a_comparison():
    real, fake = features(gaussian(200, 0)), gaussian(200, 1, scale=1.3)
    first = FVD().score(real, features(fake, "f"))
    second = FVD().score(real, features(fake + 0.05 * gaussian(200, 2), "f"))
    gap = fvd.compare(second, first)
    assert gap.high - gap.low < 0.5 * (first.high - first.low)


# --- what is told ------------------------------------------------------------------------------------------------------
def test_few_clips_are_warned_of_and_one_is_refused():
    few = FVD().score(features(gaussian(30, 0, d=400)), features(gaussian(30, 1, d=400), "f"))
    assert "30 vectors are fewer than their 400 features" in few.warnings[0]
    assert not FVD().score(features(gaussian(30, 0)), features(gaussian(30, 1), "f")).warnings
    with pytest.raises(BadInput, match="at least 2"):
        FVD().score(features(gaussian(1, 0)), features(gaussian(30, 1), "f"))
    assert FVD().score(features(gaussian(2, 0)), features(gaussian(2, 1), "f")).floor is None
    with pytest.raises(BadInput, match="all samples are of the one clip c00000"):
        FVD().score(features(gaussian(5, 0), samples=5), features(gaussian(5, 1), samples=5))


def test_uneven_samples_have_no_mean_reading():
    fake = features(gaussian(65, 1), "f", samples=3)
    result = FVD().score(
        features(gaussian(30, 0)),
        Features(fake.vectors[:64], fake.ids[:64], fake.samples[:64], "net:1", "original", 16),
    )
    assert set(result.readings) <= {"pooled"} and result.sources == 52
    names = features(gaussian(22, 0), "f")
    uneven = Features(fake.vectors[:64], fake.ids[:64], fake.samples[:64], "net:1", "original", 16)
    with pytest.raises(BadInput, match="equally many samples"):
        FVD("bair-1to15-mean", any_count=True).score(names, uneven)
    single = features(gaussian(22, 1), "f")
    assert FVD("bair-1to15-mean", any_count=True).score(names, single).value == FVD().score(names, single).value


def test_two_thousand_clips_have_all_their_output():
    """1,000 resamples, floor and N-curve of 2,048 clips."""
    result = FVD().score(features(gaussian(2048, 0, d=400)), features(gaussian(2048, 1, d=400), "f"))
    assert len(result.replicates) == 1000 and result.floor is not None


@pytest.mark.slow
def test_a_hundred_samples_of_each_of_256_clips():
    """BAIR's counts, in all its readings."""
    source = gaussian(256, 0, d=400)
    fake = 0.8 * np.repeat(source, 100, 0) + 0.6 * gaussian(25_600, 1, d=400)
    every = fvd.scores(features(source), features(fake, samples=100), "x")
    assert every["pooled"].m == 25_600 and every["pooled"].sources == 256
    assert every["debiased"].value < every["pooled"].value < every["mean"].value
    assert all(len(result.replicates) == 1000 for result in every.values())


def test_text_json_and_plot_say_it_all(tmp_path):
    real, fake = bair()
    left_out = Features(fake.vectors, fake.ids, fake.samples, "net:1", "original", 16, ("x.mp4 cannot be read",))
    result = FVD("bair-1to15", any_count=True).score(real, left_out)
    text = show.text(result)
    for words in ("FVD ", "95 %", result.name, "floor:", "N -> infinity:", "N-curve:", "reading mean:", "x.mp4 cannot be read",
                  "warning" if result.warnings else "interval over 32 source clips"):  # fmt: skip
        assert words in text, words
    again = json.loads(show.as_json({"fvd": result}))["fvd"]
    assert again["value"] == result.value and again["left_out"]["generated"] == ["x.mp4 cannot be read"]
    for name in ("curve.png", "curve.svg"):
        show.plot(result, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5000
    with pytest.raises(BadInput, match="cannot be written"):
        show.plot(result, tmp_path / "curve.doc")


def test_the_library_has_a_front_door():
    import evaluators

    assert evaluators.FVD is FVD
    with pytest.raises(AttributeError, match="FDV"):
        evaluators.FDV  # noqa: B018


def test_arrays_that_are_no_clips_are_refused():
    clips = np.zeros((3, 16, 8, 8, 3), np.uint8)
    with pytest.raises(BadInput, match="colours last"):
        FVD().between(clips[0], clips)
    with pytest.raises(BadInput, match="16 frames: 20 are needed"):
        FVD(clip=20).between(clips, clips)
    with pytest.raises(BadInput, match="does not exist"):
        FVD().between("nowhere", clips)
    with pytest.raises(BadInput, match="unknown back end 'jax'"):
        FVD(backend="jax")
