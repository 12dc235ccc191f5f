"""Where a table's clips come from: what was ingested, a stand-in made here, or files that are named on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rollbench import corpora
from rollbench.datasets.ingested import Ingested
from rollbench.spec import BadInput, Setting, Table, nearest
from rollbench.store import Store

ENOUGH = 0.9  # of the training clips: mirrors of Kinetics lack some of its videos, and no two the same
CHOICES = ("real", "stand-in", "fields:PATH", "folder:PATH", "corpora:TRAIN,TEST")


def choose(table: Table, published: Table, source: str, store: Store, *, planning: bool = False) -> Table:
    """`table`, which is `published` at some scale, with the data of every setting taken from `source`.

    "real" is what was ingested (what is simulated anyway is left alone), "stand-in" what a setting declares for machines without
    it, fields:PATH and folder:PATH are ingested now unless they were before, corpora:TRAIN,TEST names two that were by their keys (or
    the beginnings of them). Raises BadInput for data that is not there, with the
    command that makes it; while `planning`, nothing is ingested, and such a setting keeps the value that names its data.
    """
    kind, _, path = source.partition(":")
    if not (source in CHOICES[:2] or (kind in ("fields", "folder", "corpora") and path)):
        raise BadInput(f"--data {source!r} is no source; {nearest(source, CHOICES)}")
    uncapped = {setting.name: setting.data for setting in published.settings}
    settings = []
    for setting in table.settings:
        if kind == "corpora":
            settings.append(_with(setting, replace(_named(path, store), serves="own"), store))
        elif path:
            files = _of_files(setting, kind, Path(path), store, planning)
            settings.append(_with(setting, replace(files, serves="own"), store))
        elif setting.stand_in is None:
            settings.append(setting)
        elif source == "stand-in":
            settings.append(replace(setting, data=setting.stand_in))
        else:
            # Frames of the data set's own size, whatever the scale; of a clip no more of them than are asked for.
            settings.append(
                _real(setting, replace(uncapped[setting.name], frames=setting.data.frames), store, planning)
            )
    return replace(table, settings=tuple(settings))


def _real(setting: Setting, value: Any, store: Store, planning: bool) -> Setting:
    try:
        found = Ingested.of(*corpora.pair(store, value))
    except BadInput:
        if planning:
            return setting
        raise
    return _with(setting, found, store)


def _with(setting: Setting, data: Ingested, store: Store) -> Setting:
    """The setting on ingested data, with no more clips than there are."""
    train, test = (_count(store, key) for key in (data.train, data.test))
    contexts = min(setting.sampling.contexts, test - setting.held_out, train)
    samples = max(1, min(setting.sampling.samples, train // max(1, contexts)))
    sampling = replace(setting.sampling, contexts=contexts, samples=samples)
    if train < ENOUGH * setting.train_clips and data.serves == "real":
        data = replace(data, serves="part")
    return replace(
        setting, data=data, stand_in=None, sampling=sampling, train_clips=min(setting.train_clips, train), tested=None
    )


def _count(store: Store, key: str) -> int:
    return int((store.stage(corpora.KIND, key).manifest() or {"clips": 0})["clips"])


def _named(keys: str, store: Store) -> Ingested:
    """The data set of two corpora, given by the beginnings of their keys."""
    there = list(corpora.manifests(store))
    found = []
    for key in keys.split(","):
        alike = [m for m in there if m["key"].startswith(key)]
        if len(alike) != 1 or keys.count(",") != 1:
            listed = ", ".join(f"{m['key']} ({m['split']})" for m in there) or "none"
            raise BadInput(f"--data corpora:{keys}: two corpora are needed, by their keys; there are {listed}")
        found += alike
    return Ingested.of(*found)


def _of_files(setting: Setting, kind: str, path: Path, store: Store, planning: bool) -> Ingested:
    """Fields or videos of the user's own, cut into clips as long as the setting needs."""
    from rollbench.datasets.fields import Fields
    from rollbench.datasets.folder import Folder

    least = max(setting.clean + setting.sampling.horizon, *(row.method.window for row in setting.rows))
    value: Any = Fields(frames=least, kind="flow" if setting.data.kind == "flow" else "field")
    if kind == "folder":
        value = Folder(frames=least, size=setting.data.frame_shape[-1])
    if planning:
        return Ingested.of(*corpora.pair(store, value))
    from rollbench.engine.corpus import ingest_splits

    return Ingested.of(*ingest_splits(value, path, store))
