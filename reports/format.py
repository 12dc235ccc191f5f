"""Formatting of values: three significant digits, an interval with its value's decimals, large numbers as powers
of ten.
"""

from __future__ import annotations

import math

LARGE = 99_950  # larger numbers would print zeros after their three digits
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def decimals(value: float) -> int:
    """Decimals that show three significant digits of a value."""
    return 0 if value == 0 or not math.isfinite(value) else max(0, 2 - math.floor(math.log10(abs(value))))


def numeral(value: float, places: int | None = None) -> str:
    """A value with three significant digits, or with `places` decimals."""
    if abs(value) >= LARGE:
        return power(value)
    if value == 0 and places is None:
        return "0"
    if places is None:
        places = min(decimals(value), 6)
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text


def power(value: float) -> str:
    """A value as digits times a power of ten, with as many digits as it has, up to three: 6·10⁴."""
    digits, exponent = f"{value:.2e}".split("e")
    return f"{float(digits):g}·10{str(int(exponent)).translate(SUPERSCRIPT)}"


def bounds(value: float, low: float, high: float) -> tuple[str, str, str]:
    """Value, low and high with the same decimals: three digits of the value, or of its uncertainty if that is larger."""
    if max(abs(value), abs(low), abs(high)) >= LARGE:
        return numeral(value), numeral(low), numeral(high)
    places = min(decimals(max(abs(value), (high - low) / 2)), 6)
    return numeral(value, places), numeral(low, places), numeral(high, places)


def printed(value: float | str | tuple[object, ...]) -> str:
    """A published value with the digits that the paper printed; multiples of 10⁴ as powers of ten."""
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, str):
        return value
    return power(value) if abs(value) >= 1e4 and value % 1e4 == 0 else f"{value:.6g}"


def count(value: int | None) -> str:
    """A large whole number with a unit: 330 k, 197 M."""
    if value is None:
        return "–"
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{numeral(value / size)} {unit}"
    return str(value)


def duration(seconds: float | None) -> str:
    """Seconds in a readable unit: 41 s, 3.2 min, 5.6 h."""
    if seconds is None:
        return "–"
    for size, unit in ((86_400.0 * 2, "d"), (5_400.0, "h"), (100.0, "min")):
        if seconds >= size:
            return f"{numeral(seconds / {'d': 86_400, 'h': 3_600, 'min': 60}[unit])} {unit}"
    return f"{numeral(seconds)} s"


def memory(size: int | None) -> str:
    """Bytes in GiB or MiB."""
    if size is None:
        return "–"
    return f"{numeral(size / 2**30)} GiB" if size >= 2**30 else f"{numeral(size / 2**20)} MiB"
