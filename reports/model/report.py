"""A report as a value: what every output prints, decided once, before any of them writes a character.

Blocks (one for each setting and metric) hold lines (one for each row), a line holds cells by lead, the paper's values for
the same places and what they say of ours. `grid` sets a block out in rows and columns; the writers (`markdown`, `latex`,
`page`, `record`) only spell it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluators.uncertainty import interval
from reports.model import claims
from reports.model.cells import Cell, Cells
from reports.model.claims import ClaimVerdict, paired
from reports.model.labels import SettingText, TableText
from reports.model.metrics import METRICS, MetricText
from reports.model.published import Paper, Published
from reports.model.verdict import Verdict, judge
from rollbench.errors import UserError, did_you_mean


@dataclass(frozen=True)
class TableRow:
    """One row in one block: its cells by lead (None: not measured there), the paper's values for the same places, and
    what these say of ours.
    """

    row: str
    kind: str
    cells: tuple[Cell | None, ...]
    published: tuple[Published | None, ...]
    judgements: tuple[Verdict, ...]
    best: tuple[bool, ...]

    @property
    def one(self) -> Cell:
        """A cell that is there: n, seeds and calls are those of the whole line."""
        return next(cell for cell in self.cells if cell is not None)


@dataclass(frozen=True)
class Reference:
    """A row of the paper that we do not run: other people's methods, mostly."""

    row: str
    published: tuple[Published | None, ...]


@dataclass(frozen=True)
class Block:
    """One metric of one setting over all rows and leads."""

    setting: SettingText
    metric: str
    leads: tuple[int | None, ...]
    lines: tuple[TableRow, ...]
    references: tuple[Reference, ...] = ()

    @property
    def text(self) -> MetricText:
        return METRICS[self.metric]

    @property
    def published(self) -> list[tuple[Published | None, ...]]:
        """The paper's values of each line."""
        return [line.published for line in self.lines] + [line.published for line in self.references]


@dataclass(frozen=True)
class Report:
    """Everything that is printed, and nothing that is not decided yet.

    scale_text: what the scale is. command: what makes it again. tracking: where the runs are recorded: "uri",
    "experiment", "run" (the table's), "runs" ({row: run id or {seed: run id}}) and others. config: what was run, as
    plain values (`spec.plain` of the table at its scale), None where it is not told.
    """

    text: TableText
    blocks: tuple[Block, ...]
    verdicts: tuple[ClaimVerdict, ...]
    absent: tuple[str, ...]
    scale: str
    scale_text: str
    command: str
    tracking: Mapping[str, Any] = field(default_factory=dict)
    config: Any = None

    @property
    def lines(self) -> dict[tuple[str, str], TableRow]:
        """One line of each setting and row, for what does not depend on the metric: costs, keys."""
        return {
            (setting.name, line.row): line
            for setting, blocks in self.sections
            for block in reversed(blocks)
            for line in block.lines
        }

    @property
    def sections(self) -> tuple[tuple[SettingText, tuple[Block, ...]], ...]:
        """The blocks of each setting that has results."""
        found = ((setting, tuple(b for b in self.blocks if b.setting is setting)) for setting in self.text.settings)
        return tuple((setting, blocks) for setting, blocks in found if blocks)

    @property
    def published(self) -> tuple[Published, ...]:
        """The paper's values that are printed."""
        return tuple(p for block in self.blocks for values in block.published for p in values if p is not None)


def arrange(text: TableText, cells: Mapping[str, Cells], paper: Paper, **words: Any) -> Report:
    """Set the cells out in the order of the table: methods, then baselines, then the floor."""
    names = [setting.name for setting in text.settings]
    for name in cells:
        if name not in names:
            raise UserError(
                f"{text.name}: results of the setting {name!r}, which the table does not name; {did_you_mean(name, names)}"
            )
    blocks = tuple(
        block
        for setting in text.settings
        if setting.name in cells
        for block in _blocks(text, setting, cells[setting.name], paper)
    )
    if not blocks:
        asked = {metric: setting.columns(metric) for setting in text.settings for metric in setting.metrics}
        raise UserError(f"{text.name}: no result has one of the metrics and leads of the table, {asked}")
    run = {row for found in cells.values() for row, _, _ in found}
    absent = tuple(name for setting in text.settings for name in setting.names if name not in run)
    verdicts = tuple(claims.decide(claim, _of_row(text, claim.left, cells)) for claim in text.claims)
    scale = next(cell.scale for found in cells.values() for cell in found.values())
    return Report(text, blocks, verdicts, absent, scale=scale, **words)


def _of_row(text: TableText, row: str, cells: Mapping[str, Cells]) -> Cells:
    """The cells of the setting that a row belongs to; of the first setting for a trivial row."""
    home = next((setting for setting in text.settings if row in setting.names), text.settings[0])
    return cells.get(home.name, {})


def _blocks(text: TableText, setting: SettingText, cells: Cells, paper: Paper) -> list[Block]:
    rows = _order(text, setting, cells)
    blocks = (_block(text, setting, metric, rows, cells, paper) for metric in setting.metrics)
    return [block for block in blocks if block.lines]


def _order(text: TableText, setting: SettingText, cells: Cells) -> list[str]:
    """Row names as they are printed. Raises BadInput for a method that the setting does not name."""
    kinds = {cell.row: cell.kind for cell in cells.values()}
    for row, kind in kinds.items():
        if kind == "method" and row not in setting.names:
            raise UserError(
                f"{text.name}: results of the row {row!r}, which the table does not name; {did_you_mean(row, setting.names)}"
            )
    others = [row for kind in ("baseline", "floor") for row in sorted(r for r, k in kinds.items() if k == kind)]
    return [row for row in setting.names if row in kinds] + [row for row in others if row not in setting.names]


def _block(
    text: TableText, setting: SettingText, metric: str, rows: Sequence[str], cells: Cells, paper: Paper
) -> Block:
    leads = tuple(lead for lead in setting.columns(metric) if any((row, metric, lead) in cells for row in rows))
    texts = {row.name: row for row in setting.rows}
    lines = []
    for row in rows:
        mine = tuple(cells.get((row, metric, lead)) for lead in leads)
        there = next((cell for cell in mine if cell is not None), None)
        if there is None:
            continue
        theirs: tuple[Published | None, ...] = (None,) * len(leads)
        if text.published and row in texts:
            printed, words = texts[row].key
            theirs = tuple(paper.get(text.published, printed, metric, lead, words) for lead in leads)
        said = tuple(judge(c, p) if c else Verdict() for c, p in zip(mine, theirs, strict=True))
        best = tuple(cell is not None and _best(cell, cells) for cell in mine)
        lines.append(TableRow(row, there.kind, mine, theirs, said, best))
    return Block(setting, metric, leads, tuple(lines), _references(text, setting, metric, leads, paper))


def _references(
    text: TableText, setting: SettingText, metric: str, leads: tuple[int | None, ...], paper: Paper
) -> tuple[Reference, ...]:
    """The paper's rows of this setting that are no rows of ours, in the paper's order."""
    if not text.published:
        return ()
    ours = [row.key for setting in text.settings for row in setting.rows]
    found: dict[tuple[str, str], dict[int | None, Published]] = {}
    for p in paper.of(text.published, metric):
        if _home(text, p) is setting and not {(p.row, None), (p.row, p.setting)} & set(ours):
            found.setdefault((p.row, p.setting), {})[p.lead] = p
    words_of: dict[str, set[str]] = {}
    for p in paper.of(text.published, metric):
        words_of.setdefault(p.row, set()).add(p.setting)
    lines = []
    for (row, words), values in found.items():
        more = words.removeprefix(setting.printed).strip() if len(words_of[row]) > 1 else ""
        lines.append(Reference(f"{row} {more}".strip(), tuple(values.get(lead) for lead in leads)))
    return tuple(line for line in lines if any(line.published))


def _home(text: TableText, published: Published) -> SettingText | None:
    """The setting whose printed words a published row's setting begins with."""
    return next((s for s in text.settings if published.setting.startswith(s.printed)), None)


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
