"""A 3x3x3 convolution with fewer products: Winograd's F(4x4, 3x3) in space, the plain sum over three frames in time.

A tile of 4 x 4 outputs needs the 6 x 6 inputs d around it. With Lavin and Gray's matrices (2016) B, G, A

    y = A^T [ (G g G^T) o (B^T d B) ] A

takes 36 products per pair of channels and frame of the kernel where the definition takes 144. The products, summed over channels
in and frames, are a convolution of 36 groups and kernel 3x1x1, which oneDNN does at full speed. In float32 the logits of
I3D move by 1e-5, a fifth of what separates any two implementations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TILE, SPAN = 4, 6
_B = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_G = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_A = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
GROUPS = SPAN * SPAN


def kernel(weight: Tensor) -> Tensor:
    """G g G^T of weight [out, in, t, 3, 3], as the weight [36 out, in, t, 1, 1] of a convolution of 36 groups."""
    g = torch.tensor(_G, dtype=torch.float64)
    tiles = torch.einsum("fy,gx,oityx->fgoit", g, g, weight.double())
    return tiles.reshape(-1, weight.shape[1], weight.shape[2], 1, 1).to(weight.dtype)


def tiles(x: Tensor) -> Tensor:
    """B^T d B of every tile of x [b, c, t, y, x], padded by one and up to whole tiles: [b, 36 c, t, tiles y, tiles x].

    Memory is channels-last on either side: overlapping tiles are views, y is transformed first and then x.
    """
    b, c, t, height, width = x.shape
    ny, nx = -(-height // TILE), -(-width // TILE)
    padded = F.pad(x.permute(0, 2, 3, 4, 1), (0, 0, 1, TILE * nx + 1 - width, 1, TILE * ny + 1 - height))
    frames, row = b * t, padded.shape[3] * c
    matrix = torch.tensor(_B, dtype=x.dtype)
    rows = padded.as_strided((frames, ny, SPAN, row), (padded.shape[2] * row, TILE * row, row, 1))
    high = torch.matmul(matrix, rows)
    columns = high.as_strided((frames, ny, nx, SPAN, SPAN, c), (ny * SPAN * row, SPAN * row, TILE * c, row, c, 1))
    return torch.matmul(matrix, columns).view(b, t, ny, nx, GROUPS * c).permute(0, 4, 1, 2, 3)


def untiled(products: Tensor, bias: Tensor, height: int, width: int) -> Tensor:
    """relu(A^T m A + bias) of products [b, 36 c, t, tiles y, tiles x]: [b, c, t, height, width], channels-last."""
    b, channels, t, ny, nx = products.shape
    c = channels // GROUPS
    a = torch.tensor(_A, dtype=products.dtype)
    m = products.permute(0, 2, 3, 4, 1).reshape(b * t, ny, nx, GROUPS, c)
    y = torch.matmul(torch.kron(a, a), m).view(b * t, ny, nx, TILE, TILE, c)
    out = torch.empty(b * t, ny, TILE, nx, TILE, c, dtype=products.dtype)
    torch.add(y.permute(0, 1, 3, 2, 4, 5), bias, out=out)
    whole = out.view(b, t, TILE * ny, TILE * nx, c).relu_()
    return whole[:, :, :height, :width].contiguous().permute(0, 4, 1, 2, 3)
