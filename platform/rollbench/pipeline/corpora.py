"""Ingested data: which corpora a storage holds, and the key of one.

A corpus is one split of one data set, read once from files that somebody has on disk (`rollbench ingest`) and kept as a stage of
kind "corpus". Its key follows from the data set's value, which has the split, and from the listing: the relative names, sizes and
fingerprints of all source files (`datasets.files.base.fingerprint`). The path of the source is not part of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from rollbench.config.canonical import canonical, key, to_plain
from rollbench.errors import UserError
from rollbench.store.artifact import Artifact, Store

KIND = "corpus"
VERSION = 1  # part of every key: raise it when the bytes that ingestion makes change, and say so in CHANGELOG.md
# How work is cut, part of what VERSION stands for: a worker's memory stays small whatever the corpus, and there is work for many.
SHARD_BYTES, LEAST_SHARDS = 32 << 20, 64
OWN = ("split", "frames")  # the fields in which a corpus may differ from the value that asks for it; see `find`


class Missing(UserError):
    """What was ingested does not serve; the message has the command that makes what does."""


def listing(files: Iterable[tuple[str, int, str]]) -> str:
    """The digest of a source: the relative names of its files, their sizes in bytes and their fingerprints, in any order."""
    return hashlib.sha256(canonical(sorted(files)).encode()).hexdigest()


def configuration(value: Any, listed: str) -> dict[str, Any]:
    """What the key of a corpus is the hash of: the data set, and the `listing` of the source that it reads."""
    return {"stage": KIND, "version": VERSION, "corpus": to_plain(value), "source": listed}


def corpus_key(value: Any, listed: str) -> str:
    """The key of the corpus that a data set makes from a source with this `listing`."""
    return key(configuration(value, listed))


@dataclass(frozen=True)
class CorpusStage:
    """A corpus to be made: the data set's value, and what it has listed of a source (`datasets.source.Source`)."""

    value: Any
    source: Any

    @classmethod
    def of(cls, value: Any, root: str | Path) -> Self:
        """Looks at the source's names, sizes and headers. Raises UserError for what is no source of `value`."""
        return cls(value, value.listed(Path(os.path.expanduser(root)).absolute()))

    @cached_property
    def listing(self) -> str:
        return listing(self.source.files)

    @cached_property
    def key(self) -> str:
        return corpus_key(self.value, self.listing)

    def artifact(self, store: Store) -> Artifact:
        return store.artifact(KIND, self.key)

    @property
    def title(self) -> str:
        return f"{self.value.cli_name} {self.value.split}"

    @property
    def item_bytes(self) -> int:
        """What an item takes at most when it is stored."""
        one = math.prod(self.source.shape) * (1 if self.value.kind == "video" else 4)
        return int(one * self.value.frames * self.source.clips)

    def expected(self) -> dict[str, Any]:
        """What its manifest will say, as far as names and headers tell: the most clips there can be, a nominal frame interval."""
        value, source = self.value, self.source
        return {
            "key": self.key,
            "corpus": to_plain(value),
            "description": f"{value.describe()}, to be ingested from {source.root}",
            "clips": len(source.items) * source.clips,
            "kind": value.kind,
            "frame_shape": list(source.shape),
            "frames": value.frames,
            "frame_interval": value.frame_interval,
            "channels": [{"name": name, "unit": unit} for name, unit in source.channels],
        }

    def shards(self) -> list[dict[str, str]]:
        """The units of work: each a fixed range of the items, as the file's name and the items as JSON."""
        items = self.source.items
        count = max(1, min(SHARD_BYTES // self.item_bytes, math.ceil(len(items) / LEAST_SHARDS)))
        return [
            {
                "name": f"part-{n:05d}.arrow",
                "items": json.dumps([[item.name, *item.at] for item in items[start : start + count]]),
            }
            for n, start in enumerate(range(0, len(items), count))
        ]


def manifests(store: Store) -> Iterator[dict[str, Any]]:
    """The manifests of all finished corpora, in the order of their keys."""
    for name in store.keys(KIND):
        manifest = store.artifact(KIND, name).manifest()
        if manifest is not None:
            yield manifest


def find(store: Store, value: Any) -> list[dict[str, Any]]:
    """The manifests of the finished corpora that serve `value`, of every split: alike in all fields, frames at least as many.

    Those with the fewest frames come first.
    """
    wanted = _identity(to_plain(value))
    found = [
        manifest
        for manifest in manifests(store)
        if _identity(manifest["corpus"]) == wanted and manifest["frames"] >= value.frames
    ]
    return sorted(found, key=lambda manifest: manifest["frames"])


def pair(store: Store, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifests of the training and the test corpus of `value`: equal in frames, its split apart.

    `value.test_splits` names the splits that can serve for the test, the preferred first. Raises Missing where a side is, and UserError
    where two sources have been ingested and nothing says which is meant.
    """
    found = find(store, value)
    for frames in dict.fromkeys(manifest["frames"] for manifest in found):
        sides = [
            next(filter(None, ([m for m in found if (m["frames"], m["split"]) == (frames, s)] for s in splits)), [])
            for splits in (("train",), value.test_splits)
        ]
        for side in sides:
            if len(side) > 1:
                keys = " and ".join(f"{m['key']} (of {m['source']})" for m in side[:2])
                raise UserError(f"storage {str(store)!r} holds two corpora for one split: {keys}; delete one of them")
        if all(sides):
            return sides[0][0], sides[1][0]
    there = sorted({manifest["split"] for manifest in found})
    missing = f"only the split {' and '.join(there)}" if there else "no corpus"
    raise Missing(f"storage {str(store)!r} holds {missing} of {_words(value)}; make it with `{value.command}`")


def remedy(artifact: Artifact) -> str:
    """What mends a damaged corpus, as the end of an error's line; nothing for a stage of another kind, which its table makes again."""
    if artifact.kind != KIND:
        return ""
    command = (artifact.manifest() or {}).get("command", "rollbench ingest …")
    return f"; mend it with `{command} --storage {artifact.store}`, which makes again what is damaged"


def check(store: Store, *keys: str) -> None:
    """Refuse damaged corpora with the command that mends them."""
    for name in keys:
        artifact = store.artifact(KIND, name)
        damage = list(artifact.damage().values())
        if damage:
            more = f" and {len(damage) - 1:,} more files are damaged" if damage[1:] else ""
            raise UserError(f"{damage[0]}{more}{remedy(artifact)}")


def constant_channels(manifest: Mapping[str, Any]) -> list[str]:
    """The channels of a corpus that have one value everywhere. None of a video, whose pixels have a scale of their own."""
    if manifest["kind"] == "video" or "std" not in manifest:
        return []
    statistics = zip(manifest["channels"], manifest["mean"], manifest["std"], strict=True)
    return [channel["name"] for channel, mean, std in statistics if std <= 1e-12 * abs(mean)]


def summary(manifest: dict[str, Any]) -> str:
    """A finished corpus in one line."""
    size, bad = sum(file["bytes"] for file in manifest["files"]), len(manifest["quarantined"])
    clips = "1 clip" if manifest["clips"] == 1 else f"{manifest['clips']:,} clips"
    left = f"; {bad:,} left out, see `rollbench inspect {manifest['key']}`" if bad else ""
    constant = " ".join(constant_channels(manifest))
    left += f"; channel {constant} is constant: no network can be trained on it" if constant else ""
    return (
        f"{KIND}/{manifest['key']}: {clips} for {manifest['split']}, {manifest['description']}, "
        f"{size / 1e6:,.1f} MB{left}"
    )


def _identity(fields: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in fields.items() if name not in OWN}, sort_keys=True)


def _words(value: Any) -> str:
    return f"{type(value).__name__}, {value.describe()}"
