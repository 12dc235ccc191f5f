"""LPIPS, the perceptual distance between two frames (Zhang et al. 2018), version 0.1 on AlexNet: 0 where equal.

    d = sum over 5 layers of the mean over pixels of sum_c w_c (f_c / |f| - x_c / |x|)^2

with f, x the activations after each ReLU and w >= 0 the published linear heads, fitted to what people see. Frames go in as they
are, neither resized nor cropped. Two files are needed: torchvision's AlexNet (a path, ROLLBENCH_LPIPS, a cache, or a download)
and the heads (a path, ROLLBENCH_LPIPS_HEADS, or the installed package `lpips`, which is also the check of this file in its test).
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from evaluators import weights
from evaluators.base import UserError, as_clips, torch_device

VERSION = "lpips@1"
URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
HEADS_SHA256 = "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"
VARIABLE, HEADS_VARIABLE = "ROLLBENCH_LPIPS", "ROLLBENCH_LPIPS_HEADS"
LAYERS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))  # torchvision's number, stride, padding
POOLED = (3, 6)  # layers behind a pooling of 3 x 3, stride 2
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pixels in [-1, 1]
LEAST = 31  # pixels of a side that reach the last layer
LANE = 16


class LPIPS:
    """A metric in the shape of `pixel`'s: `lpips(fake, real)` is [N], and `pixel.by_lead(lpips, fake, real)` is [N, T].

    Load it once per process or actor. Frames pass in lanes of fixed size, so that a distance does not depend on the others.
    """

    identity = f"alexnet-owt:{SHA256[:12]} heads:{HEADS_SHA256[:12]}"

    def __init__(self, path: str | None = None, heads: str | None = None, device: str | None = None) -> None:
        self.device: torch.device = torch_device(device)
        trunk = weights.torch_state(weights.published(URL, SHA256, path, VARIABLE, "leave LPIPS out"), SHA256)
        linear = weights.torch_state(_heads(heads), HEADS_SHA256)
        self.kernels = [
            tuple(trunk[f"features.{i}.{part}"].to(self.device) for part in ("weight", "bias")) for i, *_ in LAYERS
        ]
        self.heads = [linear[f"lin{k}.model.1.weight"].to(self.device) for k in range(len(LAYERS))]

    def __call__(self, fake: Any, real: Any) -> np.ndarray:
        """[N] mean distance of frames [N, ..., y, x, 3], uint8 or float in [0, 1], y and x >= 31."""
        f, x = np.asarray(fake), np.asarray(real)
        if f.shape != x.shape or f.ndim < 4 or min(f.shape[-3:-1]) < LEAST:
            raise UserError(
                f"frames {f.shape} and {x.shape}: LPIPS compares [N, ..., y, x, 3] of at least {LEAST} x {LEAST} pixels"
            )
        frames = [as_clips(v.reshape(1, -1, *v.shape[-3:]), name="frames")[0] for v in (f, x)]
        return self._distances(*frames).reshape(len(f), -1).mean(axis=1)

    @torch.inference_mode()
    def _distances(self, fake: np.ndarray, real: np.ndarray) -> np.ndarray:
        found = np.empty(len(fake))
        for i in range(0, len(fake), LANE):
            f, x = (self._activations(v[i : i + LANE]) for v in (fake, real))
            layers = [F.conv2d((a - b) ** 2, head).mean((1, 2, 3)) for a, b, head in zip(f, x, self.heads, strict=True)]
            found[i : i + LANE] = torch.stack(layers).sum(0).cpu().numpy()[: len(fake) - i]
        return found

    def _activations(self, frames: np.ndarray) -> list[Tensor]:
        """Of one lane, each pixel's channels scaled to length 1."""
        lane = np.concatenate([frames, np.repeat(frames[:1], LANE - len(frames), axis=0)])
        shown = torch.from_numpy(lane).to(self.device).permute(0, 3, 1, 2).to(torch.float32)
        shift, scale = (torch.tensor(v, device=self.device)[:, None, None] for v in (SHIFT, SCALE))
        y = (shown * (2 / 255 if frames.dtype == np.uint8 else 2) - 1 - shift) / scale
        found = []
        for (i, stride, padding), (weight, bias) in zip(LAYERS, self.kernels, strict=True):
            y = F.relu(F.conv2d(F.max_pool2d(y, 3, 2) if i in POOLED else y, weight, bias, stride, padding))
            found.append(y / (y.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found


def _heads(path: str | None) -> Path:
    given = path or os.environ.get(HEADS_VARIABLE)
    if given:
        return Path(given).expanduser()
    package = importlib.util.find_spec("lpips")
    if package is None or package.origin is None:
        raise UserError(
            f"no linear heads for LPIPS: pip install --no-deps lpips, or set {HEADS_VARIABLE} to its alex.pth"
        )
    return Path(package.origin).parent / "weights" / "v0.1" / "alex.pth"
