"""The protocol of a setting in words: complete enough to recompute every number of a report with numpy and scipy.

`tests/results/test_protocol.py` does so for each metric, its intervals and the claims, by an independent implementation.
"""

from __future__ import annotations

from collections.abc import Callable

from evaluators import fsd, protocols
from evaluators.weights import CLASSES, IDENTITY
from reports.model import metrics, seeds
from rollbench.config.table import Setting
from rollbench.pipeline.measures import protocol_of

MEAN_FRAME = "the mean over all frames of the first 1,024 training clips (all of them, if there are fewer)"
FRECHET = (
    "The Fréchet distance of two sets of vectors with means m₁, m₂ and covariances S₁, S₂ (sums of squares divided by n − 1) is "
    "|m₁ − m₂|² + tr S₁ + tr S₂ − 2 tr (S₁ S₂)^½, in float64. The last trace is the sum of the square roots of the eigenvalues of "
    "S₁ S₂; where n is below the number of features it is computed as the sum of the singular values of C₁ C₂ᵀ, C the centred "
    "vectors as rows, divided by (n − 1)."
)
RESIZES = {
    "original": "output pixel i reads the source coordinate i · in / out",
    "halfpixel": "output pixel i reads the source coordinate (i + ½) · in / out − ½, at least 0",
}
ACCOUNTING = {
    "steady": "Network calls per emitted frame are equal for all methods in steady state, as the paper counts; the first window of a "
    "rollout costs extra (--set sampling.accounting=total includes it).",
    "total": "Network calls per emitted frame are equal for all methods over whole rollouts, the first window included.",
}


def protocol_text(setting: Setting, resamples: int) -> tuple[str, ...]:
    """The paragraphs of a setting's protocol: what is scored, one paragraph for each group of metrics, intervals, sampling."""
    requested = set(setting.metrics)
    texts = [text(setting) for names, text in PARAGRAPHS if requested & names]
    frechet = [FRECHET] if requested & FRECHET_METRICS else []
    return (_clips(setting), *frechet, *texts, _intervals(setting, resamples), _sampling(setting))


def _clips(setting: Setting) -> str:
    s = setting.sampling
    samples = f", {s.samples} samples of each clip" if s.samples > 1 else ""
    return (
        f"What is scored: the last {s.horizon} frames of each of the first N = {s.contexts:,} test clips; lead k is the k-th of them, "
        f"lead 0 the last context frame. The context is the frames right before{samples}. Persistence repeats lead 0; climatology "
        f"repeats {MEAN_FRAME}{', rounded to whole pixel values' if _is_video(setting) else ''}. The floor (real vs real) scores the "
        f"last {s.horizon} frames of the first {s.contexts * s.samples:,} training clips in place of samples. They belong to other "
        "clips, so a sample that continues the test clip it is compared with can score below the floor at short leads."
    )


def _fsd(setting: Setting) -> str:
    y, x = setting.data.frame_shape[-2:]
    half = x // 2 + 1
    columns = f"kx = 0 and kx = {x // 2}" if x % 2 == 0 else "kx = 0"
    return (
        f"FSD at lead k: the Fréchet distance between N vectors of the true clips and N of the samples (the first sample of each clip), "
        f'one distance per lead, no pooling. A frame\'s vector is |rfft2(u, norm="ortho")| of its first channel u (the horizontal '
        f"velocity of a flow) in float64, DC kept; of the {y} × {half} = {y * half} modes, one of each conjugate pair is dropped (in the "
        f"columns {columns} the rows ky > {y // 2}), so {int(fsd.modes(y, x).sum())} features remain. Unit: that of u squared."
    )


def _increments(setting: Setting) -> str:
    return (
        'FSD of increments at lead k: the same distance between vectors |rfft2(uₖ − uₖ₋₁, norm="ortho")| of the change from the frame '
        "before, with the same features and the same unit; u₀ is the last context frame (of the floor: that of its own clip). FSD "
        "scores single frames, so a frozen true frame passes it; it fails this one."
    )


def _diagonal(setting: Setting) -> str:
    return "FSD, diagonal: of the same vectors, |m₁ − m₂|² + Σ (s₁ − s₂)², s the standard deviation of each feature (divided by n − 1)."


def _mse(setting: Setting) -> str:
    return (
        f"MSE at lead k: the mean of (sample − truth)² over clips, samples, channels and cells, {_unit(setting, 'squared')}. MSE / "
        "climatology divides it by the MSE of climatology at the same lead."
    )


def _images(setting: Setting) -> str:
    return (
        "PSNR at lead k: −10 log₁₀ of the MSE, at most 120 dB. SSIM at lead k (Wang et al. 2004): the mean over clips, samples, channels "
        "and all 11 × 11 windows inside the frame, with Gaussian weights (σ = 1.5), C₁ = 0.01², C₂ = 0.03², pixels from 0 to 1."
    )


def _ensemble(setting: Setting) -> str:
    return (
        f"CRPS at lead k: with the m samples f of a cell and its true value x, mean |f − x| − Σ |fᵢ − fⱼ| / (m (m − 1)) over the pairs "
        f"i < j (fair in m; of one sample |f − x|), the mean over clips, channels and cells, {_unit(setting)}. Spread / skill: the root "
        "of (1 + 1/m) times the mean variance of the samples (divided by m − 1) over the MSE of their mean."
    )


def _energies(setting: Setting) -> str:
    return (
        "Motion / real at lead k: the mean of (xₖ − xₖ₋₁)² over clips, samples, channels and pixels, divided by the same mean of the true "
        "clips; x₀ is the last context frame. Detail / real: the same with the squared differences of neighbouring pixels, the average of "
        "the mean over vertical and the mean over horizontal neighbours."
    )


def _fvd(setting: Setting) -> str:
    s, published = setting.sampling, protocols.named(setting.protocol)
    context = published.context if published.scored == "all" else 0
    frames = context + s.horizon
    protocol = protocol_of(setting.protocol, frames, s.contexts, s.samples)
    return (
        f"FVD by the protocol {protocol.key} ({published.source}): the Fréchet distance between the {CLASSES} logits of I3D ({IDENTITY}, "
        f"the network of TF-Hub's deepmind/i3d-kinetics-400/1) of {s.contexts:,} true clips and {s.contexts * s.samples:,} sampled ones. "
        f"A clip has {frames} frames, the first {context} of them real context; pixels are scaled to [−1, 1] and resized to "
        f"224 × 224 by bilinear interpolation without smoothing ({RESIZES[protocol.resize]}). Headline reading: {protocol.reading}. "
        "Pooled: all samples against all true clips. Mean: the mean of one distance per sample index. Debiased: the a of the "
        "least-squares fit a + b / n to pooled distances of random subsets of n = N/2, 5N/8, 3N/4, 7N/8 (four subsets each) and N clips."
    )


def _intervals(setting: Setting, resamples: int) -> str:
    any_sign = ", ".join(
        [metrics.METRICS[name].label for name in setting.metrics if not metrics.METRICS[name].positive]
    )
    plain_scale = f"{any_sign} and for differences" if any_sign else "differences"
    return (
        f"Intervals hold 95 % and come from {resamples:,} resamples of the N clips, the same for every row: resample r draws the clips "
        f"numpy.random.default_rng(0).integers(0, N, ({resamples}, N))[r], cᵢ times clip i. A replicate of a mean over clips is the mean "
        "over the drawn clips (a ratio or a logarithm is taken of such means). A replicate of a Fréchet distance is d + Σ (cᵢ − 1) φᵢ, "
        "where φᵢ is the derivative of d with respect to the count of clip i, on both sides together and around one each, less its mean; "
        "with counts, m = Σ cᵢ vᵢ / Σ cᵢ and S = Σ cᵢ (vᵢ − m)(vᵢ − m)ᵀ / (N − 1) (infinitesimal jackknife). With h = 1.959964 times the "
        "replicates' standard deviation (divided by count − 1), the interval is [v e^(−h/v), v e^(h/v)] for a value v of a metric that "
        f"cannot be negative, [0, v + h] where v < h/2, and [v − h, v + h] for {plain_scale}. With S > 1 training seeds the value is "
        "their mean; replicate r is the mean m over the seeds' replicates ρₛᵣ plus (t / 1.959964) · √(S / (S − 1)) · (mean of ρ over the "
        f"seeds numpy.random.default_rng({seeds.SEED}).integers(S, size=(S, count))[:, r] − m), t Student's 97.5 % quantile with S − 1 "
        "degrees of freedom. The interval covers the variation over clips and samples, and between trainings only if S > 1."
    )


def _sampling(setting: Setting) -> str:
    s = setting.sampling
    degradation = f" Contexts are degraded before sampling: {s.degradation}." if s.degradation is not None else ""
    return (
        f"Sampling: the sampler “{s.sampler}”, {s.calls_per_frame} network calls per frame. {ACCOUNTING[s.accounting]}{degradation} A run "
        "shorter than the paper's averages its weights with a decay below 0.9999 (1 − 10 / steps)."
    )


def _is_video(setting: Setting) -> bool:
    return bool(setting.data.kind == "video")


def _unit(setting: Setting, squared: str = "") -> str:
    return "pixels from 0 to 1" if _is_video(setting) else f"in the data's units {squared}".strip()


PARAGRAPHS: tuple[tuple[frozenset[str], Callable[[Setting], str]], ...] = (
    (frozenset({"fsd", "fsd_diagonal", "fsd_increments"}), _fsd),
    (frozenset({"fsd_increments"}), _increments),
    (frozenset({"fsd_diagonal"}), _diagonal),
    (frozenset({"mse", "mse_ratio"}), _mse),
    (frozenset({"psnr", "ssim"}), _images),
    (frozenset({"crps", "spread_skill"}), _ensemble),
    (frozenset({"motion_ratio", "detail_ratio"}), _energies),
    (frozenset({"fvd", "fvd_mean", "fvd_debiased"}), _fvd),
)
FRECHET_METRICS = frozenset({"fsd", "fsd_increments", "fvd", "fvd_mean", "fvd_debiased"})
