"""The parts of the U-ViT (spec 13; Simple Diffusion, arXiv 2301.11093, as read for windows of frames).

Feature maps are [b, w, y, x, c] with the channels last: a 2-D convolution sees [b*w, c, y, x] in the `channels_last`
memory format and a transformer sees tokens, both as views of the same memory.

Every block is residual and conditioned on the noise of each frame by FiLM,

    h <- h + F((1 + scale) * norm(h) + shift),        (scale, shift) = A silu(embedding of that frame's log-SNR),

with the last layer of F at zero, so that a new block is the identity.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

MLP_RATIO = 4  # hidden width of a transformer's MLP over its width


def to_patches(h: Tensor, size: int) -> Tensor:
    """[b, w, y, x, c] -> [b, w, y/size, x/size, size*size*c]: each patch becomes channels."""
    b, w, y, x, c = h.shape
    h = h.view(b, w, y // size, size, x // size, size, c).transpose(3, 4)
    return h.reshape(b, w, y // size, x // size, size * size * c)


def from_patches(h: Tensor, size: int) -> Tensor:
    """The inverse of `to_patches`: [b, w, y, x, size*size*c] -> [b, w, y*size, x*size, c]."""
    b, w, y, x, c = h.shape
    h = h.view(b, w, y, x, size, size, c // size**2).transpose(3, 4)
    return h.reshape(b, w, y * size, x * size, c // size**2)


def zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """`layer` with weights and bias at zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Pointwise(nn.Linear):
    """A linear layer over the channels of [b, w, y, x, c].

    On a CPU it is done as a 1x1 convolution, which oneDNN computes up to twice as fast as the matrix product of MKL.
    """

    def forward(self, h: Tensor) -> Tensor:
        if h.is_cuda:
            return super().forward(h)
        frames = h.flatten(0, 1).permute(0, 3, 1, 2)
        frames = F.conv2d(frames, self.weight[:, :, None, None], self.bias)
        return frames.permute(0, 2, 3, 1).view(*h.shape[:-1], self.out_features)


class NoiseEmbedding(nn.Module):
    """log-SNR [b, w] -> [b, w, width]: sines and cosines of 32 periods from 1 to 100, then two linear layers."""

    def __init__(self, width: int, waves: int = 32):
        super().__init__()
        self.register_buffer("rates", 2 * math.pi / torch.logspace(0, 2, waves), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, logsnr: Tensor) -> Tensor:
        angles = logsnr[..., None] * cast(Tensor, self.rates)
        return self.mlp(torch.cat([angles.sin(), angles.cos()], -1))


class Position(nn.Module):
    """Adds a learned vector for the frame's place in the window, the row and the column to [b, w, y, x, c]."""

    def __init__(self, shape: tuple[int, int, int], width: int):
        super().__init__()
        self.frame, self.row, self.column = (
            nn.init.normal_(nn.Parameter(torch.empty(n, width)), std=0.02) for n in shape
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + (self.frame[:, None, None] + self.row[:, None] + self.column)


class Film(nn.Module):
    """LayerNorm over channels with a scale and a shift per frame, read from the frame's embedding [b, w, e]."""

    def __init__(self, width: int, embedding: int):
        super().__init__()
        self.width = width
        self.affine = nn.Linear(embedding, 2 * width)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.affine(embedding)[:, :, None, None].chunk(2, -1)
        return torch.addcmul(shift, F.layer_norm(h, (self.width,)), 1 + scale)


class Conv(nn.Module):
    """3x3 convolution of each frame, [b, w, y, x, c] -> the same; `periodic` wraps around instead of padding zeros."""

    def __init__(self, width: int, periodic: bool):
        super().__init__()
        self.periodic = periodic
        self.conv = nn.Conv2d(width, width, 3, padding=0 if periodic else 1)
        # Stored in the format of the frames, so that no call has to reorder it.
        self.conv.weight.data = self.conv.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, h: Tensor) -> Tensor:
        frames = h.flatten(0, 1)
        if self.periodic:
            frames = torch.cat([frames[:, -1:], frames, frames[:, :1]], 1)
            frames = torch.cat([frames[:, :, -1:], frames, frames[:, :, :1]], 2)
        return self.conv(frames.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).view(h.shape)


class Block(nn.Module):
    """A residual block (h [b, w, y, x, c], embedding [b, w, e]) -> the same shape as h.

    With `recompute` its inner activations are computed again in the backward pass instead of being stored.
    """

    recompute = False

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self.apply_to, h, embedding, use_reentrant=False)
        return self.apply_to(h, embedding)

    def apply_to(self, h: Tensor, embedding: Tensor) -> Tensor:
        raise NotImplementedError


def shifted(h: Tensor) -> Tensor:
    """[b, w, y, x, c] with the first quarter of the channels taken from the frame before, the second from the one after, zeros
    beyond the window: the temporal shift module (arXiv 1811.08383, bi-directional)."""
    part = h.shape[-1] // 4
    before, after, own = h.split([part, part, h.shape[-1] - 2 * part], -1)
    before = F.pad(before[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
    after = F.pad(after[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
    return torch.cat([before, after, own], -1)


class ConvBlock(Block):
    """Two 3x3 convolutions of each frame by itself; with `shift` the first one also sees channels of its neighbours in time."""

    def __init__(self, width: int, embedding: int, dropout: float, periodic: bool, shift: bool = False):
        super().__init__()
        self.shift = shift
        self.norm = nn.LayerNorm(width)
        self.first = Conv(width, periodic)
        self.film = Film(width, embedding)
        self.dropout = nn.Dropout(dropout)
        self.second = Conv(width, periodic)
        zeroed(self.second.conv)

    def apply_to(self, h: Tensor, embedding: Tensor) -> Tensor:
        a = F.silu(self.norm(h))
        a = self.first(shifted(a) if self.shift else a)
        a = self.dropout(F.silu(self.film(a, embedding)))
        return h + self.second(a)


class Attention(nn.Module):
    """Self-attention among the tokens along `axes` of [b, w, y, x, c]: (1, 2, 3) is full space-time, (1,) time alone.

    Queries and keys are normalised per head (QK norm), so that their products stay bounded.
    """

    def __init__(self, width: int, head_dim: int, axes: tuple[int, ...]):
        super().__init__()
        self.axes = axes
        self.heads = width // head_dim
        self.qkv = Pointwise(width, 3 * width)
        self.query_gain, self.key_gain = (nn.Parameter(torch.ones(head_dim)) for _ in range(2))
        self.out = zeroed(Pointwise(width, width))

    def forward(self, h: Tensor) -> Tensor:
        others = [axis for axis in range(4) if axis not in self.axes]
        order = [*others, *self.axes, 4]
        qkv = self.qkv(h).permute(order)
        tokens = qkv.flatten(len(others), -2).flatten(0, len(others) - 1)
        q, k, v = tokens.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = (F.rms_norm(a, gain.shape, gain.to(a.dtype)) for a, gain in ((q, self.query_gain), (k, self.key_gain)))
        a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        a = a.reshape(*qkv.shape[:-1], -1).permute([order.index(axis) for axis in range(5)])
        return self.out(a.contiguous())


class TransformerBlock(Block):
    """Attention, then an MLP per token. `axial`: attention over time, over rows and over columns, one after another,
    under one FiLM."""

    def __init__(self, width: int, head_dim: int, embedding: int, dropout: float, axial: bool):
        super().__init__()
        spans = [(1,), (2,), (3,)] if axial else [(1, 2, 3)]
        self.attention_film = Film(width, embedding)
        self.attentions = nn.ModuleList(Attention(width, head_dim, axes) for axes in spans)
        self.mlp_film = Film(width, embedding)
        self.mlp = nn.Sequential(
            Pointwise(width, MLP_RATIO * width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            zeroed(Pointwise(MLP_RATIO * width, width)),
        )

    def apply_to(self, h: Tensor, embedding: Tensor) -> Tensor:
        for attention in self.attentions:
            h = h + attention(self.attention_film(h, embedding))
        return h + self.mlp(self.mlp_film(h, embedding))
