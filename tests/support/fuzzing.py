"""What the campaigns of bad input share: how many examples, hostile texts and JSON, and what a refusal looks like.

ROLLBENCH_FUZZ=50 pytest tests/test_fuzz_*.py        fifty times as many examples, other ones each time
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("ROLLBENCH_FUZZ", "1"))
NASTY = (
    "", " ", "\0", "a\nb", "../x", "/etc/passwd", "..", ".", "é" * 3, "😀", "\udcff", "x" * 5000, "-1", "--", "=", "nan", "1e999",
    "9" * 5000, "[" * 100_000, '{"a":' * 3000, "{}", "[[]]", "null", "true", "1.5", "'\"", "%s%n", "$(id)", "file:///x", "s3://",
)  # fmt: skip

texts = st.one_of(st.sampled_from(NASTY), st.text(max_size=12))
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from((0, -1, 2**63, 10**30, 1e308)))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=5
)
printable = texts.filter(lambda text: "\udcff" not in text)  # what a file in UTF-8 can hold


def campaign(examples: int) -> Callable[[Any], Any]:
    """How a test looks for bad input: `examples` of them, always the same, unless ROLLBENCH_FUZZ asks for more."""
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something lies in a value of JSON, each as the keys that lead there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, inner in items for place in places(inner, (*at, key)))]


@st.composite
def mutated(draw: st.DrawFn, original: Any, leaves: st.SearchStrategy[Any] = values) -> Any:
    """A copy of a value of JSON in which a thing or two is replaced, dropped, doubled or called otherwise."""
    value = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 2))):
        way = draw(st.sampled_from(places(value)))
        parent = value
        for key in way[:-1]:
            parent = parent[key]
        if not way:
            value = draw(leaves)
            continue
        last = way[-1]
        deed = draw(st.sampled_from(("replace", "replace", "drop", "double", "rename")))
        if deed == "replace":
            parent[last] = draw(leaves)
        elif deed == "drop":
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
        else:
            parent[draw(printable)] = parent[last] if deed == "double" else parent.pop(last)
    return value


@st.composite
def torn(draw: st.DrawFn, original: bytes) -> bytes:
    """Bytes that begin like `original`: cut off, overwritten in places, or with something in between."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        deed, junk = draw(st.sampled_from(("cut", "write", "insert"))), draw(st.binary(min_size=1, max_size=8))
        if deed == "cut":
            del data[at:]
        elif deed == "write":
            data[at : at + len(junk)] = junk
        else:
            data[at:at] = junk
    return bytes(data)


def told(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of a command, written as Python writes to a terminal in UTF-8."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors, newline="") for errors in ("strict", "backslashreplace")
    )
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command(arguments)
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 1
    return code, _written(out), _written(err)


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def is_one_line(text: str) -> bool:
    return text.endswith("\n") and len(text.splitlines()) == 1 and "Traceback" not in text
