"""Frames of a video file or a sequence of images, by PyAV, which includes ffmpeg. `rollbench fvd` and `rollbench ingest` share it.

The default video stream is read, frames are turned upright (display matrix, EXIF of each image). Clips for training are cut by one
filter graph:

    take every stride-th frame → turn upright → crop the central square → scale by area → rgb24

The crop comes first: scaling first and cropping then moves pixels by up to 7 of 255. Frames are taken by their number, whatever
their times: of a file of variable rate, a clip has frames 0, stride, 2 stride … as stored. A pixel is taken as square.

Decoding stops as soon as the clips are complete. The rest of the file is then read without decoding it (`check`): a torn or
damaged file is not a source of clips, even if the damage lies behind them. A file is torn if it is shorter than its container states,
whatever the container.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evaluators.containers import demuxer_of, stated_length

FILTERS = ("area", "bilinear", "bicubic", "lanczos")
CHECKS = ("file", "clip")
Turns = tuple[tuple[str, str], ...]  # filters of ffmpeg
Frame = tuple[Any, Turns]  # av.VideoFrame, and what turns it upright

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

BY_EXIF: dict[int, tuple[tuple[str, str], ...]] = {
    2: (("hflip", ""),),
    3: (("hflip", ""), ("vflip", "")),
    4: (("vflip", ""),),
    5: (("transpose", "cclock_flip"),),
    6: (("transpose", "clock"),),
    7: (("transpose", "clock_flip"),),
    8: (("transpose", "cclock"),),
}
ORIENTATION = 0x0112  # the tag of EXIF

# The same on an array [y, x, 3].
TURNS: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {
    ("hflip", ""): lambda frame: frame[:, ::-1],
    ("vflip", ""): lambda frame: frame[::-1],
    ("transpose", "clock"): lambda frame: np.rot90(frame, -1),
    ("transpose", "cclock"): np.rot90,
    ("transpose", "cclock_flip"): lambda frame: frame.swapaxes(0, 1),
    ("transpose", "clock_flip"): lambda frame: np.rot90(frame, -1)[::-1],
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
    with _video(path) as (packets, stream):
        clips = _cut(_pictures(_upright(_frames(packets)), cut), cut)
        if cut.check == "file":
            _check(packets, stream, len(clips) * cut.frames * cut.stride)
            check_length(path)
        return clips, cut.stride / float(stream.average_rate or fps)


def clips_of_images(paths: Sequence[Path], cut: ClipSpec, fps: float) -> tuple[list[np.ndarray], float]:
    """As `clips_of`, of images that are the frames of a video."""
    return _cut(_pictures(map(_image, paths), cut), cut), cut.stride / fps


def frames_of(path: Path, images: Sequence[Path], needed: int | None) -> list[np.ndarray]:
    """The first `needed` frames (all if None) of a video, or of `images`, uint8 [y, x, 3], upright. The file is read to its end."""
    if images:
        return [_turned(*_image(image)) for image in images[:needed]]
    with _video(path) as (packets, stream):
        frames = [_turned(*frame) for frame in itertools.islice(_upright(_frames(packets)), needed)]
        _check(packets, stream, len(frames))
        check_length(path)
        return frames


def _turned(frame: Any, turns: Turns) -> np.ndarray:
    picture: np.ndarray = frame.to_ndarray(format="rgb24")
    for turn in turns:
        picture = TURNS[turn](picture)
    return np.ascontiguousarray(picture)


@contextlib.contextmanager
def _video(path: Path) -> Iterator[tuple[Iterator[Any], Any]]:
    """The packets of a file's default video stream, and the stream. The file is opened here: its name is not an address."""
    with _blaming(path), path.open("rb") as file, _open(file) as container:
        stream: Any = container.streams.best("video")
        if stream is None:
            raise Unreadable("no video stream")
        stream.thread_type = "NONE"  # as the filters
        yield container.demux(stream), stream


def _open(file: BinaryIO, name: str = "") -> Any:
    """A container by its content. It can open nothing else: neither other files nor addresses."""
    import av

    demuxer = demuxer_of(file)
    if demuxer is None:
        raise Unreadable(f"{name}cannot be read (its content is not a known container of video or images)")
    return av.open(file, "r", format=demuxer, container_options={"protocol_whitelist": "none"})


def check_length(path: Path) -> None:
    """Raise Unreadable for a file that is shorter than its container states."""
    with path.open("rb") as file:
        length, stated = path.stat().st_size, stated_length(file)
    if length < stated:
        raise Unreadable(f"torn: {length} bytes of at least {stated}")


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
            if packet.is_corrupt:
                raise Unreadable(f"damaged at frame {count}")
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise Unreadable(f"damaged at frame {count}")
                yield frame
                count += 1
    except av.FFmpegError as error:
        raise Unreadable(f"damaged at frame {count} ({error.strerror})") from error


def _image(path: Path) -> Frame:
    with _blaming(path, f"{path.name} "), path.open("rb") as file:
        turns = _exif_turns(file)
        with _open(file, f"{path.name} ") as container:
            for frame in container.decode(video=0):
                return frame, turns
    raise Unreadable(f"{path.name} cannot be read (it is empty)")


def _exif_turns(file: BinaryIO) -> Turns:
    from PIL import Image

    try:
        with Image.open(file) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError):  # ffmpeg may be able to read it
        orientation = 1
    file.seek(0)
    return BY_EXIF.get(orientation, ())


def _pictures(frames: Iterable[Frame], cut: ClipSpec) -> Iterator[np.ndarray]:
    """Every stride-th frame: uint8 [size, size, 3]."""
    graphs: dict[Any, Any] = {}
    first: tuple[str, int, int] | None = None
    for count, (frame, turns) in enumerate(frames):
        form = (frame.format.name, frame.width, frame.height)
        first = first or form
        if sorted(form[1:]) != sorted(first[1:]):
            raise Unreadable(f"changes from {first} to {form} at frame {count}: clips have one size")
        if count % cut.stride == 0:
            graph = graphs.get((form, turns)) or graphs.setdefault((form, turns), _graph(frame, turns, cut))
            graph.vpush(frame)
            yield graph.vpull().to_ndarray()


def _graph(frame: Any, turns: Turns, cut: ClipSpec) -> Any:
    from av.filter import Graph

    chain = [
        *turns,
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


def _upright(frames: Iterable[Any]) -> Iterator[Frame]:
    """Frames with the turns that show them as the first of them says."""
    turns: Turns | None = None
    for frame in frames:
        turns = _matrix_turns(frame) if turns is None else turns
        yield frame, turns


def _matrix_turns(frame: Any) -> Turns:
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # a kind of side data that PyAV does not know hides the others
        data = None
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
