"""A value as JSON in exactly one way, and the content key that follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from rollbench.config.source import source_of

KEY_LENGTH = 20  # hex digits of a key: 80 bits, no accidental collision, and short enough for a folder's name


def canonical(value: Any) -> str:
    """`value` as JSON in exactly one way: sorted keys, no spaces, a dataclass with its name under "is".

    A class that is not of this project has its module in that name, and a digest of its source under "source".
    Raises TypeError for what has no exact JSON form (so that a key never depends on a `repr`) and ValueError for a number
    that is not finite.
    """
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def to_plain(value: Any) -> Any:
    """`value` as dicts, lists, strings, numbers, booleans and None; see `canonical`.

    A field with the metadata `keyed: False` is left out: it says how to compute, and changes nothing that is computed.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.metadata.get("keyed", True)
        }
        source = source_of(type(value))
        if source is None:
            return {"is": type(value).__name__, **fields}
        return {"is": source.name, "source": source.digest, **fields}
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise TypeError("only text can be a key in canonical JSON")
        return {k: to_plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in canonical JSON: every number must be finite")
        return value
    raise TypeError(f"{type(value).__name__} has no canonical JSON form; use a frozen dataclass of plain fields")


def key(value: Any) -> str:
    """The content key of a value: the first hex digits of the sha256 of its canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:KEY_LENGTH]


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of plain values under dotted names. A dataclass has its class under its own name:
    `method` Rolling, `method.clean` 2."""
    if isinstance(value, dict):
        for field, inner in value.items():
            yield from flat(inner, name if field == "is" else f"{name}.{field}" if name else field)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        yield from flat({str(i): inner for i, inner in enumerate(value)}, name)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)
