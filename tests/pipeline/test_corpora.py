"""Corpora are found by the value that made them, whatever split they hold, and a pair of them is a data set."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from experiments.table1 import TABLE as TABLE1
from rollbench.cli.data_source import resolve_data
from rollbench.config.canonical import canonical, key, to_plain
from rollbench.datasets.ingested import Ingested
from rollbench.errors import UserError
from rollbench.pipeline import corpora
from rollbench.results.frame import data_kind
from rollbench.store.artifact import Store


@dataclass(frozen=True)
class Films:
    frames: int = 16
    size: int = 64
    split: str = "train"
    test_splits = ("test", "val")
    command = "rollbench ingest films --source PATH --split train test"

    def describe(self) -> str:
        return f"{self.frames} frames"


def commit(store: Store, value: Films, source: str = "a", **facts: Any) -> str:
    artifact = store.artifact(corpora.KIND, corpora.corpus_key(value, corpora.listing([(source, 1, "")])))
    shape = {
        "kind": "video",
        "frame_shape": [3, 64, 64],
        "frames": value.frames,
        "frame_interval": 0.04,
        "channels": [],
    }
    described = {"split": value.split, "source": source, "description": value.describe()}
    artifact.commit([], corpus=to_plain(value), **shape | described | facts)
    return artifact.key


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_a_listing_has_names_sizes_and_fingerprints_in_any_order() -> None:
    first, second = ("a", 1, "x"), ("b", 2, "y")
    assert corpora.listing([first, second]) == corpora.listing([second, first])
    assert corpora.listing([first, second]) != corpora.listing([("a", 2, "x"), ("b", 1, "y")])
    assert corpora.listing([first]) != corpora.listing([("a", 1, "y")])


def test_found_by_all_fields_but_the_split_and_with_frames_enough(store: Store) -> None:
    keys = [commit(store, Films(16, split="train")), commit(store, Films(16, split="val"))]
    longer = commit(store, Films(69, split="val"))
    commit(store, Films(8))
    commit(store, Films(16, size=128))
    (Path(store.path) / "corpus" / "unfinished").mkdir()
    found = corpora.find(store, Films(16, split="test"))
    assert {m["key"] for m in found[:2]} == set(keys) and [m["key"] for m in found[2:]] == [longer]


def test_a_pair_is_a_data_set(store: Store) -> None:
    train, test, _ = (commit(store, Films(16, split=split)) for split in ("train", "test", "val"))
    data = Ingested.of(*corpora.pair(store, Films(16)))
    assert (data.train, data.test, data.name, data.frame_shape) == (
        train,
        test,
        "tests.pipeline.test_corpora:Films",
        (3, 64, 64),
    )
    assert data.capped(grid=1, frame_grid=1, frames=1, least=1) is data
    assert train in canonical(data) and data.describe() == "16 frames"


def test_a_pair_has_one_length(store: Store) -> None:
    commit(store, Films(16, split="train"))
    longer = [commit(store, Films(69, split=split)) for split in ("train", "val")]
    assert [m["key"] for m in corpora.pair(store, Films(16))] == longer


def test_what_is_missing_or_double_is_named_with_the_command(store: Store) -> None:
    with pytest.raises(UserError, match="no corpus of Films, 16 frames; make it with `rollbench ingest films"):
        corpora.pair(store, Films())
    commit(store, Films())
    with pytest.raises(UserError, match="only the split train of Films"):
        corpora.pair(store, Films())
    commit(store, Films(split="test"))
    commit(store, Films(), source="b")
    with pytest.raises(UserError, match=r"two corpora for one split: \w+ \(of \w\) and \w+ \(of \w\)"):
        corpora.pair(store, Films())


def test_unlike_corpora_make_no_data_set(store: Store) -> None:
    commit(store, Films())
    commit(store, Films(split="test"), frame_shape=[1, 64, 64])
    with pytest.raises(UserError, match=r"frame_shape \[1, 64, 64\] where corpus"):
        Ingested.of(*corpora.pair(store, Films()))


@pytest.mark.parametrize(("clips", "serves"), [(43_264, "real"), (40_000, "real"), (30_000, "part")])
def test_part_of_the_papers_clips_is_told_from_the_whole(store: Store, clips: int, serves: str) -> None:
    """Mirrors lack a few videos; a third of them missing is another data set."""
    table = TABLE1
    for split, count in (("train", clips), ("test", 256)):
        commit(store, replace(table.settings[0].data, split=split), clips=count)
    (setting,) = resolve_data(table, table, "real", store).settings
    assert data_kind(setting) == serves
    keys = ",".join((setting.data.train, setting.data.test))
    (given,) = resolve_data(table, table, f"corpora:{keys}", store).settings
    assert data_kind(given) == "own" and key(given.data) == key(setting.data)


def test_no_more_films_than_the_floor_has_clips_for(store: Store) -> None:
    for split, count in (("train", 1_000), ("test", 256)):
        commit(store, replace(TABLE1.settings[0].data, split=split), clips=count)
    (setting,) = resolve_data(TABLE1, TABLE1, "real", store).settings
    assert (setting.sampling.contexts, setting.sampling.samples) == (256, 3)
