"""The container of a file by its first bytes, and how long a whole file must be by what its container states.

ffmpeg also reads playlists and lists of other files (`ffconcat`, HLS, SDP), whatever a file is called. Only containers that hold their own
frames are opened, each by the one demuxer that its content names.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import BinaryIO

DEMUXERS = (  # offset, first bytes there, ffmpeg's name of the demuxer
    (0, b"\x1aE\xdf\xa3", "matroska"),
    *((4, box, "mov") for box in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),
    (8, b"AVI ", "avi"),
    (8, b"AVIX", "avi"),
    (8, b"WEBP", "webp_pipe"),
    (0, b"GIF8", "gif"),
    (0, b"\0\0\1\xba", "mpeg"),
    (0, b"\0\0\1\xb3", "mpegvideo"),
    (0, b"\x89PNG\r\n\x1a\n", "png_pipe"),
    (0, b"\xff\xd8\xff", "jpeg_pipe"),
    (0, b"BM", "bmp_pipe"),
    (0, b"II*\0", "tiff_pipe"),
    (0, b"MM\0*", "tiff_pipe"),
)
# A zip archive above this size that unpacks to more than so many times its own size is refused.
UNPACKED_BYTES = 1 << 30
UNPACKED_RATIO = 100
MPEG_TS_PACKET = 188  # bytes, each packet starts with 0x47


def demuxer_of(file: BinaryIO) -> str | None:
    """The demuxer for the content of a file, None for an unknown container. The file is left at its start."""
    head = file.read(MPEG_TS_PACKET + 1)
    file.seek(0)
    if head[:1] == head[MPEG_TS_PACKET:] == b"G":
        return "mpegts"
    return next((name for offset, magic, name in DEMUXERS if head[offset : offset + len(magic)] == magic), None)


def stated_length(file: BinaryIO) -> int:
    """The least bytes of a whole file, as its container states: Matroska, AVI, MP4 and GIF; 0 for others."""
    head = file.read(12)
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska_length(file)
    if head[:4] == b"RIFF":
        return int.from_bytes(head[4:8], "little") + 8
    if head[:3] == b"GIF":
        size = file.seek(0, 2)
        file.seek(-min(size, 1024), 2)
        return size if file.read().rstrip(b"\0").endswith(b";") else size + 1
    return _mp4_length(file) if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") else 0


def _mp4_length(file: BinaryIO) -> int:
    end, position = file.seek(0, 2), 0
    while position < end:
        file.seek(position)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if size < 8 or not head[4:8].isalnum():  # to the end of the file, or something behind the boxes
            return position
        position += size
    return position


def _matroska_length(file: BinaryIO) -> int:
    """The end of the first segment, 0 where it is open."""
    file.seek(4)
    file.seek(_variable_size(file) or 0, 1)
    if file.read(4) != b"\x18S\x80g":
        return 0
    size = _variable_size(file)
    return 0 if size is None else file.tell() + size


def _variable_size(file: BinaryIO) -> int | None:
    """An EBML size, None for the one that means "unknown"."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value


def check_unpacked(file: Path) -> None:
    """Raise ValueError for an archive that is small and unpacks to very much, before it is unpacked."""
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    packed = file.stat().st_size
    if unpacked > UNPACKED_BYTES and unpacked > UNPACKED_RATIO * packed:
        raise ValueError(
            f"its {packed} bytes unpack to {unpacked}: above {UNPACKED_BYTES} bytes, at most {UNPACKED_RATIO} times its "
            "size is unpacked; save it with numpy.savez, which does not compress"
        )
