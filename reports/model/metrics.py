"""The metrics that a report can print: the label of each, and the meaning of its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricText:
    """The texts of a metric and the properties that decide how it is printed."""

    label: str
    reference: str  # the meaning of its value, in a sentence
    lowest_is_best: bool = (
        False  # whether the best rows are bold; MSE has no best: a mean scores lower than a true sample
    )
    motion: bool = False  # whether it depends on the change between frames, so that a frozen frame scores badly
    whole: bool = False  # one value for a clip, not one for each lead
    positive: bool = True  # never below 0 with a spread that grows with it: its interval is computed on the logarithm


METRICS: Mapping[str, MetricText] = {
    "fsd": MetricText(
        "FSD",
        "Fréchet spectral distance of the horizontal velocity; lower is better; the floor is the distance between "
        "two sets of real clips.",
        lowest_is_best=True,
    ),
    "fsd_diagonal": MetricText(
        "FSD, diagonal",
        "Fréchet spectral distance with diagonal covariances: less biased for few clips, blind to correlations between "
        "wavenumbers; lower is better.",
        lowest_is_best=True,
    ),
    "fsd_increments": MetricText(
        "FSD of increments",
        "Fréchet spectral distance of the change of the horizontal velocity from the frame before; lower is better. FSD scores "
        "single frames and does not see whether they move; here a frozen frame scores badly.",
        lowest_is_best=True,
        motion=True,
    ),
    "mse": MetricText(
        "MSE",
        "Mean squared error against the true clip; a regression tends to the climatological variance, samples to twice "
        "that.",
    ),
    "mse_ratio": MetricText(
        "MSE / climatology",
        "MSE over the climatological variance: 1 is the score of the mean, 2 that of an independent sample of the true law.",
    ),
    "psnr": MetricText(
        "PSNR, dB",
        "Peak signal-to-noise ratio against the true clip, from the mean squared error; a blurred mean scores best, so "
        "no value is bold.",
        positive=False,
    ),
    "ssim": MetricText("SSIM", "Structural similarity to the true clip: 1 is equal.", positive=False),
    "crps": MetricText(
        "CRPS",
        "Continuous ranked probability score of the samples of a clip, unbiased in their number; lower is better; for "
        "one sample it is the mean absolute error.",
        lowest_is_best=True,
    ),
    "spread_skill": MetricText(
        "Spread / skill",
        "Spread of the samples over the error of their mean: 1 is reliable, below 1 the samples are too similar.",
    ),
    "motion_ratio": MetricText(
        "Motion / real",
        "Energy of the change from frame to frame over that of the real clips: 1 is right, 0 is a frozen frame, below 1 samples "
        "fade or blur, above 1 they flicker.",
    ),
    "detail_ratio": MetricText(
        "Detail / real",
        "Energy of the differences between neighbouring pixels over that of the real clips: 1 is right, below 1 samples fade or "
        "blur, above 1 they are speckled.",
    ),
    "fvd": MetricText(
        "FVD",
        "Fréchet video distance in the headline reading of its protocol; lower is better; the floor is the distance "
        "between two sets of real clips.",
        lowest_is_best=True,
        motion=True,
        whole=True,
    ),
    "fvd_mean": MetricText(
        "FVD, mean over samples",
        "The mean of one Fréchet video distance for each sample of the clips; lower is better.",
        lowest_is_best=True,
        motion=True,
        whole=True,
    ),
    "fvd_debiased": MetricText(
        "FVD, debiased",
        "Fréchet video distance extrapolated to infinitely many clips, without the bias of a finite number. It may "
        "fall below 0.",
        lowest_is_best=True,
        motion=True,
        whole=True,
        positive=False,
    ),
}


def label(metric: str) -> str:
    return METRICS[metric].label if metric in METRICS else metric
