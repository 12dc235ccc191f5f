"""A report as a value: everything that the writers print, decided before any of them writes a character.

`arrange` sets a `config.table.Table` and its cells out in blocks (one for each setting and metric) of rows (one for each
method, baseline and floor). `writers.grid` lays a block out in columns; the writers only format it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reports.model import claims
from reports.model.cells import COMPETING, Cell, Cells
from reports.model.claims import ClaimVerdict, is_below
from reports.model.metrics import METRICS, MetricText
from reports.model.published import Paper, Published
from reports.model.verdict import Verdict, judge
from rollbench.config.table import Claim, Row, Setting, Table
from rollbench.errors import UserError, did_you_mean

PaperRow = tuple[Published | None, ...]  # the paper's values of a row by lead, None where it prints none


@dataclass(frozen=True)
class Notes:
    """The texts of a setting."""

    protocol: tuple[str, ...] = ()  # how the numbers are computed, in paragraphs
    scale_text: str = ""  # sizes of this run, and whether its data are the paper's


@dataclass(frozen=True)
class TableRow:
    """One row in one block."""

    name: str
    kind: str  # one of cells.KINDS
    cells: tuple[Cell | None, ...]  # by lead, None where it was not measured
    published: PaperRow
    verdicts: tuple[Verdict, ...]  # of our cells against the paper's values
    best: tuple[bool, ...]  # whether the cell is set in bold

    @property
    def first(self) -> Cell:
        """The first measured cell: n, seeds and costs are those of the whole row."""
        return next(cell for cell in self.cells if cell is not None)


@dataclass(frozen=True)
class Reference:
    """A row of the paper that we do not run: mostly methods of other authors."""

    name: str
    published: PaperRow


@dataclass(frozen=True)
class Block:
    """One metric of one setting over all rows and leads."""

    setting: Setting
    metric: str
    leads: tuple[int | None, ...]
    rows: tuple[TableRow, ...]
    references: tuple[Reference, ...] = ()

    @property
    def text(self) -> MetricText:
        return METRICS[self.metric]

    @property
    def published(self) -> list[PaperRow]:
        """The paper's values of each row."""
        return [row.published for row in self.rows] + [row.published for row in self.references]


@dataclass(frozen=True)
class Report:
    """Everything that is printed."""

    table: Table
    notes: Mapping[str, Notes]  # by the setting's name
    blocks: tuple[Block, ...]
    claims: tuple[ClaimVerdict, ...]
    absent: tuple[str, ...]  # rows of the table without results
    scale: str
    scale_text: str
    command: str  # reproduces the report
    tracking: Mapping[str, Any] = field(
        default_factory=dict
    )  # "uri", "experiment", "runs": {row: run id or {seed: run id}}, …
    config: Any = None  # `canonical.to_plain` of the table that was run

    @property
    def several(self) -> bool:
        """Whether the table has several settings, so that texts must name them."""
        return len(self.table.settings) > 1

    @property
    def rows(self) -> dict[tuple[str, str], TableRow]:
        """One row for each setting and name, for what does not depend on the metric: costs, keys."""
        return {
            (setting.name, row.name): row
            for setting, blocks in self.sections
            for block in reversed(blocks)
            for row in block.rows
        }

    @property
    def sections(self) -> tuple[tuple[Setting, tuple[Block, ...]], ...]:
        """The blocks of each setting that has results."""
        sections = ((setting, tuple(b for b in self.blocks if b.setting is setting)) for setting in self.table.settings)
        return tuple((setting, blocks) for setting, blocks in sections if blocks)

    @property
    def published(self) -> tuple[Published, ...]:
        """The paper's values that are printed."""
        return tuple(p for block in self.blocks for values in block.published for p in values if p is not None)

    def notes_of(self, setting: Setting) -> Notes:
        return self.notes.get(setting.name, Notes())


def names(setting: Setting) -> tuple[str, ...]:
    """The row names of a setting."""
    return tuple(row.name for row in setting.rows)


def columns(setting: Setting, metric: str) -> tuple[int | None, ...]:
    """The leads of a metric's columns: one None where its value is for the whole clip."""
    return (None,) if METRICS[metric].whole else setting.leads


def paper_key(setting: Setting, row: Row) -> tuple[str, str | None]:
    """Row and, where several rows of the paper share that name, setting under which the paper's values are looked up."""
    return row.paper_name or row.name, f"{setting.paper_name} {row.method.label}" if setting.paper_name else None


def arrange(table: Table, notes: Mapping[str, Notes], cells: Mapping[str, Cells], paper: Paper, **texts: Any) -> Report:
    """The report of a table: rows in its order, methods before entries before baselines before the floor.

    notes, cells: by the setting's name. texts: the further fields of `Report`. Raises UserError for a table that cannot be
    printed and for results that the table does not name.
    """
    _check(table)
    settings = {setting.name: setting for setting in table.settings}
    for name in cells:
        if name not in settings:
            raise UserError(
                f"{table.name}: results of the setting {name!r}, which the table does not name; {did_you_mean(name, settings)}"
            )
    measured = [setting for setting in table.settings if setting.name in cells]
    blocks = tuple(block for setting in measured for block in _blocks(table, setting, cells[setting.name], paper))
    if not blocks:
        wanted = {metric: columns(setting, metric) for setting in table.settings for metric in setting.metrics}
        raise UserError(f"{table.name}: no result has one of the metrics and leads of the table, {wanted}")
    run = {row for of in cells.values() for row, _, _ in of}
    absent = tuple(row.name for row in table.rows if row.name not in run)
    verdicts = tuple(claims.decide(claim, _of_claim(table, claim, cells)) for claim in table.claims)
    scale = next(cell.scale for of in cells.values() for cell in of.values())
    return Report(table, notes, blocks, verdicts, absent, scale=scale, **texts)


def _check(table: Table) -> None:
    """Refuse a table with two settings of one name, an unknown metric, or a metric by lead without leads."""
    settings = [setting.name for setting in table.settings]
    if twice := [name for name in settings if settings.count(name) > 1]:
        raise UserError(f"{table.name} has two settings {twice[0]!r}: rename one of them")
    for setting in table.settings:
        if not setting.metrics:
            raise UserError(f"setting {setting.name!r} has no metrics; use one of {', '.join(METRICS)}")
        for metric in setting.metrics:
            if metric not in METRICS:
                raise UserError(f"unknown metric {metric!r}; {did_you_mean(metric, METRICS)}")
            if not columns(setting, metric):
                raise UserError(
                    f"setting {setting.name!r}: {metric!r} is given by lead, and there are no leads; use (1, 2, 4)"
                )


def _of_claim(table: Table, claim: Claim, cells: Mapping[str, Cells]) -> Cells:
    """The cells of the setting of a claim's left row (of the first one for a baseline or the floor), and those of its right row if
    another setting scores it on the same clips, so that the two are paired."""
    by_row = {row: setting.name for setting in table.settings for row in names(setting)}
    left, right = (cells.get(by_row.get(str(row), table.settings[0].name), {}) for row in (claim.left, claim.right))
    clips = {(cell.traces[0].data_key, cell.n, len(cell.replicates)) for cell in left.values()}
    added = {
        key: cell
        for key, cell in right.items()
        if cell.row == claim.right and (cell.traces[0].data_key, cell.n, len(cell.replicates)) in clips
    }
    return {**added, **left}


def _blocks(table: Table, setting: Setting, cells: Cells, paper: Paper) -> list[Block]:
    order = _order(table, setting, cells)
    blocks = (_block(table, setting, metric, order, cells, paper) for metric in setting.metrics)
    return [block for block in blocks if block.rows]


def _order(table: Table, setting: Setting, cells: Cells) -> list[str]:
    """Row names as they are printed. Raises UserError for a method that the setting does not name."""
    kinds = {cell.row: cell.kind for cell in cells.values()}
    methods = names(setting)
    for row, kind in kinds.items():
        if kind == "method" and row not in methods:
            raise UserError(
                f"{table.name}: results of the row {row!r}, which the table does not name; {did_you_mean(row, methods)}"
            )
    others = [
        row for kind in ("entry", "baseline", "floor") for row in sorted(r for r, k in kinds.items() if k == kind)
    ]
    return [row for row in methods if row in kinds] + [row for row in others if row not in methods]


def _block(table: Table, setting: Setting, metric: str, order: Sequence[str], cells: Cells, paper: Paper) -> Block:
    leads = tuple(lead for lead in columns(setting, metric) if any((row, metric, lead) in cells for row in order))
    keys = {row.name: paper_key(setting, row) for row in setting.rows} if table.published else {}
    rows = []
    for name in order:
        by_lead = [cells.get((name, metric, lead)) for lead in leads]
        if any(by_lead):
            row, of = keys.get(name, ("", None))
            published = tuple(paper.get(table.published, row, metric, lead, of) if row else None for lead in leads)
            rows.append(_row(name, by_lead, published, cells))
    return Block(setting, metric, leads, tuple(rows), _references(table, setting, metric, leads, paper))


def _row(name: str, by_lead: Sequence[Cell | None], published: PaperRow, cells: Cells) -> TableRow:
    verdicts = tuple(judge(cell, p) if cell else Verdict() for cell, p in zip(by_lead, published, strict=True))
    best = tuple(cell is not None and _best(cell, cells) for cell in by_lead)
    kind = next(cell.kind for cell in by_lead if cell)
    return TableRow(name, kind, tuple(by_lead), published, verdicts, best)


def _references(
    table: Table, setting: Setting, metric: str, leads: tuple[int | None, ...], paper: Paper
) -> tuple[Reference, ...]:
    """The paper's rows of this setting that are not rows of ours, in the paper's order."""
    if not table.published:
        return ()
    ours = {paper_key(of, row) for of in table.settings for row in of.rows}
    values: dict[tuple[str, str], dict[int | None, Published]] = {}
    settings: dict[str, set[str]] = {}  # the paper's settings of each row name
    for p in paper.of(table.published, metric):
        settings.setdefault(p.row, set()).add(p.setting)
        if _setting_of(table.settings, p) is setting and not {(p.row, None), (p.row, p.setting)} & ours:
            values.setdefault((p.row, p.setting), {})[p.lead] = p
    references = []
    for (row, of), by_lead in values.items():
        suffix = of.removeprefix(setting.paper_name).strip() if len(settings[row]) > 1 else ""
        references.append(Reference(f"{row} {suffix}".strip(), tuple(by_lead.get(lead) for lead in leads)))
    return tuple(reference for reference in references if any(reference.published))


def _setting_of(settings: Iterable[Setting], published: Published) -> Setting | None:
    """The setting whose name in the paper begins the setting of a published value."""
    return next((setting for setting in settings if published.setting.startswith(setting.paper_name)), None)


def _best(cell: Cell, cells: Cells) -> bool:
    """Whether a cell is bold. A method: the lowest of its column, or not distinguishable from it. A baseline: the lowest, if no method
    is below it."""
    if cell.kind == "floor" or not METRICS[cell.metric].lowest_is_best:
        return False
    column = [c for c in cells.values() if (c.metric, c.lead) == (cell.metric, cell.lead)]
    methods = [c for c in column if c.kind in COMPETING]
    lowest = min(
        (c for c in column if (c.kind in COMPETING) == (cell.kind in COMPETING) and c.kind != "floor"),
        key=lambda c: c.value,
    )
    if cell.kind == "baseline":
        return cell is lowest and bool(methods) and not any(is_below(method, cell) for method in methods)
    return len(methods) > 1 and (cell is lowest or not is_below(lowest, cell))
