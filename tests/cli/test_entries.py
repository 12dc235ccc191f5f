"""Samples that were made elsewhere stand in a table beside its own rows: every part is the real one, at a small scale."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from experiments.table8 import TABLE
from rollbench.cli.experiment import run
from rollbench.cli.main import main
from rollbench.store.tensors import tensor_column

SMALL = ["--scale", "smoke", "--set", "sampling.contexts=10", "--set", "train_clips=16", "--set", "sampling.group=4"]
CLIPS, HORIZON, SHAPE = 10, 8, (2, 16, 16)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a storage that holds the data of the table, its contexts in contexts/, and a local Ray for all tests."""
    from rollbench.engine.cluster import cluster

    home = tmp_path_factory.mktemp("entries")
    with cluster():
        storage = ["--storage", str(home / "store")]
        assert main(["contexts", "table8", *SMALL, *storage, "--out", str(home / "contexts"), "--train"]) == 0
        yield home


@pytest.fixture
def home(given: Path, tmp_path: Path) -> Path:
    """A copy of that folder, the working directory."""
    shutil.copytree(given, tmp_path, dirs_exist_ok=True)
    return tmp_path


def contexts() -> dict[str, Any]:
    with np.load("contexts/contexts.npz", allow_pickle=False) as file:
        return dict(file)


def persistence() -> dict[str, Any]:
    """The content of a file of samples: the last frame of each context again and again."""
    c = contexts()
    return {"key": c["key"], "ids": c["ids"], "samples": np.repeat(c["frames"][:, -1:], c["horizon"], axis=1)}


def truth() -> np.ndarray:
    """The frames that the contexts go over into [clips, horizon, channel, y, x]."""
    from rollbench.config.scale import at_scale, scale
    from rollbench.pipeline.frames import read_range
    from rollbench.pipeline.graph import build_pipeline
    from rollbench.store.artifact import Store

    description = json.loads(Path("contexts/contexts.json").read_text())
    (setting,) = build_pipeline(at_scale(TABLE, scale("smoke")), ["MSE (2-1)"]).settings
    store = Store("store")
    (key,) = store.keys("data")
    assert key == description["data_key"]
    manifest = store.artifact("data", key).manifest() or {}
    data = type(setting.test_data)(setting.test_data.data, 16, manifest["configuration"]["test"], title="")
    return np.stack(read_range(data, store, "test", 0, CLIPS).clips)[:, -HORIZON:]


def save(name: str = "mine/samples.npz", **content: Any) -> str:
    Path(name).parent.mkdir(exist_ok=True)
    np.savez(name, **content)
    return name


def enter(samples: str, name: str, *more: str) -> int:
    return main(["enter", "table8", *SMALL, "--samples", samples, "--name", name, *more])


def report_folder() -> Path:
    """The folder of the newest report."""
    return max(Path("out").glob("table8-*/table.json"), key=lambda record: record.stat().st_mtime_ns).parent


def lines(metric: str) -> dict[str, dict[str, Any]]:
    """The rows of a block of the report, by name."""
    report = json.loads((report_folder() / "table.json").read_text())
    (block,) = (block for block in report["blocks"] if block["metric"] == metric)
    return {line["row"]: line for line in block["rows"]}


def values(line: dict[str, Any]) -> list[tuple[float, float, float]]:
    return [(cell["value"], cell["low"], cell["high"]) for cell in line["cells"]]


def test_contexts_are_the_frames_that_our_rows_are_given(home: Path) -> None:
    c, description = contexts(), json.loads(Path("contexts/contexts.json").read_text())
    assert c["frames"].shape == (CLIPS, 2, *SHAPE) and c["frames"].dtype == np.float32
    assert int(c["horizon"]) == HORIZON == description["horizon"] and str(c["key"]) == description["key"]
    assert [channel["unit"] for channel in description["channels"]] == ["m/s", "m/s"]
    assert description["frame_interval_seconds"] == 1.5
    with np.load("contexts/train.npz", allow_pickle=False) as train:
        assert train["frames"].shape == (16, 12, *SHAPE) and set(train["ids"]).isdisjoint(c["ids"])
        mean = train["frames"].mean(axis=(0, 1, 3, 4))
    assert mean == pytest.approx(description["normalisation_of_our_rows"]["mean"], abs=1e-4)


@pytest.mark.parametrize("kind", ["netcdf", "zarr", "arrow"])
def test_every_format_holds_the_same_contexts(home: Path, kind: str) -> None:
    assert main(["contexts", "table8", *SMALL, "--out", kind, "--format", kind]) == 0
    expected = contexts()
    if kind == "arrow":
        table = pa.ipc.open_file(f"{kind}/contexts.arrow").read_all()
        frames = table.column("frames").combine_chunks().to_numpy_ndarray()
        ids, scalars = table.column("ids").to_pylist(), json.loads(table.schema.metadata[b"rollbench"])
    else:
        xarray = pytest.importorskip("xarray", reason="pip install -e '.[fields]'")
        ending, engine = {"netcdf": ("nc", "h5netcdf"), "zarr": ("zarr", "zarr")}[kind]
        with xarray.open_dataset(f"{kind}/contexts.{ending}", engine=engine) as data:
            assert data["frames"].dims == ("clip", "time", "channel", "y", "x")
            frames, ids, scalars = data["frames"].values, list(data["ids"].values), data.attrs
    assert (frames == expected["frames"]).all() and list(ids) == list(expected["ids"])
    assert scalars["key"] == str(expected["key"]) and int(scalars["horizon"]) == HORIZON


def test_an_entry_stands_beside_the_rows_and_scores_like_them(home: Path) -> None:
    assert enter(save(**persistence()), "Frozen", "--calls-per-frame", "20", "--parameters", "3e6") == 0
    for metric in ("fsd", "mse", "mse_ratio"):
        rows = lines(metric)
        assert rows["Frozen"]["kind"] == "entry"
        assert values(rows["Frozen"]) == values(rows["persistence"])
    assert rows["Frozen"]["cells"][0]["calls_per_frame"] == 20 and rows["Frozen"]["cells"][0]["parameters"] == 3_000_000
    assert enter(save("true.npz", **persistence() | {"samples": truth()}), "Oracle", "--workers", "2") == 0
    assert all(value == (0, 0, 0) for value in values(lines("mse")["Oracle"]))
    # The table itself shows entries from then on, marked, and a row that is run stands above them.
    assert run(TABLE, [*SMALL, "--set", "training.steps=2", "--rows", "MSE (2-1)"]) == 0
    assert list(lines("fsd"))[:3] == ["MSE (2-1)", "Frozen", "Oracle"]
    page = (report_folder() / "table.html").read_text()
    assert "Frozen (entered)" in page and "as stated by their authors" in page
    assert "Frozen (entered)" in (report_folder() / "table.tex").read_text()


def test_the_example_of_the_documents_becomes_a_row(home: Path, root: Path) -> None:
    script = str(root / "experiments/examples/enter_samples.py")
    subprocess.run([sys.executable, script, "contexts/contexts.npz", "mine/samples.npz"], check=True)
    assert enter("mine/", "Damped trend") == 0
    with np.load("mine/samples.npz") as file:
        errors = ((file["samples"].astype(np.float64) - truth()) ** 2).mean(axis=(0, 2, 3, 4))
    cells = lines("mse")["Damped trend"]["cells"]
    assert [cell["value"] for cell in cells] == pytest.approx([errors[cell["lead"] - 1] for cell in cells])


def test_entries_are_listed_and_removed_with_their_scores(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert enter(save(**persistence()), "Frozen", "--url", "https://example.org/frozen") == 0
    capsys.readouterr()
    assert main(["entries", "table8", *SMALL]) == 0
    assert re.match(r"Frozen  entry/[0-9a-f]{20}  url https://example.org/frozen\n$", capsys.readouterr().out)
    assert main(["entries", "table8", *SMALL, "--remove", "Frosen"]) == 2
    assert "no such entry; did you mean 'Frozen'?" in capsys.readouterr().err
    assert main(["entries", "table8", *SMALL, "--remove", "Frozen"]) == 0
    assert not any(any(Path("store", kind).iterdir()) for kind in ("entry", "features") if Path("store", kind).exists())
    assert len(list(Path("store/results").iterdir())) == 1  # of the trivial forecasts


@pytest.mark.parametrize("kind", ["npz", "netcdf", "zarr", "arrow"])
def test_samples_are_known_by_their_content_whatever_the_format_and_the_order(home: Path, kind: str) -> None:
    from rollbench.pipeline.exchange import read_samples

    content = persistence()
    order = np.random.default_rng(0).permutation(CLIPS)
    ids, samples = content["ids"][order], content["samples"][order]
    path = Path(f"mine.{kind}")
    if kind == "npz":
        np.savez("samples.npz", key=content["key"], ids=ids, samples=samples.astype(np.float64))
        path = Path("samples.npz")
    elif kind == "arrow":
        schema = {"rollbench": json.dumps({"key": str(content["key"])})}
        table = pa.table({"ids": ids, "samples": tensor_column(samples)}).replace_schema_metadata(schema)
        path = Path("samples.arrow")
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        xarray = pytest.importorskip("xarray", reason="pip install -e '.[fields]'")
        dims = ("clip", "time", "channel", "y", "x")
        data = xarray.Dataset({"ids": (dims[:1], ids), "samples": (dims, samples)}, attrs={"key": str(content["key"])})
        path = Path("samples.nc" if kind == "netcdf" else "samples.zarr")
        data.to_netcdf(path, engine="h5netcdf") if kind == "netcdf" else data.to_zarr(path, zarr_format=2)
    read = read_samples(path, largest=10**7)
    assert read.samples.shape == (CLIPS, 1, HORIZON, *SHAPE) and read.key == str(content["key"])
    assert enter(str(path), "Frozen") == 0
    manifest = json.loads(next(Path("store/entry").glob("*/manifest.json")).read_text())
    expected = np.ascontiguousarray(content["samples"], np.float32)
    assert manifest["digest_of_samples"] == hashlib.sha256(expected.tobytes()).hexdigest()


def changed(**changes: Callable[[Any], Any]) -> Callable[[], dict[str, Any]]:
    def content() -> dict[str, Any]:
        return {name: changes.get(name, lambda value: value)(value) for name, value in persistence().items()}

    return content


def with_value(value: float) -> Callable[[Any], Any]:
    def edit(samples: np.ndarray) -> np.ndarray:
        samples = samples.copy()
        samples[3, 5, 1, 2, 2] = value
        return samples

    return edit


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(ids=lambda ids: ids[:-1], samples=lambda s: s[:-1]), "lacks 1 of 10 clips, first '"),
        (changed(ids=lambda ids: np.r_[ids[:-1], ids[:1]]), "twice; each clip of the contexts stands once"),
        (changed(ids=lambda ids: np.r_[ids[:-1], ["x"]]), "has the clip 'x', which is not among the contexts"),
        (changed(samples=lambda s: s[:, :-1]), "has 7 frames, and needs 8: samples of shape (10, 1, 8, 2, 16, 16)"),
        (changed(samples=lambda s: np.stack([s, s], 1)), "has 2 samples per clip, and needs 1"),
        (changed(samples=lambda s: s[..., :8]), "has 8 x, and needs 16"),
        (changed(samples=with_value(np.nan)), "sample 0, frame 6 of the horizon holds nan; samples are finite"),
        (changed(samples=lambda s: s.astype(np.float64) + 1e300), "frame 1 of the horizon holds 1e+300"),
        (changed(samples=lambda s: s.astype("S1")), "samples have the type |S1"),
        (changed(samples=lambda s: s[0]), "write [clips, time, channel, y, x]"),
        (changed(key=lambda key: np.array("0123456789")), "continues the contexts 0123456789, and this table and scale has"),
        (lambda: {"samples": persistence()["samples"]}, "has no 'key'; it needs key, ids and samples"),
    ],
)  # fmt: skip
def test_samples_that_do_not_fit_are_refused_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], content: Callable[[], dict[str, Any]], message: str
) -> None:
    assert enter(save(**content()), "Mine") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error, error
    assert not Path("store/entry").exists()


def test_samples_for_another_scale_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = save(**persistence())
    other = [*SMALL, "--set", "sampling.contexts=9", "--samples", samples, "--name", "Mine"]
    assert main(["enter", "table8", *other]) == 2
    assert "write these with `rollbench contexts`" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["MSE (2-1)", "persistence", "", " a", "a\nb", "x" * 81])
def test_names_that_are_taken_or_no_name_are_refused(home: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert enter(save(**persistence()), name) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--name" in error


def test_one_name_holds_one_set_of_samples(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = persistence()
    assert enter(save(**content), "Mine") == 0
    assert enter(save(**content), "Mine") == 0  # the same again changes nothing
    capsys.readouterr()
    assert enter(save(**content), "Other") == 2
    assert "entered already, as 'Mine'" in capsys.readouterr().err
    assert enter(save(**content | {"samples": content["samples"] + 1}), "Mine") == 2
    assert "'Mine' is taken by other samples" in capsys.readouterr().err


def test_an_entry_is_data_only(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pickle in the file is not run, and a name with markup is text on the page."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (Path("ran"),)

    content = persistence()
    np.savez("bad.npz", key=content["key"], ids=content["ids"], samples=np.array([Trap()], dtype=object))
    assert enter("bad.npz", "Mine") == 2 and not Path("ran").exists()
    assert capsys.readouterr().err.count("\n") == 1
    assert enter(save(**content), "<script>alert(1)</script>", "--url", "javascript:alert(1)") == 2
    assert "--url" in capsys.readouterr().err
    assert enter(save(**content), "<b>bold</b>") == 0
    assert "<b>bold</b>" not in (report_folder() / "table.html").read_text()


def test_a_file_that_unpacks_to_more_than_expected_is_refused_before_it_is_read(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = persistence()
    np.savez_compressed("bomb.npz", **content | {"samples": np.zeros(2**26, np.float32)})
    assert Path("bomb.npz").stat().st_size < 2**20
    assert enter("bomb.npz", "Mine") == 2
    assert "bytes, where at most" in capsys.readouterr().err
