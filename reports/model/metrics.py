"""The metrics that a report knows: how each is named, and what its value means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricText:
    """How a metric is named. reference: what its value means, in a sentence.

    lowest_is_best: whether the best rows are set in bold, the lowest being the best; a film drawn from the true law does
    not have the lowest MSE, so MSE has no best. whole: one value for a clip, not one for each lead. positive: never below
    0, and its spread grows with it, so that its interval is taken on the logarithm.
    """

    label: str
    reference: str
    lowest_is_best: bool = False
    whole: bool = False
    positive: bool = True


METRICS: Mapping[str, MetricText] = {
    "fsd": MetricText(
        "FSD",
        "Fréchet spectral distance of the horizontal velocity; lower is better; the floor is what real films score "
        "against others.",
        lowest_is_best=True,
    ),
    "fsd_diagonal": MetricText(
        "FSD, diagonal",
        "Fréchet spectral distance with diagonal covariances: less biased at few films, blind to correlations between "
        "wavenumbers; lower is better.",
        lowest_is_best=True,
    ),
    "mse": MetricText(
        "MSE",
        "Mean squared error against the true film; a regression tends to the climatological variance, samples to twice "
        "that.",
    ),
    "mse_ratio": MetricText(
        "MSE / climatology",
        "MSE over the climatological variance: 1 is predicting the mean, 2 an independent film of the true law.",
    ),
    "psnr": MetricText(
        "PSNR, dB",
        "Peak signal-to-noise ratio against the true film, of the mean squared error; a blurred mean scores best, so "
        "nothing is set in bold.",
        positive=False,
    ),
    "ssim": MetricText("SSIM", "Structural similarity to the true film: 1 is equal.", positive=False),
    "crps": MetricText(
        "CRPS",
        "Continuous ranked probability score of the samples of a clip, fair in their number; lower is better; of one "
        "sample it is the mean absolute error.",
        lowest_is_best=True,
    ),
    "spread_skill": MetricText(
        "Spread / skill",
        "Spread of the samples over the error of their mean: 1 is reliable, below it the samples are too alike.",
    ),
    "fvd": MetricText(
        "FVD",
        "Fréchet video distance in the headline reading of its protocol; lower is better; the floor is what real clips "
        "score against others.",
        lowest_is_best=True,
        whole=True,
    ),
    "fvd_mean": MetricText(
        "FVD, mean over samples",
        "The mean of one Fréchet video distance for each sample of the clips; lower is better.",
        lowest_is_best=True,
        whole=True,
    ),
    "fvd_debiased": MetricText(
        "FVD, debiased",
        "Fréchet video distance extrapolated to infinitely many clips: what is left if the bias of a finite number is "
        "taken away. It may fall below 0.",
        lowest_is_best=True,
        whole=True,
        positive=False,
    ),
}


def label(metric: str) -> str:
    return METRICS[metric].label if metric in METRICS else metric
