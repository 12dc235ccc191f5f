"""Curves of a search: a metric over a parameter (Table 10's β), and over what it costs.

Every row of the results is a point; `points` assigns it to a curve and an x. Baselines and the floor are bands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reports.figures.axes import DASHES, band, blank, legend, method, style, values
from reports.figures.metadata import of_setting
from reports.figures.theme import DARK, LIGHT, LineStyle, Theme, line_styles, save, themed
from reports.model.cells import Cell, cells
from reports.model.metrics import METRICS
from reports.model.published import Published
from rollbench.errors import UserError, did_you_mean

COSTS = {
    "calls_per_frame": "network calls per frame, without the initial window",
    "calls_per_frame_total": "network calls per frame, with the initial window",
    "parameters": "parameters",
    "train_seconds": "training, seconds on the device",
    "seconds": "rollout and scoring, seconds",
    "peak_memory_bytes": "peak memory, bytes",
}


@dataclass(frozen=True)
class _Plot:
    """Curves by name, each of points (x, cell) from left to right; bands of baselines."""

    curves: Mapping[str, Sequence[tuple[float, Cell]]]
    bands: Sequence[Cell]
    x_label: str
    log: bool


def over_parameter(
    results: pd.DataFrame,
    metric: str,
    points: Mapping[str, tuple[str, float]],
    out: Path,
    *,
    x_label: str,
    lead: int | None = None,
    published: Mapping[str, Published] | None = None,
    name: str = "",
) -> list[Path]:
    """A metric over the parameter of a search, one curve for each family of rows, with 95 % intervals.

    results: of one setting. points: row → (its curve, the parameter), e.g. {"Rolling clip β=0.2": ("clip", 0.2)}; rows
    that it does not name are not drawn. lead: of a metric that has leads. published: row → the paper's value, drawn in a
    second figure. name: of the files, by default "<metric>_over_parameter". Returns the files, light ones first.
    """
    name = name or f"{metric}_over_parameter"
    by_row = _of(results, metric, lead)
    curves = _curves(points, {row: cell for row, cell in by_row.items() if cell.kind == "method"})
    plot = _Plot(curves, [cell for cell in by_row.values() if cell.kind != "method"], x_label, log=False)
    chosen = line_styles(list(dict.fromkeys(curve for curve, _ in points.values())))
    drawn = [_draw(plot, chosen, out, name, theme) for theme in (LIGHT, DARK)]
    if published:
        drawn += [_draw_published(published, points, x_label, chosen, out, f"{name}_paper", t) for t in (LIGHT, DARK)]
    return [path for paths in drawn for path in paths]


def cost_quality(
    results: pd.DataFrame,
    metric: str,
    out: Path,
    *,
    cost: str = "calls_per_frame_total",
    lead: int | None = None,
    curves: Mapping[str, str] | None = None,
    name: str = "",
) -> list[Path]:
    """A metric over what a row costs, on a logarithmic axis.

    results: of any number of settings. cost: a column of COSTS. lead: of a metric that has leads. curves: row → the curve
    that joins it to others, by default each row is its own curve; rows that it does not name are not drawn. name: of the
    files, by default "<metric>_over_cost".
    """
    if cost not in COSTS:
        raise UserError(f"unknown cost {cost!r}; {did_you_mean(cost, COSTS)}")
    methods = {row: cell for row, cell in _of(results, metric, lead, several=True).items() if cell.kind == "method"}
    prices = {row: getattr(cell, cost) for row, cell in methods.items()}
    named = curves if curves is not None else {row: row for row in methods}
    points = {row: (named[row], float(prices[row])) for row in methods if row in named and prices[row]}
    plot = _Plot(_curves(points, methods), (), COSTS[cost], log=True)
    chosen = line_styles(list(dict.fromkeys(curve for curve, _ in points.values())))
    return [p for theme in (LIGHT, DARK) for p in _draw(plot, chosen, out, name or f"{metric}_over_cost", theme)]


def _of(results: pd.DataFrame, metric: str, lead: int | None, several: bool = False) -> dict[str, Cell]:
    """The cells of a metric at a lead by row."""
    settings = cells(results[results["metric"] == metric])
    if len(settings) > 1 and not several:
        raise UserError(f"a figure shows one setting, the results have {sorted(settings)}; select one of them")
    return {row: cell for of in settings.values() for (row, _, at), cell in of.items() if at == lead}


def _curves(points: Mapping[str, tuple[str, float]], cells: Mapping[str, Cell]) -> dict[str, list[tuple[float, Cell]]]:
    curves: dict[str, list[tuple[float, Cell]]] = {}
    for row, (curve, x) in points.items():
        if row in cells:
            curves.setdefault(curve, []).append((x, cells[row]))
    if not curves:
        raise UserError(f"none of the rows {list(points)} has a value here; the rows that have one are {list(cells)}")
    return {curve: sorted(of, key=lambda point: point[0]) for curve, of in curves.items()}


def _draw(plot: _Plot, chosen: Mapping[str, LineStyle], out: Path, name: str, theme: Theme) -> list[Path]:
    with themed(theme):
        figure, axes = blank()
        ends = [x for curve in plot.curves.values() for x, _ in curve]
        for curve, points in plot.curves.items():
            method(axes, [x for x, _ in points], [cell for _, cell in points], curve, chosen[curve], theme)
        for cell, dash in zip(plot.bands, cycle(DASHES), strict=False):
            band(axes, [min(ends), max(ends)], [cell, cell], theme, dash)
        metric = next(iter(plot.curves.values()))[0][1].metric
        values(axes, metric, METRICS[metric].label)
        _parameter(axes, plot.x_label, plot.log)
        legend(axes, theme)
        grey = "; in grey the baselines and the real-vs-real floor" if plot.bands else ""
        about = f"{METRICS[metric].label} over {plot.x_label}, with 95 % intervals{grey}."
        settings = {cell.setting for points in plot.curves.values() for _, cell in points}
        return save(figure, out, name, theme, of_setting(about, settings.pop() if len(settings) == 1 else ""))


def _draw_published(
    published: Mapping[str, Published], points: Mapping[str, tuple[str, float]], x_label: str,
    chosen: Mapping[str, LineStyle], out: Path, name: str, theme: Theme,
) -> list[Path]:  # fmt: skip
    """The paper's values at the same x, without intervals: it prints none."""
    with themed(theme):
        figure, axes = blank()
        for curve in chosen:
            at = sorted(
                (x, published[row].number) for row, (of, x) in points.items() if of == curve and row in published
            )
            if at:
                axes.plot(*zip(*at, strict=True), label=curve, **style(chosen[curve], theme))
        metric = next(iter(published.values())).metric
        values(axes, metric, f"{METRICS[metric].label}, as the paper prints it")
        _parameter(axes, x_label, log=False)
        legend(axes, theme)
        about = f"{METRICS[metric].label} over {x_label} as the paper prints it, without intervals."
        return save(figure, out, name, theme, about)


def _parameter(axes: Any, label: str, log: bool) -> None:
    axes.set_xlabel(label)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
