"""One field of a frozen value set from text, as `--set FIELD=VALUE` gives it: read as the type that the field declares."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from rollbench.spec import BadInput, nearest


@contextmanager
def own_rules() -> Iterator[None]:
    """What the values' own rules refuse within this context, as BadInput."""
    try:
        yield
    except ValueError as error:
        raise error if isinstance(error, BadInput) else BadInput(str(error)) from None


def assignment(change: str) -> tuple[str, str]:
    """The field's path and the text of "FIELD=VALUE"."""
    path, separator, text = change.partition("=")
    if not separator:
        raise BadInput(f"--set {change!r} has no '='; write FIELD=VALUE, e.g. training.steps=500")
    return path, text


def with_field(value: Any, path: str, text: str) -> Any:
    """`value` with the nested field `path` ("training.steps") set to `text`, read as JSON where the field is not text.

    Raises BadInput for an unknown field, for a value of another type, and for what the changed value's own rules refuse.
    """
    name, dot, rest = path.partition(".")
    names = [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
    if name not in names:
        raise BadInput(f"no field {name!r} in {type(value).__name__}; {nearest(name, names)}")
    old = getattr(value, name)
    new = with_field(old, rest, text) if dot else _read(get_type_hints(type(value))[name], text, path, old)
    with own_rules():
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
            raise BadInput(f"{path}={shown} cannot be read; the present value is {old!r}, write one like it") from None
        value = text
    try:
        return _fit(value, kind)
    except TypeError:
        like = "set one of its fields" if dataclasses.is_dataclass(old) else "write one like it"
        raise BadInput(f"{path}={_short(text)} is of another kind than the present value {old!r}; {like}") from None


def _fit(value: Any, kind: Any) -> Any:
    """A value of JSON as one of the type `kind`. Raises TypeError where it is none."""
    inner = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        for one in inner:
            with suppress(TypeError):
                return _fit(value, one)
    elif get_origin(kind) is tuple and isinstance(value, list):
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(map(_fit, value, kinds))
    elif kind is float and type(value) in (int, float):
        with suppress(OverflowError):
            if math.isfinite(value):
                return float(value)
    elif kind in (int, str, bool, NoneType) and type(value) is kind:
        return value
    raise TypeError(kind)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
