"""Clips from a video file or a sequence of images, by the decoder's own filter graph (PyAV, which brings ffmpeg along):

    select every stride-th frame → turn upright → crop the central square → scale by area → rgb24

The crop comes first: scaling first and cropping then moves pixels by up to 7 of 255. Frames are taken by their number, whatever
their times: of a file of variable rate, a clip has frames 0, stride, 2 stride … as stored. A pixel is taken as square.

Decoding stops as soon as the clips are complete. What is left of the file is then read without decoding it (`check`): a torn or
damaged file is no source of clips, even where the damage lies behind them.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".gif")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FILTERS = ("area", "bilinear", "bicubic", "lanczos")
CHECKS = ("file", "clip")

# Upright from the directions of a display matrix (a b; c d), where a pixel (x, y) is shown at (a x + c y, b x + d y).
UPRIGHT: dict[tuple[int, int, int, int], tuple[tuple[str, str], ...]] = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): (("hflip", ""),),
    (1, 0, 0, -1): (("vflip", ""),),
    (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
    (0, 1, -1, 0): (("transpose", "clock"),),
    (0, -1, 1, 0): (("transpose", "cclock"),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}

# Bitstream filters that take every packet apart and so find damage without decoding.
PARSED = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}


# What the system says of itself and never a decoder of a file's content.
OF_THE_SYSTEM = (errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT)


class Unreadable(Exception):
    """A video cannot give what is asked of it: the reason, in one line."""


class FileUnreadable(Unreadable):
    """A file cannot be read at all, whatever it holds: it may be whole. error: what the system says."""

    def __init__(self, words: str, error: OSError) -> None:
        super().__init__(words)
        self.error = error


@dataclass(frozen=True)
class ClipSpec:
    """How clips are cut from a video: `clips` of `frames` frames, one after the other from the first frame on."""

    size: int
    frames: int
    stride: int = 1
    clips: int = 1
    crop: str = "centre"
    filter: str = "area"
    check: str = "file"


def clips_of(path: Path, cut: ClipSpec, fps: float) -> tuple[list[np.ndarray], float]:
    """The clips [frames, size, size, 3] of a video, at least one, and s between two frames; fps: where the file states none."""
    import av

    with _blaming(path), av.open(str(path)) as container:
        stream: Any = container.streams.best("video")
        if stream is None:
            raise Unreadable("no video stream")
        stream.thread_type = "NONE"  # as the filters
        packets = container.demux(stream)
        clips = _cut(_pictures(_frames(packets), cut), cut)
        if cut.check == "file":
            _check(packets, stream, len(clips) * cut.frames * cut.stride)
        return clips, cut.stride / float(stream.average_rate or fps)


def clips_of_images(paths: Sequence[Path], cut: ClipSpec, fps: float) -> tuple[list[np.ndarray], float]:
    """As `clips_of`, of images that are the frames of a video."""
    return _cut(_pictures(map(_image, paths), cut), cut), cut.stride / fps


@contextlib.contextmanager
def _blaming(path: Path, words: str = "") -> Iterator[None]:
    """Within this context what the decoder cannot read becomes Unreadable; Unreachable, if nobody can read the file."""
    import av

    try:
        yield
    except (av.FFmpegError, OSError, Unreadable) as error:
        cause = error.__cause__ if isinstance(error, Unreadable) else error
        if isinstance(cause, OSError):
            _reach(path, cause, words)
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"{words}cannot be read ({error.strerror})") from None


def _reach(path: Path, error: OSError, words: str) -> None:
    """Raise Unreachable for a file that is not there or cannot be read to its end: decoders call damage an error of the disk, too."""
    if error.errno in OF_THE_SYSTEM:
        raise FileUnreadable(f"{words}cannot be read ({error.strerror})", error) from None
    try:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    except OSError as own:
        raise FileUnreadable(f"{words}cannot be read ({own.strerror})", own) from None


def _cut(pictures: Iterator[np.ndarray], cut: ClipSpec) -> list[np.ndarray]:
    clips: list[np.ndarray] = []
    for _ in range(cut.clips):
        frames = list(itertools.islice(pictures, cut.frames))
        if len(frames) < cut.frames:
            if not clips:
                raise Unreadable(
                    f"too short: {len(frames)} frames at stride {cut.stride} where a clip has {cut.frames}"
                )
            break
        clips.append(np.stack(frames))
    return clips


def _frames(packets: Iterable[Any]) -> Iterator[Any]:
    import av

    count = 0
    try:
        for packet in packets:
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise Unreadable(f"damaged at frame {count}")
                yield frame
                count += 1
    except av.FFmpegError as error:
        raise Unreadable(f"damaged at frame {count} ({error.strerror})") from error


def _image(path: Path) -> Any:
    import av

    with _blaming(path, f"{path.name} "), av.open(str(path)) as container:
        for frame in container.decode(video=0):
            return frame
    raise Unreadable(f"{path.name} cannot be read (it is empty)")


def _pictures(frames: Iterable[Any], cut: ClipSpec) -> Iterator[np.ndarray]:
    """Every stride-th frame as it is stored: uint8 [size, size, 3]."""
    import av

    graph, first = None, ("", 0, 0)
    for count, frame in enumerate(frames):
        form = (frame.format.name, frame.width, frame.height)
        if graph is None:
            graph, first = _graph(frame, cut), form
        elif form != first:
            raise Unreadable(f"changes from {first} to {form} at frame {count}: clips have one size")
        graph.vpush(frame)
        try:
            yield graph.vpull().to_ndarray()
        except av.BlockingIOError:  # `select` has dropped it
            continue


def _graph(frame: Any, cut: ClipSpec) -> Any:
    from av.filter import Graph

    chain = [
        *([("select", rf"not(mod(n\,{cut.stride}))")] if cut.stride > 1 else []),
        *_upright(frame),
        *([("crop", r"min(iw\,ih):min(iw\,ih)")] if cut.crop == "centre" else []),
        ("scale", f"{cut.size}:{cut.size}:flags={cut.filter}:threads=1"),  # a worker has one core
        ("format", "rgb24"),
        ("buffersink", ""),
    ]
    graph: Any = Graph()
    entry = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
    )
    graph.link_nodes(entry, *(graph.add(name, arguments or None) for name, arguments in chain)).configure()
    return graph


def _upright(frame: Any) -> tuple[tuple[str, str], ...]:
    """The filters that show the frame as its file says that it should be shown."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return ()
    matrix = np.frombuffer(data, np.int32)[[0, 1, 3, 4]]
    signs = tuple(np.rint(matrix / max(np.abs(matrix).max(), 1)).astype(int).tolist())
    if signs not in UPRIGHT:
        raise Unreadable(f"is to be shown at an angle of {frame.rotation} degrees: right angles are followed")
    return UPRIGHT[signs]


def _check(packets: Iterable[Any], stream: Any, decoded: int) -> None:
    """Read what is left without decoding it."""
    import av
    from av.bitstream import BitStreamFilterContext

    name = PARSED.get(stream.codec_context.name)
    parser = BitStreamFilterContext(name, stream) if name else None
    try:
        for packet in packets:
            if packet.is_corrupt:
                raise Unreadable(f"damaged behind frame {decoded}")
            if parser is not None and packet.size:
                parser.filter(packet)
    except av.FFmpegError as error:
        raise Unreadable(f"damaged behind frame {decoded} ({error.strerror})") from error
