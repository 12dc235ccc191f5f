"""The form of receipts and manifests, and of the names in them: what was read from a storage counts only if it has this form, and a file
only if it is what its receipt says.

The seal is the sha256 of a manifest's or a receipt's other words. One that was altered counts as none: a stage is published again from its
receipts, and a file without a whole receipt is made again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pyarrow import Buffer

from rollbench.errors import UserError

SCHEMA_VERSION = 1
CHECKSUM = "seal"
# A kind, a key, a file's name: one step of a path, which leads nowhere else.
PLAIN_NAME = re.compile(r"(?!\.)[\w.=+-]{1,200}")


class Damaged(RuntimeError):
    """A stored file differs from its receipt: names the file and what is wrong. The stage must be made again."""


def sha256(data: bytes | memoryview | Buffer) -> str:
    return hashlib.sha256(data).hexdigest()


def compare(path: str, receipt: Mapping[str, Any], size: int, digest: str) -> None:
    """Raise Damaged for a file that is not what its receipt says."""
    if size != receipt["bytes"]:
        raise Damaged(f"{path} has {size} bytes where its receipt says {receipt['bytes']}")
    if digest != receipt["sha256"]:
        raise Damaged(f"{path} has another sha256 than its receipt")


def plain_name(name: str) -> str:
    """`name`, if it is one step of a path. Names come from data and from manifests, which anyone may have written."""
    if PLAIN_NAME.fullmatch(name):
        return name
    raise UserError(
        f"{name!r} is not a valid name in a storage; a name has letters, digits and _ . = + - and starts with no dot"
    )


def checksum(manifest: Mapping[str, Any]) -> str:
    words = {name: value for name, value in manifest.items() if name != CHECKSUM}
    return sha256(json.dumps(json.loads(json.dumps(words)), sort_keys=True).encode())


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest or a receipt with its checksum: facts, such as the sums behind a normalisation, decide numbers."""
    return {**value, CHECKSUM: checksum(value)}


def opened(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """A sealed receipt without its checksum; None for one that was altered."""
    if value.get(CHECKSUM) != checksum(value) or not is_file_entry(value):
        return None
    return {name: fact for name, fact in value.items() if name != CHECKSUM}


def is_manifest(value: Mapping[str, Any]) -> bool:
    version, files = value.get("schema_version"), value.get("files")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        return isinstance(version, int)  # what a newer one looks like is not for us to say
    whole = isinstance(files, list) and all(isinstance(file, dict) and is_file_entry(file) for file in files)
    return whole and value.get(CHECKSUM) == checksum(value)


def is_file_entry(value: Mapping[str, Any]) -> bool:
    name, size, digest = value.get("name"), value.get("bytes"), value.get("sha256")
    named = isinstance(name, str) and PLAIN_NAME.fullmatch(name) is not None
    return named and type(size) is int and isinstance(digest, str)
