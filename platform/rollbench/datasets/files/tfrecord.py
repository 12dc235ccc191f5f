"""TensorFlow's record files, and the examples in them, read without TensorFlow and with every checksum checked.

file     length (uint64), masked CRC-32C of the length, data, masked CRC-32C of the data; again and again; little endian
example  a protocol buffer: Example or SequenceExample { Features = 1 { map<string, Feature> = 1 } }, where a Feature holds
         a list of bytes (1), of floats (2) or of integers (3)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HEADER, FOOTER = struct.Struct("<QI"), struct.Struct("<I")
LENGTH = struct.Struct("<Q")


class BadRecord(Exception):
    """What is wrong with a record, and at which byte of its file it begins."""


def offsets(path: Path) -> Iterator[int]:
    """Where the records of a file begin. Reads their headers alone. Raises BadRecord where the file goes wrong."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            length = _length(file, at, size)
            yield at
            at += HEADER.size + length + FOOTER.size
            file.seek(at)


def record(file: BinaryIO, at: int) -> bytes:
    """The data of the record that begins at byte `at`, with both checksums checked."""
    file.seek(0, 2)
    size = file.tell()
    file.seek(at)
    data = file.read(_length(file, at, size))
    if FOOTER.unpack(file.read(FOOTER.size))[0] != masked(data):
        raise BadRecord(f"the record at byte {at} has another CRC than is stated")
    return data


def _length(file: BinaryIO, at: int, size: int) -> int:
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        raise BadRecord(f"torn: the record at byte {at} ends within its header")
    length, stated = HEADER.unpack(header)
    if stated != masked(header[: LENGTH.size]):
        raise BadRecord(f"the length of the record at byte {at} has another CRC than is stated; what follows is lost")
    if at + HEADER.size + length + FOOTER.size > size:
        there = max(0, size - at - HEADER.size)
        raise BadRecord(f"torn: the record at byte {at} has {there} of {length + FOOTER.size} bytes")
    return int(length)


def masked(data: bytes) -> int:
    """TensorFlow's mask of the CRC-32C: a CRC of data that holds CRCs is not to be trusted."""
    import google_crc32c

    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def bytes_features(example: bytes) -> dict[str, list[memoryview]]:
    """The features of an example that are lists of bytes, without a copy. Raises ValueError for what is no example."""
    found = {}
    for features in _fields(memoryview(example), 1):
        for entry in _fields(features, 1):
            name = next(_fields(entry, 1), None)
            feature = next(_fields(entry, 2), None)
            for values in () if name is None or feature is None else _fields(feature, 1):
                found[bytes(name or b"").decode()] = list(_fields(values, 1))
    return found


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The fields with a number of a message that are themselves messages, texts or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(message, at)
            end = at + size
        elif kind in (1, 5):
            end = at + (8 if kind == 1 else 4)
        elif kind == 0:
            _, end = _varint(message, at)
        else:
            raise ValueError(f"no protocol buffer: wire type {kind} at byte {at}")
        if end > len(message):
            raise ValueError(f"no protocol buffer: a field ends at byte {end} of {len(message)}")
        if tag >> 3 == wanted and kind == 2:
            yield message[at:end]
        at = end


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where it ends."""
    value = shift = 0
    while at < len(message):
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not message[at - 1] & 0x80:
            return value, at
    raise ValueError(f"no protocol buffer: it ends within a number at byte {at}")
