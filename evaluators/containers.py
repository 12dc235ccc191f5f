"""How long a whole file must be by what its container states, so that a torn one is known without decoding it."""

from __future__ import annotations

from typing import BinaryIO


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
