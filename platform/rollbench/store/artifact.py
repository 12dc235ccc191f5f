"""Where finished work lies: one folder per stage, addressed by its content key, on any pyarrow filesystem.

    <root>/<kind>/<key>/part-00000.arrow …        the stage's files, each written whole or not at all
    <root>/<kind>/<key>/part-00000.arrow.receipt  bytes, sha256 and facts about the file (what a resumed stage reads)
    <root>/<kind>/<key>/manifest.json             the receipts together and what made them; written last, so it is the done marker
    <root>/<kind>/<key>/part-00000.arrow.damaged  left by a reader whom the file of a finished stage did not give what the manifest says

A folder without a manifest is unfinished work, and whatever it holds of value has a receipt. The digest of a stage is the sha256
of its files' hashes in the order of their names: two runs agree on the digest exactly when they agree on every byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from pyarrow import fs as pafs

from rollbench.errors import UserError
from rollbench.store import node_cache
from rollbench.store.filesystem import Storage, StorageError, ignore_missing
from rollbench.store.manifest import SCHEMA_VERSION, Damaged, compare, is_manifest, opened, plain_name, sealed, sha256
from rollbench.store.redact import short_message
from rollbench.store.tensors import write_ipc

MANIFEST, RECEIPT, MARK = "manifest.json", ".receipt", ".damaged"
# `damage` re-reads an artifact up to this size; beyond it, it compares sizes and re-reads the files that a reader has marked.
REHASH_LOCAL, REHASH_REMOTE = 8 << 30, 256 << 20
TOGETHER = 16  # requests to an object store at a time
CHUNK = 8 << 20  # bytes of a file that is fetched piece by piece


class Store(Storage):
    """The stages of a place, by kind and key."""

    def artifact(self, kind: str, key: str) -> Artifact:
        return Artifact(self, kind, key)

    def keys(self, kind: str) -> list[str]:
        """The keys of all stages of a kind, finished or not, in order."""
        selector = pafs.FileSelector(f"{self.path}/{kind}", allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in found if info.type == pafs.FileType.Directory)


@dataclass(frozen=True)
class Artifact:
    """The folder of one stage: `kind` says what it holds, `key` what it was made from."""

    store: Store
    kind: str
    key: str

    def __post_init__(self) -> None:
        plain_name(self.kind)
        plain_name(self.key)

    @property
    def path(self) -> str:
        return f"{self.store.path}/{self.kind}/{self.key}"

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"

    # --- writing -------------------------------------------------------------------------------------------------------------
    def write(self, name: str, data: bytes | pa.Buffer, **facts: Any) -> dict[str, Any]:
        """Write a file and then its receipt, sealed; returns the receipt {name, bytes, sha256, **facts}."""
        receipt = {"name": plain_name(name), "bytes": len(data), "sha256": sha256(data), **facts}
        self.put(name, data)
        self.put(f"{name}{RECEIPT}", json.dumps(sealed(receipt), sort_keys=True).encode())
        return receipt

    def write_table(self, name: str, table: pa.Table, **facts: Any) -> dict[str, Any]:
        """Write an Arrow IPC file, uncompressed so that it can be read without a copy; see `write`."""
        # Measured first: a buffer that grows is copied each time it does.
        data = pa.allocate_buffer(write_ipc(table, pa.MockOutputStream()).size())
        write_ipc(table, pa.FixedSizeBufferWriter(data))
        return self.write(name, data, rows=table.num_rows, **facts)

    def commit(self, receipts: Iterable[Mapping[str, Any]], **facts: Any) -> dict[str, Any]:
        """Mark the stage as done: the manifest is the last file written. Returns it."""
        files = sorted((dict(r) for r in receipts), key=lambda r: r["name"])
        digest = sha256("".join(f["sha256"] for f in files).encode())
        named = {"schema_version": SCHEMA_VERSION, "kind": self.kind, "key": self.key}
        manifest = sealed({**named, "digest": digest, "files": files, **facts})
        self.put(MANIFEST, json.dumps(manifest, sort_keys=True, indent=1).encode())
        return manifest

    def put(self, name: str, data: bytes | pa.Buffer) -> None:
        """One file, whole or not at all: object stores do that by themselves, elsewhere a rename does."""
        filesystem, target = self.store.filesystem, f"{self.path}/{name}"
        with self.store.wrap_errors("write", target, len(data)):
            if not self.store.local:
                with filesystem.open_output_stream(target) as out:
                    out.write(data)
                return
            temporary = f"{self.path}/.{name}.{uuid.uuid4().hex}"
            filesystem.create_dir(self.path, recursive=True)
            try:
                with filesystem.open_output_stream(temporary) as out:
                    out.write(data)
                os.replace(temporary, target)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise

    def create_exclusive(self, name: str, data: bytes) -> bool:
        """Write a small file unless there is one: whether it was written. On an object store two at the same moment both hear yes."""
        target = f"{self.path}/{name}"
        with self.store.wrap_errors("write", target, len(data)):
            if not self.store.local:
                if self.get(name) is not None:
                    return False
                self.put(name, data)
                return True
            self.store.filesystem.create_dir(self.path, recursive=True)
            try:
                with open(target, "xb") as out:
                    out.write(data)
            except FileExistsError:
                return False
            return True

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        with self.store.wrap_errors("delete", f"{self.path}/{name}"), contextlib.suppress(FileNotFoundError):
            self.store.filesystem.delete_file(f"{self.path}/{name}")

    def remove(self) -> None:
        with self.store.wrap_errors("delete", self.path), contextlib.suppress(FileNotFoundError):
            if self.exists():
                self.store.filesystem.delete_dir(self.path)

    def invalidate(self, damaged: Iterable[str]) -> None:
        """Make a finished stage unfinished again and drop its damaged files, so that only those are made anew."""
        for name in (MANIFEST, *(part for file in damaged for part in (file, file + RECEIPT, file + MARK))):
            self.delete(plain_name(name))

    # --- reading -------------------------------------------------------------------------------------------------------------
    def exists(self) -> bool:
        with self.store.wrap_errors("read", self.path):
            return self.store.filesystem.get_file_info(self.path).type == pafs.FileType.Directory

    def manifest(self) -> dict[str, Any] | None:
        """What the stage holds, or None while it is unfinished. Raises UserError for one of a newer version of this project."""
        manifest = self._json(MANIFEST)
        if manifest is None or not is_manifest(manifest):
            return None
        if manifest["schema_version"] > SCHEMA_VERSION:
            raise UserError(
                f"{self.path}/{MANIFEST} has schema version {manifest['schema_version']}, and this version of Rollbench reads up to "
                f"{SCHEMA_VERSION}; use a newer one, or another --storage"
            )
        return manifest

    def receipts(self, *facts: str, on_damage: Callable[[str], None] = lambda _: None) -> dict[str, dict[str, Any]]:
        """The receipts, with these facts, of the files written so far that are still there at the right size.

        on_damage: called with the name of each file whose receipt is not whole; it counts as missing.
        """
        sizes = self._sizes()
        names = [name.removesuffix(RECEIPT) for name in sizes if name.endswith(RECEIPT) and not name.startswith(".")]
        read = [self._receipt(name) for name in names] if self.store.local else self._together(self._receipt, names)
        for name in (name for name, receipt in zip(names, read, strict=True) if receipt is None):
            on_damage(name)
        whole = [r for r in read if r is not None and sizes.get(r["name"]) == r["bytes"]]
        return {r["name"]: r for r in whole if r.keys() >= set(facts)}

    def _receipt(self, name: str) -> dict[str, Any] | None:
        receipt = opened(self._json(f"{name}{RECEIPT}") or {})
        return receipt if receipt and receipt["name"] == name else None

    def _sizes(self) -> dict[str, int]:
        """The files of the stage and their sizes."""
        with self.store.wrap_errors("list", self.path):
            found = self.store.filesystem.get_file_info(pafs.FileSelector(self.path, allow_not_found=True))
        return {info.base_name: info.size for info in found if info.type == pafs.FileType.File}

    @staticmethod
    def _together(function: Any, items: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(TOGETHER) as pool:
            return list(pool.map(function, items))

    def get(self, name: str) -> bytes | None:
        """The bytes of a small file, or None where there is none."""
        path = f"{self.path}/{name}"
        with self.store.wrap_errors("read", path), ignore_missing():
            with self.store.filesystem.open_input_stream(path) as source:
                return bytes(source.read())
        return None

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            value = json.loads(self.get(name) or b"")
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def read(self, receipt: Mapping[str, Any], *, cache: bool = False) -> pa.Buffer:
        """A file's bytes, checked against its receipt; memory-mapped where the storage is local. Raises Damaged, and sees to it that the
        next run makes the file anew.

        keep: what is read again and again comes from an object store once a node, and is mapped from its disk (see `cache`).
        """
        try:
            if cache and not self.store.local:
                fetch = partial(self._chunks, receipt)
                return node_cache.open_cached(plain_name(receipt["sha256"]), receipt["bytes"], fetch)
            return self._checked(receipt)
        except Damaged:
            self.mark_damaged(receipt)
            raise

    def mark_damaged(self, receipt: Mapping[str, Any]) -> None:
        """Mark a damaged file of a finished stage, take its receipt from one of an unfinished: unless it was written anew meanwhile."""
        name = receipt["name"]
        with contextlib.suppress(StorageError, UserError):
            manifest = self.manifest()
            known = manifest["files"] if manifest else [self._json(f"{name}{RECEIPT}") or {}]
            if any((f.get("name"), f.get("sha256")) == (name, receipt["sha256"]) for f in known):
                self.put(f"{name}{MARK}", b"") if manifest else self.delete(f"{name}{RECEIPT}")

    def _checked(self, receipt: Mapping[str, Any]) -> pa.Buffer:
        path = f"{self.path}/{plain_name(receipt['name'])}"
        with self._reading(path):
            if self.store.local:
                data = pa.memory_map(path).read_buffer()
            else:
                with self.store.filesystem.open_input_file(path) as source:
                    data = source.read_buffer()
        compare(path, receipt, len(data), sha256(data))
        return data

    def _chunks(self, receipt: Mapping[str, Any]) -> Iterator[bytes]:
        """A file's bytes piece by piece. Raises Damaged, with the last piece at the latest."""
        path, digest, size = f"{self.path}/{plain_name(receipt['name'])}", hashlib.sha256(), 0
        with self._reading(path), self.store.filesystem.open_input_stream(path) as source:
            while size <= receipt["bytes"] and (chunk := source.read(CHUNK)):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        compare(path, receipt, size, digest.hexdigest())

    @contextlib.contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        try:
            with self.store.wrap_errors("read", path):
                yield
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise Damaged(f"{path} is missing") from None
            raise

    def read_table(self, receipt: Mapping[str, Any], *, cache: bool = False) -> pa.Table:
        data = self.read(receipt, cache=cache)
        try:
            return pa.ipc.open_file(pa.BufferReader(data)).read_all()
        except (pa.ArrowException, OSError) as error:
            raise Damaged(f"{self.path}/{receipt['name']} is not an Arrow table ({short_message(error)})") from None

    def file(self, name: str) -> dict[str, Any]:
        """The entry of a file in the manifest of a finished stage. Raises Damaged where there is none."""
        entry = next((entry for entry in self._finished()["files"] if entry["name"] == name), None)
        if entry is None:
            raise Damaged(f"{self} has no file {name!r}")
        return dict(entry)

    def _finished(self) -> dict[str, Any]:
        """The manifest. Raises Damaged where there is none."""
        if (manifest := self.manifest()) is None:
            raise Damaged(f"{self.path} is unfinished: it has no {MANIFEST}")
        return manifest

    def tables(self) -> Iterable[pa.Table]:
        """Every Arrow file of a finished stage, in the order of names."""
        return (self.read_table(f) for f in self._finished()["files"] if f["name"].endswith(".arrow"))

    def damage(self) -> dict[str, str]:
        """The damaged files of a finished stage and what is wrong with each: missing, a wrong size, or a wrong hash where it was
        read: of stages up to `REHASH_LOCAL` or `REHASH_REMOTE`, and of files that are marked."""
        manifest = self.manifest()
        if manifest is None:
            return {MANIFEST: f"{self.path}/{MANIFEST} cannot be read"}
        sizes = self._sizes()
        limit = REHASH_LOCAL if self.store.local else REHASH_REMOTE
        rehash = sum(f["bytes"] for f in manifest["files"]) <= limit

        def fault(receipt: Mapping[str, Any]) -> str | None:
            path, size = f"{self.path}/{receipt['name']}", sizes.get(receipt["name"])
            if size is None:
                return f"{path} is missing"
            if size != receipt["bytes"]:
                return f"{path} has {size} bytes where the manifest says {receipt['bytes']}"
            try:
                if rehash or f"{receipt['name']}{MARK}" in sizes:
                    self._checked(receipt)
            except Damaged as damaged:
                return str(damaged)
            return None

        files = manifest["files"]
        faults = map(fault, files) if self.store.local else self._together(fault, files)
        return {file["name"]: words for file, words in zip(files, faults, strict=True) if words is not None}
