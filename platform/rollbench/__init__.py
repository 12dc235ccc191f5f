"""Rollbench: which way of generating a long sequence of frames is better, at equal cost, and how sure are we?

The library needs torch alone: bring any denoiser, choose a method, roll out any horizon.

    from rollbench import Rolling, rollout
    films = rollout(denoiser, Rolling(clean=2, generated=8), context, horizon=48, calls_per_frame=8, seed=0)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "CosineSchedule": "rollbench.diffusion.schedule",
    "Denoiser": "rollbench.diffusion.denoiser",
    "DiffusionForcing": "rollbench.methods",
    "Ensemble": "rollbench.methods",
    "Regression": "rollbench.methods",
    "Rolling": "rollbench.methods",
    "Standard": "rollbench.methods",
    "Training": "rollbench.training",
    "UViT": "rollbench.models",
    "UViTSize": "rollbench.models",
    "fit": "rollbench.training",
    "rollout": "rollbench.diffusion.rollout",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first asked for, so that a command's `--help` need not wait for torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'rollbench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
