"""Where finished work lies: one folder per stage, addressed by its content key, on any pyarrow filesystem.

    <root>/<kind>/<key>/part-00000.arrow …        the stage's files, each written whole or not at all
    <root>/<kind>/<key>/part-00000.arrow.receipt  bytes, sha256 and facts about the file (what a resumed stage reads)
    <root>/<kind>/<key>/manifest.json             the receipts together and what made them; written last, so it is the done marker

A folder without a manifest is unfinished work, and whatever it holds of value has a receipt. The digest of a stage is the sha256
of its files' hashes in the order of their names: two runs agree on the digest exactly when they agree on every byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import fs as pafs

from rollbench.spec import BadInput

SCHEMA_VERSION = 1
MANIFEST, RECEIPT = "manifest.json", ".receipt"
REHASH_BYTES = (
    8 << 30
)  # `problems` re-reads a stage up to this size; beyond it sizes are compared, and hashes as files are read


class Damaged(Exception):
    """A stored file differs from its receipt: names the file and what is wrong. The stage must be made again."""


def sha256(data: bytes | memoryview | pa.Buffer) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Store:
    """The root of all stages: a local path or a URI of pyarrow's (`s3://bucket/path`, `gs://…`)."""

    root: str

    @cached_property
    def _opened(self) -> tuple[pafs.FileSystem, str]:
        try:
            if "://" in self.root:
                return pafs.FileSystem.from_uri(self.root)
            return pafs.LocalFileSystem(), str(Path(self.root).expanduser().absolute())
        except (pa.ArrowInvalid, OSError) as error:
            raise BadInput(
                f"storage {self.root!r} cannot be opened ({error}); use a folder or s3://bucket/path"
            ) from None

    @property
    def filesystem(self) -> pafs.FileSystem:
        return self._opened[0]

    @property
    def path(self) -> str:
        return self._opened[1]

    @property
    def local(self) -> bool:
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    def stage(self, kind: str, key: str) -> Stage:
        return Stage(self, kind, key)

    def keys(self, kind: str) -> list[str]:
        """The keys of all stages of a kind, finished or not, in order."""
        selector = pafs.FileSelector(f"{self.path}/{kind}", allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in found if info.type == pafs.FileType.Directory)

    def forget(self, folder: str) -> None:
        """Delete a folder that is no stage (Ray's notes of a run), by its full path or URI, if it is there."""
        path = folder if self.local else self.path + folder.removeprefix(self.root.rstrip("/"))
        if self.filesystem.get_file_info(path).type == pafs.FileType.Directory:
            self.filesystem.delete_dir(path)

    def check_writable(self) -> None:
        """Write and delete a small file, so that an unwritable storage is known before any work starts."""
        probe = f"{self.path}/.probe-{uuid.uuid4().hex}"
        try:
            self.filesystem.create_dir(self.path, recursive=True)
            with self.filesystem.open_output_stream(probe) as out:
                out.write(b"rollbench")
            self.filesystem.delete_file(probe)
        except OSError as error:
            raise BadInput(
                f"storage {self.root!r} cannot be written ({error}); choose another with --storage"
            ) from None

    def check_space(self, needed: int) -> None:
        """Refuse a plan that needs more bytes than the disk has free; object stores have no such limit."""
        if not self.local:
            return
        free = os.statvfs(self.path)
        available = free.f_bavail * free.f_frsize
        if needed > available:
            raise BadInput(
                f"the plan needs {needed / 1e9:.1f} GB but storage {self.root!r} has {available / 1e9:.1f} GB free; "
                "use a smaller --scale or another --storage"
            )


@dataclass(frozen=True)
class Stage:
    """The folder of one stage: `kind` says what it holds, `key` what it was made from."""

    store: Store
    kind: str
    key: str

    @property
    def path(self) -> str:
        return f"{self.store.path}/{self.kind}/{self.key}"

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"

    # --- writing -------------------------------------------------------------------------------------------------------------
    def write(self, name: str, data: bytes | pa.Buffer, **facts: Any) -> dict[str, Any]:
        """Write a file and then its receipt; returns the receipt {name, bytes, sha256, **facts}."""
        receipt = {"name": name, "bytes": len(data), "sha256": sha256(data), **facts}
        self._put(name, data)
        self._put(f"{name}{RECEIPT}", json.dumps(receipt, sort_keys=True).encode())
        return receipt

    def write_table(self, name: str, table: pa.Table, **facts: Any) -> dict[str, Any]:
        """Write an Arrow IPC file, uncompressed so that it can be read without a copy; see `write`."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return self.write(name, sink.getvalue(), rows=table.num_rows, **facts)

    def publish(self, receipts: Iterable[Mapping[str, Any]], **facts: Any) -> dict[str, Any]:
        """Mark the stage as done: the manifest is the last file written. Returns it."""
        files = sorted((dict(r) for r in receipts), key=lambda r: r["name"])
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "key": self.key,
            "digest": sha256("".join(f["sha256"] for f in files).encode()),
            "files": files,
            **facts,
        }
        self._put(MANIFEST, json.dumps(manifest, sort_keys=True, indent=1).encode())
        return manifest

    def _put(self, name: str, data: bytes | pa.Buffer) -> None:
        """One file, whole or not at all: object stores do that by themselves, elsewhere a rename does."""
        filesystem, target = self.store.filesystem, f"{self.path}/{name}"
        temporary = f"{self.path}/.{name}.{uuid.uuid4().hex}" if self.store.local else target
        filesystem.create_dir(self.path, recursive=True)
        try:
            with filesystem.open_output_stream(temporary) as out:
                out.write(data)
            if temporary != target:
                os.replace(temporary, target)
        except OSError:
            if temporary != target:
                Path(temporary).unlink(missing_ok=True)  # a full disk needs its room back
            raise

    def remove(self) -> None:
        if self.exists():
            self.store.filesystem.delete_dir(self.path)

    def reopen(self, damaged: Iterable[str]) -> None:
        """Make a finished stage unfinished again and drop its damaged files, so that only those are made anew."""
        for name in (MANIFEST, *(part for file in damaged for part in (file, file + RECEIPT))):
            path = f"{self.path}/{name}"
            if self.store.filesystem.get_file_info(path).type == pafs.FileType.File:
                self.store.filesystem.delete_file(path)

    # --- reading -------------------------------------------------------------------------------------------------------------
    def exists(self) -> bool:
        return self.store.filesystem.get_file_info(self.path).type == pafs.FileType.Directory

    def manifest(self) -> dict[str, Any] | None:
        """What the stage holds, or None while it is unfinished."""
        return self._json(MANIFEST)

    def receipts(self) -> dict[str, dict[str, Any]]:
        """The receipts of the files written so far whose files are still there at the right size: what a resumed stage keeps."""
        if not self.exists():
            return {}
        found = self.store.filesystem.get_file_info(pafs.FileSelector(self.path))
        sizes = {info.base_name: info.size for info in found}
        names = [name for name in sizes if name.endswith(RECEIPT) and not name.startswith(".")]
        receipts = [
            r for r in (self._json(name) for name in names) if r is not None and sizes.get(r["name"]) == r["bytes"]
        ]
        return {r["name"]: r for r in receipts}

    def _json(self, name: str) -> dict[str, Any] | None:
        if self.store.filesystem.get_file_info(f"{self.path}/{name}").type != pafs.FileType.File:
            return None
        with self.store.filesystem.open_input_stream(f"{self.path}/{name}") as source:
            try:
                value = json.loads(source.read())
            except ValueError:
                return None
        return value if isinstance(value, dict) else None

    def read(self, receipt: Mapping[str, Any]) -> pa.Buffer:
        """A file's bytes, checked against its receipt; memory-mapped where the storage is local. Raises Damaged."""
        path = f"{self.path}/{receipt['name']}"
        try:
            if self.store.local:
                data = pa.memory_map(path).read_buffer()
            else:
                with self.store.filesystem.open_input_file(path) as source:
                    data = source.read_buffer()
        except FileNotFoundError:
            raise Damaged(f"{path} is missing") from None
        if len(data) != receipt["bytes"]:
            raise Damaged(f"{path} has {len(data)} bytes where its receipt says {receipt['bytes']}")
        if sha256(data) != receipt["sha256"]:
            raise Damaged(f"{path} has another sha256 than its receipt")
        return data

    def read_table(self, receipt: Mapping[str, Any]) -> pa.Table:
        return pa.ipc.open_file(pa.BufferReader(self.read(receipt))).read_all()

    def tables(self) -> Iterable[pa.Table]:
        """Every Arrow file of a finished stage, in the order of names."""
        manifest = self.manifest()
        if manifest is None:
            raise Damaged(f"{self.path} is unfinished: it has no {MANIFEST}")
        return (self.read_table(f) for f in manifest["files"] if f["name"].endswith(".arrow"))

    def damage(self) -> dict[str, str]:
        """The damaged files of a finished stage and what is wrong with each: missing, a wrong size or (up to `REHASH_BYTES`) hash."""
        manifest = self.manifest()
        if manifest is None:
            return {MANIFEST: f"{self.path}/{MANIFEST} cannot be read"}
        found: dict[str, str] = {}
        rehash = sum(f["bytes"] for f in manifest["files"]) <= REHASH_BYTES
        for receipt in manifest["files"]:
            info = self.store.filesystem.get_file_info(f"{self.path}/{receipt['name']}")
            if info.type != pafs.FileType.File:
                found[receipt["name"]] = f"{info.path} is missing"
            elif info.size != receipt["bytes"]:
                found[receipt["name"]] = f"{info.path} has {info.size} bytes where the manifest says {receipt['bytes']}"
            elif rehash:
                try:
                    self.read(receipt)
                except Damaged as damaged:
                    found[receipt["name"]] = str(damaged)
        return found


def tensor_column(array: np.ndarray) -> pa.Array:
    """An array [rows, …] as an Arrow column of fixed-shape tensors."""
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(array))


def tensor_of(table: pa.Table, column: str) -> np.ndarray:
    """A fixed-shape tensor column back as an array [rows, …]; without a copy where the column is one chunk."""
    chunks: Sequence[Any] = table.column(column).chunks
    arrays = [chunk.to_numpy_ndarray() for chunk in chunks]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
