"""Arrays as Arrow columns of fixed-shape tensors, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def tensor_column(array: np.ndarray) -> pa.Array:
    """An array [rows, …] as an Arrow column of fixed-shape tensors."""
    # Flat and back: numpy calls an array contiguous whatever the strides of its axes of one, pyarrow does not.
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(array).reshape(-1).reshape(array.shape))


def tensor_of(table: pa.Table, column: str) -> np.ndarray:
    """A fixed-shape tensor column back as an array [rows, …]; without a copy where the column is one chunk."""
    chunks: Sequence[Any] = table.column(column).chunks
    arrays = [chunk.to_numpy_ndarray() for chunk in chunks]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def write_ipc(table: pa.Table, sink: Any) -> Any:
    """Write a table to `sink` as an Arrow IPC file; returns `sink`."""
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink
