"""Fields equal the values that xarray decodes, whatever the format, type, packing, calendar, order of axes and chunks."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rollbench.datasets.files.base import Clip, SkippedItem, fingerprint
from rollbench.datasets.files.fields import Fields
from rollbench.errors import UserError
from rollbench.pipeline.corpora import CorpusStage

xarray = pytest.importorskip("xarray", reason="pip install -e '.[fields]'")
h5py = pytest.importorskip("h5py", reason="pip install -e '.[fields]'")
zarr = pytest.importorskip("zarr", reason="pip install -e '.[fields]'")
pytest.importorskip("h5netcdf", reason="pip install -e '.[fields]'")

TRUTH = np.random.default_rng(0).uniform(1, 50, size=(6, 4, 5))
FORMATS = ("netcdf4", "netcdf3", "zarr2", "zarr3")
ORDERS = (("time", "lat", "lon"), ("lon", "time", "lat"))
PACKINGS: dict[str, dict[str, Any]] = {
    "f4": {"dtype": "f4"},
    "f8": {"dtype": "f8"},
    "i2": {"dtype": "i2", "scale_factor": 0.01, "add_offset": 7.0, "_FillValue": -999},
    "i4 no fill": {"dtype": "i4", "scale_factor": np.float32(0.001)},
    "u1": {"dtype": "u1", "scale_factor": 0.25, "_FillValue": 255},
    "unsigned": {"dtype": "i1", "scale_factor": 0.25, "_FillValue": -1, "_Unsigned": "true"},
}


def write(path: Path, data: Any, form: str, encoding: dict[str, Any]) -> Path:
    if form.startswith("zarr"):
        data.to_zarr(
            path := path.with_suffix(".zarr"), encoding=encoding, zarr_format=int(form[-1]), consolidated=False
        )
        return path
    engine, kind = ("h5netcdf", "NETCDF4") if form == "netcdf4" else ("scipy", "NETCDF3_64BIT")
    data.to_netcdf(path := path.with_suffix(".nc"), engine=engine, format=kind, encoding=encoding)
    return path


def dataset(order: Sequence[str] = ORDERS[0], values: np.ndarray = TRUTH, time: Any = None) -> Any:
    times = time if time is not None else ("time", np.arange(6.0), {"units": "hours since 2000-01-01"})
    return xarray.Dataset({"u": (ORDERS[0], values)}, coords={"time": times}).transpose(*order)


def opened(path: Path) -> np.ndarray:
    with xarray.open_dataset(path, engine={".zarr": "zarr"}.get(path.suffix), decode_times=False) as data:
        return data["u"].transpose(*ORDERS[0]).values


def read(path: Path, **options: Any) -> list[Clip | SkippedItem]:
    value = Fields(**{"frames": 6, "test_fraction": 0, **options})
    return list(value.read(path, value.listed(path).items))


def clip(path: Path, **options: Any) -> Clip:
    (one,) = read(path, **options)
    assert isinstance(one, Clip), one
    return one


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("order", "packing"), list(itertools.product(ORDERS, PACKINGS)))
def test_values_are_those_of_xarray(tmp_path: Path, form: str, order: tuple[str, ...], packing: str) -> None:
    if form == "netcdf3" and packing == "u1":
        pytest.skip("NetCDF 3 has no unsigned bytes")
    chunks = {} if form == "netcdf3" else {"chunks" if form.startswith("zarr") else "chunksizes": (2, 3, 2)}
    path = write(tmp_path / "a", dataset(order), form, {"u": {**PACKINGS[packing], **chunks}})
    truth = opened(path).astype(np.float32)
    assert np.array_equal(clip(path).frames[:, 0], truth) and np.abs(truth - TRUTH).max() < 0.13


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("packing", ["f4", "f8", "i2", "unsigned"])
def test_missing_values_are_missing(tmp_path: Path, form: str, packing: str) -> None:
    values = TRUTH.copy()
    values[2, 3, 4] = values[4, 0, 0] = np.nan
    fill = {"_FillValue": -9999.0} if packing.startswith("f") else {}
    path = write(tmp_path / "a", dataset(values=values), form, {"u": {**PACKINGS[packing], **fill}})
    assert np.isnan(opened(path)).sum() == 2
    (skipped,) = read(path)
    assert isinstance(skipped, SkippedItem) and skipped.fatal
    assert "2 values are not finite, the first of 'u' at frame 2, y 3, x 4" in skipped.reason


@pytest.mark.parametrize("form", ["netcdf3", "netcdf4"])
@pytest.mark.parametrize(("dtype", "fill"), [("f4", 9.969209968386869e36), ("i2", -32767)])
def test_frames_that_were_never_written_are_missing(tmp_path: Path, form: str, dtype: str, fill: float) -> None:
    values = TRUTH.astype(dtype)
    values[5] = fill
    path = write(tmp_path / "a", dataset(values=values), form, {"u": {"_FillValue": None}})
    (skipped,) = read(path)
    assert (
        isinstance(skipped, SkippedItem) and "20 values are not finite, the first of 'u' at frame 5" in skipped.reason
    )


def test_zeros_are_values_in_zarr_2_unless_they_are_packed(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=2)
    array = group.create_array("u", data=np.zeros((6, 4, 5), np.float32))
    array.attrs["_ARRAY_DIMENSIONS"] = list(ORDERS[0])
    assert not clip(tmp_path / "a.zarr").frames.any()


UNITS = {"nanoseconds": 1e-9, "microseconds since 2000-01-01": 1e-6, "ms": 1e-3, "s": 1, "minutes": 60, "hours since 1900-01-01": 3600,
         "days since 0001-01-01": 86400, "weeks": 604800}  # fmt: skip


@pytest.mark.parametrize(("unit", "seconds"), UNITS.items())
@pytest.mark.parametrize("name", ["time", "valid_time", "t"])
def test_times_of_every_unit(tmp_path: Path, unit: str, seconds: float, name: str) -> None:
    data = xarray.Dataset(
        {"u": ((name, "y", "x"), TRUTH)},
        coords={name: (name, 3 * np.arange(6.0), {"units": unit, "calendar": "noleap"})},
    )
    assert clip(write(tmp_path / "a", data, "netcdf4", {})).dt == pytest.approx(3 * seconds, rel=1e-9)


def test_packed_times_are_unpacked(tmp_path: Path) -> None:
    encoding = {"time": {"dtype": "i2", "scale_factor": 0.5, "add_offset": 3.0, "units": None}}
    data = dataset(time=("time", 0.5 * np.arange(6), {"units": "s"}))
    del encoding["time"]["units"]
    assert clip(write(tmp_path / "a", data, "netcdf4", encoding)).dt == 0.5


def test_months_have_a_length_in_a_calendar_of_360_days_only(tmp_path: Path) -> None:
    for calendar, name in (("360_day", "a"), ("standard", "b")):
        time = ("time", np.arange(6), {"units": "months since 2000-01-01", "calendar": calendar})
        write(tmp_path / name, dataset(time=time), "netcdf4", {})
    assert clip(tmp_path / "a.nc").dt == 30 * 86400
    with pytest.raises(UserError, match="time is in 'months', which has no fixed length; give the interval with --dt"):
        clip(tmp_path / "b.nc")


def test_axes_are_known_by_axis_or_standard_name(tmp_path: Path) -> None:
    coords = {
        "a": ("a", np.arange(6), {"standard_name": "time", "units": "s"}),
        "b": ("b", np.arange(4), {"axis": "Y"}),
        "d": ("d", np.arange(5), {"standard_name": "projection_x_coordinate"}),
    }
    data = xarray.Dataset({"u": (("d", "a", "b"), TRUTH.transpose(2, 0, 1))}, coords=coords)
    path = write(tmp_path / "a", data, "netcdf4", {})
    assert np.array_equal(clip(path).frames[:, 0], TRUTH.astype(np.float32)) and clip(path).dt == 1


@pytest.mark.parametrize("kind", ["soft", "external", "hard"])
def test_linked_variables_are_read(tmp_path: Path, kind: str) -> None:
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["u"] = TRUTH
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["hidden/u"] = TRUTH
        links = {
            "soft": h5py.SoftLink("/hidden/u"),
            "external": h5py.ExternalLink("other.hdf5", "/u"),
            "hard": file["hidden/u"],
        }
        file["w"] = links[kind]
    frames = clip(tmp_path / "a.h5", variables=("w",), dims=ORDERS[0] and ("time", "y", "x")).frames
    assert np.array_equal(frames[:, 0], TRUTH.astype(np.float32))


def test_one_group_per_simulation_is_one_trajectory_each(tmp_path: Path) -> None:
    """PDEBench's diffusion-reaction and shallow water."""
    truth = np.random.default_rng(1).normal(size=(4, 10, 8, 6, 2)).astype(np.float32)
    with h5py.File(tmp_path / "diffreact.h5", "w") as file:
        for k, data in enumerate(truth):
            file[f"{k:04d}/data"] = data
            file[f"{k:04d}/grid/t"] = 0.25 * np.arange(10)
            file[f"{k:04d}/grid/x"], file[f"{k:04d}/grid/y"] = np.arange(8), np.arange(6)
    value = Fields(frames=5, dims=("time", "x", "y", "channel"), test_fraction=0)
    source = value.listed(tmp_path)
    clips = [c for c in value.read(tmp_path, source.items) if isinstance(c, Clip)]
    assert source.shape == (2, 6, 8) and [name for name, _ in source.channels] == ["data/0", "data/1"]
    assert [c.id.split("#")[1] for c in clips] == [f"{k:05d}@{t:06d}" for k in range(4) for t in (0, 5)]
    expected = truth.transpose(0, 1, 4, 3, 2).reshape(8, 5, 2, 6, 8)
    assert np.array_equal(np.stack([c.frames for c in clips]), expected) and clips[0].dt == 0.25


@pytest.mark.parametrize("shape", [(6,), (7,), (3, 6)])
def test_a_time_may_have_one_value_more_or_one_row_per_trajectory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tensor"], file["t-coordinate"] = np.stack([TRUTH] * 3), np.broadcast_to(0.1 * np.arange(shape[-1]), shape)
    clips = read(tmp_path / "a.h5", dims=("trajectory", "time", "y", "x"), variables=("tensor",))
    assert len(clips) == 3 and [c.dt for c in clips if isinstance(c, Clip)] == [0.1] * 3


@pytest.mark.parametrize("time", [True, False])
def test_files_of_one_frame_each_are_one_trajectory(tmp_path: Path, time: bool) -> None:
    for k in range(12):
        data = xarray.Dataset({"u": (("y", "x"), TRUTH[k % 6] + k)})
        if time:
            data = data.expand_dims(time=[10.0 * k])
            data["time"].attrs["units"] = "s"
        write(tmp_path / f"step_{k}", data, "netcdf4", {})
    first, second = read(tmp_path)
    assert isinstance(first, Clip) and isinstance(second, Clip)
    expected = np.stack([TRUTH[k % 6] + k for k in range(12)]).astype(np.float32)
    assert np.array_equal(np.concatenate([first.frames, second.frames])[:, 0], expected)
    assert first.dt == second.dt == (10 if time else 1) and (first.start, second.start) == (0, 6)


def test_rows_from_north_to_south_are_turned_in_a_flow(tmp_path: Path) -> None:
    """psi = cos x + cos y, as ERA5 stores rows: the vorticity of the frames is that of the flow."""
    from rollbench.physics.frames import vorticity

    n = 16
    angle = 2 * np.pi * (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(angle, angle)
    u, v = np.sin(y)[None].repeat(6, 0), -np.sin(x)[None].repeat(6, 0)
    truth = -np.cos(x) - np.cos(y)
    for name, rows in (("up", slice(None)), ("down", slice(None, None, -1))):
        data = xarray.Dataset({"u": (ORDERS[0], u[:, rows]), "v": (ORDERS[0], v[:, rows])}, coords={"lat": angle[rows]})
        path = write(tmp_path / name, data, "netcdf4", {})
        drawn = vorticity(clip(path, kind="flow").frames)[0]
        assert np.corrcoef(drawn.ravel(), truth.ravel())[0, 1] > 0.9
        assert np.array_equal(clip(path).frames[:, 0], u[:, rows].astype(np.float32))  # other fields stay as they are
    with pytest.raises(UserError, match="has descending axes"):
        Fields(frames=6, test_fraction=0).listed(tmp_path)


def test_a_zipped_zarr_is_read(tmp_path: Path) -> None:
    with zarr.storage.ZipStore(tmp_path / "a.zarr.zip", mode="w") as store:
        dataset().to_zarr(store, consolidated=False)
    assert np.array_equal(clip(tmp_path / "a.zarr.zip").frames[:, 0], TRUTH.astype(np.float32))


def test_a_file_of_format_cdf_5_says_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(b"CDF\x05" + bytes(60))
    with pytest.raises(UserError, match="CDF-5 is not supported; convert it with: nccopy -k nc4"):
        Fields().listed(tmp_path)


def test_a_large_netcdf_3_file_is_not_read_to_be_listed(tmp_path: Path) -> None:
    import tracemalloc

    from scipy.io import netcdf_file

    with netcdf_file(tmp_path / "a.nc", "w", version=2) as file:
        for name, size in (("time", 200), ("y", 256), ("x", 256)):
            file.createDimension(name, size)
        file.createVariable("u", "f4", ("time", "y", "x"))[:] = 1
    tracemalloc.start()
    Fields().listed(tmp_path / "a.nc")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20 < (tmp_path / "a.nc").stat().st_size
    tracemalloc.stop()


# --- identity ----------------------------------------------------------------------------------------------------------------
def test_files_of_one_name_and_size_are_two_sources(tmp_path: Path) -> None:
    keys = []
    for run, level in (("run_A", 1.0), ("run_B", -500.0)):
        (tmp_path / run).mkdir()
        np.savez(tmp_path / run / "output.npz", u=np.full((6, 4, 5), level))
        value = Fields(frames=6, dims=("time", "y", "x"), test_fraction=0)
        keys.append(CorpusStage.of(value, tmp_path / run).key)
    assert keys[0] != keys[1]


@pytest.mark.parametrize("size", [1000, 300_000, 3_000_000])
def test_a_fingerprint_changes_with_the_content_or_the_time_of_a_large_file(tmp_path: Path, size: int) -> None:
    path, data = tmp_path / "a", bytearray(np.random.default_rng(0).bytes(size))
    prints: list[str] = []
    for at in (0, size // 2 + 70_000 if size > 250_000 else 10, size - 1):
        data[at] ^= 1
        path.write_bytes(data)
        os.utime(path, (len(prints), len(prints)))
        prints.append(fingerprint(path))
    assert len(set(prints)) == 3
    copy = tmp_path / "copy"
    copy.write_bytes(data)
    os.utime(copy, (2, 2))
    assert fingerprint(copy) == prints[-1]
