"""Small video files of known content, written with PyAV, for the tests of what reads them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BLOCK = 8  # pixels


def blocks(frames: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Random colours, one a block: uint8 [frames, rows, columns, 3]."""
    return np.random.default_rng([seed, rows, columns]).integers(0, 256, (frames, rows, columns, 3), np.uint8)


def enlarged(pictures: np.ndarray, by: int = BLOCK) -> np.ndarray:
    return pictures.repeat(by, axis=1).repeat(by, axis=2)


def write_video(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "ffv1",
    pixels: str = "bgr0",
    rate: int = 10,
    times: Sequence[int] | None = None,
) -> Path:
    """A video of frames [t, y, x, 3]; by default without loss. times: of the frames, in 1/1000 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        if times is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format=pixels)
            frame.pts = times[number] if times is not None else number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path: Path, out: Path, matrix: tuple[int, int, int, int]) -> Path:
    """A copy of an mp4 file that is to be shown through the display matrix (a b; c d)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # of the track's header: version, flags, times, number, duration, layer, volume
    a, b, c, d = (65536 * m for m in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    out.write_bytes(data)
    return out
