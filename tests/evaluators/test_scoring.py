"""A distance with interval, floor, N-curve and readings: equal however it was put together, and honest about what it is."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import frechet, scoring, show
from evaluators.base import UserError
from evaluators.features import Features
from evaluators.fvd import FVD


def features(vectors, name="c", samples=None, **changes):
    count = samples or 1
    ids = tuple(f"{name}{i // count:05d}" for i in range(len(vectors)))
    facts = {"extractor": "net:1", "resize": "original", "frames": 16} | changes
    return Features(np.asarray(vectors, np.float32), ids, tuple(i % count for i in range(len(vectors))), **facts)


def gaussian(n, seed, d=12, scale=1.0):
    return np.random.default_rng(seed).standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5 * scale


def bair(clips=32, samples=5, seed=0):
    """Real clips and samples that share half of their variance."""
    rng = np.random.default_rng(seed)
    source = gaussian(clips, seed)
    fake = 0.8 * np.repeat(source, samples, 0) + 0.6 * gaussian(clips * samples, rng.integers(1 << 30))
    return features(source), features(fake, samples=samples)


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

    whole, merged = (scoring.scores(*pair, "x", resamples=30) for pair in (sides, [cut(side) for side in sides]))
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


# --- readings and intervals --------------------------------------------------------------------------------------------
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
    every = scoring.scores(real, fake, "x")  # at the cost of one
    assert {reading: result.value for reading, result in every.items()} == {
        "pooled": pooled.value, "mean": mean.value, "debiased": debiased.value
    }  # fmt: skip
    np.testing.assert_array_equal(every["mean"].replicates, mean.replicates)
    with pytest.raises(UserError, match="different measures"):
        scoring.compare(every["mean"], every["pooled"])


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
    gap = scoring.compare(second, first)
    assert gap.high - gap.low < 0.5 * (first.high - first.low)


# --- what is told ------------------------------------------------------------------------------------------------------
def test_few_clips_are_warned_of_and_one_is_refused():
    few = FVD().score(features(gaussian(30, 0, d=400)), features(gaussian(30, 1, d=400), "f"))
    assert "30 vectors are fewer than their 400 features" in few.warnings[0]
    assert not FVD().score(features(gaussian(30, 0)), features(gaussian(30, 1), "f")).warnings
    with pytest.raises(UserError, match="at least 2"):
        FVD().score(features(gaussian(1, 0)), features(gaussian(30, 1), "f"))
    assert FVD().score(features(gaussian(2, 0)), features(gaussian(2, 1), "f")).floor is None
    with pytest.raises(UserError, match="all samples are of the one clip c00000"):
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
    with pytest.raises(UserError, match="equally many samples"):
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
    every = scoring.scores(features(source), features(fake, samples=100), "x")
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
    with pytest.raises(UserError, match="cannot be written"):
        show.plot(result, tmp_path / "curve.doc")
