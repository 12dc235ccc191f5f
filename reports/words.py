"""The sentences and small tables that all outputs of a report share, as plain text; each writer escapes them in its
own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.claims import AtLead
from reports.layout import METRICS, Line, Report
from reports.numerals import bounds, count, duration, memory, numeral
from rollbench.spec import Claim

LINE_HEADER = ("calls / frame", "with init", "n", "seeds")
COST_HEADER = (
    "",
    "parameters",
    "training steps",
    "training",
    "rollout and score",
    "peak memory",
    "calls / frame",
    "with init",
)
CAPTIONS = {  # by the file's stem
    "fsd_over_leads": "FSD over the lead, with 95 % intervals; in grey the trivial rows and the real-vs-real floor.",
    "fsd_over_leads_paper": "The paper's Figure 4: its scale and its units, no intervals.",
    "mse_over_leads": "MSE over the climatological variance, with 95 % intervals.",
    "rollouts": "Vorticity of one test trajectory: the truth, and what each method generates from the same context.",
}
TRACE_HEADER = ("row", "seed", "run", "data", "model", "clips", "results", "commit", "device")


def lead(report: Report, frames: int) -> str:
    """A lead as a column's head: frames, and seconds where a frame has a duration."""
    seconds = report.text.frame_seconds
    return f"@{frames}" if seconds is None else f"@{frames} ({frames * seconds:g} s)"


def lead_parts(report: Report, frames: int) -> tuple[str, str]:
    """A lead as frames and, "" where a frame has no duration, as time."""
    head, _, time = lead(report, frames).partition(" ")
    return head, time.strip("()")


def metric(name: str) -> str:
    return METRICS[name].label if name in METRICS else name


def line(of: Line) -> list[str]:
    """What stands at the end of a row: calls per frame under both accountings, n, seeds."""
    cell = of.one
    return [_calls(cell.calls_per_frame), _calls(cell.calls_per_frame_total), str(cell.n), str(len(cell.seeds))]


def costs(report: Report) -> list[list[str]]:
    """A row of COST_HEADER for each method; sums over seeds."""
    out = []
    for row, of in report.lines.items():
        cell = of.one
        if of.kind == "method":
            steps = "–" if cell.train_steps is None else str(cell.train_steps)
            spent = [duration(cell.train_seconds), duration(cell.seconds), memory(cell.peak_memory_bytes)]
            out.append([row, count(cell.parameters), steps, *spent, *line(of)[:2]])
    return out


def traces(report: Report) -> list[list[str]]:
    """A row of TRACE_HEADER for each row and seed."""
    out = []
    for row, found in report.traces.items():
        for t in found:
            run = run_id(report.tracking, row, t.seed)
            out.append(
                [row, str(t.seed), run, t.data_key, t.model_key, t.clips_key, t.results_key, _short(t.commit), t.device]
            )
    return out


def run_id(tracking: Mapping[str, Any], row: str, seed: int) -> str:
    """The tracked run of a row and seed, "" where there is none."""
    run = (tracking.get("runs") or {}).get(row, "")
    if isinstance(run, Mapping):
        run = run.get(seed, run.get(str(seed), ""))
    return str(run)


def tracked(report: Report) -> list[tuple[str, str]]:
    """Where the runs are recorded, without the runs of the rows (they stand in the table of traces)."""
    return [(str(name), str(value)) for name, value in report.tracking.items() if name != "runs"]


def legend(report: Report) -> str:
    """How to read a cell."""
    parts = [
        "A cell is the mean over seeds with its 95 % interval [low, high], from resamples of the trajectories (and of "
        "the seeds where there are several), the same draws for every row. A row of one seed does not say what another "
        "training would give.",
        "Calls / frame: network evaluations per emitted frame; with init: those of the first window included, over the "
        "whole film.",
    ]
    if any(block.text.lowest_is_best for block in report.blocks):
        parts.append("Bold: the best method of its column, and those whose paired interval cannot tell them from it.")
    if report.published:
        parts.append(
            f"Rows marked “{report.paper_label}” are the paper's printed values ({report.published[0].paper}, Table "
            f"{report.published[0].table}), given for their ranking and shape over leads: no value here is to be set "
            "against them."
        )
    return " ".join(parts)


def caption(path: Path) -> str:
    """What a figure or film shows, by its file's name."""
    if path.suffix in (".webp", ".mp4", ".gif"):
        return "The same as a film, all side by side."
    return CAPTIONS.get(path.stem, path.stem.replace("_", " ").replace("-", " "))


def absent(report: Report) -> str:
    return f"Not run: {', '.join(report.absent)}. The option --rows all runs them too."


def claims_rule() -> str:
    return (
        "Each statement is decided at each lead by the 95 % interval of the paired difference (of the ratio for ≈): it "
        "shows if the whole interval is on the claimed side, does not show if it is wholly on the other, and is "
        "undecided between."
    )


def estimate(claim: Claim) -> str:
    """The head of the column with the interval that decides."""
    factor = "" if claim.factor == 1 else f"{claim.factor:g} × "
    if claim.relation == "≈":
        return "left / right" if claim.factor == 1 else f"left / ({factor}right)"
    return f"left − {factor}right"


def at(claim: Claim, found: AtLead) -> list[str]:
    """Left, right and the deciding estimate with its interval."""
    value, low, high = bounds(found.estimate, found.low, found.high)
    return [numeral(found.left), numeral(found.right), f"{value} [{low}, {high}]"]


def published_protocols(report: Report) -> list[str]:
    """The protocols and oddities of the paper's values printed here, each once."""
    protocols = dict.fromkeys(p.protocol for p in report.published)
    notes = dict.fromkeys(f"{p.row}: {p.note}" for p in report.published if p.note)
    out = [f"The paper ({report.published[0].paper}): {protocol}" for protocol in protocols]
    return out + ([f"Oddities in the paper's rows. {'. '.join(notes)}."] if notes else [])


def tracing(report: Report) -> str:
    """How a number leads to what made it."""
    return (
        "Each number was made by the stages whose content keys stand below: the folders data/<key>, model/<key>, "
        "clips/<key> and results/<key> of the store hold what each stage made, with a manifest, and the run holds its "
        "parameters and metrics. The values behind this page, with all digits, are in table.json. Made by:"
    )


def _calls(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _short(commit: str) -> str:
    """A commit as it is usually quoted; what follows the hash ("+changes") stays."""
    digits, plus, rest = commit.partition("+")
    return digits[:12] + plus + rest
