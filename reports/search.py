"""The race behind a search as pages and a picture: every candidate, its last rung, and its scores.

out/<search>/search.{html,md,json}, race_over_*.{png,svg}   beside the table that the winner is a row of
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.ticker import FuncFormatter

from reports.figures.axes import blank, legend
from reports.figures.theme import DARK, LIGHT, Theme, line_styles, save, themed
from reports.format import bounds
from reports.writers import markdown
from reports.writers.html_parts import fill, pictures
from reports.writers.json_record import with_checksum

LABEL = "proxy: CRPS of short rollouts of held-out clips"
ENDS = {"last rung": "reached the last rung", "stopped": "stopped"}


@dataclass(frozen=True)
class RaceText:
    """A race and the texts of its page."""

    title: str
    paragraphs: tuple[str, ...]  # the candidates, the rule and the proxy
    trials: Sequence[
        Mapping[str, Any]
    ]  # {name, fields, rungs: [{step, value, low, high, n}], ended}, see engine.search.Trial
    best: int  # index of the winner
    axis: str  # the field on the picture's x axis
    command: str

    @property
    def steps(self) -> list[int]:
        return sorted({rung["step"] for trial in self.trials for rung in trial["rungs"]})


def race_report(race: RaceText, out: Path) -> Path:
    """Write the race beside its table; returns its page."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = [path for theme in (LIGHT, DARK) for path in _draw(race, out, theme)]
    content = {
        "title": race.title,
        "paragraphs": race.paragraphs,
        "trials": race.trials,
        "winner": race.trials[race.best]["name"],
    }
    written = {
        "search.html": _page(race, drawn),
        "search.md": _markdown(race),
        "search.json": with_checksum({**content, "command": race.command}),
    }
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    return out / "search.html"


def _header(race: RaceText) -> list[str]:
    return ["candidate", *(f"step {step:,}" for step in race.steps), "clips", "outcome"]


def _rows(race: RaceText) -> list[list[str]]:
    """The candidates, the farthest first, then the best."""
    order = sorted(range(len(race.trials)), key=lambda i: (-len(race.trials[i]["rungs"]), _value(race.trials[i])))
    return [_row(race, index) for index in order]


def _row(race: RaceText, index: int) -> list[str]:
    trial = race.trials[index]
    by_step = {rung["step"]: rung for rung in trial["rungs"]}
    cells = [_cell(by_step[step]) if step in by_step else "" for step in race.steps]
    ended = "the winner" if index == race.best else ENDS[trial["ended"]]
    return [trial["name"], *cells, str(trial["rungs"][-1]["n"]), ended]


def _cell(rung: Mapping[str, Any]) -> str:
    value, low, high = bounds(rung["value"], rung["low"], rung["high"])
    return f"{value} [{low}, {high}]"


def _value(trial: Mapping[str, Any]) -> float:
    return float(trial["rungs"][-1]["value"])


def _markdown(race: RaceText) -> str:
    rows = [map(markdown.escape, row) for row in _rows(race)]
    parts = [
        f"# {markdown.escape(race.title)}",
        *map(markdown.escape, race.paragraphs),
        markdown.table(_header(race), rows),
        f"![The race](race_over_{race.axis}.png)",
    ]
    return "\n\n".join([*parts, "The table with the winner: [table.md](table.md)", f"```\n{race.command}\n```"]) + "\n"


def _page(race: RaceText, drawn: Sequence[Path]) -> str:
    values = {"columns": _header(race), "rows": _rows(race), "pictures": pictures(drawn), "command": race.command}
    return fill("search.html", race.title, paragraphs=race.paragraphs, **values)


def _draw(race: RaceText, out: Path, theme: Theme) -> list[Path]:
    """Every candidate over the field on the axis: small and faint at its first rung, full at its last."""
    others = [tuple(str(v) for f, v in trial["fields"].items() if f != race.axis) for trial in race.trials]
    chosen = line_styles([", ".join(kind) for kind in dict.fromkeys(others)])
    with themed(theme):
        figure, axes = blank()
        for name, line in chosen.items():
            color, own = theme.palette[line.color], [", ".join(kind) == name for kind in others]
            for trial in (trial for trial, is_own in zip(race.trials, own, strict=True) if is_own):
                x, rungs = trial["fields"][race.axis], trial["rungs"]
                axes.plot(
                    [x] * len(rungs), [r["value"] for r in rungs], color=color, linewidth=0.8, alpha=0.5, zorder=2
                )
                last = rungs[-1]
                ends = [[last["value"] - last["low"]], [last["high"] - last["value"]]]
                axes.errorbar(x, last["value"], yerr=ends, color=color, linewidth=0.8, alpha=0.6, capsize=2, zorder=2)
                for rung in rungs:
                    share = (race.steps.index(rung["step"]) + 1) / len(race.steps)
                    axes.scatter(x, rung["value"], s=36 * share, color=color, marker=line.marker, alpha=share, zorder=3)
            axes.errorbar([], [], yerr=[], label=name, color=color, marker=line.marker, linestyle="none")
        best = race.trials[race.best]
        ring = {"s": 150, "facecolors": "none", "edgecolors": theme.ink, "linewidths": 1.2, "zorder": 4}
        axes.scatter(best["fields"][race.axis], _value(best), label="the winner", **ring)
        axes.set_xlabel(race.axis)
        axes.set_ylabel(LABEL)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        legend(axes, theme)
        about = (
            f"{LABEL}, over {race.axis}: each candidate at its rungs, the fainter the earlier in training, with the 95 % interval at "
            "its last; lower is better."
        )
        return save(figure, out, "race_over_" + race.axis, theme, about)
