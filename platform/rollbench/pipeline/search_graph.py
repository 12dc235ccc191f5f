"""The stages behind a search: what each candidate is worth at each rung of its training, and the outcome.

data ──► model, as far as it is trained ──► rung ──► search ──► the winner's row in the table
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from rollbench.config.search import Search
from rollbench.config.table import Row, Table
from rollbench.pipeline.graph import Data, Pipeline, Rollouts, RowStages, Stage, build_pipeline


@dataclass(frozen=True, eq=False)
class Rung(Rollouts):
    """The score of a model as it is after some steps of its training, on held-out clips."""

    kind = "rung"
    step: int = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class Outcome(Stage):
    """The decisions of a search and its winner."""

    kind = "search"
    rungs: tuple[tuple[str, ...], ...]  # keys of the rungs of each candidate
    reduction: float


@dataclass(frozen=True)
class Candidate:
    """A row of the search: the stages that it would have in the table, and its rungs, lowest first."""

    row: RowStages
    rungs: tuple[Rung, ...]

    @property
    def name(self) -> str:
        return self.row.row.name


@dataclass(frozen=True)
class SearchPipeline:
    """The stages behind a search. with_candidates: the table with all candidates in it, of which only the data is made for the race."""

    search: Search
    with_candidates: Pipeline
    candidates: tuple[Candidate, ...]
    outcome: Outcome

    def data(self) -> tuple[Data, ...]:
        """What is trained and tested on: computed once for all candidates."""
        return tuple(dict.fromkeys((self.with_candidates.settings[0].data, self.with_candidates.settings[0].test_data)))

    def stages(self) -> Iterator[Stage]:
        """Every stage of the race once, each after those it reads."""
        yield from self.data()
        for candidate in self.candidates:
            yield from candidate.rungs
        yield self.outcome

    def table(self, winner: Row) -> Pipeline:
        """The table with the winner as its first row."""
        setting = self.with_candidates.settings[0].setting
        evaluated = {candidate.row.row for candidate in self.candidates}
        rows = (winner, *(row for row in setting.rows if row not in evaluated))
        table: Table = replace(self.with_candidates.table, settings=(replace(setting, rows=rows),))
        return build_pipeline(table, [row.name for row in rows])


def search_graph(search: Search, table: Table) -> SearchPipeline:
    """The graph of a search; `table` is its table with all candidates, at a scale and on its data."""
    with_candidates = build_pipeline(replace(table, seeds=table.seeds[:1]), [row.name for row in table.rows])
    (stages,) = with_candidates.settings
    names = {row.name for row in search.candidates}
    setting, candidates = stages.setting, []
    for row in (row for row in stages.rows if row.row.name in names):
        rungs = tuple(
            Rung(
                row.model,
                stages.test_data,
                row.row.method,
                search.proxy,
                row.seed,
                setting.sampling.contexts,
                step=step,
                title=f"{row.row.name}, step {step}",
            )
            for step in search.steps(setting.training.steps)
        )
        candidates.append(Candidate(row, rungs))
    evaluated = tuple(tuple(rung.key for rung in candidate.rungs) for candidate in candidates)
    outcome = Outcome(evaluated, search.reduction, title=search.title)
    return SearchPipeline(search, replace(with_candidates, table=table), tuple(candidates), outcome)
