"""I3D, the network of FVD, in PyTorch with the numerics of TF-Hub's deepmind/i3d-kinetics-400/1 (Carreira, Zisserman 2017).

What distinguishes it from a port that is only nearly right:

- TensorFlow's "SAME": an input of n gives ceil(n / stride), and an odd pad is larger on the far side;
- batch norm without scale and with epsilon 1e-3: y = relu((conv(x) - mean) / sqrt(var + 1e-3) + beta);
- the vector is the 400 logits, averaged over time, of a 2 x 7 x 7 mean of the last features: at least 9 frames.

Fast on a CPU because batch norm is folded into the convolutions, activations stay channels-last, and the weights are brought
once into the layout that oneDNN wants (it otherwise does so at every call, which costs more than the small convolutions), and
the large 3x3x3 convolutions go by `winograd`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators import weights, winograd
from evaluators.base import Resize, UserError, as_clips, torch_device
from evaluators.resize import resize

FRAMES = weights.FRAMES
EPSILON = 1e-3
DIMENSION = weights.CLASSES
LAST = torch.channels_last_3d


class Unit(nn.Module):
    """Convolution "SAME", its batch norm folded in, relu."""

    weight: Tensor
    bias: Tensor

    def __init__(self, tensors: dict[str, np.ndarray], name: str, stride: int = 1) -> None:
        super().__init__()
        kernel, beta, mean, var = (tensors[f"{name}.{p}"].astype(np.float64) for p in ("weight", "beta", "mean", "var"))
        gain = 1 / np.sqrt(var + EPSILON)
        folded = torch.from_numpy((kernel * gain[:, None, None, None, None]).astype(np.float32))
        self.register_buffer("weight", folded.contiguous(memory_format=LAST))
        self.register_buffer("bias", torch.from_numpy((beta - mean * gain).astype(np.float32)))
        self.size, self.stride = kernel.shape[-1], stride
        self._packed: tuple[torch.Size, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        padding = 0
        if self.stride == 1:
            padding = self.size // 2
        else:
            x = F.pad(x, [p for n in reversed(x.shape[2:]) for p in same(n, self.size, self.stride)])
        if x.device.type != "cpu" or not prepacking():
            return F.relu_(F.conv3d(x, self.weight, self.bias, self.stride, padding))
        if self.size == 3 and self.weight.shape[1] >= 64 and x.shape[-1] >= 14:  # smaller ones lose more than they gain
            products = self._onednn(winograd.tiles(x), (1, 0, 0), winograd.GROUPS)
            return winograd.untiled(products, self.bias, *x.shape[-2:])
        return self._onednn(x, (padding,) * 3, 1)

    def _onednn(self, x: Tensor, padding: tuple[int, int, int], groups: int) -> Tensor:
        """Convolution, and relu where it is not Winograd's, with weights laid out once for this shape of input."""
        plain = groups == 1
        how = (list(padding), [self.stride] * 3, [1] * 3, groups)
        if self._packed is None or self._packed[0] != x.shape:
            weight = self.weight if plain else winograd.kernel(self.weight).contiguous(memory_format=LAST)
            layout = torch.ops.mkldnn._reorder_convolution_weight(weight, *how, list(x.shape))
            self._packed = x.shape, layout
        bias, after = (self.bias, "relu") if plain else (None, "none")
        return torch.ops.mkldnn._convolution_pointwise(x, self._packed[1], bias, *how, after, [], "")


class Mixed(nn.Module):
    """An inception block: four branches side by side in the channels."""

    def __init__(self, tensors: dict[str, np.ndarray], name: str) -> None:
        super().__init__()
        self.units = nn.ModuleList(Unit(tensors, f"{name}.{branch}") for branch in weights.BRANCHES)

    def forward(self, x: Tensor) -> Tensor:
        b0, b1a, b1b, b2a, b2b, b3 = self.units
        return torch.cat([b0(x), b1b(b1a(x)), b2b(b2a(x)), b3(pool(x, (3, 3, 3), (1, 1, 1)))], 1)


class I3D(nn.Module):
    """Clips [b, 3, t, 224, 224] in [-1, 1] -> logits [b, 400], averaged over time."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.stem = nn.ModuleList(Unit(tensors, name, 2 if name.endswith("7x7") else 1) for name in weights.STEM)
        self.mixed = nn.ModuleDict({block: Mixed(tensors, f"Mixed_{block}") for block in weights.MIXED})
        self.register_buffer("head", torch.from_numpy(tensors[f"{weights.LOGITS}.weight"][:, :, 0, 0, 0].copy()))
        self.register_buffer("bias", torch.from_numpy(tensors[f"{weights.LOGITS}.bias"].copy()))

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self.stem
        x = pool(first(x), (1, 3, 3), (1, 2, 2))
        x = pool(third(second(x)), (1, 3, 3), (1, 2, 2))
        for block, unit in self.mixed.items():
            if block == "4b":
                x = pool(x, (3, 3, 3), (2, 2, 2))
            elif block == "5b":
                x = pool(x, (2, 2, 2), (2, 2, 2))
            x = unit(x)
        return self.logits(x)

    def logits(self, x: Tensor) -> Tensor:
        """The head is linear, so the mean over time is taken before it: of windows of 2 frames and all of space."""
        frames = x.mean((3, 4))
        windows = (frames[:, :, 1:] + frames[:, :, :-1]) / 2
        return F.linear(windows.mean(2), self.get_buffer("head"), self.get_buffer("bias"))


class I3DFeatures:
    """The extractor of FVD. Load it once per process or actor; `device` cpu or cuda.

    Clips pass through in lanes of fixed size (1 on a CPU; on a GPU 16, the last one padded), so that a clip's vector is the
    same to the last bit whatever the batch it comes in.
    """

    def __init__(self, how: Resize = "original", path: str | None = None, device: str | None = None) -> None:
        self.device: torch.device = torch_device(device)
        self.how: Resize = how
        self.lane = 1 if self.device.type == "cpu" else 16
        self.network = I3D(weights.load(path)).eval().to(self.device)
        self.identity = weights.IDENTITY

    @torch.inference_mode()
    def features(self, clips: Any) -> np.ndarray:
        """[n, 400] float32 of clips [n, t, y, x, 3], t >= 9, uint8 or float in [0, 1], resized to 224 x 224."""
        frames = as_clips(clips)
        if frames.shape[1] < FRAMES:
            raise UserError(
                f"clips of {frames.shape[1]} frames: I3D halves time three times and needs at least {FRAMES}"
            )
        found = np.empty((len(frames), DIMENSION), np.float32)
        # TF32 would cost three digits of the logits.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            for i in range(0, len(frames), self.lane):
                part = np.ascontiguousarray(frames[i : i + self.lane])
                found[i : i + len(part)] = self._lane(torch.from_numpy(part.copy()))[: len(part)]
        return found

    def _lane(self, clips: Tensor) -> np.ndarray:
        short = self.lane - len(clips)
        clips = torch.cat([clips, clips[:1].expand(short, *clips.shape[1:])]) if short else clips
        shown = clips.to(self.device)
        # To [-1, 1] before resizing, where there are fewer pixels: interpolation keeps sums of weights at 1.
        scaled = shown * 2 - 1 if shown.is_floating_point() else shown.to(torch.float32) * (2 / 255) - 1
        logits: Tensor = self.network(resize(scaled, self.how).permute(0, 4, 1, 2, 3))
        return logits.cpu().numpy()


def same(n: int, size: int, stride: int) -> tuple[int, int]:
    """TensorFlow's padding before and after n so that ceil(n / stride) outputs come out."""
    total = max((math.ceil(n / stride) - 1) * stride + size - n, 0)
    return total // 2, total - total // 2


def pool(x: Tensor, size: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Maximum "SAME". `ceil_mode` is the larger pad on the far side; time first and then space is cheaper than at once."""
    before = [same(n, k, s)[0] for n, k, s in zip(x.shape[2:], size, stride, strict=True)]
    if size[0] > 1:
        x = F.max_pool3d(x, (size[0], 1, 1), (stride[0], 1, 1), (before[0], 0, 0), ceil_mode=True)
    return F.max_pool3d(x, (1, *size[1:]), (1, *stride[1:]), (0, *before[1:]), ceil_mode=True)


def prepacking() -> bool:
    """Whether this torch lets weights be laid out ahead for oneDNN; where it does not, results are alike and slower."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
