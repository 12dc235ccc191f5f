"""A scale caps: it never makes a field larger, the paper's scale changes nothing."""

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from experiments.table8 import TABLE
from rollbench.scale import SCALES, Scale, at_scale, default_rows, scale
from rollbench.spec import BadInput


def numbers(value: Any, path: str = "") -> dict[str, float]:
    """Every number in nested dataclasses and tuples by its path."""
    if is_dataclass(value):
        return {k: v for f in fields(value) for k, v in numbers(getattr(value, f.name), f"{path}.{f.name}").items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {path: value}
    return {}


def test_the_paper_scale_is_the_identity() -> None:
    assert at_scale(TABLE, scale("paper")) == TABLE


@pytest.mark.parametrize("name", SCALES)
def test_no_scale_enlarges_anything_but_the_learning_rate(name: str) -> None:
    scaled, full = numbers(at_scale(TABLE, scale(name))), numbers(TABLE)
    larger = {path for path, value in scaled.items() if value > full[path]}
    assert larger <= {".training.learning_rate"}


def test_scaling_twice_is_scaling_by_the_smaller() -> None:
    once = at_scale(TABLE, scale("smoke"))
    twice = at_scale(at_scale(TABLE, scale("laptop")), scale("smoke"))
    assert twice.data == once.data and twice.network == once.network and twice.sampling == once.sampling
    assert twice.training.learning_rate == pytest.approx(once.training.learning_rate)


def test_scales_are_ordered() -> None:
    names = [f.name for f in fields(Scale) if f.name not in ("name", "learning_rate")]
    ordered = [SCALES[name] for name in ("smoke", "laptop", "lab", "paper")]
    for small, large in zip(ordered, ordered[1:], strict=False):
        assert small.learning_rate >= large.learning_rate
        assert all(getattr(small, n) <= getattr(large, n) for n in names)


def test_default_rows_are_those_of_highest_priority_in_the_tables_order() -> None:
    assert default_rows(TABLE, scale("smoke")) == (
        "MSE (2-1)",
        "Rolling Diffusion (init noise) (2-4)",
    )
    assert default_rows(TABLE, scale("paper")) == tuple(row.name for row in TABLE.rows)


def test_an_unknown_scale_is_named_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="unknown scale 'labtop'; did you mean 'laptop'"):
        scale("labtop")
