"""Ingested data: which corpora a storage holds, and the key of one.

A corpus is one split of one data set, read once from files that somebody has on disk (`rollbench ingest`) and kept as a stage of
kind "corpus". Its key follows from the data set's value, which has the split, and from the listing: the relative names and sizes
of all source files. Where the source lies is no part of it, and a file that changes without changing its size is not noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from rollbench.spec import BadInput, canonical, key, plain
from rollbench.store import Store

KIND = "corpus"
VERSION = (
    1  # part of every corpus' key: raise it when the bytes that ingestion makes change, and say so in CHANGELOG.md
)
OWN = ("split", "frames")  # the fields in which a corpus may differ from the value that asks for it; see `find`


def listing(files: Iterable[tuple[str, int]]) -> str:
    """The digest of a source: the relative names of its files and their sizes in bytes, in any order."""
    return hashlib.sha256(canonical(sorted(files)).encode()).hexdigest()


def corpus_key(value: Any, listed: str) -> str:
    """The key of the corpus that a data set value makes from a source with this `listing`."""
    return key({"stage": KIND, "version": VERSION, "corpus": value, "source": listed})


def manifests(store: Store) -> Iterator[dict[str, Any]]:
    """The manifests of all finished corpora, in the order of their keys."""
    for name in store.keys(KIND):
        manifest = store.stage(KIND, name).manifest()
        if manifest is not None:
            yield manifest


def find(store: Store, value: Any) -> list[dict[str, Any]]:
    """The manifests of the finished corpora that serve `value`, of every split: alike in all fields, frames at least as many.

    Those with the fewest frames come first.
    """
    wanted = _identity(plain(value))
    found = [
        manifest
        for manifest in manifests(store)
        if _identity(manifest["corpus"]) == wanted and manifest["frames"] >= value.frames
    ]
    return sorted(found, key=lambda manifest: manifest["frames"])


def pair(store: Store, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifests of the training and the test corpus of `value`: equal in frames, its split apart.

    `value.tested` names the splits that can serve for the test, the preferred first. Raises BadInput where a side is missing, or
    where two sources have been ingested and nothing says which is meant.
    """
    found = find(store, value)
    for frames in dict.fromkeys(manifest["frames"] for manifest in found):
        sides = [
            next(filter(None, ([m for m in found if (m["frames"], m["split"]) == (frames, s)] for s in splits)), [])
            for splits in (("train",), value.tested)
        ]
        for side in sides:
            if len(side) > 1:
                keys = " and ".join(f"{m['key']} (of {m['source']})" for m in side[:2])
                raise BadInput(f"storage {store.root!r} holds two corpora for one split: {keys}; delete one of them")
        if all(sides):
            return sides[0][0], sides[1][0]
    there = sorted({manifest["split"] for manifest in found})
    missing = f"only the split {' and '.join(there)}" if there else "no corpus"
    raise BadInput(f"storage {store.root!r} holds {missing} of {_words(value)}; make it with `{value.command}`")


def _identity(fields: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in fields.items() if name not in OWN}, sort_keys=True)


def _words(value: Any) -> str:
    return f"{type(value).__name__}, {value.describe()}"
