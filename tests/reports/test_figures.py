"""Figures and animations: what is drawn where, in which colours, and the same bytes twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from reports.figures import over_leads, theme
from reports.figures.metadata import caption
from reports.figures.rollouts import rollout_animation, rollout_picture
from reports.model.cells import cells
from reports.model.published import paper
from tests.reports.test_cells import LEADS, LEVELS, results  # type: ignore[import-not-found]


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The axes of each figure that was drawn, by its file's stem; no file is written."""
    drawn: dict[str, Any] = {}

    def keep(figure: Any, out: Path, name: str, look: theme.Theme, about: str) -> list[Path]:
        drawn[name + look.suffix] = figure.axes[0]
        return [out / f"{name}{look.suffix}.svg"]

    monkeypatch.setattr(over_leads, "save", keep)
    yield drawn


def bars(axes: Any) -> dict[str, np.ndarray]:
    """Each method's (value, low, high) [leads, 3] as they are drawn."""
    bars_by_label = {}
    for container in axes.containers:
        line, _, (segments,) = container
        ends = np.array([segment[:, 1] for segment in segments.get_segments()])
        bars_by_label[container.get_label()] = np.column_stack([line.get_ydata(), ends]).astype(float)
    return bars_by_label


def test_every_value_and_interval_is_drawn_where_it_belongs(axes: dict[str, Any], tmp_path: Path) -> None:
    frame = results(seeds=(0, 1))
    over_leads.over_leads(frame, "fsd", (), tmp_path)
    over_leads.over_leads(frame, "mse_ratio", (), tmp_path)
    for name, metric in (("fsd_over_leads", "fsd"), ("mse_ratio_over_leads-dark", "mse_ratio")):
        drawn = bars(axes[name])
        assert set(drawn) == {row for row, level in LEVELS.items() if level[0] == "method"}
        for cell in cells(frame)[""].values():
            if cell.metric == metric and cell.kind == "method":
                np.testing.assert_allclose(drawn[cell.row][LEADS.index(cell.lead)], (cell.value, cell.low, cell.high))
        others = {
            line.get_label(): line.get_ydata() for line in axes[name].lines if not line.get_label().startswith("_")
        }
        expected = [cells(frame)[""]["real vs real", metric, lead].value for lead in LEADS]
        np.testing.assert_allclose(others["real vs real"], expected)


def test_the_papers_curves_have_axes_of_their_own(axes: dict[str, Any], tmp_path: Path) -> None:
    over_leads.over_leads(results(), "fsd", paper().of("8", "fsd"), tmp_path, rows=paper().rows("8"))
    assert set(axes) == {f"fsd_over_leads{part}{suffix}" for part in ("", "_paper") for suffix in ("", "-dark")}
    lines = {line.get_label(): line for line in axes["fsd_over_leads_paper"].lines}
    assert tuple(lines) == paper().rows("8")
    np.testing.assert_array_equal(lines["MSE (2-1)"].get_xydata()[-1], (48, 7504))
    ours = {c.get_label(): c[0].get_color() for c in axes["fsd_over_leads"].containers}
    assert all(lines[row].get_color() == color for row, color in ours.items())


def test_rows_of_a_family_share_a_colour_and_no_two_rows_have_one_style() -> None:
    styles = theme.line_styles(paper().rows("8"))
    assert styles["MSE (2-1)"].color == styles["MSE (2-4)"].color != styles["Standard Diffusion (2-1)"].color
    assert len({(line.color, line.marker, str(line.dash)) for line in styles.values()}) == 11


@pytest.mark.parametrize("look", [theme.LIGHT, theme.DARK])
def test_colours_are_read_on_their_ground(look: theme.Theme) -> None:
    """Contrast by WCAG 2: 4.5 for text, 3 for the methods' lines (2.2 for the two last, which table 8 does not need)."""

    def luminance(color: str) -> float:
        channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        return float(np.dot([0.2126, 0.7152, 0.0722], channels))

    def contrast(color: str) -> float:
        low, high = sorted((luminance(color), luminance(look.ground)))
        return (high + 0.05) / (low + 0.05)

    assert min(contrast(look.ink), contrast(look.soft)) >= 4.5
    assert min(map(contrast, look.palette[:3])) >= 3
    assert min(map(contrast, look.palette)) >= 2.2


def test_files_are_made_in_light_and_dark_and_twice_the_same(tmp_path: Path) -> None:
    field = np.random.default_rng(0).standard_normal((4, 8, 8))
    written = []
    for folder in ("one", "two"):
        out = tmp_path / folder
        paths = over_leads.over_leads(results(), "fsd", (), out) + rollout_picture({"truth": field}, (1, 4, 9), out)
        paths.append(rollout_animation({"truth": field, "A": field}, out / "rollouts.webp"))
        written.append({path.name: path.read_bytes() for path in paths})
    names = {
        f"{stem}{s}.{kind}" for stem in ("fsd_over_leads", "rollouts") for s in ("", "-dark") for kind in ("png", "svg")
    }
    assert set(written[0]) == names | {"rollouts.webp"}
    assert written[0] == written[1]
    for suffix, look in (("", theme.LIGHT), ("-dark", theme.DARK)):
        corner = Image.open(tmp_path / "one" / f"rollouts{suffix}.png").convert("RGB").getpixel((0, 0))
        assert corner == tuple(round(255 * c) for c in to_rgb(look.ground))


def test_a_picture_says_in_words_what_it_shows(tmp_path: Path) -> None:
    """In its file, so that pages and people who get the file alone can read it; the setting first where there are several."""
    frame = results().assign(setting="stride 8")
    field = np.zeros((4, 8, 8)) + np.arange(8)
    paths = over_leads.over_leads(frame, "fsd", paper().of("8", "fsd"), tmp_path)
    paths += rollout_picture({"truth": field}, (1, 4), tmp_path, kind="velocity", setting="stride 8")
    paths.append(rollout_animation({"truth": field}, tmp_path / "animation.webp", setting="<b>"))
    captions = {path.name: caption(path) for path in paths}
    assert captions["fsd_over_leads.svg"] == captions["fsd_over_leads-dark.png"] == captions["fsd_over_leads.png"]
    assert captions["fsd_over_leads.svg"].startswith("stride 8: FSD over the lead, with 95 % intervals")
    assert captions["fsd_over_leads_paper.png"].startswith("FSD as the paper prints it")
    assert captions["rollouts.svg"].startswith("stride 8: Horizontal velocity of one test clip: the truth")
    assert (
        captions["animation.webp"]
        == "<b>: Vorticity of one test clip as an animation, the truth and all methods side by side."
    )
    assert caption(tmp_path / "no_such-animation.mp4") == "no such animation"
