"""Windows of consecutive frames from clips, in an order that anyone can compute and nobody has to store.

Sample i of a run belongs to epoch i // N and is window p(i mod N) there, where p is a permutation of 0 ... N-1 fixed by
(seed, epoch): an eight-round Feistel network over the next power of four, walked until it lands below N. So every window
comes exactly once per epoch, any worker can take any samples, and a run resumes by knowing its step alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 8  # the fewest at which even six windows come in fair order


class Windows:
    """All windows of `length` consecutive frames, starting every `stride` frames, of clips [T, c, y, x].

    The clips are read where they lie (memory-mapped arrays stay on disk); only `take` copies. Values come out as
    (value - centre) / scale in float32; both may be one number or one per channel, [c, 1, 1].

    shape: of every clip, where all are alike; then none of them is looked at before a window of it is taken.
    """

    def __init__(
        self,
        clips: Sequence[NDArray],
        length: int,
        stride: int = 1,
        seed: int = 0,
        centre: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
        shape: tuple[int, ...] | None = None,
    ):
        shapes = {shape[1:]} if shape and clips else {clip.shape[1:] for clip in clips}
        if len(shapes) != 1:
            raise ValueError(f"frame shapes {sorted(shapes)}: the clips must share one; choose clips of one data set")
        frames = np.array([shape[0]] * len(clips) if shape else [len(clip) for clip in clips])
        for name, value in (("length", length), ("stride", stride), ("scale", np.min(scale))):
            if not value > 0:
                raise ValueError(f"{name} {value}: must be positive; choose 1")
        if frames.min() < length:
            raise ValueError(f"window of {length} frames: the shortest clip has {frames.min()}; choose at most that")
        self.clips, self.length, self.stride, self.seed = clips, length, stride, seed
        self.centre, self.scale = np.asarray(centre, np.float32), np.asarray(scale, np.float32)
        self.shape = (length, *shapes.pop())
        self._ends = np.cumsum((frames - length) // stride + 1)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, indices: ArrayLike) -> NDArray[np.float32]:
        """The samples `indices` (integers >= 0, as many epochs as you like) -> float32 [k, length, c, y, x]."""
        index = np.asarray(indices, np.uint64)
        n = np.uint64(len(self))
        windows = permuted(index % n, len(self), self.seed, index // n).astype(np.int64)
        which = np.searchsorted(self._ends, windows, side="right")
        starts = (windows - np.concatenate([[0], self._ends])[which]) * self.stride
        out = np.empty((len(index), *self.shape), np.float32)
        for row, clip, start in zip(out, which, starts, strict=True):
            row[...] = self.clips[clip][start : start + self.length]
        out -= self.centre
        out /= self.scale
        return out


def permuted(position: NDArray[np.uint64], n: int, seed: int, epoch: ArrayLike) -> NDArray[np.uint64]:
    """p(position), the permutation of 0 ... n-1 that (seed, epoch) fixes; epoch is one number or one per position."""
    if position.max(initial=0) >= n:
        raise ValueError(f"position {position.max()}: must be below {n}; choose it modulo {n}")
    half = np.uint64(max(1, ((n - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    base = _mix(_mix(np.uint64(seed % 2**64)) ^ np.asarray(epoch, np.uint64))
    keys = [np.broadcast_to(_mix(base ^ np.uint64(r + 1)), position.shape) for r in range(ROUNDS)]
    out = _feistel(position, keys, half, mask)
    while (outside := out >= n).any():
        out[outside] = _feistel(out[outside], [key[outside] for key in keys], half, mask)
    return out


def _feistel(value: NDArray, keys: list[NDArray], half: np.uint64, mask: np.uint64) -> NDArray:
    left, right = value >> half, value & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _mix(value: NDArray | np.uint64) -> NDArray:
    """A bijection of 64-bit words in which each input bit moves half the output bits (the finaliser of SplitMix64)."""
    v = np.atleast_1d(np.asarray(value, np.uint64)) + np.uint64(0x9E3779B97F4A7C15)  # an array wraps without a warning
    v = (v ^ (v >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    v = (v ^ (v >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return v ^ (v >> np.uint64(31))
