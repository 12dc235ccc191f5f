"""A report as a value: what every output prints, decided once, before any of them writes a character.

Blocks (one for each metric) hold lines (one for each row), a line holds cells by lead and the paper's values for the
same places. The writers (`markdown`, `latex`, `page`, `record`) only spell it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluators.uncertainty import interval
from reports.cells import Cell, Cells, Trace
from reports.claims import Verdict, decide, paired
from reports.published import Paper, Published
from rollbench.spec import BadInput, Claim, nearest


@dataclass(frozen=True)
class MetricText:
    """How a metric is named. lowest_is_best: whether lower is better, so that the best rows are set in bold; a film
    drawn from the true law does not have the lowest MSE, so MSE has no best. reference: what its value means, in a
    sentence."""

    label: str
    lowest_is_best: bool
    reference: str


METRICS: Mapping[str, MetricText] = {
    "fsd": MetricText(
        "FSD",
        True,
        "Fréchet spectral distance of the horizontal velocity; lower is better; the floor is what real films score "
        "against others.",
    ),
    "mse": MetricText(
        "MSE",
        False,
        "Mean squared error against the true film; a regression tends to the climatological variance, samples to twice "
        "that.",
    ),
    "mse_ratio": MetricText(
        "MSE / climatology",
        False,
        "MSE over the climatological variance: 1 is predicting the mean, 2 an independent film of the true law.",
    ),
    "fvd": MetricText("FVD", True, "Fréchet video distance; lower is better."),
}


@dataclass(frozen=True)
class TableText:
    """What a report says of a table, and in which order.

    name: the folder, e.g. "table8". published: the paper's number of the table, e.g. "8", "" where there is none.
    rows: names in order, verbatim; those without results are listed as not run. metrics: in order, of those in
    METRICS. leads: frames after the context. frame_seconds: time between two frames, None where a frame has no
    duration worth printing.
    """

    name: str
    title: str
    caption: str
    rows: tuple[str, ...]
    metrics: tuple[str, ...]
    leads: tuple[int, ...]
    published: str = ""
    claims: tuple[Claim, ...] = ()
    frame_seconds: float | None = None

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric not in METRICS:
                raise BadInput(f"{self.name}: unknown metric {metric!r}; {nearest(metric, METRICS)}")
        if not (self.rows and self.metrics and self.leads):
            raise BadInput(
                f"{self.name}: a table needs rows, metrics and leads; got {self.rows}, {self.metrics}, {self.leads}"
            )


@dataclass(frozen=True)
class Line:
    """One row in one block: its cells by lead (None: not measured there), and the paper's values for the same
    places.
    """

    row: str
    kind: str
    cells: tuple[Cell | None, ...]
    published: tuple[Published | None, ...]
    best: tuple[bool, ...]

    @property
    def one(self) -> Cell:
        """A cell that is there: n, seeds and calls are those of the whole line."""
        return next(cell for cell in self.cells if cell is not None)


@dataclass(frozen=True)
class Block:
    """One metric over all rows and leads."""

    metric: str
    leads: tuple[int, ...]
    lines: tuple[Line, ...]

    @property
    def text(self) -> MetricText:
        return METRICS[self.metric]


@dataclass(frozen=True)
class Report:
    """Everything that is printed, and nothing that is not decided yet.

    scale_text: what the scale is, and whether data is real or a stand-in. protocol: how ours was made. command: what
    makes it again. tracking: where the runs are recorded: "uri", "experiment", "run" (the table's), "runs" ({row: run
    id or {seed: run id}}) and others.
    """

    text: TableText
    blocks: tuple[Block, ...]
    verdicts: tuple[Verdict, ...]
    absent: tuple[str, ...]
    scale: str
    scale_text: str
    protocol: str
    command: str
    tracking: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lines(self) -> dict[str, Line]:
        """One line of each row, for what does not depend on the metric: costs, keys."""
        return {line.row: line for block in reversed(self.blocks) for line in block.lines}

    @property
    def traces(self) -> dict[str, tuple[Trace, ...]]:
        """What made each row."""
        return {row: line.one.traces for row, line in self.lines.items()}

    @property
    def paper_label(self) -> str:
        """How the paper's values are marked beside ours: never as if alike."""
        return "paper scale (other scale)" if self.scale != "paper" else "paper (its protocol is not fully stated)"

    @property
    def published(self) -> tuple[Published, ...]:
        """The paper's values that are printed."""
        return tuple(p for block in self.blocks for line in block.lines for p in line.published if p is not None)


def arrange(text: TableText, cells: Cells, paper: Paper, **words: Any) -> Report:
    """Set the cells out in the order of the table: methods, then baselines, then the floor."""
    rows = _order(text, cells)
    blocks = tuple(block for metric in text.metrics if (block := _block(text, metric, rows, cells, paper)).lines)
    if not blocks:
        raise BadInput(f"{text.name}: no result has one of the metrics {text.metrics} at one of the leads {text.leads}")
    absent = tuple(row for row in text.rows if row not in rows)
    verdicts = tuple(decide(claim, cells) for claim in text.claims)
    return Report(text, blocks, verdicts, absent, scale=next(iter(cells.values())).scale, **words)


def _order(text: TableText, cells: Cells) -> list[str]:
    """Row names as they are printed. Raises BadInput for a method that the table does not name."""
    kinds = {cell.row: cell.kind for cell in cells.values()}
    unknown = [row for row, kind in kinds.items() if kind == "method" and row not in text.rows]
    if unknown:
        raise BadInput(
            f"{text.name}: results of the row {unknown[0]!r}, which the table does not name; "
            f"{nearest(unknown[0], text.rows)}"
        )
    others = [row for kind in ("baseline", "floor") for row in sorted(r for r, k in kinds.items() if k == kind)]
    return [row for row in text.rows if row in kinds] + [row for row in others if row not in text.rows]


def _block(text: TableText, metric: str, rows: Sequence[str], cells: Cells, paper: Paper) -> Block:
    leads = tuple(lead for lead in text.leads if any((row, metric, lead) in cells for row in rows))
    lines = []
    for row in rows:
        mine = tuple(cells.get((row, metric, lead)) for lead in leads)
        there = next((cell for cell in mine if cell is not None), None)
        if there is None:
            continue
        theirs = tuple(paper.get(text.published, row, metric, lead) if text.published else None for lead in leads)
        best = tuple(cell is not None and _best(cell, cells) for cell in mine)
        lines.append(Line(row, there.kind, mine, theirs, best))
    return Block(metric, leads, tuple(lines))


def _best(cell: Cell, cells: Cells) -> bool:
    """Whether a method is the best of its column, or not to be told from it: its paired difference to the best
    contains 0.
    """
    if cell.kind != "method" or not METRICS[cell.metric].lowest_is_best:
        return False
    rivals = [c for c in cells.values() if (c.kind, c.metric, c.lead) == ("method", cell.metric, cell.lead)]
    best = min(rivals, key=lambda c: c.value)
    if cell is best or len(rivals) < 2:
        return cell is best and len(rivals) > 1
    low, _ = interval(cell.value - best.value, paired(cell, best))
    return low <= 0
