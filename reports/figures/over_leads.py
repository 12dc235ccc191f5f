"""Curves over the lead: FSD (the paper's Figure 4), MSE (Figure 8) and others, with intervals, floor and baselines.

Each figure is drawn in light and in dark (`x.png`, `x.svg`, `x-dark.png`, `x-dark.svg`). The paper's curves are a
figure of their own: its scale and units need axes of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.ticker import NullLocator

from reports.figures.axes import DASHES, band, blank, legend, method, style, values
from reports.figures.metadata import of_setting
from reports.figures.theme import DARK, LIGHT, LineStyle, Theme, line_styles, save, themed
from reports.model.cells import COMPETING, KINDS, Cell, cells
from reports.model.metrics import METRICS
from reports.model.published import Published
from rollbench.errors import UserError

LEVELS = {"mse_ratio": {1.0: "the mean of\nthe true law", 2.0: "an independent\ntrue sample"}}  # levels from theory
Styles = Mapping[str, LineStyle]


def over_leads(
    results: pd.DataFrame,
    metric: str,
    published: Sequence[Published],
    out: Path,
    *,
    rows: Sequence[str] | None = None,
    frame_seconds: float | None = None,
    name: str = "",
) -> list[Path]:
    """A metric of every row over the lead, with 95 % intervals, and the paper's curves of the same rows in a second
    figure.

    results: of one setting, see `reports.model.cells`. published: the paper's values, e.g. `paper().of("8", "fsd")`. rows: the
    order of the methods (it sets their colours), by default that of the results. name: of the files, by default
    "<metric>_over_leads". Returns the files, light ones first.
    """
    order = list(rows) if rows is not None else [p.row for p in published] + list(results["row"])
    chosen = line_styles(list(dict.fromkeys(order)))
    name = name or f"{metric}_over_leads"
    curves = _curves(results, metric, order)
    drawn = [_draw(curves, chosen, out, name, theme, frame_seconds) for theme in (LIGHT, DARK)]
    if published:
        drawn += [
            _draw_published(published, chosen, out, f"{name}_paper", theme, frame_seconds) for theme in (LIGHT, DARK)
        ]
    return [path for paths in drawn for path in paths]


def _curves(results: pd.DataFrame, metric: str, order: Sequence[str]) -> list[list[Cell]]:
    """The cells of a metric by row, leads ascending; methods in `order`, then the others."""
    settings = cells(results[results["metric"] == metric])
    if len(settings) > 1:
        raise UserError(f"a figure shows one setting, the results have {sorted(settings)}; select one of them")
    by_row: dict[str, list[Cell]] = {}
    for cell in (cell for of in settings.values() for cell in of.values()):
        by_row.setdefault(cell.row, []).append(cell)
    position = {row: number for number, row in enumerate(order)}
    rank = {kind: number for number, kind in enumerate(KINDS)}
    rows = sorted(by_row, key=lambda row: (rank[by_row[row][0].kind], position.get(row, len(position)), row))
    return [sorted(by_row[row], key=lambda cell: cell.lead or 0) for row in rows]


def _draw(
    curves: Sequence[Sequence[Cell]], chosen: Styles, out: Path, name: str, theme: Theme, frame_seconds: float | None
) -> list[Path]:
    """Our curves, one axes."""
    metric = curves[0][0].metric
    with themed(theme):
        figure, axes = blank()
        methods = [curve for curve in curves if curve[0].kind in COMPETING]
        for index, curve in enumerate(methods):
            shift = 1.018 ** (index - (len(methods) - 1) / 2)  # so that the intervals of rows do not overlap
            x = [(cell.lead or 0) * shift for cell in curve]
            method(axes, x, curve, curve[0].row, chosen[curve[0].row], theme)
        others = [curve for curve in curves if curve[0].kind not in COMPETING]
        for curve, dash in zip(others, cycle(DASHES), strict=False):
            band(axes, [cell.lead or 0 for cell in curve], curve, theme, dash)
        for level, text in LEVELS.get(metric, {}).items():
            axes.axhline(level, color=theme.soft, linewidth=0.8)
            beside_axes = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 8, "color": theme.soft}
            axes.text(1.01, level, text, **beside_axes)
        values(axes, metric, METRICS[metric].label)
        _leads(axes, sorted({cell.lead or 0 for curve in curves for cell in curve}), frame_seconds)
        legend(axes, theme)
        about = f"{METRICS[metric].label} over the lead, with 95 % intervals; in grey the baselines and the real-vs-real floor."
        return save(figure, out, name, theme, of_setting(about, curves[0][0].setting))


def _draw_published(
    published: Sequence[Published], chosen: Styles, out: Path, name: str, theme: Theme, frame_seconds: float | None
) -> list[Path]:
    """The paper's curves, without intervals: it prints none."""
    metric = published[0].metric
    with themed(theme):
        figure, axes = blank()
        for row in dict.fromkeys(p.row for p in published):
            points = sorted((p.lead or 0, p.number) for p in published if p.row == row)
            axes.plot(*zip(*points, strict=True), label=row, **style(chosen[row], theme))
        values(axes, metric, f"{METRICS[metric].label}, as the paper prints it")
        _leads(axes, sorted({p.lead or 0 for p in published}), frame_seconds)
        legend(axes, theme)
        about = f"{METRICS[metric].label} as the paper prints it: its scale and its units, no intervals."
        return save(figure, out, name, theme, about)


def _leads(axes: Any, leads: Sequence[int], frame_seconds: float | None) -> None:
    """The axis of leads; they are few, so each has a label."""
    axes.set_xscale("log")
    axes.set_xticks(leads, [str(lead) for lead in leads])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("frames after the context" + (f", of {frame_seconds:g} s" if frame_seconds else ""))
