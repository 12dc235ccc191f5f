"""A block as rows and columns of text, the same for every writer.

Where a metric has leads, each lead is a column, and the paper's values are a row below ours. A metric of the whole clip
has one column, and the paper's value is in a second column beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from reports.format import bounds, printed
from reports.model.cells import COMPETING, Cell
from reports.model.published import Published
from reports.model.report import Block, Reference, TableRow
from reports.model.verdict import Verdict
from reports.writers import phrases

OURS, THEIRS, REFERENCE = "ours", "paper", "reference"


@dataclass(frozen=True)
class GridCell:
    """One cell as text."""

    source: str = ""  # OURS or THEIRS, "" for an empty cell
    text: str = ""  # the value
    low: str = ""  # of its interval, "" without one
    high: str = ""
    best: bool = False
    exact: str = ""  # our value with all digits
    verdict: str = ""  # of ours against the paper's
    why: str = ""


@dataclass(frozen=True)
class Row:
    """One row as text."""

    name: str
    role: str  # OURS, THEIRS (the paper's values of the row above) or REFERENCE (a row that only the paper has)
    kind: str  # that of our row, or REFERENCE
    key: tuple[str, str]  # setting and name of our row
    cells: tuple[GridCell, ...]
    ends: tuple[str, ...] = ("",) * len(phrases.ROW_HEADER)  # the cells of Grid.ends
    rule: bool = False  # whether another kind of rows begins here


@dataclass(frozen=True)
class Grid:
    """A block as text."""

    headers: tuple[tuple[str, str], ...]  # of the columns of values: name, and time after the context or ""
    ends: tuple[str, ...]  # headers of the columns behind the values
    rows: tuple[Row, ...]


def grid(block: Block) -> Grid:
    """The block as rows: methods, entries, rows that only the paper has, baselines, the floor."""
    paper = block.leads == (None,) and any(map(any, block.published))
    methods = [row for row in block.rows if row.kind in COMPETING]
    rows = [line for row in methods for line in _rows(block, row, paper)]
    rows += [_reference(block, reference) for reference in block.references]
    rows += [line for row in block.rows[len(methods) :] for line in _rows(block, row, paper)]
    ruled = (replace(row, rule=row.kind != before.kind) for before, row in pairwise([rows[0], *rows]))
    headers = [phrases.column_header(block, lead) for lead in block.leads] + [("the paper", "")] * paper
    return Grid(tuple(headers), phrases.ROW_HEADER, tuple(ruled))


def _rows(block: Block, row: TableRow, paper: bool) -> list[Row]:
    """Our row, with the paper's value in a column beside it or in a row below."""
    ours = tuple(_ours(cell, best) for cell, best in zip(row.cells, row.best, strict=True))
    theirs = tuple(_theirs(p, verdict) for p, verdict in zip(row.published, row.verdicts, strict=True))
    key, ends = (block.setting.name, row.name), tuple(phrases.row_ends(row))
    name = f"{row.name} (entered)" if row.kind == "entry" else row.name
    if block.leads == (None,):
        return [Row(name, OURS, row.kind, key, ours + theirs * paper, ends)]
    rows = [Row(name, OURS, row.kind, key, ours, ends)]
    if any(row.published):
        verdicts = {cell.verdict for cell in theirs} - {""}
        common = verdicts.pop() if len(verdicts) == 1 else ""  # printed once, in the row's name
        cells = tuple(replace(cell, verdict="") if common else cell for cell in theirs)
        rows.append(Row(f"the paper: {common}" if common else "the paper", THEIRS, row.kind, key, cells))
    return rows


def _reference(block: Block, reference: Reference) -> Row:
    cells = tuple(_theirs(p, Verdict()) for p in reference.published)
    cells = (GridCell(OURS, "–"), *cells) if block.leads == (None,) else cells
    return Row(f"{reference.name} (published)", REFERENCE, REFERENCE, (block.setting.name, reference.name), cells)


def _ours(cell: Cell | None, best: bool) -> GridCell:
    if cell is None:
        return GridCell(OURS, "–")
    value, low, high = bounds(cell.value, cell.low, cell.high)
    return GridCell(OURS, value, low, high, best, exact=repr(cell.value))


def _theirs(published: Published | None, verdict: Verdict) -> GridCell:
    if published is None:
        return GridCell()
    return GridCell(THEIRS, printed(published.value), verdict=verdict.verdict, why=verdict.why)
