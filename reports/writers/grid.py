"""A block set out in rows and columns, the same for every writer: who stands where, under which head.

Where a metric has leads, each is a column, and the paper's values stand in a row below ours. A metric of the whole clip
has one column, and the paper's value stands in a second one beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from reports.format import bounds, printed
from reports.model.cells import Cell
from reports.model.published import Published
from reports.model.report import Block, Reference, TableRow
from reports.model.verdict import Verdict
from reports.writers import phrases

OURS, THEIRS, REFERENCE = "ours", "paper", "reference"


@dataclass(frozen=True)
class GridCell:
    """What stands in one place. source: OURS or THEIRS, "" for a place that is empty by its nature. text: the value.
    bounds: of its interval, "" without one. exact: ours with all digits. verdict: of ours against the paper's, and why.
    """

    source: str = ""
    text: str = ""
    low: str = ""
    high: str = ""
    best: bool = False
    exact: str = ""
    verdict: str = ""
    why: str = ""


@dataclass(frozen=True)
class Row:
    """One row. name: as it is printed. role: OURS, THEIRS (the paper's values of the row above) or REFERENCE (a row that
    only the paper has). kind: of ours, or REFERENCE. key: the setting and row of ours that it belongs to. ends: what
    stands behind the values. rule: whether another kind of rows begins here.
    """

    name: str
    role: str
    kind: str
    key: tuple[str, str]
    places: tuple[GridCell, ...]
    ends: tuple[str, ...] = ("",) * len(phrases.LINE_HEADER)
    rule: bool = False


@dataclass(frozen=True)
class Grid:
    """heads: the name of each column of values, and the time after the context or ""; ends: those of the columns behind."""

    heads: tuple[tuple[str, str], ...]
    ends: tuple[str, ...]
    rows: tuple[Row, ...]


def grid(block: Block) -> Grid:
    """The block as rows: methods, the paper's own rows, trivial rows, the floor."""
    paper = block.leads == (None,) and any(map(any, block.published))
    methods = [line for line in block.lines if line.kind == "method"]
    rows = [row for line in methods for row in _rows(block, line, paper)]
    rows += [_reference(block, reference) for reference in block.references]
    rows += [row for line in block.lines[len(methods) :] for row in _rows(block, line, paper)]
    ruled = (replace(row, rule=row.kind != before.kind) for before, row in pairwise([rows[0], *rows]))
    heads = [phrases.head(block, lead) for lead in block.leads] + [("the paper", "")] * paper
    return Grid(tuple(heads), phrases.LINE_HEADER, tuple(ruled))


def _rows(block: Block, line: TableRow, paper: bool) -> list[Row]:
    """Ours, with the paper's value in a column beside it or in a row below."""
    ours = tuple(_ours(cell, best) for cell, best in zip(line.cells, line.best, strict=True))
    theirs = tuple(_theirs(p, said) for p, said in zip(line.published, line.judgements, strict=True))
    key, ends = (block.setting.name, line.row), tuple(phrases.line(line))
    if block.leads == (None,):
        return [Row(line.row, OURS, line.kind, key, ours + theirs * paper, ends)]
    rows = [Row(line.row, OURS, line.kind, key, ours, ends)]
    if any(line.published):
        verdicts = {place.verdict for place in theirs} - {""}
        common = verdicts.pop() if len(verdicts) == 1 else ""  # said once for all of them
        places = tuple(replace(place, verdict="") if common else place for place in theirs)
        rows.append(Row(f"the paper: {common}" if common else "the paper", THEIRS, line.kind, key, places))
    return rows


def _reference(block: Block, reference: Reference) -> Row:
    places = tuple(_theirs(p, Verdict()) for p in reference.published)
    places = (GridCell(OURS, "–"), *places) if block.leads == (None,) else places
    return Row(f"{reference.row} (published)", REFERENCE, REFERENCE, (block.setting.name, reference.row), places)


def _ours(cell: Cell | None, best: bool) -> GridCell:
    if cell is None:
        return GridCell(OURS, "–")
    value, low, high = bounds(cell.value, cell.low, cell.high)
    return GridCell(OURS, value, low, high, best, exact=repr(cell.value))


def _theirs(published: Published | None, said: Verdict) -> GridCell:
    return GridCell(THEIRS, printed(published.value), verdict=said.verdict, why=said.why) if published else GridCell()
