"""FSD, the Frechet Spectral Distance between flows, at one lead time (Rolling Diffusion, Eq. 27).

A frame's feature vector is |rfft2(u, norm="ortho")| of its horizontal velocity u, the mean (DC) kept, the conjugate
duplicates of the half-plane dropped (columns kx = 0 and kx = X/2, rows ky > Y/2): 64x64 -> 2050 numbers, 32x32 -> 514,
16x16 -> 130. FSD is the Frechet distance between N such vectors of either side, in the unit of u squared. The paper
leaves norm, units and N open: its absolute values cannot be met, its ranking and shape over leads can.

For stationary Gaussian fields with spectra S1, S2 amplitudes are Rayleigh (real modes: half-normal), independent, and

    FSD = sum_k (sqrt S1 - sqrt S2)^2                                             over the kept modes.

At finite N it is biased, badly where N is near d or below: print N and `floor` beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluators import frechet, uncertainty

VERSION = "fsd@1"
INCREMENTS_VERSION = "fsd-increments@1"


def modes(y: int, x: int) -> np.ndarray:
    """[y, x // 2 + 1] booleans: the modes of the half-plane that are kept, each conjugate pair once."""
    keep = np.ones((y, x // 2 + 1), dtype=bool)
    selfconjugate = [0, x // 2] if x % 2 == 0 else [0]
    keep[y // 2 + 1 :, selfconjugate] = False
    return keep


def features(frames: Any) -> np.ndarray:
    """[..., d] amplitudes of the horizontal velocity, channel 0 of frames [..., c, y, x], in float64."""
    velocity = np.asarray(frames)
    if velocity.ndim < 3:
        raise ValueError(
            f"frames of shape {velocity.shape}: FSD needs [..., channels, y, x] with the horizontal velocity first"
        )
    u = np.asarray(velocity[..., 0, :, :], dtype=np.float64)
    return np.abs(np.fft.rfft2(u, norm="ortho"))[..., modes(*u.shape[-2:])]


def increment_features(frames: Any, previous: Any) -> np.ndarray:
    """[..., d] amplitudes of the change of the horizontal velocity from `previous` to `frames`, both [..., c, y, x].

    FSD at one lead sees single frames only: a frozen frame has a true spectrum and scores well. Its increments are 0, and those of
    frames in a wrong order are too large. For stationary Gaussian fields of spectrum S and correlation rho between successive frames

        FSD of increments = sum_k (sqrt(2 (1 - rho_1) S_k) - sqrt(2 (1 - rho_2) S_k))^2.

    Amplitudes have no sign, so increments do not distinguish a sequence from its reverse; the step from the context to the first
    frame does.
    """
    after, before = (np.asarray(x)[..., :1, :, :].astype(np.float64) for x in (frames, previous))
    return features(after - before)


def distance(real: Any, fake: Any, *, diagonal: bool = False) -> float:
    """The FSD of features real [N, d] and fake [M, d]; `diagonal` ignores covariances between modes."""
    return frechet.diagonal(real, fake).value if diagonal else frechet.distance(real, fake)


def bootstrap(real: Any, fake: Any, draws: np.ndarray, *, diagonal: bool = False) -> np.ndarray:
    """[count] replicates over trajectories: row i of fake continues row i of real, so both are drawn together.

    `draws` [count, N] come from `uncertainty.resamples`, the same for every row of a table.
    """
    if len(real) != len(fake):
        raise ValueError(f"{len(real)} real and {len(fake)} generated trajectories: drawing them together needs pairs")
    found = (frechet.diagonal if diagonal else frechet.estimate)(real, fake)
    return uncertainty.replicates(found.value, found.real + found.fake, draws)


def floor(real: Any, n: int, splits: int = 8, seed: int = 0, *, diagonal: bool = False) -> np.ndarray:
    """[splits] values of n real against n other real trajectories: what films of the right law score at this count, as
    far as they continue other trajectories; those that continue the very ones they are set against can score less at short leads.

    real [P, d] with P >= 2 n. Each split draws two disjoint sets; the mean is the floor, the spread its noise.
    """
    pool = np.asarray(real)
    if len(pool) < 2 * n:
        raise ValueError(
            f"a floor at n = {n} needs {2 * n} real trajectories and {len(pool)} are there: take n <= {len(pool) // 2}"
        )
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(pool)) for _ in range(splits)]
    return np.array([distance(pool[o[:n]], pool[o[n : 2 * n]], diagonal=diagonal) for o in orders])
