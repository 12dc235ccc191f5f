"""The U-ViT of Tables 4-6: convolutions at the fine levels, axial, then full space-time attention at the coarse ones.

    frames -> patches -> [blocks, skip after each] -> half the size -> ... -> mid blocks -> ...
           -> twice the size -> [merge skip, block] -> normalise -> zero-initialised head -> frames

Sizes: paper, Tables 4-6 (blocks "3+3" = 3 on the way down and 3 on the way up; downsampling (1, 2, 2) keeps time).
Read by us where the paper is silent: the embedding of the log-SNR is 1024 wide, MLPs are 4 wide, skips are concatenated
and merged by a linear layer, a level's position (frame, row, column) is learned and added as it is entered.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rollbench.models.layers import (
    Block,
    ConvBlock,
    NoiseEmbedding,
    Pointwise,
    Position,
    TransformerBlock,
    from_patches,
    to_patches,
    zeroed,
)

KINDS = ("conv", "axial", "full")


@dataclass(frozen=True)
class UViTSize:
    """The size of a U-ViT, whatever frames it sees. Tuples have one entry per level, finest first; the last level is the middle."""

    channels: tuple[int, ...]  # width
    blocks: tuple[int, ...]  # residual blocks, on the way down and again on the way up
    kinds: tuple[str, ...]  # of the blocks, from KINDS
    dropout: tuple[float, ...]  # rate
    head_dim: int = 128  # width of an attention head; a narrower level has one head of its own width
    embedding: int = 1024  # width of the embedding of the log-SNR
    grid: int = 64  # rows of the finest level; a frame of more rows is cut into patches of rows / grid
    periodic: bool = False  # convolutions wrap around the border instead of padding with zeros
    context: Literal["channels", "frames"] = "channels"  # clean frames are channels of every generated frame, or tokens
    shift: bool = False  # convolutional blocks see channels of the frames before and after, see `layers.shifted`

    def __post_init__(self) -> None:
        lengths = {len(self.channels), len(self.blocks), len(self.kinds), len(self.dropout)}
        if len(lengths) != 1 or not self.channels:
            raise ValueError(f"levels {lengths}: channels, blocks, kinds and dropout need one entry per level each")
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"kind {kind!r}: a level is one of {', '.join(KINDS)}; choose one of these")
        if self.context not in ("channels", "frames"):
            raise ValueError(f"context {self.context!r}: clean frames are 'channels' or 'frames'; choose 'channels'")
        for name in ("channels", "blocks"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: each level needs at least 1; choose 1 or more")
        for rate in self.dropout:
            if not 0 <= rate < 1:
                raise ValueError(f"dropout {rate}: a rate lies in [0, 1); choose 0.1")
        for width, kind in zip(self.channels, self.kinds, strict=True):
            if kind != "conv" and width > self.head_dim and width % self.head_dim:
                did_you_mean = round(width / self.head_dim) * self.head_dim
                raise ValueError(f"width {width}: attention needs a multiple of {self.head_dim}; choose {did_you_mean}")
        coarsest = 2 ** (len(self.channels) - 1)
        if self.grid < coarsest or self.grid % coarsest:
            raise ValueError(f"grid {self.grid}: must be halved for each further level; choose {coarsest * 2}")

    def build(
        self, frame_shape: tuple[int, int, int], clean: int, generated: int, *, recompute: bool = False
    ) -> "UViT":
        """The network for windows of clean + generated frames of frame_shape (channels, y, x). recompute: see `UViT`."""
        return UViT(self, frame_shape, clean, generated, recompute)

    def fits(self, rows: int, columns: int) -> bool:
        """Whether frames of this size can be cut into patches, and their grid halved for each further level."""
        patch = rows // self.grid
        return patch > 0 and rows % self.grid == 0 and columns % (patch * 2 ** (len(self.channels) - 1)) == 0

    def grids(self, rows: int, columns: int) -> list[int]:
        """The values of `grid` that fit frames of this size, the largest first."""
        coarsest = 2 ** (len(self.channels) - 1)
        multiples = range(rows // coarsest * coarsest, 0, -coarsest)
        return [grid for grid in multiples if replace(self, grid=grid).fits(rows, columns)]

    def capped(self, widths: tuple[int, ...], blocks: tuple[int, ...], grid: int) -> "UViTSize":
        """The elementwise minimum with these caps, of which those of levels stand finest first and () is none: of more levels than
        caps the finest and the middle one are kept. The embedding is at most twice as wide as the level before the middle."""
        count, caps = len(self.channels), len(widths) or len(self.channels)
        levels = [*range(min(caps, count) - 1), count - 1]
        widths, blocks = (each[: len(levels) - 1] + each[-1:] or (2**62,) * len(levels) for each in (widths, blocks))
        return replace(
            self,
            channels=tuple(min(self.channels[i], cap) for i, cap in zip(levels, widths, strict=True)),
            blocks=tuple(min(self.blocks[i], cap) for i, cap in zip(levels, blocks, strict=True)),
            kinds=tuple(self.kinds[i] for i in levels),
            dropout=tuple(self.dropout[i] for i in levels),
            embedding=min(self.embedding, 2 * widths[-2:][0]),
            grid=min(self.grid, grid),
        )


LEVELS = ("conv", "conv", "axial", "full")
# The paper does not say how its convolutions treat the border; Kolmogorov flow is periodic, video is not.
TABLE4 = UViTSize((128, 256, 512, 1024), (3, 3, 3, 8), LEVELS, (0.0, 0.1, 0.1, 0.1), periodic=True)
TABLE5 = UViTSize((256, 512, 1024, 2048), (4, 4, 4, 8), LEVELS, (0.1, 0.1, 0.1, 0.1))
TABLE6 = UViTSize((256, 512, 2048, 4096), (4, 4, 5, 8), LEVELS, (0.0, 0.0, 0.1, 0.1))


class UViT(nn.Module):
    """network(z [b, W, c, y, x], logsnr [b, W]) -> prediction [b, W, c, y, x], W = clean + generated.

    The first `clean` frames of the window are clean. With context="channels" the prediction for them is zero.
    The first weights are drawn from torch's global generator: seed it. `recompute` saves memory (see `Block`).
    """

    def __init__(
        self,
        size: UViTSize,
        frame_shape: tuple[int, int, int],
        clean: int,
        generated: int,
        recompute: bool = False,
    ):
        super().__init__()
        channels, rows, columns = frame_shape
        self.patch = rows // size.grid
        if not size.fits(rows, columns):
            raise ValueError(f"frame {rows}x{columns}: must be cut into {size.grid} rows; choose grid {rows}")
        if clean < 0 or generated < 1:
            raise ValueError(f"window {clean}-{generated}: needs clean >= 0 and generated >= 1; choose (2-4)")
        self.size, self.clean, self.generated = size, clean, generated
        self.joined = clean if size.context == "channels" else 0  # clean frames that become channels of the others
        width = size.channels[0]
        self.noise = NoiseEmbedding(size.embedding)
        self.stem = Pointwise(channels * (1 + self.joined) * self.patch**2, width)
        self.levels = Level(size, (clean + generated - self.joined, size.grid, columns // self.patch))
        self.norm = nn.LayerNorm(width)
        self.head = zeroed(Pointwise(width, channels * self.patch**2))
        for module in self.modules():
            if isinstance(module, Block):
                module.recompute = recompute

    def forward(self, z: Tensor, logsnr: Tensor) -> Tensor:
        clean, frames = z.movedim(2, -1).split([self.joined, z.shape[1] - self.joined], 1)
        if self.joined:
            clean = clean.movedim(1, -2).flatten(-2)
            frames = torch.cat([frames, clean[:, None].expand(*frames.shape[:-1], -1)], -1)
        h = self.stem(to_patches(frames, self.patch))
        h = self.levels(h, F.silu(self.noise(logsnr[:, self.joined :])))
        h = from_patches(self.head(self.norm(h)), self.patch).movedim(-1, 2).to(z.dtype)
        return torch.cat([torch.zeros_like(z[:, : self.joined]), h], 1) if self.joined else h

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())


class Level(nn.Module):
    """The U from one level downwards: blocks, the same at half the size, and as many blocks again, each fed by a skip.

    The last level is the middle: blocks alone.
    """

    def __init__(self, size: UViTSize, shape: tuple[int, int, int], index: int = 0):
        super().__init__()
        width, count = size.channels[index], size.blocks[index]
        self.position = Position(shape, width)
        self.down = nn.ModuleList(_block(size, index) for _ in range(count))
        self.inner = None
        if index + 1 < len(size.channels):
            inner = size.channels[index + 1]
            self.shrink = Pointwise(4 * width, inner)
            self.inner = Level(size, (shape[0], shape[1] // 2, shape[2] // 2), index + 1)
            self.grow = Pointwise(inner, 4 * width)
            self.merges = nn.ModuleList(Pointwise(2 * width, width) for _ in range(count))
            self.up = nn.ModuleList(_block(size, index) for _ in range(count))

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        h = self.position(h)
        skips = []
        for block in self.down:
            h = block(h, embedding)
            skips.append(h)
        if self.inner is None:
            return h
        h = self.inner(self.shrink(to_patches(h, 2)), embedding)
        h = from_patches(self.grow(h), 2)
        for merge, block in zip(self.merges, self.up, strict=True):
            h = block(merge(torch.cat([h, skips.pop()], -1)), embedding)
        return h


def _block(size: UViTSize, level: int) -> Block:
    width, kind, dropout = size.channels[level], size.kinds[level], size.dropout[level]
    if kind == "conv":
        return ConvBlock(width, size.embedding, dropout, size.periodic, size.shift)
    return TransformerBlock(width, min(width, size.head_dim), size.embedding, dropout, axial=kind == "axial")
