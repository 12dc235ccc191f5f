"""The stages behind a search: what each candidate is worth at each rung of its training, and the outcome.

data ──► model, as far as it is trained ──► rung ──► search ──► the winner's row in the table
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rollbench.config.search import Search
from rollbench.config.table import Row, Table
from rollbench.pipeline.graph import RowWork, TableWork, Work, lay_out


@dataclass(frozen=True)
class Candidate:
    """A row that races: the stages that it would have in the table, and its rungs, lowest first."""

    row: RowWork
    rungs: tuple[Work, ...]

    @property
    def name(self) -> str:
        return self.row.row.name


@dataclass(frozen=True)
class SearchWork:
    """The stages behind a search. entered: the table with all candidates in it, of which only the data is made for the race."""

    search: Search
    entered: TableWork
    candidates: tuple[Candidate, ...]
    outcome: Work

    def data(self) -> tuple[Work, ...]:
        """What is trained and tested on: computed once for all candidates."""
        return tuple(dict.fromkeys((self.entered.settings[0].data, self.entered.settings[0].tested)))

    def works(self) -> Iterator[Work]:
        """Every stage of the race once, each after those it reads."""
        yield from self.data()
        for candidate in self.candidates:
            yield from candidate.rungs
        yield self.outcome

    def table(self, winner: Row) -> TableWork:
        """The table with the winner as its first row."""
        setting = self.entered.settings[0].setting
        raced = {candidate.row.row for candidate in self.candidates}
        rows = (winner, *(row for row in setting.rows if row not in raced))
        table: Table = replace(self.entered.table, settings=(replace(setting, rows=rows),))
        return lay_out(table, [row.name for row in rows])


def climb(search: Search, table: Table) -> SearchWork:
    """The graph of a search; `table` is its table with all candidates, at a scale and on its data."""
    entered = lay_out(replace(table, seeds=table.seeds[:1]), [row.name for row in table.rows])
    (works,) = entered.settings
    names = {row.name for row in search.candidates}
    setting, candidates = works.setting, []
    for row in (row for row in works.rows if row.row.name in names):
        made = {
            "method": row.row.method,
            "sampling": search.proxy,
            "seed": row.seed,
            "first": setting.sampling.contexts,
        }
        rungs = tuple(
            Work("rung", f"{row.row.name}, step {step}", {**made, "step": step}, (row.model, works.tested))
            for step in search.steps(setting.training.steps)
        )
        candidates.append(Candidate(row, rungs))
    raced = [[rung.key for rung in candidate.rungs] for candidate in candidates]
    outcome = Work("search", search.title, {"rungs": raced, "reduction": search.reduction})
    return SearchWork(search, replace(entered, table=table), tuple(candidates), outcome)
