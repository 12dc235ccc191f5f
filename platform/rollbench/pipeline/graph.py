"""The way of the data as a graph: which stages a table needs, what each is made from, and which are there already.

data ──► model ──► clips ──► features ──► results ──► report
  └────────────────────────► reference ─────┘
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rollbench.config.canonical import key
from rollbench.config.table import Row, Setting, Table
from rollbench.pipeline.measures import Scoring, measures_of
from rollbench.store.artifact import Stage, Store

# A stage's version is part of its key: raise it when the numbers that the stage makes change, and say so in CHANGELOG.md.
HISTORY, RESULTS = "history.json", "results.parquet"  # files of a model, of results
VERSIONS = {"data": 1, "model": 2, "clips": 2, "reference": 1, "features": 1, "results": 1, "rung": 1, "search": 1}


@dataclass(frozen=True)
class Work:
    """One stage to be there: its kind, everything it is made from, the stages it reads, and a name for people."""

    kind: str
    title: str
    made_from: dict[str, Any]
    needs: tuple[Work, ...] = ()

    @cached_property
    def key(self) -> str:
        upstream = [f"{work.kind}/{work.key}" for work in self.needs]
        return key({"stage": self.kind, "version": VERSIONS[self.kind], "needs": upstream, **self.made_from})

    def stage(self, store: Store) -> Stage:
        return store.stage(self.kind, self.key)

    def __hash__(self) -> int:
        return hash((self.kind, self.key))


@dataclass(frozen=True)
class RowWork:
    """The stages behind one row and seed."""

    setting: Setting
    row: Row
    seed: int
    model: Work
    clips: Work
    features: Work
    results: Work

    def works(self) -> tuple[Work, ...]:
        return (self.model, self.clips, self.features, self.results)


@dataclass(frozen=True)
class SettingWork:
    """The stages behind the rows of one setting. data: what is trained on; tested: where the test clips come from."""

    setting: Setting
    data: Work
    tested: Work
    reference: Work
    trivial: Work
    rows: tuple[RowWork, ...]


@dataclass(frozen=True)
class TableWork:
    """The stages behind a table."""

    table: Table
    settings: tuple[SettingWork, ...]

    @property
    def rows(self) -> tuple[RowWork, ...]:
        return tuple(row for setting in self.settings for row in setting.rows)

    def shared(self) -> tuple[Work, ...]:
        """What the rows of a setting share, each stage once, each after those it reads."""
        works = (w for s in self.settings for w in (s.data, s.tested, s.reference, s.trivial))
        return tuple(dict.fromkeys(works))

    def works(self) -> Iterator[Work]:
        """Every stage once, each after those it reads. Rows may share a model."""
        yield from dict.fromkeys((*self.shared(), *(w for row in self.rows for w in row.works())))

    def by_model(self) -> list[tuple[RowWork, ...]]:
        """The rows grouped by the model they share, largest window first: the trials of the table."""
        groups: dict[str, list[RowWork]] = {}
        for row in self.rows:
            groups.setdefault(row.model.key, []).append(row)
        return sorted((tuple(g) for g in groups.values()), key=lambda g: -g[0].row.method.window)


def lay_out(table: Table, names: Sequence[str]) -> TableWork:
    """The graph of the rows called `names`, one branch for each of the table's seeds."""
    settings = (_setting(table, setting, set(names)) for setting in table.settings)
    return TableWork(table, tuple(s for s in settings if s.rows))


def _setting(table: Table, setting: Setting, names: set[str]) -> SettingWork:
    sampling, measures = setting.sampling, measures_of(setting)
    test_clips = sampling.contexts + setting.held_out
    data = _data(setting.data, setting.train_clips, test_clips)
    floor_clips = sampling.contexts * sampling.samples
    tested = data if setting.tested is None else _data(setting.tested, max(test_clips, floor_clips), test_clips)
    seen = {"measures": measures, "horizon": sampling.horizon}
    counts = {"contexts": sampling.contexts, "samples": sampling.samples, "group": sampling.group}
    reference = Work("reference", "truth", {**seen, **counts}, (tested,))
    scoring = Scoring(setting.metrics, table.resamples, setting.protocol, sampling.contexts, sampling.samples)
    trivial = Work("results", "trivial forecasts and floor", {"scoring": scoring}, (reference,))
    rows = []
    for seed in table.seeds:
        for row in (row for row in setting.rows if row.name in names):
            trained = row.method.trained_as
            network = {"network": setting.network, "training": setting.training, "method": trained, "seed": seed}
            title = f"{row.name}, seed {seed}"
            model = Work("model", f"{type(trained).__name__} {trained.label}, seed {seed}", network, (data,))
            made = {"method": row.method, "sampling": sampling, "seed": seed}
            clips = Work("clips", title, made, (model, tested))
            features = Work("features", title, seen, (clips, tested))
            results = Work("results", title, {"scoring": scoring}, (features, reference))
            rows.append(RowWork(setting, row, seed, model, clips, features, results))
    return SettingWork(setting, data, tested, reference, trivial, tuple(rows))


def _data(value: Any, train: int, test: int) -> Work:
    return Work("data", value.describe(), {"data": value, "train": train, "test": test})


@dataclass(frozen=True)
class Absent:
    """Why a stage must be made: nothing there, files damaged, or something upstream is to be made anew."""

    reason: str
    damaged: tuple[str, ...] = ()
    stale: bool = False


def absent(works: Iterable[Work], store: Store, *, look: bool = True) -> dict[Work, Absent]:
    """The stages still to be made, each with its reason; `works` must come in the order of `TableWork.works`.

    look: for damage, which takes reading what is finished.
    """
    found: dict[Work, Absent] = {}
    for work in works:
        stage = work.stage(store)
        upstream = next((need for need in work.needs if need in found), None)
        if stage.manifest() is None:
            found[work] = Absent("not made yet")
        elif upstream is not None:
            found[work] = Absent(f"its {upstream.kind} is to be made", stale=True)
        elif look and (damage := stage.damage()):
            found[work] = Absent("; ".join(damage.values()), damaged=tuple(damage))
    return found


def prepare(found: dict[Work, Absent], store: Store) -> None:
    """Make room for the stages that are to be made: stale ones go whole, of a damaged one only the damaged files."""
    for work, why in found.items():
        stage = work.stage(store)
        if why.stale:
            stage.remove()
        elif why.damaged:
            stage.reopen(why.damaged)
