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
from rollbench.pipeline.measures import ScoringConfig, measures_of
from rollbench.store.artifact import Artifact, Store

# A stage's version is part of its key: raise it when the numbers that the stage makes change, and say so in CHANGELOG.md.
HISTORY, RESULTS = "history.json", "results.parquet"  # files of a model, of results
VERSIONS = {"data": 1, "model": 2, "clips": 2, "reference": 1, "features": 1, "results": 1, "rung": 1, "search": 1}


@dataclass(frozen=True)
class Stage:
    """One stage to be there: its kind, everything it is made from, the stages it reads, and a name for people."""

    kind: str
    title: str
    made_from: dict[str, Any]
    needs: tuple[Stage, ...] = ()

    @cached_property
    def key(self) -> str:
        upstream = [f"{stage.kind}/{stage.key}" for stage in self.needs]
        return key({"stage": self.kind, "version": VERSIONS[self.kind], "needs": upstream, **self.made_from})

    def artifact(self, store: Store) -> Artifact:
        return store.artifact(self.kind, self.key)

    def __hash__(self) -> int:
        return hash((self.kind, self.key))


@dataclass(frozen=True)
class RowStages:
    """The stages behind one row and seed."""

    setting: Setting
    row: Row
    seed: int
    model: Stage
    clips: Stage
    features: Stage
    results: Stage

    def stages(self) -> tuple[Stage, ...]:
        return (self.model, self.clips, self.features, self.results)


@dataclass(frozen=True)
class SettingStages:
    """The stages behind the rows of one setting. data: what is trained on; tested: where the test clips come from."""

    setting: Setting
    data: Stage
    tested: Stage
    reference: Stage
    trivial: Stage
    rows: tuple[RowStages, ...]


@dataclass(frozen=True)
class Pipeline:
    """The stages behind a table."""

    table: Table
    settings: tuple[SettingStages, ...]

    @property
    def rows(self) -> tuple[RowStages, ...]:
        return tuple(row for setting in self.settings for row in setting.rows)

    def shared(self) -> tuple[Stage, ...]:
        """What the rows of a setting share, each stage once, each after those it reads."""
        stages = (w for s in self.settings for w in (s.data, s.tested, s.reference, s.trivial))
        return tuple(dict.fromkeys(stages))

    def stages(self) -> Iterator[Stage]:
        """Every stage once, each after those it reads. Rows may share a model."""
        yield from dict.fromkeys((*self.shared(), *(w for row in self.rows for w in row.stages())))

    def by_model(self) -> list[tuple[RowStages, ...]]:
        """The rows grouped by the model they share, largest window first: the trials of the table."""
        groups: dict[str, list[RowStages]] = {}
        for row in self.rows:
            groups.setdefault(row.model.key, []).append(row)
        return sorted((tuple(g) for g in groups.values()), key=lambda g: -g[0].row.method.window)


def build_pipeline(table: Table, names: Sequence[str]) -> Pipeline:
    """The graph of the rows called `names`, one branch for each of the table's seeds."""
    settings = (_setting(table, setting, set(names)) for setting in table.settings)
    return Pipeline(table, tuple(s for s in settings if s.rows))


def _setting(table: Table, setting: Setting, names: set[str]) -> SettingStages:
    sampling, measures = setting.sampling, measures_of(setting)
    test_clips = sampling.contexts + setting.held_out
    data = _data(setting.data, setting.train_clips, test_clips)
    floor_clips = sampling.contexts * sampling.samples
    tested = data if setting.tested is None else _data(setting.tested, max(test_clips, floor_clips), test_clips)
    seen = {"measures": measures, "horizon": sampling.horizon}
    counts = {"contexts": sampling.contexts, "samples": sampling.samples, "group": sampling.group}
    reference = Stage("reference", "truth", {**seen, **counts}, (tested,))
    scoring = ScoringConfig(setting.metrics, table.resamples, setting.protocol, sampling.contexts, sampling.samples)
    trivial = Stage("results", "trivial forecasts and floor", {"scoring": scoring}, (reference,))
    rows = []
    for seed in table.seeds:
        for row in (row for row in setting.rows if row.name in names):
            trained = row.method.trained_as
            network = {"network": setting.network, "training": setting.training, "method": trained, "seed": seed}
            title = f"{row.name}, seed {seed}"
            model = Stage("model", f"{type(trained).__name__} {trained.label}, seed {seed}", network, (data,))
            made = {"method": row.method, "sampling": sampling, "seed": seed}
            clips = Stage("clips", title, made, (model, tested))
            features = Stage("features", title, seen, (clips, tested))
            results = Stage("results", title, {"scoring": scoring}, (features, reference))
            rows.append(RowStages(setting, row, seed, model, clips, features, results))
    return SettingStages(setting, data, tested, reference, trivial, tuple(rows))


def _data(value: Any, train: int, test: int) -> Stage:
    return Stage("data", value.describe(), {"data": value, "train": train, "test": test})


@dataclass(frozen=True)
class Missing:
    """Why a stage must be made: nothing there, files damaged, or something upstream is to be made anew."""

    reason: str
    damaged: tuple[str, ...] = ()
    stale: bool = False


def missing(stages: Iterable[Stage], store: Store, *, look: bool = True) -> dict[Stage, Missing]:
    """The stages still to be made, each with its reason; `stages` must come in the order of `Pipeline.stages`.

    look: for damage, which takes reading what is finished.
    """
    found: dict[Stage, Missing] = {}
    for stage in stages:
        artifact = stage.artifact(store)
        upstream = next((need for need in stage.needs if need in found), None)
        if artifact.manifest() is None:
            found[stage] = Missing("not made yet")
        elif upstream is not None:
            found[stage] = Missing(f"its {upstream.kind} is to be made", stale=True)
        elif look and (damage := artifact.damage()):
            found[stage] = Missing("; ".join(damage.values()), damaged=tuple(damage))
    return found


def clear_stale(found: dict[Stage, Missing], store: Store) -> None:
    """Make room for the stages that are to be made: stale ones go whole, of a damaged one only the damaged files."""
    for stage, why in found.items():
        artifact = stage.artifact(store)
        if why.stale:
            artifact.remove()
        elif why.damaged:
            artifact.invalidate(why.damaged)
