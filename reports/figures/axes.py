"""The parts that all curves share: a method with its intervals, a baseline as a band, the ticks of an axis, the legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports.figures.theme import LineStyle, Theme
from reports.format import power
from reports.model.cells import Cell
from reports.model.metrics import METRICS

WIDTH, HEIGHT = 6.4, 4.4  # inches; at this size the text of the page and of the figure have one size
LOGARITHMIC = ("fsd", "fsd_diagonal", "fsd_increments", "fvd", "fvd_mean")
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (4, 2, 1, 2)))  # of the baselines


def blank() -> tuple[Figure, Any]:
    """A figure and its one axes."""
    figure = Figure(figsize=(WIDTH, HEIGHT))
    return figure, figure.add_subplot()


def method(axes: Any, x: Sequence[float], cells: Sequence[Cell], label: str, line: LineStyle, theme: Theme) -> None:
    """A curve with the interval of each of its values."""
    error = [[c.value - c.low for c in cells], [c.high - c.value for c in cells]]
    y = [c.value for c in cells]
    axes.errorbar(x, y, yerr=error, label=label, elinewidth=1.1, capsize=2.5, zorder=3, **style(line, theme))


def style(line: LineStyle, theme: Theme) -> dict[str, Any]:
    color = theme.palette[line.color]
    return {"color": color, "marker": line.marker, "linestyle": line.dash, "markersize": 5, "linewidth": 1.6}


def band(axes: Any, x: Sequence[float], cells: Sequence[Cell], theme: Theme, dash: Any) -> None:
    """A baseline or the floor, in grey, with its interval as a band."""
    y, low, high = ([getattr(c, end) for c in cells] for end in ("value", "low", "high"))
    axes.plot(x, y, color=theme.soft, linestyle=dash, linewidth=1.4, label=cells[0].row, zorder=2)
    axes.fill_between(x, low, high, color=theme.soft, alpha=0.16, linewidth=0, zorder=1)


def values(axes: Any, metric: str, label: str) -> None:
    """The axis of a metric's values: logarithmic for distances, from 0 for metrics that cannot be negative."""
    axes.set_ylabel(label)
    if metric in LOGARITHMIC:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power(value) if value >= 1e4 else f"{value:g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: _between(value, *axes.get_ylim())))
        axes.tick_params(axis="y", which="minor", labelsize=8)
        return
    if METRICS[metric].positive:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _between(value: float, low: float, high: float) -> str:
    """Labels between powers of ten, on an axis that shows less than 1.5 of them."""
    leading = f"{value:e}"[0]
    return f"{value:g}" if high / low < 30 and leading in "235" and value < 1e4 else ""


def legend(axes: Any, theme: Theme) -> None:
    """Below the axes, methods first."""
    axes.grid(axis="x", visible=False)
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda i: not isinstance(handles[i], ErrorbarContainer))
    axes.legend([handles[i] for i in order], [names[i] for i in order], loc="upper left", bbox_to_anchor=(-0.08, -0.14),
                ncols=2, fontsize=8.5, labelcolor=theme.ink, handlelength=3)  # fmt: skip
