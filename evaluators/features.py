"""Feature vectors of a set of clips, with all that made them; kept in a file, so that a new protocol or interval needs no
second pass through a network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.base import Extractor, UserError
from evaluators.moments import Moments
from evaluators.videos import Clip


@dataclass(frozen=True)
class Features:
    """vectors [n, d] of n clips: ids and samples [n], the extractor and resize that made them, frames scored per clip.

    Rows are in the order of (id, sample), so that nothing depends on the order in which clips came. `bad` lists the clips left
    out, each with its reason; `size` tells the clips' pixels, "64x48" of x by y, where it is known.
    """

    vectors: np.ndarray
    ids: tuple[str, ...]
    samples: tuple[int, ...]
    extractor: str
    resize: str
    frames: int
    bad: tuple[str, ...] = ()
    size: str = ""

    def __post_init__(self) -> None:
        keys = list(zip(self.ids, self.samples, strict=True))
        if len(keys) != len(self.vectors):
            raise ValueError(f"{len(self.vectors)} vectors of {len(keys)} clips: one each is needed")
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UserError(
                f"clip {twice[0]} sample {twice[1]} exists twice: name samples <id>_s<number> and pass --samples"
            )
        order = sorted(range(len(keys)), key=keys.__getitem__)
        if order != list(range(len(keys))):
            object.__setattr__(self, "vectors", self.vectors[order])
            object.__setattr__(self, "ids", tuple(self.ids[i] for i in order))
            object.__setattr__(self, "samples", tuple(self.samples[i] for i in order))

    def __len__(self) -> int:
        return len(self.vectors)

    @classmethod
    def merged(cls, parts: Sequence[Features]) -> Features:
        """The features of all parts, at least one: what actors found, put together."""
        first = parts[0]
        for part in parts:
            if not part.fits(first):
                raise UserError(f"features of {first.made} and of {part.made} cannot be put together")
        ids, samples, bad = (
            tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in ("ids", "samples", "bad")
        )
        vectors = np.concatenate([part.vectors for part in parts])
        return cls(vectors, ids, samples, first.extractor, first.resize, first.frames, bad, first.size)

    def __add__(self, other: Features) -> Features:
        return Features.merged([self, other])

    @property
    def made(self) -> str:
        """What made them, in words."""
        return f"{self.extractor}, resize {self.resize}, {self.frames} frames" + (
            f" of {self.size}" if self.size else ""
        )

    def fits(self, other: Features) -> bool:
        """Whether both were made alike; a size that is not known fits every other."""
        facts = [(part.extractor, part.resize, part.frames) for part in (self, other)]
        return facts[0] == facts[1] and len({self.size, other.size} - {""}) < 2

    def moments(self) -> Moments:
        return Moments.of(self.vectors)

    def save(self, path: str | Path) -> None:
        """Write an .npz, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = json.dumps([self.extractor, self.resize, self.frames, list(self.bad), self.size])
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("wb") as file:
            np.savez(file, vectors=self.vectors, ids=np.array(self.ids, dtype=np.str_), samples=np.array(self.samples),
                     facts=np.array(facts))  # fmt: skip
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: str | Path) -> Features:
        """Read what `save` wrote."""
        try:
            with np.load(path, allow_pickle=False) as file:
                extractor, resize, frames, bad, size = json.loads(str(file["facts"]))
                ids, samples = file["ids"].tolist(), file["samples"].tolist()
                return cls(file["vectors"], tuple(ids), tuple(samples), extractor, resize, frames, tuple(bad), size)
        except Exception as error:  # zipfile's, zlib's and numpy's own, for a torn archive
            raise UserError(f"features {path} cannot be read ({error})") from None


def extract(extractor: Extractor, how: str, clips: Iterable[Clip], batch: int = 8) -> Features:
    """The features of a stream of clips, holding `batch` of them at a time."""
    vectors: list[np.ndarray] = []
    names: list[tuple[str, int]] = []
    waiting: list[Clip] = []
    first: Clip | None = None

    def flush() -> None:
        if waiting:
            vectors.append(extractor.features(np.stack([clip.frames for clip in waiting])))
            names.extend((clip.id, clip.sample) for clip in waiting)
            waiting.clear()

    for clip in clips:
        first = first or clip
        if clip.frames.shape != first.frames.shape:
            raise UserError(f"clip {clip.id} has {clip.size} where others have {first.size}: make them alike")
        waiting.append(clip)
        if len(waiting) == batch:
            flush()
    flush()
    if first is None:
        raise UserError("no clip could be read" + "".join(f"; {reason}" for reason in getattr(clips, "bad", [])[:1]))
    ids, samples = zip(*names, strict=True)
    bad: Any = getattr(clips, "bad", ())
    return Features(
        np.concatenate(vectors), ids, samples, extractor.identity, how, len(first.frames), tuple(bad), first.pixels
    )
