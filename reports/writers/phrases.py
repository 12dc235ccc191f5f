"""The sentences and small tables that all outputs of a report share, as plain text; each writer escapes them in its own
way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from reports.format import bounds, count, duration, memory, numeral
from reports.model import verdict
from reports.model.cells import COMPETING, Cell
from reports.model.claims import AtLead, ClaimVerdict, is_below
from reports.model.metrics import METRICS
from reports.model.report import Block, Report, TableRow
from rollbench.config.table import Claim

ROW_HEADER = ("calls / frame", "with init", "n", "seeds")
COST_HEADER = (
    "",
    "parameters",
    "training steps",
    "training",
    "rollout and score",
    "device-hours",
    "peak memory",
)
REASON_HEADER = ("row", "metric", "verdict", "reason")
TRACE_HEADER = (
    "row",
    "seed",
    "run",
    "data",
    "model",
    "rollouts",
    "features",
    "reference",
    "results",
    "commit",
    "device",
)
CLAIMS_TITLE = "The paper's claims, tested"


def column_header(block: Block, lead: int | None) -> tuple[str, str]:
    """Frames after the context, and as time, "" where a frame has no duration; or the metric."""
    if lead is None:
        return block.text.label, ""
    seconds = block.setting.data.frame_interval
    return f"@{lead}", "" if seconds is None else f"{lead * seconds:g} s"


def lead(lead: int | None) -> str:
    return "whole clip" if lead is None else str(lead)


def origin(report: Report) -> str:
    """Which table of the paper this is."""
    table = report.table.published
    return f"Table {table} of {report.published[0].paper}" if table and report.published else ""


def heading(report: Report, block: Block) -> str:
    """A block's title: the metric, with the setting where the table has several."""
    return f"{block.text.label} – {block.setting.name}" if report.several else block.text.label


def unique_name(report: Report, setting: str, row: str) -> str:
    """A row's name, with its setting where several settings have such a row."""
    repeated = report.several and [name for _, name in report.rows].count(row) > 1
    return f"{row}, {setting}" if repeated else row


def headline(report: Report) -> list[str]:
    """The result in sentences: for each setting the first metric that has a best row, and the first that sees motion."""
    sentences = []
    for _, blocks in report.sections:
        ranked = {block.metric: block for block in blocks if block.text.lowest_is_best}
        seeing = [metric for metric, block in ranked.items() if block.text.motion]
        chosen = dict.fromkeys((*list(ranked)[:1], *seeing[:1]))
        sentences += [_best(report, ranked[metric]) for metric in chosen]
    return [sentence for sentence in sentences if sentence]


def _best(report: Report, block: Block) -> str:
    """The best row at the last lead, the best trivial forecast, and the floor."""
    last = [(row, cell) for row in block.rows if (cell := row.cells[-1]) is not None]
    methods = sorted((cell.value, row.name, cell) for row, cell in last if row.kind in COMPETING)
    if not methods:
        return ""
    _, best, cell = methods[0]
    value, low, high = bounds(cell.value, cell.low, cell.high)
    lead, time = column_header(block, block.leads[-1])
    at = "" if block.leads[-1] is None else f" {lead} ({time})" if time else f" {lead}"
    ties = [row.name for row, _ in last if row.best[-1] and row.kind in COMPETING and row.name != best]
    lowest = f"the lowest of {len(methods)} is " if len(methods) > 1 else ""
    parts = [f"{heading(report, block)}{at}: {lowest}{best}, {value} [{low}, {high}]"]
    parts += [f"not distinguishable from {', '.join(ties)}"] * bool(ties)
    parts += _trivial([cell for _, _, cell in methods], [cell for row, cell in last if row.kind == "baseline"])
    parts += [f"the floor is {numeral(cell.value)}" for row, cell in last if row.kind == "floor"]
    return "; ".join(parts) + "."


def _trivial(methods: list[Cell], baselines: list[Cell]) -> list[str]:
    """The best trivial forecast, and how many methods beat it (by the interval of the paired difference)."""
    if not baselines:
        return []
    best = min(baselines, key=lambda cell: cell.value)
    count = sum(is_below(method, best) for method in methods)
    beaten = f"{count} of {len(methods)} methods beat it" if count else "no method beats it"
    return [f"the best trivial forecast is {best.row}, {numeral(best.value)}: {beaten}"]


def verdict_counts(report: Report) -> dict[str, int]:
    """How often each verdict was given."""
    verdicts = (v.verdict for block in report.blocks for row in block.rows for v in row.verdicts)
    return dict(Counter(filter(None, verdicts)))


def metric(name: str) -> str:
    return METRICS[name].label if name in METRICS else name


def row_ends(row: TableRow) -> list[str]:
    """The cells below ROW_HEADER: calls per frame under both accountings, n, seeds."""
    cell = row.first
    return [_calls(cell.calls_per_frame), _calls(cell.calls_per_frame_total), str(cell.n), str(len(cell.seeds))]


def costs(report: Report) -> list[list[str]]:
    """A row of COST_HEADER for each method and entry; sums over seeds."""
    rows = []
    for (_, name), row in report.rows.items():
        cell = row.first
        if row.kind in COMPETING:
            steps = "–" if cell.train_steps is None else str(cell.train_steps)
            hours = numeral(((cell.train_seconds or 0) + (cell.seconds or 0)) / 3600)
            spent = [duration(cell.train_seconds), duration(cell.seconds), hours, memory(cell.peak_memory_bytes)]
            rows.append([name, count(cell.parameters), steps, *spent])
    return rows


def traces(report: Report) -> list[list[str]]:
    """A row of TRACE_HEADER for each row and seed."""
    rows = []
    for (setting, name), row in report.rows.items():
        for t in row.first.traces:
            keys = [t.data_key, t.model_key, t.rollouts_key, t.features_key, t.reference_key, t.results_key]
            run = run_id(report.tracking, name, t.seed)
            rows.append([unique_name(report, setting, name), str(t.seed), run, *keys, _short(t.commit), t.device])
    return rows


def run_id(tracking: Mapping[str, Any], row: str, seed: int) -> str:
    """The tracked run of a row and seed, "" where there is none."""
    run = (tracking.get("runs") or {}).get(row, "")
    if isinstance(run, Mapping):
        run = run.get(seed, run.get(str(seed), ""))
    return str(run)


def tracked(report: Report) -> list[tuple[str, str]]:
    """Where the runs are recorded; the runs of the rows are in the table of traces."""
    return [(str(name), str(value)) for name, value in report.tracking.items() if name != "runs"]


def legend(report: Report) -> list[str]:
    """How to read a cell, a paragraph for each of its parts."""
    parts = [
        "A cell is the mean over seeds with its 95 % interval [low, high]. The interval comes from resamples of the clips "
        "(and of the seeds if there are several); all rows use the same draws. A row with one seed does not measure the "
        "variation between trainings.",
        "Calls / frame: network evaluations per emitted frame. With init: the same over the whole rollout, including the "
        "first window.",
    ]
    if any(block.text.lowest_is_best for block in report.blocks):
        parts.append(
            "Bold: the best method of its column, and every method whose paired interval to the best contains 0. A trivial "
            "forecast is bold where no method is better, by the interval of the paired difference."
        )
    if report.published:
        first = report.published[0]
        parts.append(f"Values of “the paper” are as printed ({first.paper}, Table {first.table}). {verdict.RULE}")
    if any(row.kind == "entry" for row in report.rows.values()):
        parts.append(
            "Rows marked “entered” are samples that were made elsewhere from the same contexts. They are scored like all "
            "others; their calls, parameters and training time are as stated by their authors."
        )
    if any(block.references for block in report.blocks):
        parts.append(
            "Rows marked “published” are in the paper only: methods of other authors, and rows that we do not run."
        )
    return parts


def reasons(report: Report) -> list[list[str]]:
    """A row of REASON_HEADER for each verdict."""
    return [
        [row.name, heading(report, block) + ("" if at is None else f" @{at}"), v.verdict, v.why]
        for block in report.blocks
        for row in block.rows
        for at, v in zip(block.leads, row.verdicts, strict=True)
        if v.verdict
    ]


def absent(report: Report) -> str:
    return f"Not run: {', '.join(report.absent)}. The option --rows all runs them too."


def claims_rule() -> str:
    return (
        "The 95 % interval of the paired difference (of the ratio for ≈) decides each claim at each lead: the claim shows "
        "if the whole interval lies on the claimed side, does not show if it lies on the other side, and is undecided "
        "otherwise."
    )


def claim_header(claim: Claim) -> list[str]:
    """The columns of a claim's leads; the last is the estimate that decides."""
    right = "right" if claim.factor == 1 else f"{claim.factor:g} × right"
    ratio = "left / right" if claim.factor == 1 else f"left / ({right})"
    return ["lead", "verdict", "left", "right", ratio if claim.relation == "≈" else f"left − {right}"]


def claim_rows(claim: ClaimVerdict) -> list[list[str]]:
    """A row of `claim_header` for each lead."""
    return [[lead(at.lead), at.verdict, *_estimate(at)] for at in claim.leads]


def _estimate(at: AtLead) -> list[str]:
    """Left, right and the deciding estimate with its interval."""
    value, low, high = bounds(at.estimate, at.low, at.high)
    return [numeral(at.left), numeral(at.right), f"{value} [{low}, {high}]"]


def protocols(report: Report) -> list[tuple[str, str]]:
    """How our numbers are computed, in paragraphs, the first of each setting with its name ("" where the table has one)."""
    notes = ((setting.name, report.notes_of(setting)) for setting in report.table.settings)
    texts = ((name, (note.scale_text, *note.protocol)) for name, note in notes)
    return [(name if i == 0 else "", text) for name, parts in texts for i, text in enumerate(filter(None, parts))]


def published_protocols(report: Report) -> list[str]:
    """The protocols and oddities of the paper's values printed here, each once."""
    protocols = dict.fromkeys(p.protocol for p in report.published)
    notes = dict.fromkeys(f"{p.row}: {p.note}" for p in report.published if p.note)
    texts = [f"The paper ({report.published[0].paper}): {protocol}" for protocol in protocols]
    return texts + ([f"Oddities in the paper's rows. {'. '.join(notes)}."] if notes else [])


def tracing() -> str:
    """How to get from a number to the artifacts that it was computed from."""
    return (
        "The keys below name the artifacts behind each number: the folders data/<key>, model/<key>, rollouts/<key>, "
        "features/<key>, reference/<key> and results/<key> of the store, each with a manifest. The tracked run holds the row's "
        "parameters and metrics. "
        "table.json holds the values of this page with all digits. This command reproduces the page:"
    )


def _calls(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _short(commit: str) -> str:
    """Commits and digests in 12 digits; what follows them ("+changes", a user's file) stays."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]+", r"\1", commit)
