"""The variables of NetCDF, HDF5, Zarr and NumPy files, read lazily through xarray and decoded by the CF conventions.

    .nc .nc4 .cdf .h5 .hdf5 .he5      NetCDF 4 and HDF5 with h5netcdf, NetCDF 3 with scipy; told apart by their first bytes
    .zarr .zarr.zip                   Zarr 2 or 3, as a folder or zipped
    .npz .npy                         NumPy; an array that is not compressed is mapped

xarray decodes packed and unsigned values and fill values. Missing values become NaN; so do the netCDF default fill values in NetCDF
files, which xarray does not decode. Variables of nested groups are named by their path ("group/flow").
"""

from __future__ import annotations

import contextlib
import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.containers import check_unpacked
from rollbench.errors import UserError

HDF5 = (".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".he5")
ZARR = (".zarr", ".zarr.zip")
ENDINGS = (*HDF5, *ZARR, ".npz", ".npy")
ALONE = "array"  # the name of an array that is a file by itself
DEFAULT_FILL = {"f4": 9.969209968386869e36, "f8": 9.969209968386869e36, "i2": -32767, "i4": -2147483647, "u2": 65535,
                "u4": 4294967295, "i8": -9223372036854775806, "u8": 18446744073709551614}  # fmt: skip
Variables = Mapping[str, Any]  # name → xarray.Variable


@contextlib.contextmanager
def variables(path: Path) -> Iterator[Variables]:
    """The numeric variables of a file, which stays open in this context. Raises UserError if the file cannot be opened."""
    with contextlib.ExitStack() as stack:
        try:
            opened = _open(path, stack)
        except ImportError as error:
            package = str(error.name or "xarray").split(".")[0]
            raise UserError(f"{path} needs the package {package}: pip install {package}") from None
        except Exception as error:  # each engine has its own errors
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno and not _damaged(error)):
                raise
            raise UserError(f"{path} cannot be read ({reason(error)})") from None
        yield {name: v for name, v in sorted(opened.items()) if v.dtype.kind in "fiu"}


def values(variable: Any, **index: Any) -> np.ndarray:
    """Some values of a variable, by the names of its dimensions. Raises UserError for damaged data; keeps errors of the system."""
    try:
        return np.asarray(variable.isel(index).values)
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
            raise
        raise UserError(reason(error)) from None


def reason(error: Exception) -> str:
    """An error in one line; with its class, unless the message is enough; with the package that it lacks."""
    plain = isinstance(error, (OSError, ValueError, zipfile.BadZipFile)) and str(error)
    line = " ".join((str(error) if plain else f"{type(error).__name__}: {error}").split())
    codec = any(word in line.lower() for word in ("filter", "plugin"))
    return f"{line}; its compression needs the package hdf5plugin: pip install hdf5plugin" if codec else line


def _damaged(error: OSError) -> bool:
    """HDF5 and NumPy raise an OSError for a damaged file; the system's own errors name the file."""
    return error.filename is None


def _open(path: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    name = path.name.lower()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of consolidated metadata and duplicate dimensions
        if name.endswith((".npz", ".npy")):
            return _numpy(path)
        if name.endswith(ZARR):
            return _zarr(path, stack)
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == b"CDF\x05":
            raise ValueError("NetCDF format CDF-5 is not supported; convert it with: nccopy -k nc4 IN OUT")
        return _netcdf3(path, stack) if magic.startswith(b"CDF") else _hdf5(path, stack)


def _netcdf3(path: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    import xarray

    raw = stack.enter_context(xarray.open_dataset(path, engine="scipy", decode_cf=False))
    return dict(_decode(raw, default_fill=True).variables)


def _hdf5(path: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    import h5py
    import xarray

    with contextlib.suppress(ImportError):
        __import__("hdf5plugin")  # registers further compressions with h5py
    with h5py.File(path, "r") as file:
        netcdf = "_NCProperties" in file.attrs
    groups = xarray.open_groups(path, engine="h5netcdf", phony_dims="access", **RAW)
    merged = _merge(groups, stack, default_fill=netcdf)
    if not netcdf:
        with h5py.File(path, "r") as file:
            for name, variable in merged.items():
                labels = [axis.label for axis in file[name].dims]
                if any(labels) and len(set(labels)) == len(labels):
                    variable.dims = tuple(labels)
    return merged


RAW: dict[str, Any] = dict.fromkeys(
    ("mask_and_scale", "decode_times", "decode_timedelta", "concat_characters", "decode_coords"), False
)


def _zarr(path: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    import xarray
    import zarr

    store: Any = stack.enter_context(zarr.storage.ZipStore(path, mode="r")) if path.suffix == ".zip" else str(path)
    node = zarr.open(store, mode="r")
    arrays = dict([(ALONE, node)] if isinstance(node, zarr.Array) else node.members(max_depth=None))
    arrays = {name: array for name, array in arrays.items() if isinstance(array, zarr.Array)}
    if ALONE in arrays or not all(_dimensions(array) for array in arrays.values()):
        return {name: _lazy(array, _dimensions(array), dict(array.attrs)) for name, array in arrays.items()}
    groups = xarray.open_groups(store, engine="zarr", **RAW)
    for variable in (
        v for group in groups.values() for v in group.variables.values() if node.metadata.zarr_format == 2
    ):
        if variable.attrs.get("_FillValue") == 0 and "scale_factor" not in variable.attrs:
            del variable.attrs["_FillValue"]  # what zarr writes unless a fill value is given: zeros are values
    return _merge(groups, stack, default_fill=False)


def _dimensions(array: Any) -> list[str]:
    return list(array.attrs.get("_ARRAY_DIMENSIONS") or getattr(array.metadata, "dimension_names", None) or [])


def _lazy(array: Any, names: list[str], attributes: dict[str, Any]) -> Any:
    """An array that can be sliced as a lazy variable of xarray, decoded."""
    import xarray
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Sliced(BackendArray):
        shape, dtype = array.shape, array.dtype

        def __getitem__(self, key: Any) -> Any:
            basic = indexing.IndexingSupport.BASIC
            return indexing.explicit_indexing_adapter(key, self.shape, basic, lambda index: np.asarray(array[index]))

    dims = [name or f"dim_{i}" for i, name in enumerate(names)] or [f"dim_{i}" for i in range(len(array.shape))]
    variable = xarray.Variable(dims, indexing.LazilyIndexedArray(Sliced()), attributes)
    return _decode(xarray.Dataset({"_": variable}), default_fill=False).variables["_"]


def _merge(groups: Mapping[str, Any], stack: contextlib.ExitStack, *, default_fill: bool) -> dict[str, Any]:
    """The decoded variables of all groups, each by its path."""
    merged = {}
    for group, raw in groups.items():
        stack.callback(raw.close)
        for name, variable in _decode(raw, default_fill=default_fill).variables.items():
            merged[f"{group}/{name}".strip("/").replace("//", "/")] = variable.to_base_variable()
    return merged


def _decode(raw: Any, *, default_fill: bool) -> Any:
    import xarray

    for variable in raw.variables.values():
        fill = DEFAULT_FILL.get(variable.dtype.str[1:])
        if default_fill and fill is not None and not {"_FillValue", "missing_value"} & set(variable.attrs):
            variable.attrs["_FillValue"] = variable.dtype.type(fill)
    return xarray.decode_cf(raw, decode_times=False, decode_timedelta=False)


def _numpy(path: Path) -> dict[str, Any]:
    import xarray

    if path.suffix.lower() == ".npy":
        arrays = {ALONE: np.load(path, mmap_mode="r", allow_pickle=False)}
    else:
        check_unpacked(path)
        with zipfile.ZipFile(path) as archive:
            arrays = {m.filename.removesuffix(".npy"): _member(path, archive, m) for m in archive.infolist()}
    return {name: xarray.Variable([f"dim_{i}" for i in range(a.ndim)], a) for name, a in arrays.items()}


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """An array of an archive; mapped if it is not compressed, so that it need not fit into memory."""
    with archive.open(member) as file:
        if member.compress_type != zipfile.ZIP_STORED:
            return np.lib.format.read_array(file, allow_pickle=False)
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(file)
        header = file.tell()
    if dtype.hasobject or not math.prod(shape):
        return np.empty(shape, "U1")  # cannot be a field
    with path.open("rb") as raw:
        raw.seek(member.header_offset + 26)  # the lengths of its name and of an extra field, before its data
        lengths = np.frombuffer(raw.read(4), "<u2")
    start = member.header_offset + 30 + int(lengths.sum()) + header
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
