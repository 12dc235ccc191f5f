"""One field of a frozen value set from text, as `--set FIELD=VALUE` gives it: read as the type that the field declares."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from rollbench.errors import UserError

OFFERED = 4  # paths near one that is unknown
LONGEST = 80  # characters of a path that are compared with known ones


@contextmanager
def as_user_error() -> Iterator[None]:
    """What the values' own rules refuse within this context, as BadInput."""
    try:
        yield
    except ValueError as error:
        raise error if isinstance(error, UserError) else UserError(str(error)) from None


def assignment(change: str) -> tuple[str, str]:
    """The field's path and the text of "FIELD=VALUE"."""
    path, separator, text = change.partition("=")
    if not separator:
        raise UserError(f"--set {change!r} has no '='; write FIELD=VALUE, e.g. training.steps=500")
    return path, text


def with_field(value: Any, path: str, text: str, also: Iterable[str] = ()) -> Any:
    """`value` with the nested field `path` ("training.steps") set to `text`, read as JSON where the field is not text.

    Raises BadInput for an unknown field, with the paths nearest to it (those of `value`, and those that `also` can be set), for a value
    of another type, and for what the changed value's own rules refuse.
    """
    try:
        return _with(value, path.split("."), text, path)
    except KeyError:
        raise UserError(f"no field {path!r}; {_advice(path, [*also, *leaves(value)])}") from None


def leaves(value: Any, prefix: str = "") -> Iterator[str]:
    """The dotted paths of the fields of nested dataclasses that hold no further ones."""
    for field in dataclasses.fields(value):
        inner, path = getattr(value, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(inner):
            yield from leaves(inner, f"{path}.")
        elif not (isinstance(inner, tuple) and inner and dataclasses.is_dataclass(inner[0])):
            yield path


def _advice(path: str, known: Sequence[str]) -> str:
    """The known paths nearest to one that is not: alike as a whole, and in their last name."""

    def alike(other: str) -> float:
        pairs = ((path, other), (path.rpartition(".")[2], other.rpartition(".")[2]))
        return sum(difflib.SequenceMatcher(None, a[:LONGEST], b).ratio() for a, b in pairs)

    first, *others = sorted(dict.fromkeys(known), key=alike, reverse=True)[:OFFERED]
    return f"did you mean {first!r}? Others near it: {', '.join(map(repr, others))}"


def _with(value: Any, names: Sequence[str], text: str, path: str) -> Any:
    """`value` with the field at the end of `names` set. Raises KeyError where there is none."""
    name, *rest = names
    if name not in ([f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []):
        raise KeyError(name)
    old = getattr(value, name)
    new = _with(old, rest, text, path) if rest else _read(get_type_hints(type(value))[name], text, path, old)
    with as_user_error():
        return dataclasses.replace(value, **{name: new})


def _read(kind: Any, text: str, path: str, old: Any) -> Any:
    """`text` as a value of the type `kind`."""
    if isinstance(old, str) and str in (kind, *get_args(kind)) or get_origin(kind) is Literal:
        return text
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        if str not in get_args(kind):
            shown = _short(text)
            raise UserError(f"{path}={shown} cannot be read; the present value is {old!r}, write one like it") from None
        value = text
    try:
        return coerce(value, kind)
    except TypeError:
        if dataclasses.is_dataclass(old):
            one = next(leaves(old, f"{path}."))
            raise UserError(
                f"{path}={_short(text)}: {path} is not a single value; set one of its fields, e.g. {one}"
            ) from None
        raise UserError(
            f"{path}={_short(text)} is of another kind than the present value {old!r}; write one like it"
        ) from None


def coerce(value: Any, kind: Any) -> Any:
    """A value of JSON as one of the type `kind`. Raises TypeError where it is none."""
    inner = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        for one in inner:
            with suppress(TypeError):
                return coerce(value, one)
    elif get_origin(kind) is tuple and isinstance(value, list):
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(map(coerce, value, kinds))
    elif kind is float and type(value) in (int, float):
        with suppress(OverflowError):
            if math.isfinite(value):
                return float(value)
    elif kind in (int, str, bool, NoneType) and type(value) is kind:
        return value
    raise TypeError(kind)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
