"""Measures of how alike two sets of films are: FVD, FSD, spectra, pixel errors, each with its uncertainty.

Stands alone (numpy, scipy, torch): usable on any two sets of clips, without the rest of this repository.

    from evaluators import FVD
    print(FVD("original", clip=16).between("REAL/", "FAKE/").value)

A metric is a file: `fvd` `fsd` `fid` `spectra` `pixel` `motion` `lpips`. They share `frechet` (the distance), `moments` (sets that merge),
`uncertainty` (intervals), `bias` (floor and N-curve) and `scoring` (all of it, from features). Packages that one purpose alone
needs (av, pyarrow, matplotlib, safetensors, tensorflow_hub) are imported when it is asked for.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """FVD, imported at its first use: the other evaluators do without torch."""
    if name == "FVD":
        from evaluators.fvd import FVD

        return FVD
    raise AttributeError(f"module 'evaluators' has no attribute {name!r}")
