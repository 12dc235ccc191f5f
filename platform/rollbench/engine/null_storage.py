"""A null file system for the experiment state that Ray writes and Rollbench never reads.

Ray writes what it needs to take up an interrupted experiment into a storage that all nodes must see. Our stages are that already, finer
and checked, so nothing of Ray's is ever read again: its notes would be requests to an object store, a folder to tidy away, and one more
thing to fail. It is handed a file system that takes everything and keeps nothing.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyarrow import fs as pafs

# What Ray asks for and does not read: whether workers see what the driver wrote, whether an experiment that ended had begun.
MARKER, SNAPSHOT = ".validate_storage_marker", "experiment_state-.json"


def discard_experiment_state() -> dict[str, Any]:
    """The words of a `RunConfig` that say where Ray keeps its notes."""
    return {"storage_path": "nowhere", "storage_filesystem": pafs.PyFileSystem(NullFileSystem())}


class NullFileSystem(pafs.FileSystemHandler):
    """A file system that takes all and has nothing, but what Ray looks for without opening it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NullFileSystem)

    def __hash__(self) -> int:
        return hash(NullFileSystem)

    def get_type_name(self) -> str:
        return "nowhere"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        kinds = (pafs.FileType.File if path.endswith(MARKER) else pafs.FileType.NotFound for path in paths)
        return [pafs.FileInfo(path, kind) for path, kind in zip(paths, kinds, strict=True)]

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        return [pafs.FileInfo(f"{selector.base_dir}/{SNAPSHOT}", pafs.FileType.File)]

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.NativeFile:
        return pa.BufferOutputStream()

    open_append_stream = open_output_stream

    def open_input_stream(self, path: str) -> pa.NativeFile:
        raise FileNotFoundError(path)

    open_input_file = open_input_stream

    def _take(self, *_: Any, **__: Any) -> None:
        """Done: nothing was there, nothing is there."""

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = move = copy_file = _take
