"""Where a table's clips come from: what was ingested, a stand-in made here, or files that are named on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollbench.config.table import Setting, Table
from rollbench.datasets.ingested import Ingested, Serves
from rollbench.errors import UserError, did_you_mean
from rollbench.pipeline import corpora
from rollbench.store.artifact import Store

ReferenceColumns = tuple[dict[str, Any], dict[str, Any]]  # the manifests of the corpora of training and test clips
ENOUGH = 0.9  # of the training clips: mirrors of Kinetics lack some of its videos, and no two the same
CHOICES = ("real", "stand-in", "fields:PATH", "folder:PATH", "corpora:TRAIN,TEST")


def resolve_data(table: Table, published: Table, source: str, store: Store, *, planning: bool = False) -> Table:
    """`table`, which is `published` at some scale, with the data of every setting taken from `source`.

    "real" is what was ingested (what is simulated anyway is left alone), "stand-in" what a setting declares for machines without
    it, fields:PATH and folder:PATH are ingested now unless they were before, corpora:TRAIN,TEST names two that were by their keys (or
    the beginnings of them). Raises UserError for data that is not there, with the command that makes it.

    While `planning`, nothing is ingested: files are listed, and the setting is what it will be if all of them can be read; what is
    to be ingested with a command of its own stands as the value that names it, whose `command` that is.
    """
    kind, _, path = source.partition(":")
    if not (source in CHOICES[:2] or (kind in ("fields", "folder", "corpora") and path)):
        raise UserError(f"--data {source!r} is no source; {did_you_mean(source, CHOICES)}")
    uncapped = {setting.name: setting.data for setting in published.settings}
    settings = []
    for setting in table.settings:
        if kind == "corpora":
            settings.append(_with(setting, _named(path, store), "own"))
        elif path:
            settings.append(_with(setting, _of_files(setting, kind, Path(path), store, planning), "own"))
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
        return _with(setting, corpora.pair(store, value))
    except corpora.Missing:
        if not planning:
            raise
        return replace(setting, data=value, stand_in=None)


def _with(setting: Setting, sides: ReferenceColumns, serves: Serves = "real") -> Setting:
    """The setting on ingested data, with no more clips than there are."""
    _check_frames(setting, sides[0])
    train, test = (int(side["clips"]) for side in sides)
    contexts = min(setting.sampling.contexts, test - setting.held_out, train)
    samples = max(1, min(setting.sampling.samples, train // max(1, contexts)))
    if train < ENOUGH * setting.train_clips and serves == "real":
        serves = "part"
    return replace(
        setting,
        data=replace(Ingested.of(*sides), serves=serves),
        stand_in=None,
        sampling=replace(setting.sampling, contexts=contexts, samples=samples),
        train_clips=min(setting.train_clips, train),
        test_data=None,
    )


def _check_frames(setting: Setting, train: Mapping[str, Any]) -> None:
    """Refuse frames that the setting's network cannot take, and channels that cannot be scaled."""
    _, rows, columns = train["frame_shape"]
    if hasattr(setting.network, "fits") and not setting.network.fits(rows, columns):
        grids, side = setting.network.grids(rows, columns), 2 ** (len(setting.network.channels) - 1)
        crop = f"crop or resample them, for instance to {rows // side * side}x{columns // side * side}"
        advice = (
            f"choose --set network.grid={grids[0]}"
            if grids
            else f"rows and columns must be multiples of {side}: {crop}"
        )
        raise UserError(f"frames of {rows}x{columns} do not fit the network; {advice}")
    constant = corpora.constant_channels(train)
    if constant:
        others = " ".join(c["name"] for c in train["channels"] if c["name"] not in constant) or "others"
        raise UserError(
            f"channel {' '.join(constant)} of corpus {train['key']} is constant, and cannot be scaled to unit variance; leave it "
            f"out: `rollbench ingest fields --variables {others} --kind field`, then --data corpora:TRAIN,TEST"
        )


def _named(keys: str, store: Store) -> ReferenceColumns:
    """Two corpora, given by the beginnings of their keys."""
    there = list(corpora.manifests(store))
    found = []
    for key in keys.split(","):
        alike = [m for m in there if m["key"].startswith(key)]
        if len(alike) != 1 or keys.count(",") != 1:
            listed = ", ".join(f"{m['key']} ({m['split']})" for m in there) or "none"
            raise UserError(f"--data corpora:{keys}: two corpora are needed, by their keys; there are {listed}")
        found += alike
    return found[0], found[1]


def _of_files(setting: Setting, kind: str, path: Path, store: Store, planning: bool) -> ReferenceColumns:
    """Fields or videos of the user's own, cut into clips as long as the setting needs."""
    from rollbench.datasets.files.fields import Fields
    from rollbench.datasets.files.folder import Folder

    least = max(setting.clean + setting.sampling.horizon, *(row.method.window for row in setting.rows))
    value: Any = Fields(frames=least, kind="flow" if setting.data.kind == "flow" else "field")
    if kind == "folder":
        stride = getattr(setting.data, "stride", 1)  # that the setting is named after
        value = Folder(frames=least, size=setting.data.frame_shape[-1], stride=stride)
    if planning:
        train, test = (
            corpora.CorpusStage.of(replace(value, split=split), path) for split in ("train", value.test_splits[0])
        )
        return train.artifact(store).manifest() or train.expected(), test.artifact(store).manifest() or test.expected()
    from rollbench.engine.ingest import ingest_splits

    return ingest_splits(value, path, store)
