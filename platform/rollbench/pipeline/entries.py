"""Entries: samples of a model that was trained elsewhere, scored as a row of a table.

`write_contexts` writes what such a model is given, `enter` stores its samples by their content, and `entries_of` lists what was
entered for a setting. An entry belongs to the contexts that it continues: the same test clips, horizon and number of samples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rollbench.config.canonical import key
from rollbench.config.table import Table
from rollbench.errors import UserError, did_you_mean
from rollbench.pipeline.exchange import Samples, read_samples, write_clips
from rollbench.pipeline.frames import Clips, Normalisation, clip_ids, clips_of, is_video, stored
from rollbench.pipeline.graph import Data, Entry, EntryStages, Features, Results, SettingStages
from rollbench.store.artifact import Store
from rollbench.store.provenance import made
from rollbench.store.tensors import tensor_column

FACTS = ("calls_per_frame", "parameters", "train_seconds", "url")  # stated by the author of an entry, all optional
PIXELS = (0.0, 255.0)
SLACK = 4  # times the bytes of float32 samples that a file may hold: float64, and other arrays beside them


def contexts_key(setting: SettingStages) -> str:
    """What samples have in common that can stand in one table: test clips, horizon and the number of samples."""
    sampling = setting.setting.sampling
    return key(
        {
            "test_data": str(setting.test_data),
            "horizon": sampling.horizon,
            "contexts": sampling.contexts,
            "samples": sampling.samples,
        }
    )


# --- contexts ------------------------------------------------------------------------------------------------------------------------
def write_contexts(
    setting: SettingStages, table: Table, out: Path, kind: str, store: Store, *, train: bool
) -> list[Path]:
    """Write the contexts of a setting's test clips, a description of them and, on request, the training clips; returns the files.

    The data stages must be finished. A context has the frames that the row with the longest context is given.
    """
    sampling, data = setting.setting.sampling, setting.setting.data
    ids = clip_ids(setting.test_data, store, "test", sampling.contexts)
    clips = clips_of(setting.test_data, store, "test", sampling.contexts)
    scalars: dict[str, str | int] = {
        "key": contexts_key(setting),
        "horizon": sampling.horizon,
        "samples_per_clip": sampling.samples,
    }
    files = [
        write_clips(out / "contexts", kind, ids, _Contexts(clips, setting.setting.clean, sampling.horizon), scalars)
    ]
    if train:
        count = setting.setting.train_clips
        names = clip_ids(setting.data, store, "train", count)
        files.append(write_clips(out / "train", kind, names, clips_of(setting.data, store, "train", count), scalars))
    normalisation = Normalisation.of(setting.data, store)
    description = {
        **scalars,
        "table": table.name,
        "setting": setting.setting.name,
        "data": data.describe(),
        "data_key": setting.test_data.key,
        "layout": "clips, time, channel, y, x",
        "channels": channels(setting.test_data, store),
        "frame_interval_seconds": data.frame_interval,
        "context_frames": setting.setting.clean,
        "frames_given_to_our_rows": {row.name: row.method.clean for row in setting.setting.rows},
        "normalisation_of_our_rows": {
            "mean": normalisation.mean.ravel().tolist(),
            "std": normalisation.std.ravel().tolist(),
        },
    }
    path = out / "contexts.json"
    path.write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n")
    return [*files, path]


class _Contexts(Sequence[np.ndarray]):
    """The `length` frames of each clip before its last `horizon`."""

    def __init__(self, clips: Clips, length: int, horizon: int) -> None:
        self.clips, self.length, self.horizon = clips, length, horizon

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: Any) -> Any:
        return self.clips[index][-self.horizon - self.length : -self.horizon]


def channels(data: Data, store: Store) -> list[dict[str, str]]:
    """The channels of a data set in their order: names and units."""
    if is_video(data):
        return [{"name": name, "unit": "0 to 255"} for name in ("red", "green", "blue")]
    if data.data.kind == "flow":
        return [{"name": f"velocity_{axis}", "unit": "m/s"} for axis in "xy"]
    corpus = store.artifact("corpus", data.data.test).manifest() or {}
    return [dict(channel) for channel in corpus["channels"]]


# --- entries -------------------------------------------------------------------------------------------------------------------------
def entries_of(setting: SettingStages, store: Store) -> tuple[EntryStages, ...]:
    """What was entered for the contexts of a setting, in the order of names."""
    wanted = contexts_key(setting)
    manifests = (store.artifact("entry", name).manifest() for name in store.keys("entry"))
    matching = [m for m in manifests if m is not None and m.get("contexts") == wanted]
    return tuple(
        _stages(setting, m["title"], m["digest_of_samples"], m["facts"])
        for m in sorted(matching, key=lambda m: m["title"])
    )


def damaged(setting: SettingStages, store: Store) -> Iterator[str]:
    """A line for each entry whose files are damaged: nothing here can make them again."""
    for entry in entries_of(setting, store):
        for fault in entry.rollouts.artifact(store).damage().values():
            yield f"entry {entry.name!r}: {fault}; remove the entry and enter its samples again"


def enter(setting: SettingStages, name: str, path: Path, facts: Mapping[str, Any], store: Store) -> EntryStages:
    """Check samples and store them under `name`. Raises UserError for samples that do not fit the contexts, naming the first fault.

    The data stages must be finished.
    """
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > 80:
        raise UserError(f"--name {name!r}: a name has 1 to 80 printable characters and no blanks at its ends")
    taken = [row.name for row in setting.setting.rows] + ["persistence", "climatology", "real vs real"]
    present = {entry.name: entry for entry in entries_of(setting, store)}
    if name in taken:
        raise UserError(f"--name {name!r} is the name of a row of this table; choose another")
    sampling, video = setting.setting.sampling, is_video(setting.test_data)
    shape = (sampling.contexts, sampling.samples, sampling.horizon, *setting.test_data.data.frame_shape)
    content = read_samples(path, largest=SLACK * 4 * int(np.prod(shape)) + 2**20)
    ids = clip_ids(setting.test_data, store, "test", sampling.contexts)
    samples = _checked(content, setting, ids, shape, video)
    digest = hashlib.sha256(samples.tobytes()).hexdigest()
    for other in present.values():
        if other.name == name and other.rollouts.digest != digest:
            raise UserError(
                f"--name {name!r} is taken by other samples; choose another, or remove that entry with --remove {name!r}"
            )
        if other.rollouts.digest == digest and (other.name != name or dict(other.facts) != dict(facts)):
            raise UserError(
                f"these samples are entered already, as {other.name!r}; remove that entry first to rename or describe it anew"
            )
    entry = _stages(setting, name, digest, facts)
    if name not in present:
        _store(entry, ids, samples, contexts_key(setting), video, store)
    return entry


def remove(setting: SettingStages, name: str, store: Store) -> None:
    """Remove an entry with its features and results. Raises UserError for a name that was not entered."""
    present = {entry.name: entry for entry in entries_of(setting, store)}
    if name not in present:
        raise UserError(f"--remove {name!r}: no such entry; {did_you_mean(name, present)}")
    for stage in (*present[name].stages(), present[name].rollouts):
        stage.artifact(store).remove()


def _stages(setting: SettingStages, name: str, digest: str, facts: Mapping[str, Any]) -> EntryStages:
    sampling, reference = setting.setting.sampling, setting.reference
    entry = Entry(
        setting.test_data, sampling.horizon, sampling.contexts, sampling.samples, sampling.group, digest, title=name
    )
    features = Features(entry, setting.test_data, reference.measures, sampling.horizon, title=name)
    results = Results(reference, setting.trivial.scoring, features, title=name)
    return EntryStages(setting.setting, name, entry, features, results, facts)


def _checked(
    content: Samples, setting: SettingStages, ids: Sequence[str], shape: tuple[int, ...], video: bool
) -> np.ndarray:
    """The samples in the order of `ids` and in the type of the data. Raises UserError that names the first fault."""
    path, samples, wanted = content.path, content.samples, contexts_key(setting)
    if content.key != wanted:
        raise UserError(
            f"{path} continues the contexts {content.key}, and this table and scale has {wanted}; write these with `rollbench contexts`"
        )
    _check_ids(path, content.ids, ids)
    if samples.shape != shape:
        axes = ("clips", "samples per clip", "frames", "channels", "y", "x")
        axis = next(i for i in range(6) if samples.shape[i] != shape[i])
        raise UserError(
            f"{path} has {samples.shape[axis]} {axes[axis]}, and needs {shape[axis]}: samples of shape {shape}"
        )
    order = {name: i for i, name in enumerate(content.ids)}
    samples = samples[[order[name] for name in ids]]
    _check_values(path, samples, ids, video)
    return np.ascontiguousarray(np.rint(samples).astype(np.uint8) if video else samples.astype(np.float32))


def _check_ids(path: Path, given: Sequence[str], ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in given:
        if name in seen:
            raise UserError(f"{path} has the clip {name!r} twice; each clip of the contexts stands once")
        seen.add(name)
    if unknown := [name for name in given if name not in set(ids)]:
        raise UserError(
            f"{path} has the clip {unknown[0]!r}, which is not among the contexts; {did_you_mean(unknown[0], ids)}"
        )
    if missing := [name for name in ids if name not in seen]:
        raise UserError(
            f"{path} lacks {len(missing)} of {len(ids)} clips, first {missing[0]!r}; each clip of the contexts stands once"
        )


def _check_values(path: Path, samples: np.ndarray, ids: Sequence[str], video: bool) -> None:
    low, high = PIXELS if video else (-np.finfo(np.float32).max, np.finfo(np.float32).max)
    for name, clip in zip(ids, samples, strict=True):
        bad = ~((clip >= low) & (clip <= high))  # also where not a number
        if bad.any():
            sample, frame = (int(i[0]) for i in np.nonzero(bad)[:2])
            value = clip[bad][0]
            rule = "pixels lie from 0 to 255" if video else "samples are finite numbers in float32"
            raise UserError(
                f"{path}: clip {name!r}, sample {sample}, frame {frame + 1} of the horizon holds {value}; {rule}"
            )


def _store(
    entry: EntryStages, ids: Sequence[str], samples: np.ndarray, contexts: str, video: bool, store: Store
) -> None:
    stage = entry.rollouts
    artifact, files = stage.artifact(store), []
    for g, first in enumerate(range(0, stage.contexts, stage.group)):
        block = samples[first : first + stage.group]
        frames = stored(block.reshape(-1, *block.shape[2:]), video)
        table = pa.table(
            {
                "clip_id": [name for name in ids[first : first + len(block)] for _ in range(stage.samples)],
                "sample": list(range(stage.samples)) * len(block),
                "frames": tensor_column(frames),
            }
        )
        files.append(artifact.write_table(f"part-{g:05d}.arrow", table))
    artifact.commit(
        files,
        title=entry.name,
        configuration=stage.configuration(),
        contexts=contexts,
        digest_of_samples=stage.digest,
        facts=dict(entry.facts),
        made=made(0.0),
    )
