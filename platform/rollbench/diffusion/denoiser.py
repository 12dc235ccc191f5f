"""A denoiser: what a sampler asks for the clean frames. Any callable (z, logsnr) -> x̂ is one; this wraps a network."""

from __future__ import annotations

from torch import Tensor, nn

from rollbench.diffusion.process import Parametrisation, check_parametrisation, clean_frames
from rollbench.diffusion.schedule import CosineSchedule

PIXEL_RANGE = 1.0  # networks see pixels in [-1, 1]


class Denoiser(nn.Module):
    """A network read as a denoiser.

    network: (z [b, w, ...], logsnr [b, w]) -> prediction of z's shape, in `parametrisation`. Its log-SNR is clamped
    to the schedule's range, and its prediction is read at that same log-SNR, so x̂ is finite at the hard end points
    too.
    clip: x̂ is clamped to [-clip, clip]; None (the default) leaves it alone. For pixels use PIXEL_RANGE.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: CosineSchedule | None = None,
        parametrisation: Parametrisation = "v",
        clip: float | None = None,
    ) -> None:
        super().__init__()
        check_parametrisation(parametrisation)
        if clip is not None and not clip > 0:
            raise ValueError(f"clip={clip} must be positive; clip=None turns it off")
        self.network = network
        self.schedule = schedule or CosineSchedule()
        self.parametrisation: Parametrisation = parametrisation
        self.clip = clip

    def predict(self, z: Tensor, logsnr: Tensor) -> Tensor:
        """The network's prediction, in z's dtype also where the network computes in a shorter one."""
        return self.network(z, self.schedule.clamp(logsnr)).to(z.dtype)

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        """x̂ [b, w, ...] for noisy windows z at log-SNR [b, w]."""
        x_hat = clean_frames(self.predict(z, logsnr), z, self.schedule.clamp(logsnr), self.parametrisation)
        return x_hat if self.clip is None else x_hat.clamp(-self.clip, self.clip)
