"""Named FVD protocols: what is compared with what. A number's name includes its protocol and the protocol's version.

Two results of different protocols differ for reasons that have nothing to do with the models: resizing alone moves FVD by up
to 6 %, counts by more. So a protocol states all of it, any change raises its version, and `fvd.compare` refuses two
numbers of different names unless told otherwise. A run of fewer or shorter clips has a protocol of its own, `scaled`.

Where a publication is silent the reading is ours and `source` says so.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Any, Literal

from evaluators.base import Resize, UserError
from evaluators.weights import FRAMES

Reading = Literal["pooled", "mean", "debiased"]


@dataclass(frozen=True)
class Protocol:
    """One way to score.

    clip      frames of a clip, the given ones included: context + horizon of a rollout; None: given by the user
    resize    how frames come to 224 x 224
    context   frames in front that the model was given
    scored    "all" frames, the given ones included, or the "generated" ones
    real      real clips; None: as many as there are
    samples   generated clips per source clip
    matched   generated clips continue the very clips that they are compared with
    reading   with several samples: all "pooled" against the real clips, or the "mean" of one FVD per sample; "debiased":
              pooled and extrapolated to infinitely many source clips
    stride    source frames from one frame to the next, size: pixels of a side; both are facts about the data, stated
    ddof      of the covariances
    at        what differs from the published protocol of this name, in words; see `scaled`
    """

    name: str
    version: int
    resize: Resize
    source: str
    clip: int | None = None
    context: int = 0
    scored: Literal["all", "generated"] = "all"
    real: int | None = None
    samples: int = 1
    matched: bool = False
    reading: Reading = "pooled"
    stride: int = 1
    size: int | None = None
    ddof: int = 1
    at: str = ""

    def __post_init__(self) -> None:
        if self.context and self.clip is not None and self.context >= self.clip:
            raise ValueError(f"context {self.context} of {self.clip} frames: nothing is left to generate")
        if self.ddof != 1:
            raise ValueError(f"ddof {self.ddof}: every published FVD divides by n - 1, ddof=1")

    @property
    def key(self) -> str:
        return f"{self.name}@{self.version}" + (f" at {self.at}" if self.at else "")

    def span(self, clip: int | None) -> tuple[int, int | None]:
        """First frame scored and number of frames scored, of a clip of `clip` frames in all."""
        skipped = self.context if self.scored == "generated" else 0
        return skipped, None if clip is None else clip - skipped


_BAIR: tuple[tuple[str, Reading, str], ...] = (
    ("bair-1to15", "pooled", "25,600 against 256"),
    ("bair-1to15-mean", "mean", "the mean of 100 FVDs of 256 against 256"),
    ("bair-1to15-debiased", "debiased", "25,600 against 256, extrapolated in the number of source clips"),
)
_ROLLOUT = (
    "Rolling Diffusion Table 3: 8,192 samples; 5 frames given, which are scored too, against the clips they continue, "
    "resize original (ours)"
)

PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("original", 1, "original", "google-research/frechet_video_distance (Unterthiner et al. 2018)"),
        Protocol("halfpixel", 1, "halfpixel", "the resize of TECO, FitVid, StyleGAN-V; clips, counts: the user's"),
        *(
            Protocol(
                name, 1, "original", "BAIR 1 -> 15: 100 samples of each of 256 clips against the 256 (Table 1); " + how,
                clip=16, context=1, real=256, samples=100, matched=True, reading=reading, size=64,
            )
            for name, reading, how in _BAIR
        ),
        Protocol(
            "kinetics-5to11", 1, "original",
            "Kinetics-600 5 -> 11 at 64x64 (Table 2); counts not stated, given frames scored too (ours)",
            clip=16, context=5, matched=True, size=64,
        ),
        Protocol(
            "kinetics-rollout", 2, "original", _ROLLOUT,
            clip=24, context=5, real=8192, matched=True, stride=8, size=64,
        ),
        Protocol(
            "kinetics-rollout-stride1", 2, "original", _ROLLOUT,
            clip=64, context=5, real=8192, matched=True, size=64,
        ),
        Protocol(
            "teco-20to80", 1, "halfpixel",
            "TECO's Kinetics-600 20 -> 80 at 128x128 (Table 9): 256 samples against the clips they continue; "
            "given frames scored too (ours)",
            clip=100, context=20, real=256, matched=True, size=128,
        ),
    )
}  # fmt: skip


def named(name: str) -> Protocol:
    """The protocol of a name; BadInput offers the nearest one."""
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name, PROTOCOLS, 1, 0.0)[0]
        raise UserError(f"unknown protocol {name!r}, perhaps {near!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def scaled(
    protocol: Protocol, *, clip: int | None = None, real: int | None = None, samples: int | None = None
) -> Protocol:
    """The published protocol at other sizes; None keeps its own.

    Its key names every size that differs, "kinetics-rollout@2 at 16 frames, 64 clips", so that its numbers are never
    taken for published ones. Sizes that the protocol leaves to the user are filled in and change no name.
    """
    if protocol.at:
        raise UserError(f"protocol {protocol.key} is scaled already: scale {protocol.name} itself, once")
    fewest = max(protocol.span(0)[0] + FRAMES, protocol.context + 1)
    for name, value, least in (("clip", clip, fewest), ("real", real, 2), ("samples", samples, 1)):
        if value is not None and value < least:
            why = f": one generated frame, and {FRAMES} scored, which I3D needs" if name == "clip" else ""
            raise UserError(f"{name} = {value}: protocol {protocol.name} scales down to {name} = {least}{why}")
    sizes = {
        "clip": (clip, "frames"),
        "real": (real, "clips"),
        "samples": (samples, f"sample{'s' * (samples != 1)} of each"),
    }
    differ = [f"{value} {unit}" for name, (value, unit) in sizes.items()
              if value is not None and getattr(protocol, name) not in (None, value)]  # fmt: skip
    given: dict[str, Any] = {name: value for name, (value, _) in sizes.items() if value is not None}
    return replace(protocol, **given, at=", ".join(differ))
