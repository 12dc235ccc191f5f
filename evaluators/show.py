"""A result as lines of text, as JSON, and as a picture of its N-curve."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators.base import UserError, optional

if TYPE_CHECKING:
    from evaluators.scoring import Result


def text(result: Result) -> str:
    """The lines that `rollbench fvd` prints: the value first, then what it takes to trust it."""
    percent = f"{100 * result.level:g} %"
    metric, rest = result.name.split(" ", 1)
    lines = [
        f"{metric.split('@')[0].upper()} {_number(result.value)}   {percent}: {_number(result.low)} .. "
        f"{_number(result.high)}   ({result.name})",
        _row("clips", f"{result.n} real, {result.m} generated; interval over {result.sources} source clips"),
        _row("floor", _floor(result)),
        _row(
            "N -> infinity",
            f"{_number(result.infinity.value)}   {percent}: {_number(result.infinity.low)} .. "
            f"{_number(result.infinity.high)}   (a + b / N through the upper half of the curve)",
        ),
        _row("N-curve", "   ".join(f"{n}: {_number(value)}" for n, value in result.curve)),
    ]
    if result.low == 0:
        lines.append(
            _row("near zero", "the value is within its rounding and spread; the interval is on the plain scale")
        )
    lines += [_row(f"reading {name}", _number(value)) for name, value in result.readings.items()]
    for side, reasons in result.left_out.items():
        if reasons:
            lines.append(_row(f"left out, {side}", f"{len(reasons)}: " + "; ".join(reasons)))
    return "\n".join(lines + [f"  warning: {warning}" for warning in result.warnings])


def as_json(results: dict[str, Result]) -> str:
    """{"fvd": {...}}, nan and infinity as null."""
    return json.dumps({name: _plain(result.as_dict()) for name, result in results.items()}, indent=1)


def check_plot(path: str | Path) -> None:
    """Refuse a place that `plot` cannot write to, before there is anything to draw."""
    path = Path(path)
    drawn = optional("matplotlib.backend_bases", "a plot", "matplotlib").FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in drawn:
        raise UserError(f"plot {path} cannot be written: end it in .png, .pdf or .svg")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"plot {path} cannot be written: name a file in a folder that exists and is yours to write to")


def plot(result: Result, path: str | Path) -> None:
    """The N-curve with the value's interval, its end at infinity and the floor, over 1 / N."""
    optional("matplotlib", "a plot", "matplotlib").use("Agg")
    pyplot = optional("matplotlib.pyplot", "a plot", "matplotlib")
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    n, values = zip(*result.curve, strict=True)
    axes.plot([1 / k for k in n], values, "o-", color="C0", label="random subsets")
    _bar(axes, 1 / result.n, result.value, result.low, result.high, "C0", f"value, {100 * result.level:g} %")
    infinity = result.infinity
    _bar(axes, 0.0, infinity.value, infinity.low, infinity.high, "C1", "extrapolated")
    if result.floor is not None:
        axes.axhline(result.floor.value, color="0.5", ls="--", label="floor: real against real")
    shown = sorted({n[-1], n[len(n) // 2], n[0], n[1]})
    axes.set_xticks([0, *(1 / k for k in shown)], ["infinity", *(str(k) for k in shown)])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("real clips (equally spaced in 1 / N)")
    axes.set_ylabel(result.name.split("@")[0].upper())
    axes.set_title(result.name, fontsize=8)
    axes.legend(frameon=False)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"plot {path} cannot be written ({error}): end it in .png, .pdf or .svg") from None
    finally:
        pyplot.close(figure)


def _bar(axes: Any, x: float, value: float, low: float, high: float, color: str, label: str) -> None:
    axes.errorbar([x], [value], [[value - low], [high - value]], fmt="s", color=color, capsize=4, label=label)


def _row(name: str, words: str) -> str:
    return f"  {name + ':':<20} {words}"


def _floor(result: Result) -> str:
    floor = result.floor
    if floor is None:
        return f"unknown: {result.n} real clips are too few to set some against others"
    words = f"{_number(floor.value)} +- {_number(floor.spread)}   real against real"
    return words + (f", {floor.at} against {floor.at}, carried on to these counts" if floor.extrapolated else "")


def _number(value: float) -> str:
    """Six digits, as FVDs are quoted to."""
    return f"{value:.6g}" if math.isfinite(value) else "unknown"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
