"""Clips from files: videos, gifs, numpy archives, Arrow shards; streamed, in the order of names.

    .mp4 .mkv .mov .avi .webm .m4v .mpg .gif   one clip each; see `decode`
    folders of images                     one clip each, frames in the order of the numbers in their names
    .npy .npz                             frames [n, t, y, x, 3] or one clip [t, y, x, 3], under `frames` or as the only
                                          array; optionally clip_id [n] and sample [n]
    .arrow                                IPC file; columns clip_id, frames (fixed-shape tensor [t, y, x, 3]), optionally
                                          sample

A clip's id is its path without the ending, or clip_id. Ids tell which generated clip continues which real one. Several samples
of one clip have a column `sample`, or, if the reader is asked to read them so, names `<id>_s<number>`. Hidden files are left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from evaluators.base import UserError, as_clips, optional
from evaluators.containers import check_unpacked
from evaluators.decode import Unreadable, frames_of
from evaluators.listing import IMAGES, VIDEOS, images_of, media

ARRAYS = (".npy", ".npz", ".arrow")
KNOWN = (*VIDEOS, *ARRAYS)
_SAMPLE = re.compile(r"^(?P<id>.+)_s(?P<sample>\d+)$")


@dataclass(frozen=True)
class Clip:
    """frames [t, y, x, 3] uint8 (or float32 in [0, 1]) of one sample of the source clip `id`."""

    id: str
    sample: int
    frames: np.ndarray
    where: str = ""

    @property
    def pixels(self) -> str:
        return f"{self.frames.shape[2]}x{self.frames.shape[1]}"

    @property
    def size(self) -> str:
        return f"{len(self.frames)} frames of {self.pixels}"


@dataclass
class Reader:
    """Reads the clips under a folder, or of one file, each cut to `length` frames from `start` on, every `stride`-th.

    A clip that cannot be read, or is too short, is an error that names it; with `skip_bad` it is left out and its reason
    is added to `bad`.
    """

    path: str | Path
    length: int | None = None
    start: int = 0
    stride: int = 1
    skip_bad: bool = False
    samples: bool = False  # whether a name `<id>_s<number>` is a sample of the clip `id`
    bad: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Clip]:
        first: Clip | None = None
        self.bad.clear()
        for file in self.files():
            clips = self._clips(file)
            while True:
                try:
                    clip = next(clips)
                    clip = Clip(clip.id, clip.sample, self._cut(clip.frames, clip.where), clip.where)
                except StopIteration:
                    break
                except UserError as error:  # of a file, which ends its clips, or of one clip, which does not
                    if not self.skip_bad:
                        raise UserError(f"{error}; --skip-bad leaves such clips out and counts them") from None
                    self.bad.append(str(error))
                    continue
                first = first or clip
                if clip.frames.shape != first.frames.shape:
                    cut = clip.pixels == first.pixels
                    raise UserError(
                        f"{clip.where} has {clip.size} where {first.where} has {first.size}: "
                        f"the clips of one set must be alike ({'--clip cuts them to one length' if cut else 'resize them first'})"
                    )
                yield clip

    def files(self) -> list[Path]:
        """The files read, in the order of their names."""
        path = Path(self.path)
        if path.is_file():
            found = [path]
        elif path.is_dir():
            names = [PurePosixPath(name) for name, _ in media(path, ARRAYS)[0]]
            found = sorted({path / (name.parent if name.suffix.lower() in IMAGES else name) for name in names})
        else:
            raise UserError(f"{path} does not exist: a folder or file of clips is needed")
        if not found or not (found[0].is_dir() or found[0].suffix.lower() in KNOWN):
            raise UserError(f"{path} holds no clips: folders of images and files ending in {' '.join(KNOWN)} are read")
        self._check_unique([file for file in found if file.suffix.lower() not in ARRAYS])
        return found

    def notes(self) -> list[str]:
        """What a user should know before clips are read: files that are left out, and what names mean."""
        files = self.files()
        root = Path(self.path)
        notes = [f"{name} is left out: {reason}" for name, reason in (media(root, ARRAYS)[1] if root.is_dir() else [])]
        named = [file for file in files if _SAMPLE.match(self._id(file)) and file.suffix.lower() not in ARRAYS]
        if named:
            how = "are read as samples of one clip" if self.samples else "are clips of their own without --samples"
            notes.append(f"{len(named)} names like {named[0].name} {how}")
        return notes

    def _check_unique(self, files: list[Path]) -> None:
        first: dict[tuple[str, int], Path] = {}
        for file in files:
            other = first.setdefault(self._named(file), file)
            if other != file:
                raise UserError(f"{other} and {file} are one clip by their names: rename one of them")

    def ids(self) -> list[str] | None:
        """The id of every clip as far as names and headers tell; None where they do not, or where clips may be left out."""
        if self.skip_bad:
            return None
        try:
            return [clip_id for file in self.files() for clip_id in self._ids(file)]
        except UserError:  # reading the clips says in full what is wrong
            return None

    def _ids(self, file: Path) -> list[str]:
        """The ids of one file's clips, by its name or header. Raises BadInput where these do not tell them."""
        suffix = file.suffix.lower()
        if file.is_dir() or suffix in VIDEOS:
            return [self._named(file)[0]]
        if suffix == ".npy":
            return _numbered(self._id(file), _numpy(file)["frames"])
        if suffix == ".arrow":
            return _arrow_ids(file)
        raise UserError(f"{file} is an archive: its ids are known when it is read")

    def digest(self) -> str:
        """sha256 of the names and contents of all files and of how clips are cut from them."""
        found = hashlib.sha256(repr((self.length, self.start, self.stride)).encode())
        for file in self.files():
            found.update(self._id(file).encode())
            for part in images_of(file) if file.is_dir() else [file]:
                with part.open("rb") as stream:
                    found.update(hashlib.file_digest(stream, "sha256").digest())
        return found.hexdigest()

    def _id(self, file: Path) -> str:
        root = Path(self.path)
        name = file.relative_to(root) if root.is_dir() and file != root else Path(file.name)
        return (name if file.is_dir() else name.with_suffix("")).as_posix()

    def _named(self, file: Path) -> tuple[str, int]:
        """The id and the sample that the name of a video gives it."""
        named = _SAMPLE.match(self._id(file)) if self.samples else None
        return (named["id"], int(named["sample"])) if named else (self._id(file), 0)

    def _clips(self, file: Path) -> Iterator[Clip]:
        suffix = file.suffix.lower()
        if file.is_dir() or suffix in VIDEOS:
            yield Clip(*self._named(file), _decoded(file, self._needed()), str(file))
        elif suffix == ".arrow":
            yield from self._rows(file)
        else:
            yield from self._arrays(file)

    def _needed(self) -> int | None:
        return None if self.length is None else self.start + (self.length - 1) * self.stride + 1

    def _cut(self, frames: np.ndarray, where: str) -> np.ndarray:
        cut = frames[self.start : self._needed() : self.stride]
        if not len(cut) or (self.length is not None and len(cut) < self.length):
            raise UserError(f"{where} has {len(frames)} frames: {self._needed() or self.start + 1} are needed")
        return as_clips(cut[None], name=where)[0]

    def _arrays(self, file: Path) -> Iterator[Clip]:
        arrays = _numpy(file)
        frames = arrays["frames"]
        if frames.ndim not in (4, 5) or frames.shape[-1] != 3:
            raise UserError(
                f"{file} holds frames of shape {frames.shape}: [clips, frames, y, x, 3] is needed, colours last"
            )
        clips = frames[None] if frames.ndim == 4 else frames
        ids = arrays.get("clip_id", np.array(_numbered(self._id(file), frames)))
        ids, samples = np.atleast_1d(ids), _whole(arrays.get("sample", np.zeros(len(clips), np.int64)), file)
        if len(ids) != len(clips) or len(samples) != len(clips):
            raise UserError(
                f"{file} holds {len(clips)} clips, {len(ids)} ids and {len(samples)} samples: one each is needed"
            )
        for clip_id, sample, clip in zip(ids, samples, clips, strict=True):
            yield Clip(str(clip_id), sample, clip, f"{file}: clip {clip_id}")

    def _rows(self, file: Path) -> Iterator[Clip]:
        pa = optional("pyarrow", "reading Arrow shards", "pyarrow")
        try:
            with pa.memory_map(str(file)) as source:
                reader = pa.ipc.open_file(source)
                names = reader.schema.names
                if "clip_id" not in names or "frames" not in names:
                    raise UserError(f"{file} has columns {', '.join(names)}: clip_id and frames are needed")
                kind = reader.schema.field("frames").type
                if not isinstance(kind, pa.FixedShapeTensorType) or len(kind.shape) != 4:
                    raise UserError(f"{file} has frames of type {kind}: fixed-shape tensors [t, y, x, 3] are needed")
                for i in range(reader.num_record_batches):
                    batch = reader.get_batch(i)
                    batch.validate(full=True)  # offsets that point outside the file would crash to_pylist
                    ids = batch.column("clip_id").to_pylist()
                    samples = _whole(batch.column("sample").to_pylist(), file) if "sample" in names else [0] * len(ids)
                    frames = batch.column("frames").to_numpy_ndarray()
                    for clip_id, sample, clip in zip(ids, samples, frames, strict=True):
                        # A copy: the file is no longer mapped when the generator has ended.
                        yield Clip(str(clip_id), sample, clip.copy(), f"{file}: clip {clip_id}")
        except UserError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} cannot be read ({_line(error)})") from None


def _numbered(stem: str, frames: np.ndarray) -> list[str]:
    """The ids of a file's clips that have none of their own: frames [n, t, y, x, 3], or [t, y, x, 3] of a single one."""
    return [stem] if frames.ndim == 4 else [f"{stem}/{i:06d}" for i in range(len(frames))]


def _arrow_ids(file: Path) -> list[str]:
    """The column clip_id of an Arrow file; no other column is read."""
    pa = optional("pyarrow", "reading Arrow shards", "pyarrow")
    try:
        with pa.memory_map(str(file)) as source:
            place = pa.ipc.open_file(source).schema.get_field_index("clip_id")
            only = pa.ipc.IpcReadOptions(included_fields=[place])
            table = pa.ipc.open_file(source, options=only).read_all()
            table.validate(full=True)
            return [str(clip_id) for clip_id in table["clip_id"].to_pylist()]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({_line(error)})") from None


def _whole(samples: Any, file: Path) -> list[int]:
    """The numbers of samples, as a file has them."""
    try:
        return [int(sample) for sample in np.atleast_1d(samples)]
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{file} has samples that are no whole numbers: 0, 1, 2 ... are needed") from None


def _numpy(file: Path) -> dict[str, np.ndarray]:
    try:
        if file.suffix.lower() == ".npz":
            check_unpacked(file)
        loaded: Any = np.load(file, allow_pickle=False, mmap_mode="r" if file.suffix.lower() == ".npy" else None)
        if isinstance(loaded, np.ndarray):
            return {"frames": loaded}
        with loaded:
            names = loaded.files
            key = "frames" if "frames" in names else names[0] if len(names) == 1 else None
            if key is None:
                raise UserError(f"{file} holds arrays {', '.join(names)}: name the one with the clips `frames`")
            extra = {name: loaded[name] for name in ("clip_id", "sample") if name in names}
            return {"frames": loaded[key], **extra}
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, UserError):
            raise
        # What numpy takes for a pickle, and what it advises then, is no help to anyone.
        reason = "no array of numbers" if "pickle" in str(error) else _line(error)
        raise UserError(f"{file} cannot be read ({reason})") from None
    except Exception as error:  # zipfile's and zlib's own, for a torn archive
        raise UserError(f"{file} cannot be read ({_line(error)})") from None


def _decoded(file: Path, needed: int | None) -> np.ndarray:
    """The first `needed` frames (all if None), RGB uint8 [t, y, x, 3], upright, neither cropped nor scaled."""
    optional("av", "reading videos", "av")
    try:
        frames = frames_of(file, images_of(file) if file.is_dir() else (), needed)
    except Unreadable as reason:
        link = " " if str(reason).startswith(("cannot ", "is ")) else ": "
        raise UserError(f"{file}{link}{reason}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({_line(error)})") from None
    if not frames:
        raise UserError(f"{file} holds no frames")
    if len({frame.shape for frame in frames}) > 1:
        raise UserError(f"{file} changes its size on the way")
    return np.stack(frames)


def _line(error: Exception) -> str:
    words = str(error).strip().splitlines()
    return words[0] if words else type(error).__name__
