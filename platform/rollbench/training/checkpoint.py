"""Checkpoints: a folder `step-00000120/` with tensors (safetensors), facts (JSON) and their sha256; never a pickle.

A folder is written under another name, synced, and renamed, so it is there whole or not at all. On reading,
`SHA256SUMS` (the format of `sha256sum -c`) is checked first; a damaged checkpoint is named in a warning and the one
before it is used.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

TENSORS, FACTS, SUMS = "tensors.safetensors", "facts.json", "SHA256SUMS"
FINAL, PARTIAL = "final", ".partial-"
LEFT = 600.0  # seconds; a writer that lives adds to its files all the time


class Damaged(ValueError):
    """A checkpoint whose content is not what was written."""


def save(folder: Path, name: str, tensors: dict[str, Tensor], facts: dict[str, Any]) -> Path:
    """Write `folder/name` atomically: tensors, JSON facts and their checksums. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    partial = folder / f"{PARTIAL}{uuid.uuid4().hex}"  # a frozen trainer may thaw beside its successor
    partial.mkdir()
    try:
        _write(partial, tensors, facts)
        _replace(target, partial)
    except (OSError, SafetensorError) as error:
        size = sum(value.nbytes for value in tensors.values())
        raise OSError(f"checkpoint {target} ({size:,} bytes) cannot be written: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _sync(folder)
    sweep(folder)
    return target


def _replace(target: Path, partial: Path) -> None:
    """Rename a folder over another. Two writers of one step may both find none there: the later one tries again."""
    for last in (False, False, True):
        shutil.rmtree(target, ignore_errors=True)
        try:
            partial.rename(target)
            return
        except OSError as error:
            if last or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def sweep(folder: Path) -> None:
    """Delete what writers have left that died: partial checkpoints in which nothing has changed for `LEFT` seconds."""
    now = folder.stat().st_mtime  # by the clock of the storage, which is another machine's where it is shared
    for partial in folder.glob(f"{PARTIAL}*"):
        with contextlib.suppress(FileNotFoundError):
            if now - max(path.stat().st_mtime for path in (partial, *partial.iterdir())) > LEFT:
                shutil.rmtree(partial, ignore_errors=True)


def _write(folder: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, folder / TENSORS)
    (folder / FACTS).write_text(json.dumps(facts, indent=1, allow_nan=False))
    sums = "".join(f"{_sha256(folder / file)}  {file}\n" for file in (TENSORS, FACTS))
    (folder / SUMS).write_text(sums)
    for path in (*folder.iterdir(), folder):
        _sync(path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and facts of a checkpoint. Raises Damaged, naming the file, if a checksum differs."""
    try:
        lines = (path / SUMS).read_text().splitlines()
        sums = {file: digest for digest, file in (line.split("  ") for line in lines)}
        for file in (TENSORS, FACTS):
            if sums.get(file) != _sha256(path / file):
                raise Damaged(f"{path / file}: differs from its checksum")
        return load_file(path / TENSORS), json.loads((path / FACTS).read_text())
    except (OSError, UnicodeDecodeError, ValueError, SafetensorError) as error:
        raise error if isinstance(error, Damaged) else Damaged(f"{path}: cannot be read ({error})") from error


def save_step(folder: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], keep: int = 2) -> Path:
    """Write the checkpoint of `step` and remove all but the last `keep`."""
    path = save(folder, f"step-{step:08d}", tensors, facts)
    for old in _steps(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def load_latest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest whole checkpoint, or None. Each damaged one that is passed over is named in a warning."""
    for path in reversed(_steps(folder)):
        try:
            return load(path)
        except Damaged as error:
            warnings.warn(f"damaged checkpoint passed over: {error}", stacklevel=2)
    return None


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
