"""Curves over the lead: FSD (the paper's Figure 4) and MSE, with intervals, floor and trivial rows.

Each figure is drawn in light and in dark (`x.png`, `x.svg`, `x-dark.png`, `x-dark.svg`). The paper's curves are a
figure of their own: another scale and other units belong on other axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from reports.cells import Cell, cells
from reports.metrics import METRICS
from reports.numerals import power
from reports.published import Published
from reports.theme import DARK, LIGHT, Look, Theme, looks, save, themed
from rollbench.spec import BadInput

LOGARITHMIC = ("fsd", "fsd_diagonal")
LEVELS = {"mse_ratio": {1.0: "the mean of\nthe true law", 2.0: "an independent\ntrue film"}}  # that theory names
WIDTH, HEIGHT = 6.4, 4.4  # inches; at this size the text of the page and of the figure are alike


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

    results: of one setting, see `reports.cells`. published: the paper's values, e.g. `paper().of("8", "fsd")`. rows: the
    order of the methods (it sets their colours), by default that of the results. name: of the files, by default
    "<metric>_over_leads". Returns the files, light ones first.
    """
    order = list(rows) if rows is not None else [p.row for p in published] + list(results["row"])
    chosen = looks(list(dict.fromkeys(order)))
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
        raise BadInput(f"a figure shows one setting, the results have {sorted(settings)}; select one of them")
    found: dict[str, list[Cell]] = {}
    for cell in (cell for of in settings.values() for cell in of.values()):
        found.setdefault(cell.row, []).append(cell)
    place = {row: number for number, row in enumerate(order)}
    rank = {"method": 0, "baseline": 1, "floor": 2}
    rows = sorted(found, key=lambda row: (rank[found[row][0].kind], place.get(row, len(place)), row))
    return [sorted(found[row], key=lambda cell: cell.lead or 0) for row in rows]


def _draw(
    curves: Sequence[Sequence[Cell]],
    chosen: Any,
    out: Path,
    name: str,
    theme: Theme,
    frame_seconds: float | None,
) -> list[Path]:
    """Our curves, one axes."""
    metric = curves[0][0].metric
    with themed(theme):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_subplot()
        methods = [curve for curve in curves if curve[0].kind == "method"]
        for place, curve in enumerate(methods):
            _method(axes, curve, chosen[curve[0].row], theme, place - (len(methods) - 1) / 2)
        others = [curve for curve in curves if curve[0].kind != "method"]
        for curve, dash in zip(
            others, ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (4, 2, 1, 2))) * len(others), strict=False
        ):
            _other(axes, curve, theme, dash)
        for level, text in LEVELS.get(metric, {}).items():
            axes.axhline(level, color=theme.soft, linewidth=0.8)
            axes.text(
                1.01, level, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=theme.soft
            )
        leads = sorted({cell.lead or 0 for curve in curves for cell in curve})
        _dress(axes, leads, METRICS[metric].label, theme, frame_seconds, log=metric in LOGARITHMIC)
        return save(figure, out, name, theme)


def _method(axes: Any, curve: Sequence[Cell], look: Look, theme: Theme, place: float) -> None:
    """A method's curve; the rows stand a little beside each other, so that their intervals can be told apart."""
    x = [(cell.lead or 0) * 1.018**place for cell in curve]
    y = [cell.value for cell in curve]
    error = [[c.value - c.low for c in curve], [c.high - c.value for c in curve]]
    axes.errorbar(x, y, yerr=error, label=curve[0].row, elinewidth=1.1, capsize=2.5, zorder=3, **_style(look, theme))


def _style(look: Look, theme: Theme) -> dict[str, Any]:
    color = theme.palette[look.color]
    return {"color": color, "marker": look.marker, "linestyle": look.dash, "markersize": 5, "linewidth": 1.6}


def _other(axes: Any, curve: Sequence[Cell], theme: Theme, dash: Any) -> None:
    """A trivial row or the floor, in grey, its interval a band."""
    x = [cell.lead for cell in curve]
    axes.plot(
        x, [c.value for c in curve], color=theme.soft, linestyle=dash, linewidth=1.4, label=curve[0].row, zorder=2
    )
    axes.fill_between(
        x, [c.low for c in curve], [c.high for c in curve], color=theme.soft, alpha=0.16, linewidth=0, zorder=1
    )


def _draw_published(
    published: Sequence[Published], chosen: Any, out: Path, name: str, theme: Theme, frame_seconds: float | None
) -> list[Path]:
    """The paper's curves, without intervals: it prints none."""
    with themed(theme):
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_subplot()
        for row in dict.fromkeys(p.row for p in published):
            points = sorted((p.lead or 0, p.number) for p in published if p.row == row)
            axes.plot(*zip(*points, strict=True), label=row, **_style(chosen[row], theme))
        leads = sorted({p.lead or 0 for p in published})
        label = f"{METRICS[published[0].metric].label}, as the paper prints it"
        _dress(axes, leads, label, theme, frame_seconds, log=True)
        return save(figure, out, name, theme)


def _dress(axes: Any, leads: Sequence[int], label: str, theme: Theme, frame_seconds: float | None, log: bool) -> None:
    """Axes and legend; the leads are few, so each is named."""
    axes.set_xscale("log")
    axes.set_xticks(leads, [str(lead) for lead in leads])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("lead, frames" if frame_seconds is None else f"lead, frames of {frame_seconds:g} s")
    axes.set_ylabel(label)
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power(value) if value >= 1e4 else f"{value:g}"))
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="x", visible=False)
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda i: not isinstance(handles[i], ErrorbarContainer))  # methods first
    axes.legend([handles[i] for i in order], [names[i] for i in order], loc="upper left", bbox_to_anchor=(-0.08, -0.14),
                ncols=2, fontsize=8.5, labelcolor=theme.ink, handlelength=3)  # fmt: skip
