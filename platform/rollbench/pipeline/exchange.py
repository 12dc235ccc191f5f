"""Clips and samples exchanged with other programs, as NumPy, NetCDF, Zarr or Arrow files.

    frames    [clips, time, channel, y, x]               written by `write_clips`
    samples   [clips, (samples,) time, channel, y, x]    read by `read_samples`

Both stand beside `ids` [clips], the clips' names, and scalars such as `key`: arrays without axes in an npz, attributes elsewhere.
Files hold data alone: nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rollbench.errors import UserError, did_you_mean
from rollbench.store.tensors import tensor_column, tensor_of

FORMATS = {"npz": ".npz", "netcdf": ".nc", "zarr": ".zarr", "arrow": ".arrow"}
DIMENSIONS = ("clip", "time", "channel", "y", "x")
EXTRA = "pip install 'rollbench[fields]'"


@dataclass(frozen=True)
class Samples:
    """The content of a file of samples."""

    path: Path
    key: str  # of the contexts that they continue
    ids: tuple[str, ...]  # of their clips
    samples: np.ndarray  # [clips, samples, time, channel, y, x]


def write_clips(
    path: Path, kind: str, ids: Sequence[str], clips: Sequence[np.ndarray], scalars: Mapping[str, str | int]
) -> Path:
    """Write clips [time, channel, y, x] of one shape and type, one after the other; returns the file's path, which ends as the format does.

    kind: one of FORMATS. Raises UserError for another, and for one whose package is not installed.
    """
    if kind not in FORMATS:
        raise UserError(f"--format {kind!r} is unknown; {did_you_mean(kind, FORMATS)}")
    path = path.with_name(path.name + FORMATS[kind])
    path.parent.mkdir(parents=True, exist_ok=True)
    shape, dtype = (len(ids), *clips[0].shape), clips[0].dtype
    with _packages(kind):
        if kind == "npz":
            _write_npz(path, ids, clips, shape, dtype, scalars)
        elif kind == "arrow":
            _write_arrow(path, ids, clips, scalars)
        elif kind == "zarr":
            import zarr

            group = zarr.open_group(str(path), mode="w", zarr_format=2, attributes=dict(scalars))
            names = group.create_array("ids", data=_names(ids))
            frames = group.create_array("frames", shape=shape, dtype=dtype, chunks=(1, *shape[1:]))
            for array, dimensions in ((names, DIMENSIONS[:1]), (frames, DIMENSIONS)):
                array.attrs["_ARRAY_DIMENSIONS"] = list(dimensions)  # how xarray names axes in Zarr 2
            for i in range(len(ids)):
                frames[i] = clips[i]
            zarr.consolidate_metadata(str(path))
        else:
            import h5netcdf  # type: ignore[import-untyped]
            import h5py

            with h5netcdf.File(path, "w") as file:
                file.dimensions = dict(zip(DIMENSIONS, shape, strict=True))
                file.attrs.update(scalars)
                file.create_variable("ids", DIMENSIONS[:1], dtype=h5py.string_dtype())[...] = list(ids)
                variable = file.create_variable("frames", DIMENSIONS, dtype=dtype)
                for i in range(len(ids)):
                    variable[i] = clips[i]
    return path


def read_samples(path: Path, largest: int) -> Samples:
    """The samples in a file, or in the only such file of a folder. Raises UserError for another content.

    largest: bytes that the samples may take in memory; a file that says more is refused before it is read.
    """
    path = _one_file(path)
    kind = next(kind for kind, ending in FORMATS.items() if path.name.endswith(ending))
    reader = {"npz": _read_npz, "arrow": _read_arrow}.get(kind, _read_xarray)
    try:
        with _packages(kind):
            content = reader(path, largest)
    except UserError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read ({' '.join(str(error).split())[:200]})") from None
    for name in ("key", "ids", "samples"):
        if name not in content:
            raise UserError(
                f"{path} has no {name!r}; it needs key, ids and samples, and key and ids stand in contexts{FORMATS[kind]}"
            )
    ids, samples = [str(name) for name in np.asarray(content["ids"]).ravel()], content["samples"]
    if samples.dtype.kind not in "fiu":
        raise UserError(f"{path}: samples have the type {samples.dtype}; write float32, of videos uint8")
    if samples.ndim not in (5, 6) or len(ids) != len(samples):
        raise UserError(
            f"{path}: samples have the shape {samples.shape} for {len(ids)} ids; write [clips, time, channel, y, x], or "
            "[clips, samples, time, channel, y, x]"
        )
    return Samples(path, str(content["key"]), tuple(ids), samples[:, None] if samples.ndim == 5 else samples)


def read_key(path: Path) -> str:
    """The key of the contexts that a file of samples continues, without reading the samples; "" where it has none."""
    path = _one_file(path)
    try:
        if path.name.endswith(FORMATS["npz"]):
            with np.load(path, allow_pickle=False) as file:
                return str(file["key"]) if "key" in file else ""
        if path.name.endswith(FORMATS["arrow"]):
            metadata = pa.ipc.open_file(str(path)).schema.metadata or {}
            return str(json.loads(metadata.get(b"rollbench", b"{}")).get("key", ""))
        with _packages("zarr"):
            import xarray

            zarr = path.name.endswith(FORMATS["zarr"])
            with xarray.open_dataset(path, engine="zarr" if zarr else "h5netcdf") as data:
                return str(data.attrs.get("key", ""))
    except (OSError, ValueError, zipfile.BadZipFile, pa.ArrowException):
        return ""  # `read_samples` names the fault


def _one_file(path: Path) -> Path:
    endings = tuple(FORMATS.values())
    if path.name.endswith(endings) and path.exists():
        return path
    if not path.is_dir():
        raise UserError(f"--samples {str(path)!r} is not a folder or a file that ends with {', '.join(endings)}")
    files = sorted(entry for entry in path.iterdir() if entry.name.endswith(endings) and not entry.name.startswith("."))
    if len(files) != 1:
        listed = ", ".join(file.name for file in files[:5]) or "none"
        raise UserError(
            f"--samples {str(path)!r} needs one file that ends with {', '.join(endings)}, and holds {listed}; name the file"
        )
    return files[0]


@contextlib.contextmanager
def _packages(kind: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UserError(f"{kind} files need the package {error.name}: {EXTRA}; npz needs none") from None


def _names(ids: Sequence[str]) -> np.ndarray:
    return np.array(list(ids), dtype=np.str_)


def _check_size(path: Path, size: int, largest: int) -> None:
    if size > largest:
        raise UserError(f"{path}: samples of {size:,} bytes, where at most {largest:,} are expected")


# --- one function for each format, in two directions ----------------------------------------------------------------------------------
def _write_npz(
    path: Path,
    ids: Sequence[str],
    clips: Sequence[np.ndarray],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    scalars: Mapping[str, str | int],
) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in {"ids": _names(ids), **scalars}.items():
            with archive.open(f"{name}.npy", "w") as out:
                np.lib.format.write_array(out, np.asarray(value), allow_pickle=False)
        with archive.open(
            "frames.npy", "w", force_zip64=True
        ) as out:  # streamed: a training split may exceed the memory
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(out, header)
            for i in range(len(ids)):
                out.write(np.ascontiguousarray(clips[i]).tobytes())


def _read_npz(path: Path, largest: int) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _check_size(path, member.file_size, largest)
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in ("key", "ids", "samples") if name in file}


def _write_arrow(path: Path, ids: Sequence[str], clips: Sequence[np.ndarray], scalars: Mapping[str, str | int]) -> None:
    def batch(i: int) -> pa.Table:
        return pa.table({"ids": [ids[i]], "frames": tensor_column(clips[i][None])})

    schema = batch(0).schema.with_metadata({"rollbench": json.dumps(dict(scalars))})
    with pa.ipc.new_file(str(path), schema) as writer:
        for i in range(len(ids)):
            writer.write_table(batch(i).cast(schema))


def _read_arrow(path: Path, largest: int) -> dict[str, Any]:
    _check_size(path, path.stat().st_size, largest)
    table = pa.ipc.open_file(str(path)).read_all()
    table.validate(full=True)
    content = json.loads((table.schema.metadata or {}).get(b"rollbench", b"{}"))
    if "ids" in table.column_names:
        content["ids"] = table.column("ids").to_pylist()
    if "samples" in table.column_names:
        content["samples"] = tensor_of(table, "samples")
    return dict(content)


def _read_xarray(path: Path, largest: int) -> dict[str, Any]:
    import xarray

    zarr = path.name.endswith(FORMATS["zarr"])
    engine = {"engine": "zarr", "consolidated": False} if zarr else {"engine": "h5netcdf"}
    with xarray.open_dataset(path, **engine) as data:
        if "samples" in data:
            _check_size(path, data["samples"].nbytes, largest)
        content = {name: data[name].values for name in ("ids", "samples") if name in data}
        return dict(data.attrs) | content
