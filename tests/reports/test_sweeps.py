"""Curves of a search: every row at its place on its curve, bands of the trivial rows, the paper's values apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.figures import sweeps
from reports.figures.theme import Theme
from reports.model.published import paper
from rollbench.errors import UserError
from tests.reports.test_figures import bars  # type: ignore[import-not-found]
from tests.reports.test_settings import FAST, ROWS, results  # type: ignore[import-not-found]

POINTS = {
    "Rolling β = 0.1 (5-11)": ("rescaled", 0.1),
    "Standard Diffusion (5-11), stride 8": ("rescaled", 0.9),
    "a row that was not run": ("clip", 0.0),
}


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    drawn: dict[str, Any] = {}

    def keep(figure: Any, out: Path, name: str, look: Theme, about: str) -> list[Path]:
        drawn[name + look.suffix] = figure.axes[0]
        return [out / f"{name}{look.suffix}.svg"]

    monkeypatch.setattr(sweeps, "save", keep)
    yield drawn


def test_each_row_lies_at_its_parameter_on_its_curve(axes: dict[str, Any], tmp_path: Path) -> None:
    frame = results()
    frame = frame[frame["setting"] == FAST]
    sweeps.over_parameter(frame, "fvd", POINTS, tmp_path, x_label="β = P(linear)")
    assert set(axes) == {"fvd_over_parameter", "fvd_over_parameter-dark"}
    drawn = axes["fvd_over_parameter"]
    assert list(bars(drawn)) == ["rescaled"] and drawn.get_xlabel() == "β = P(linear)"
    np.testing.assert_array_equal(drawn.containers[0][0].get_xdata(), (0.1, 0.9))
    np.testing.assert_array_equal(bars(drawn)["rescaled"][:, 0], (45.0, 57.0))
    assert {line.get_label() for line in drawn.lines} >= {"persistence", "real vs real"}


def test_the_papers_values_of_a_search_have_axes_of_their_own(axes: dict[str, Any], tmp_path: Path) -> None:
    frame = results()
    published = {
        "Rolling β = 0.1 (5-11)": paper().look_up("3", "Rolling beta=0.1", "fvd"),
        "Standard Diffusion (5-11), stride 8": paper().look_up(
            "3", "Standard Diffusion", "fvd", setting="stride=8 steps=24 (5-11)"
        ),
    }
    sweeps.over_parameter(
        frame[frame["setting"] == FAST], "fvd", POINTS, tmp_path, x_label="β", published=published, name="beta"
    )
    (line,) = axes["beta_paper"].lines
    np.testing.assert_array_equal(line.get_xydata(), ((0.1, 39.8), (0.9, 58.1)))


def test_quality_over_cost_joins_settings(axes: dict[str, Any], tmp_path: Path) -> None:
    frame = results()
    frame.loc[frame["kind"] == "method", "calls_per_frame_total"] = np.arange(
        1.0, 1 + (frame["kind"] == "method").sum()
    )
    curves = dict.fromkeys(ROWS, "all")
    del curves["Standard Diffusion (15-1)"]
    sweeps.cost_quality(frame, "fvd", tmp_path, curves=curves)
    drawn = axes["fvd_over_cost"]
    x = drawn.containers[0][0].get_xdata()
    assert list(bars(drawn)) == ["all"] and len(x) == 4 and list(x) == sorted(x)
    wanted = frame[(frame["metric"] == "fvd") & frame["row"].isin(curves)].sort_values("calls_per_frame_total")
    np.testing.assert_array_equal(bars(drawn)["all"][:, 0], wanted["value"])
    assert drawn.get_xscale() == "log" and "init" in drawn.get_xlabel()


def test_a_metric_with_leads_is_read_at_one(axes: dict[str, Any], tmp_path: Path) -> None:
    sweeps.cost_quality(results(), "mse", tmp_path, lead=8)
    assert len(bars(axes["mse_over_cost"])) == 2
    with pytest.raises(UserError, match="has a value here"):
        sweeps.cost_quality(results(), "mse", tmp_path, lead=3)


def test_refusals_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown cost 'second'; did you mean 'seconds'"):
        sweeps.cost_quality(results(), "fvd", tmp_path, cost="second")
    with pytest.raises(UserError, match="a figure shows one setting"):
        sweeps.over_parameter(results(), "fvd", POINTS, tmp_path, x_label="β")
    with pytest.raises(UserError, match="none of the rows"):
        sweeps.over_parameter(results().query("setting == @FAST"), "fvd", {"x": ("a", 1.0)}, tmp_path, x_label="β")


def test_the_files_are_drawn_in_light_and_dark(tmp_path: Path) -> None:
    paths = sweeps.cost_quality(results(), "fvd", tmp_path, cost="seconds")
    assert sorted(path.name for path in paths) == [
        "fvd_over_cost-dark.png", "fvd_over_cost-dark.svg", "fvd_over_cost.png", "fvd_over_cost.svg",
    ]  # fmt: skip
    assert all(path.stat().st_size > 1000 for path in paths)
