"""Fields come back exactly from every format and any order of axes; what does not go together is named."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rollbench.datasets.files.arrays import variables
from rollbench.datasets.files.base import Clip, SkippedItem
from rollbench.datasets.files.fields import Fields
from rollbench.errors import UserError

h5py = pytest.importorskip("h5py", reason="pip install -e '.[fields]'")
zarr = pytest.importorskip("zarr", reason="pip install -e '.[fields]'")

AXES = ("trajectory", "time", "channel", "y", "x")
TRUTH = np.random.default_rng(0).normal(size=(5, 9, 2, 4, 6)).astype(np.float32)
TIMES = 1.5 * np.arange(9)


def in_order(order: Sequence[str]) -> np.ndarray:
    return TRUTH.transpose([AXES.index(axis) for axis in order])


def hdf5(path: Path, order: Sequence[str]) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        data = file.create_dataset("group/flow", data=in_order(order))
        for axis, name in zip(data.dims, order, strict=True):
            axis.label = name
        data.attrs["units"] = "m/s"
        file.create_dataset("energy", data=np.zeros((5, 9)))
        file.create_dataset("time", data=TIMES)
    return path.with_suffix(".h5")


def netcdf4(path: Path, order: Sequence[str]) -> Path:
    """Dimension scales, as the NetCDF 4 library writes them."""
    with h5py.File(path.with_suffix(".nc"), "w") as file:
        data = file.create_dataset("flow", data=in_order(order))
        for axis, name in zip(data.dims, order, strict=True):
            scale = file.create_dataset(
                name, data=TIMES if name == "time" else np.arange(TRUTH.shape[AXES.index(name)])
            )
            scale.make_scale(name)
            axis.attach_scale(scale)
        file["time"].attrs["units"] = "seconds since 2000-01-01"
        data.attrs["units"] = "m/s"
    return path.with_suffix(".nc")


def netcdf3(path: Path, order: Sequence[str]) -> Path:
    from scipy.io import netcdf_file

    with netcdf_file(path.with_suffix(".nc"), "w") as file:
        for name in order:
            file.createDimension(name, TRUTH.shape[AXES.index(name)])
        flow = file.createVariable("flow", "f4", tuple(order))
        flow[:] = in_order(order)
        flow.units = "m/s"
        time = file.createVariable("time", "f8", ("time",))
        time[:] = TIMES / 60
        time.units = "minutes"
    return path.with_suffix(".nc")


def zarr3(path: Path, order: Sequence[str]) -> Path:
    group = zarr.create_group(str(path.with_suffix(".zarr")))
    flow = group.create_array("flow", data=np.ascontiguousarray(in_order(order)), dimension_names=list(order))
    flow.attrs["units"] = "m/s"
    group.create_array("time", data=TIMES, dimension_names=["time"]).attrs["units"] = "s"
    return path.with_suffix(".zarr")


def zarr2(path: Path, order: Sequence[str]) -> Path:
    group = zarr.create_group(str(path.with_suffix(".zarr")), zarr_format=2)
    flow = group.create_array("flow", data=np.ascontiguousarray(in_order(order)))
    flow.attrs.update({"_ARRAY_DIMENSIONS": list(order), "units": "m/s"})
    group.create_array("time", data=TIMES).attrs["_ARRAY_DIMENSIONS"] = ["time"]
    return path.with_suffix(".zarr")


def npz(path: Path, order: Sequence[str], save: Callable[..., Any] = np.savez) -> Path:
    save(path.with_suffix(".npz"), flow=in_order(order), energy=np.zeros((5, 9)), time=TIMES, note="x")
    return path.with_suffix(".npz")


def compressed(path: Path, order: Sequence[str]) -> Path:
    return npz(path, order, np.savez_compressed)


def fortran(path: Path, order: Sequence[str]) -> Path:
    np.savez(path.with_suffix(".npz"), flow=np.asfortranarray(in_order(order)), time=TIMES)
    return path.with_suffix(".npz")


def npy(path: Path, order: Sequence[str]) -> Path:
    np.save(path.with_suffix(".npy"), in_order(order))
    return path.with_suffix(".npy")


WRITERS = [hdf5, netcdf4, netcdf3, zarr3, zarr2, npz, compressed, fortran, npy]
NAMELESS = (npz, compressed, fortran, npy)


def clips(value: Fields, root: Path) -> list[Clip]:
    found = list(value.read(root, value.listed(root).items))
    assert all(isinstance(f, Clip) for f in found), found
    return [f for f in found if isinstance(f, Clip)]


@pytest.mark.parametrize(
    "order", [AXES, ("x", "y", "time", "trajectory", "channel"), ("time", "y", "x", "channel", "trajectory")]
)
@pytest.mark.parametrize("write", WRITERS)
def test_every_format_in_any_order_comes_back_exactly(tmp_path: Path, write: Any, order: tuple[str, ...]) -> None:
    path = write(tmp_path / "run", order)
    value = Fields(frames=4, test_fraction=0, dims=order if write in NAMELESS else ())
    source = value.listed(path)
    found = clips(value, path)
    assert source.shape == (2, 4, 6)
    assert np.array_equal(np.stack([c.frames for c in found]), TRUTH[:, :8].reshape(10, 4, 2, 4, 6))
    assert found[1].frames.dtype == np.float32 and (found[1].start, found[1].id) == (4, f"{path.name}#00000@000004")
    assert [c.dt for c in found] == [1.0 if write is npy else 1.5] * 10
    assert source.channels[0] == (source.channels[0][0], "" if write in NAMELESS else "m/s")


def test_variables_become_channels_with_their_units(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray", reason="an independent writer of NetCDF and Zarr")
    pytest.importorskip("h5netcdf", reason="an independent writer of NetCDF")
    axes = ("time", "lat", "lon")
    u, v, level = TRUTH[0, :, 0].astype(np.float64), TRUTH[0, :, 1], TRUTH[0, :, :1]
    data = xarray.Dataset(
        {
            "v": (axes, v, {"units": "m/s"}),
            "u": (axes, u, {"units": "m s-1"}),
            "w": (("time", "level", "lat", "lon"), level),
            "mask": (("lat", "lon"), np.ones((4, 6))),
        },
        coords={"time": ("time", np.arange(9) * np.timedelta64(6, "h") + np.datetime64("2000-01-01"))},
    )
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    data.to_netcdf(tmp_path / "b.nc", engine="scipy", format="NETCDF3_64BIT")
    data.to_zarr(tmp_path / "c.zarr")
    value = Fields(frames=9, test_fraction=0, variables=("v", "u"))
    assert value.listed(tmp_path).channels == (("v", "m/s"), ("u", "m s-1"))
    for clip in clips(value, tmp_path):
        assert np.array_equal(clip.frames, np.stack([v, u.astype(np.float32)], axis=1)) and clip.dt == 6 * 3600
    every = Fields(frames=9, test_fraction=0)
    assert [name for name, _ in every.listed(tmp_path).channels] == ["u", "v", "w"]


def test_packed_values_are_unpacked_as_xarray_does(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray", reason="an independent reader of NetCDF")
    pytest.importorskip("h5netcdf", reason="an independent writer of NetCDF")
    packed = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 1.0, "_FillValue": -32768}
    for engine, form in (("h5netcdf", "NETCDF4"), ("scipy", "NETCDF3_64BIT")):
        path = tmp_path / f"{engine}.nc"
        xarray.Dataset({"u": (("t", "y", "x"), TRUTH[0, :, 0])}).to_netcdf(
            path, engine=engine, format=form, encoding={"u": packed}
        )
        with xarray.open_dataset(path, engine=engine) as data:
            truth = data["u"].values
        (clip,) = clips(Fields(frames=9, test_fraction=0), path)
        assert (
            np.allclose(clip.frames[:, 0], truth, rtol=1e-6, atol=1e-6) and np.abs(truth - TRUTH[0, :, 0]).max() < 0.006
        )


def test_strides_and_spin_up(tmp_path: Path) -> None:
    path = zarr3(tmp_path / "run", AXES)
    found = clips(Fields(frames=2, stride=2, skip=1, test_fraction=0), path)
    assert [c.start for c in found[:2]] == [1, 5] and found[0].dt == 3.0
    assert np.array_equal(found[1].frames, TRUTH[0, [5, 7]])


def test_trajectories_are_shared_out_and_of_one_the_last_clips_are_kept(tmp_path: Path) -> None:
    path = npz(tmp_path / "run", AXES)
    splits = [
        {c.id for c in clips(Fields(frames=4, dims=AXES, split=s, test_fraction=0.4), path)} for s in ("train", "test")
    ]
    assert [len(s) for s in splits] == [6, 4]
    assert not {c.split("@")[0] for c in splits[0]} & {c.split("@")[0] for c in splits[1]}
    one = tmp_path / "one.npy"
    np.save(one, TRUTH[0])
    starts = [[c.start for c in clips(Fields(frames=2, dims=AXES[1:], split=s), one)] for s in ("train", "test")]
    assert starts == [[0, 2, 4], [6]]
    with pytest.raises(UserError, match="'one.npy#00000' alone cannot be trained on and tested with"):
        Fields(frames=9, dims=AXES[1:]).listed(one)


def test_values_that_are_not_finite_are_named(tmp_path: Path) -> None:
    data = TRUTH[0].copy()
    data[5, 1, 2, 3] = np.nan
    data[5, 1, 2, 4] = np.inf
    np.savez(tmp_path / "a.npz", u=data)
    value = Fields(frames=4, dims=AXES[1:], test_fraction=0)
    first, second = value.read(tmp_path, value.listed(tmp_path).items)
    words = "trajectory 0, frames 4 to 7: 2 values are not finite, the first of 'u/1' at frame 5, y 2, x 3"
    assert isinstance(first, Clip) and second == SkippedItem("a.npz", words, fatal=True)


U, FLAT = TRUTH[0], TRUTH[0, 0]
UNLIKE: list[tuple[dict[str, dict[str, np.ndarray]], str]] = [
    ({"a": {"u": U}, "b": {"u": U[..., :3]}, "c": {"u": U}}, r"1 of 3 files differ: b.npz has frames .*\(2, 4, 3\)"),
    ({"a": {"u": U}, "b": {"v": U}}, r"b.npz has the channels \['v/0', 'v/1'\] where a.npz has \['u/0'"),
    ({"a": {"u": U, "t": TIMES}, "b": {"u": U}}, "b.npz has an interval in s of 1.0 where a.npz has 1.5"),
    ({"a": {"u": U, "v": U[..., :3]}}, "a.npz: 'v' has 3 along x where 'u' has 6"),
    ({"a": {"u": U, "t": TIMES**2}}, "the steps of 't' lie between 2.25 and 33.75: .* --dt"),
    ({"a": {"u": FLAT[0]}}, r"no field with the axes time, y and x: u \[\? 4, \? 6\]; name the axes .* --dims"),
]


@pytest.mark.parametrize(("files", "words"), UNLIKE)
def test_what_does_not_go_together_is_named(
    tmp_path: Path, files: dict[str, dict[str, np.ndarray]], words: str
) -> None:
    for name, arrays in files.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    with pytest.raises(UserError, match=words):
        Fields(frames=4, dims=AXES[1:]).listed(tmp_path)


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        Fields().listed(tmp_path / "absent")
    with pytest.raises(UserError, match="no fields in"):
        Fields().listed(tmp_path)
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises(UserError, match="broken.h5 cannot be read"):
        Fields().listed(tmp_path)
    path = npz(tmp_path / "run", AXES)
    with pytest.raises(UserError, match="has no variable 'flaw'; did you mean 'flow'"):
        Fields(variables=("flaw",), dims=AXES).listed(path)
    with pytest.raises(UserError, match="too short: 9 frames where a clip needs 24; give fewer --frames"):
        Fields(dims=AXES).listed(path)
    with pytest.raises(UserError, match="a flow has two channels and run.npz has flow"):
        Fields(dims=("y", "time", "-", "-", "x"), kind="flow").listed(_odd(path))


def _odd(path: Path) -> Path:
    np.savez(path, flow=np.zeros((4, 30, 1, 1, 6)))
    return path


def test_fields_have_rules() -> None:
    with pytest.raises(UserError, match="axis 'tme'; did you mean 'time'"):
        Fields(dims=("tme", "y", "x"))
    with pytest.raises(UserError, match="must name time, y and x"):
        Fields(dims=("time", "x"))
    with pytest.raises(UserError, match="skip = -1 is below 0"):
        Fields(skip=-1)
    assert "--variables u v --dims time y x" in Fields(variables=("u", "v"), dims=("time", "y", "x")).command


def test_an_archive_that_is_not_compressed_is_not_read_into_memory(tmp_path: Path) -> None:
    from rollbench.datasets.files.arrays import variables

    with variables(npz(tmp_path / "run", AXES)) as found:
        assert isinstance(found["flow"].values.base, np.memmap)


def test_a_small_archive_that_unpacks_to_gigabytes_is_refused_when_it_is_listed(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("u.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (1100, 1 << 20)})
        for _ in range(1100):
            member.write(bytes(1 << 20))
    with pytest.raises(UserError, match=r"a.npz cannot be read \(its \d+ bytes unpack to 11534\d+: "), variables(path):
        pass
