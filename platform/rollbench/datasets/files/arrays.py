"""Arrays with names, axes and units in NetCDF, HDF5, Zarr and NumPy files, read slice by slice.

    .nc .nc4 .cdf .h5 .hdf5 .he5      HDF5, which NetCDF 4 is, with h5py; NetCDF 3 with scipy; told apart by their first bytes
    .zarr                             folders of Zarr 2 or 3
    .npz .npy                         NumPy; an archive that is not compressed is read in place

Axes have names by NetCDF's dimensions, HDF5's dimension scales or labels, or Zarr's dimension names. Values are unpacked as the
CF conventions say: scale_factor, add_offset, and NaN for _FillValue and missing_value.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rollbench.errors import UserError

HDF5 = (".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".he5")
ENDINGS = (*HDF5, ".zarr", ".npz", ".npy")
DIMENSION_ALONE = (
    "not a netCDF variable"  # what NetCDF 4 calls the empty array that stands for a dimension without values
)
ALONE = "array"  # the name of an array that is a file by itself
Index = tuple[int | slice, ...]


@dataclass(frozen=True)
class Variable:
    """An array in a file. dims: the names of its axes, "" for those without. stored: reads a part of it as it lies there."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    stored: Callable[[Index], np.ndarray]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        return _text(self.attributes.get("units", ""))

    def part(self, index: Index) -> np.ndarray:
        """A part of it as it lies there. Raises BadInput for what is damaged; errors of this machine stay what they are."""
        try:
            return np.asarray(self.stored(index))
        except Exception as error:
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
                raise
            raise UserError(_why(error)) from None

    def read(self, index: Index) -> np.ndarray:
        """A part of it, unpacked: float32, NaN where a value is missing."""
        values = self.part(index)
        scale, offset = (self.attributes.get(name) for name in ("scale_factor", "add_offset"))
        missing = np.zeros(values.shape, bool)
        for name in ("_FillValue", "missing_value"):
            if name in self.attributes:
                missing |= values == np.asarray(self.attributes[name]).ravel()[0]
        if scale is not None or offset is not None:
            values = values * _number(scale, 1.0) + _number(offset, 0.0)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found as such
            values = values.astype(np.float32)
        values[missing] = np.nan
        return values


@contextlib.contextmanager
def variables(path: Path) -> Iterator[list[Variable]]:
    """The numeric arrays of a file, which is open meanwhile. Raises BadInput for what cannot be opened."""
    ending = path.suffix.lower()
    opener = _zarr if ending == ".zarr" else _numpy if ending in (".npz", ".npy") else _netcdf3 if _old(path) else _hdf5
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(opener(path))
        except ImportError as error:
            package = str(error.name).split(".")[0]
            raise UserError(f"{path} needs the package {package}: pip install {package}") from None
        except Exception as error:  # each reader has its own errors for what anyone may have written
            raise UserError(f"{path} cannot be read ({_why(error)})") from None
        yield found


def _old(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"CDF"


@contextlib.contextmanager
def _hdf5(path: Path) -> Iterator[list[Variable]]:
    import h5py

    found: list[Variable] = []

    def visit(name: str, data: Any) -> None:
        if (
            isinstance(data, h5py.Dataset)
            and data.dtype.kind in "fiu"
            and DIMENSION_ALONE not in _text(data.attrs.get("NAME", ""))
        ):
            found.append(
                Variable(name, tuple(map(_dimension, data.dims)), data.shape, data.__getitem__, dict(data.attrs))
            )

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        yield found


def _dimension(axis: Any) -> str:
    """The name of an axis: of its dimension scale, as NetCDF 4 writes them, or its label."""
    return str(axis[0].name).rsplit("/", 1)[-1] if len(axis) else str(axis.label)


@contextlib.contextmanager
def _netcdf3(path: Path) -> Iterator[list[Variable]]:
    from scipy.io import netcdf_file

    with netcdf_file(path, "r", mmap=False) as file:
        yield [
            Variable(name, tuple(data.dimensions), data.shape, data.data.__getitem__, dict(data._attributes))
            for name, data in file.variables.items()
            if data.data.dtype.kind in "fiu"
        ]


@contextlib.contextmanager
def _zarr(path: Path) -> Iterator[list[Variable]]:
    import zarr

    opened: Any = zarr.open(str(path), mode="r")
    members = [(ALONE, opened)] if isinstance(opened, zarr.Array) else opened.members(max_depth=None)
    arrays: dict[str, Any] = {name: data for name, data in members if isinstance(data, zarr.Array)}
    found = []
    for name, data in sorted(arrays.items()):
        if data.dtype.kind in "fiu":
            attributes = dict(data.attrs)
            dims = attributes.get("_ARRAY_DIMENSIONS") or getattr(data.metadata, "dimension_names", None)
            names = tuple(dim or "" for dim in dims) if dims else ("",) * data.ndim
            found.append(Variable(name, names, data.shape, data.__getitem__, attributes))
    yield found


@contextlib.contextmanager
def _numpy(path: Path) -> Iterator[list[Variable]]:
    if path.suffix.lower() == ".npy":
        arrays = {ALONE: np.load(path, mmap_mode="r", allow_pickle=False)}
    else:
        with zipfile.ZipFile(path) as archive:
            arrays = {m.filename.removesuffix(".npy"): _member(path, archive, m) for m in archive.infolist()}
    numeric = {name: array for name, array in arrays.items() if array.dtype.kind in "fiu"}
    yield [Variable(name, ("",) * array.ndim, array.shape, array.__getitem__) for name, array in numeric.items()]


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """An array of an archive; where it is not compressed it is mapped, so that it need not fit into memory."""
    with archive.open(member) as file:
        if member.compress_type != zipfile.ZIP_STORED:
            return np.lib.format.read_array(file, allow_pickle=False)
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(file)
        header = file.tell()
    if dtype.hasobject or not math.prod(shape):
        return np.empty(shape, "U1")  # nothing that could be a field
    with path.open("rb") as raw:
        raw.seek(
            member.header_offset + 26
        )  # there stand the lengths of its name and of an extra field, before its data
        lengths = np.frombuffer(raw.read(4), "<u2")
    start = member.header_offset + 30 + int(lengths.sum()) + header
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _why(error: Exception) -> str:
    """An error in a line; with its kind, where that is none of those that say enough by themselves."""
    plain = isinstance(error, (OSError, ValueError, zipfile.BadZipFile)) and str(error)
    return " ".join((str(error) if plain else f"{type(error).__name__}: {error}").split())


def _number(value: Any, default: float) -> float:
    return default if value is None else float(np.asarray(value).ravel()[0])
