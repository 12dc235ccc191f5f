"""The sentences and small tables that all outputs of a report share, as plain text; each writer escapes them in its
own way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from reports.format import bounds, count, duration, memory, numeral
from reports.model import verdict
from reports.model.claims import AtLead
from reports.model.metrics import METRICS
from reports.model.report import Block, Report, TableRow
from rollbench.config.table import Claim

LINE_HEADER = ("calls / frame", "with init", "n", "seeds")
COST_HEADER = (
    "",
    "parameters",
    "training steps",
    "training",
    "rollout and score",
    "device-hours",
    "peak memory",
)
REASON_HEADER = ("row", "of", "verdict", "why")
TRACE_HEADER = ("row", "seed", "run", "data", "model", "rollouts", "results", "commit", "device")


def head(block: Block, lead: int | None) -> tuple[str, str]:
    """A column's head: frames after the context, and as time, "" where a frame has no duration; or the metric."""
    if lead is None:
        return block.text.label, ""
    seconds = block.setting.frame_seconds
    return f"@{lead}", "" if seconds is None else f"{lead * seconds:g} s"


def lead(lead: int | None) -> str:
    return "whole clip" if lead is None else str(lead)


def origin(report: Report) -> str:
    """Which table of the paper this is."""
    table = report.text.published
    return f"Table {table} of {report.published[0].paper}" if table and report.published else ""


def heading(report: Report, block: Block) -> str:
    """A block's title: the metric, with the setting where the table has several."""
    return f"{block.text.label} – {block.setting.name}" if report.text.several else block.text.label


def name(report: Report, setting: str, row: str) -> str:
    """A row's name among all rows of the table: trivial rows stand in every setting."""
    twice = report.text.several and [r for _, r in report.lines].count(row) > 1
    return f"{row}, {setting}" if twice else row


def headline(report: Report) -> list[str]:
    """What a table says, a sentence for each setting: the best of its first metric at the last lead, and the floor."""
    first = {block.setting.name: block for block in reversed(report.blocks) if block.text.lowest_is_best}
    return [_best(report, first[name]) for name in (s.name for s in report.text.settings) if name in first]


def _best(report: Report, block: Block) -> str:
    ends = [(line, cell, line.best[-1]) for line in block.lines if (cell := line.cells[-1]) is not None]
    methods = sorted((cell.value, line.row, cell) for line, cell, _ in ends if line.kind == "method")
    floors = [cell for line, cell, _ in ends if line.kind == "floor"]
    if not methods:
        return ""
    _, best, cell = methods[0]
    value, low, high = bounds(cell.value, cell.low, cell.high)
    lead, time = head(block, block.leads[-1])
    at = "" if block.leads[-1] is None else f" {lead} ({time})" if time else f" {lead}"
    others = [line.row for line, _, alike in ends if alike and line.row != best]
    lowest = f"the lowest of {len(methods)} is " if len(methods) > 1 else ""
    parts = [f"{heading(report, block)}{at}: {lowest}{best}, {value} [{low}, {high}]"]
    parts += [f"not to be told from {', '.join(others)}"] * bool(others)
    parts += [f"the floor is {numeral(floor.value)}" for floor in floors]
    return "; ".join(parts) + "."


def judged(report: Report) -> dict[str, int]:
    """How often each verdict was given."""
    said = [j.verdict for block in report.blocks for line in block.lines for j in line.judgements if j.verdict]
    return dict(Counter(said))


def metric(name: str) -> str:
    return METRICS[name].label if name in METRICS else name


def line(of: TableRow) -> list[str]:
    """What stands at the end of a row: calls per frame under both accountings, n, seeds."""
    cell = of.one
    return [_calls(cell.calls_per_frame), _calls(cell.calls_per_frame_total), str(cell.n), str(len(cell.seeds))]


def costs(report: Report) -> list[list[str]]:
    """A row of COST_HEADER for each method; sums over seeds."""
    out = []
    for (_, row), of in report.lines.items():
        cell = of.one
        if of.kind == "method":
            steps = "–" if cell.train_steps is None else str(cell.train_steps)
            hours = numeral(((cell.train_seconds or 0) + (cell.seconds or 0)) / 3600)
            spent = [duration(cell.train_seconds), duration(cell.seconds), hours, memory(cell.peak_memory_bytes)]
            out.append([row, count(cell.parameters), steps, *spent])
    return out


def traces(report: Report) -> list[list[str]]:
    """A row of TRACE_HEADER for each row and seed."""
    out = []
    for (setting, row), of in report.lines.items():
        for t in of.one.traces:
            keys = [t.data_key, t.model_key, t.rollouts_key, t.results_key]
            run = run_id(report.tracking, row, t.seed)
            out.append([name(report, setting, row), str(t.seed), run, *keys, _short(t.commit), t.device])
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


def legend(report: Report) -> list[str]:
    """How to read a cell, a paragraph for each kind of thing in it."""
    parts = [
        "A cell is the mean over seeds with its 95 % interval [low, high], from resamples of the clips (and of "
        "the seeds where there are several), the same draws for every row. A row of one seed does not say what another "
        "training would give.",
        "Calls / frame: network evaluations per emitted frame; with init: those of the first window included, over the "
        "whole film.",
    ]
    if any(block.text.lowest_is_best for block in report.blocks):
        parts.append("Bold: the best method of its column, and those whose paired interval cannot tell them from it.")
    if report.published:
        first = report.published[0]
        parts.append(f"Values of “the paper” are as printed ({first.paper}, Table {first.table}). {verdict.RULE}")
    if any(block.references for block in report.blocks):
        parts.append(
            "Rows marked “published” are the paper's alone: other people's methods and rows that we do not run."
        )
    return parts


def reasons(report: Report) -> list[list[str]]:
    """A row of REASON_HEADER for each verdict."""
    return [
        [line.row, heading(report, block) + ("" if at is None else f" @{at}"), said.verdict, said.why]
        for block in report.blocks
        for line in block.lines
        for at, said in zip(block.leads, line.judgements, strict=True)
        if said.verdict
    ]


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


def at(found: AtLead) -> list[str]:
    """Left, right and the deciding estimate with its interval."""
    value, low, high = bounds(found.estimate, found.low, found.high)
    return [numeral(found.left), numeral(found.right), f"{value} [{low}, {high}]"]


def protocols(report: Report) -> list[tuple[str, str]]:
    """How ours was made, by setting; the name is "" where the table has one."""
    found = [(setting.name, f"{setting.protocol} {setting.scale_text}".strip()) for setting in report.text.settings]
    return [(name, text) for name, text in found if text]


def published_protocols(report: Report) -> list[str]:
    """The protocols and oddities of the paper's values printed here, each once."""
    protocols = dict.fromkeys(p.protocol for p in report.published)
    notes = dict.fromkeys(f"{p.row}: {p.note}" for p in report.published if p.note)
    out = [f"The paper ({report.published[0].paper}): {protocol}" for protocol in protocols]
    return out + ([f"Oddities in the paper's rows. {'. '.join(notes)}."] if notes else [])


def tracing() -> str:
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
