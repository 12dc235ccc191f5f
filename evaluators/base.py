"""What every evaluator shares: the error for bad input, optional packages, and the contract of a feature extractor."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np

Resize = Literal["original", "halfpixel"]  # see `resize`


class UserError(ValueError):
    """The user's files, numbers or names cannot be used; the message says which, why, and what to do, in one line."""


class Extractor(Protocol):
    """A network that turns clips into feature vectors.

    `identity` names network and weights and is part of a metric's name. `features` takes clips
    [n, t, y, x, 3], uint8 or float in [0, 1], and gives float32 [n, d]; a clip's vector does not depend on the
    clips beside it.
    """

    identity: str

    def features(self, clips: np.ndarray) -> np.ndarray: ...


def optional(name: str, purpose: str, install: str) -> ModuleType:
    """The module `name`, which only this purpose needs; BadInput says how to install it where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{purpose} needs the package {name.split('.')[0]} ({error}): pip install {install}") from error


def torch_device(name: str | None) -> Any:
    """The torch device of a name; None: cuda where there is one, else cpu."""
    torch = optional("torch", "the network", "torch")
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"device {name!r} cannot be used ({reason}): cpu always can") from None
    return device


def as_clips(clips: Any, least: int = 1, name: str = "clips") -> np.ndarray:
    """Clips [n, t, y, x, 3], checked: uint8, or float32 in [0, 1]."""
    x = np.asarray(clips)
    if x.ndim != 5 or x.shape[-1] != 3:
        raise UserError(f"{name} of shape {x.shape}: [clips, frames, y, x, 3] is needed, colours last")
    if x.shape[1] < least:
        raise UserError(f"{name} have {x.shape[1]} frames: at least {least} are needed")
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        raise UserError(f"{name} of type {x.dtype}: uint8 in 0..255 or floats in [0, 1] are needed")
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # nan too
        raise UserError(f"{name} hold floats from {low:g} to {high:g}: scale them to [0, 1] or give uint8 in 0..255")
    return x.astype(np.float32, copy=False)
