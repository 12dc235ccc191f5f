"""How numbers, bounds and costs are spelt."""

from __future__ import annotations

from typing import Any

import pytest

from reports import format


@pytest.mark.parametrize(
    ("value", "shown"),
    [(14.234, "14.2"), (0.0123456, "0.0123"), (107.4, "107"), (12345.6, "12346"), (99_999.0, "1·10⁵"), (0.0, "0")],
)
def test_a_numeral_has_three_digits(value: float, shown: str) -> None:
    assert format.numeral(value) == shown


def test_bounds_share_the_decimals_of_their_value() -> None:
    assert format.bounds(14.234, 9.87, 101.5) == ("14.2", "9.9", "101.5")
    assert format.bounds(-0.0004, -0.3, 0.2) == ("0.000", "-0.300", "0.200")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (6e4, "6·10⁴"),
        (1e4, "1·10⁴"),
        (7504, "7504"),
        (417.59, "417.59"),
        (407.0, "407"),
        ((1, 2), "[1, 2]"),
        ("v", "v"),
    ],
)
def test_a_published_value_keeps_the_digits_that_were_printed(value: Any, shown: str) -> None:
    assert format.printed(value) == shown


def test_costs_are_said_in_words() -> None:
    assert [format.count(n) for n in (None, 512, 331_776, 197_000_000)] == ["–", "512", "332 k", "197 M"]
    assert [format.duration(s) for s in (None, 41.2, 192, 20_160, 864_000)] == [
        "–",
        "41.2 s",
        "3.20 min",
        "5.60 h",
        "10.0 d",
    ]
    assert [format.memory(n) for n in (None, 812 * 2**20, 3 * 2**30)] == ["–", "812 MiB", "3.00 GiB"]
