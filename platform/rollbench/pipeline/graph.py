"""The graph of stages behind a table: what each stage computes, which stages it reads, and which are missing.

data ──► model ──► rollouts ──► features ──► results ──► report
  └────────────────────────► reference ─────┘

A stage is a frozen value whose fields are its configuration and its upstream stages. Its key is the hash of that configuration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

from rollbench.config.canonical import key, to_plain
from rollbench.config.sampling import Sampling
from rollbench.config.source import sources
from rollbench.config.table import Row, Setting, Table
from rollbench.pipeline.measure import Measure, ScoringConfig
from rollbench.pipeline.measures import measures_of
from rollbench.store.artifact import Artifact, Store

HISTORY, RESULTS = "history.json", "results.parquet"  # files of a model, of results
# A stage's version is part of its key: raise it when the numbers that the stage makes change, and say so in CHANGELOG.md.
VERSIONS = {
    "data": 2,
    "model": 3,
    "rollouts": 3,
    "reference": 2,
    "features": 2,
    "results": 2,
    "rung": 2,
    "search": 2,
    "entry": 1,
}


@dataclass(frozen=True, eq=False)
class Stage:
    """A node of the graph. Two stages are equal when their keys and titles are."""

    kind: ClassVar[str]
    title: str = field(kw_only=True, metadata={"keyed": False})  # for people; not part of the key

    @property
    def upstream(self) -> dict[str, Stage]:
        """The stages that this one reads, by field."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Stage)}

    def configuration(self) -> dict[str, Any]:
        """Everything that the key is the hash of: kind, version, upstream keys and fields, as plain JSON values."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.metadata.get("keyed", True)}
        plain = {name: to_plain(value) for name, value in fields.items() if name not in self.upstream}
        upstream = {name: str(stage) for name, stage in self.upstream.items()}
        return {"stage": self.kind, "version": VERSIONS[self.kind], "upstream": upstream, **plain}

    @cached_property
    def key(self) -> str:
        return key(self.configuration())

    def artifact(self, store: Store) -> Artifact:
        return store.artifact(self.kind, self.key)

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and (str(self), self.title) == (str(other), other.title)

    def __hash__(self) -> int:
        return hash(str(self))


@dataclass(frozen=True, eq=False)
class Data(Stage):
    """The clips of a data set."""

    kind = "data"
    data: Any  # the data set
    train: int  # clips of the training split
    test: int  # clips of the test split


@dataclass(frozen=True, eq=False)
class Model(Stage):
    """A trained network. The method is the one that the model is trained for, see `Method.trained_as`."""

    kind = "model"
    data: Data
    network: Any
    training: Any
    method: Any
    seed: int


@dataclass(frozen=True, eq=False)
class Rollouts(Stage):
    """Samples of a model from the contexts of test clips."""

    kind = "rollouts"
    model: Model
    test_data: Data
    method: Any
    sampling: Sampling
    seed: int
    first: int = 0  # index of the first test clip

    @property
    def samples(self) -> int:
        """Samples per clip."""
        return self.sampling.samples

    @property
    def group(self) -> int:
        """Clips per file."""
        return self.sampling.group


@dataclass(frozen=True, eq=False)
class Entry(Stage):
    """Samples that were made outside of this project from the contexts of test clips, stored like `Rollouts`."""

    kind = "entry"
    test_data: Data
    horizon: int
    contexts: int
    samples: int  # per clip
    group: int  # clips per file
    digest: str  # sha256 of all samples, in the order of clips and samples


@dataclass(frozen=True, eq=False)
class Features(Stage):
    """What the measures keep of each sample."""

    kind = "features"
    rollouts: Rollouts | Entry
    test_data: Data
    measures: tuple[Measure, ...]
    horizon: int


@dataclass(frozen=True, eq=False)
class Reference(Stage):
    """What the measures keep of the truth, of other real clips, and of the trivial forecasts."""

    kind = "reference"
    test_data: Data
    measures: tuple[Measure, ...]
    horizon: int
    contexts: int
    samples: int
    group: int


@dataclass(frozen=True, eq=False)
class Results(Stage):
    """Metrics with intervals: of a row, or of the trivial forecasts where there are no features of a row."""

    kind = "results"
    reference: Reference
    scoring: ScoringConfig
    features: Features | None = None


@dataclass(frozen=True)
class RowStages:
    """The stages behind one row and seed."""

    setting: Setting
    row: Row
    seed: int
    model: Model
    rollouts: Rollouts
    features: Features
    results: Results

    def stages(self) -> tuple[Stage, ...]:
        return (self.model, self.rollouts, self.features, self.results)


@dataclass(frozen=True)
class EntryStages:
    """The stages behind one entry, which are scored like those of a row."""

    setting: Setting
    name: str
    rollouts: Entry
    features: Features
    results: Results
    facts: Mapping[str, Any] = field(default_factory=dict)  # stated by the author: costs and a URL

    def stages(self) -> tuple[Stage, ...]:
        """The stages to compute; the entry itself cannot be made again."""
        return (self.features, self.results)


@dataclass(frozen=True)
class SettingStages:
    """The stages behind the rows of one setting."""

    setting: Setting
    data: Data  # the training clips
    test_data: Data  # the test clips
    reference: Reference
    trivial: Results  # trivial forecasts and the floor
    rows: tuple[RowStages, ...]
    entries: tuple[EntryStages, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """The stages behind a table."""

    table: Table
    settings: tuple[SettingStages, ...]

    @property
    def rows(self) -> tuple[RowStages, ...]:
        return tuple(row for setting in self.settings for row in setting.rows)

    @property
    def entries(self) -> tuple[EntryStages, ...]:
        return tuple(entry for setting in self.settings for entry in setting.entries)

    def shared(self) -> tuple[Stage, ...]:
        """What the rows of a setting share, each stage once, each after those it reads."""
        stages = (w for s in self.settings for w in (s.data, s.test_data, s.reference, s.trivial))
        return tuple(dict.fromkeys(stages))

    def stages(self) -> Iterator[Stage]:
        """Every stage once, each after those it reads. Rows may share a model."""
        branches: tuple[RowStages | EntryStages, ...] = (*self.rows, *self.entries)
        yield from dict.fromkeys((*self.shared(), *(stage for branch in branches for stage in branch.stages())))

    def by_model(self) -> list[tuple[RowStages, ...]]:
        """The rows grouped by the model they share, largest window first: the trials of the table."""
        groups: dict[str, list[RowStages]] = {}
        for row in self.rows:
            groups.setdefault(row.model.key, []).append(row)
        return sorted((tuple(g) for g in groups.values()), key=lambda g: -g[0].row.method.window)


def build_pipeline(
    table: Table, names: Sequence[str], entries: Callable[[SettingStages], tuple[EntryStages, ...]] = lambda _: ()
) -> Pipeline:
    """The graph of the rows called `names`, one branch for each of the table's seeds, and of the entries of each setting."""
    sources(table)  # refuses two classes of one name
    settings = (_setting(table, setting, set(names)) for setting in table.settings)
    entered = (replace(setting, entries=entries(setting)) for setting in settings)
    return Pipeline(table, tuple(setting for setting in entered if setting.rows or setting.entries))


def _setting(table: Table, setting: Setting, names: set[str]) -> SettingStages:
    sampling, measures = setting.sampling, measures_of(setting)
    test_clips = sampling.contexts + setting.held_out
    data = _data(setting.data, setting.train_clips, test_clips)
    floor_clips = sampling.contexts * sampling.samples
    test_data = (
        data if setting.test_data is None else _data(setting.test_data, max(test_clips, floor_clips), test_clips)
    )
    reference = Reference(
        test_data, measures, sampling.horizon, sampling.contexts, sampling.samples, sampling.group, title="truth"
    )
    scoring = ScoringConfig(setting.metrics, table.resamples, setting.protocol, sampling.contexts, sampling.samples)
    rows = tuple(
        _row(setting, row, seed, data, reference, scoring)
        for seed in table.seeds
        for row in setting.rows
        if row.name in names
    )
    trivial = Results(reference, scoring, title="trivial forecasts and floor")
    return SettingStages(setting, data, test_data, reference, trivial, rows)


def _row(setting: Setting, row: Row, seed: int, data: Data, reference: Reference, scoring: ScoringConfig) -> RowStages:
    trained, title, test_data = row.method.trained_as, f"{row.name}, seed {seed}", reference.test_data
    model_title = f"{type(trained).__name__} {trained.label}, seed {seed}"
    model = Model(data, row.network or setting.network, setting.training_of(row), trained, seed, title=model_title)
    rollouts = Rollouts(model, test_data, row.method, setting.sampling, seed, title=title)
    features = Features(rollouts, test_data, reference.measures, setting.sampling.horizon, title=title)
    results = Results(reference, scoring, features, title=title)
    return RowStages(setting, row, seed, model, rollouts, features, results)


def _data(value: Any, train: int, test: int) -> Data:
    return Data(value, train, test, title=value.describe())
