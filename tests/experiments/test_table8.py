"""Table 8 from end to end at a small scale, with every part the real one: Ray Data, Train, Tune, actors, Arrow, MLflow, the report.

One finished run serves all tests; each works on a copy of its storage.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.table8 import TABLE
from rollbench.cli.experiment import run
from tests.faults.processes import kill_when

ROWS = ("MSE (2-1)", "Rolling Diffusion (init noise) (2-4)")
TINY = ["--scale", "smoke", "--set", "training.steps=4", "--set", "train_clips=16", "--set", "sampling.group=8"]
COMMON = [*TINY, "--name", "table8", "--rows", *ROWS]


@pytest.fixture(scope="module", autouse=True)
def one_cluster() -> Iterator[None]:
    """One local Ray for all runs of this file; starting it takes seconds."""
    from rollbench.engine.cluster import cluster

    with cluster():
        yield


def make(home: Path, *more: str) -> dict[str, Any]:
    """Run the table with `home` as its place; returns the report's JSON."""
    assert run(TABLE, [*COMMON, "--storage", str(home / "store"), "--out", str(home / "out"), *more]) == 0
    return read(home)


def read(home: Path) -> dict[str, Any]:
    return dict(json.loads((home / "out/table8/table.json").read_text()))


def numbers(report: dict[str, Any]) -> dict[tuple[str, str, int], tuple[float, float, float]]:
    """Every number of a report with its interval, exactly."""
    return {
        (block["metric"], line["row"], cell["lead"]): (cell["value"], cell["low"], cell["high"])
        for block in report["blocks"]
        for line in block["rows"]
        for cell in line["cells"]
        if cell is not None
    }


def digests(home: Path) -> dict[str, str]:
    """The digest of every finished stage."""
    found = {}
    for path in sorted((home / "store").glob("*/*/manifest.json")):
        manifest = json.loads(path.read_text())
        found[f"{manifest['kind']}/{manifest['key']}"] = manifest["digest"]
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("finished")
    make(home)
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "home"))


def test_the_report_is_complete(finished: Path) -> None:
    out = finished / "out/table8"
    for name in (
        "table.md",
        "table.tex",
        "table.html",
        "table.json",
        "fsd_over_leads.png",
        "rollouts.png",
        "rollouts.webp",
    ):
        assert (out / name).stat().st_size > 500, name
    assert (finished / "out/index.html").exists()
    found = numbers(read(finished))
    rows = {row for _, row, _ in found}
    assert rows == {*ROWS, "persistence", "climatology", "real vs real"}
    assert {lead for _, _, lead in found} == {1, 2, 4, 8}
    assert all(low <= value <= high for value, low, high in found.values())


def test_exact_values_of_the_trivial_rows(finished: Path) -> None:
    """Climatology's MSE ratio is 1 by definition; the regression costs one call a frame, the diffusions what was asked."""
    report = read(finished)
    found = numbers(report)
    assert all(found["mse_ratio", "climatology", lead] == (1.0, 1.0, 1.0) for lead in (1, 2, 4, 8))
    calls = {line["row"]: line["cells"][0]["calls_per_frame"] for line in report["blocks"][0]["rows"]}
    assert [calls[row] for row in ROWS] == [1.0, 2.0]


def test_a_number_can_be_recomputed_from_the_stored_films(finished: Path) -> None:
    """The reviewer's way: from the keys beside a number to the films, and by an independent formula back to the number."""
    import numpy as np
    from scipy.linalg import sqrtm

    from rollbench.pipeline.frames import read_clips
    from rollbench.store.artifact import Store
    from rollbench.store.tensors import tensor_of

    report, lead = read(finished), 4
    (line,) = (x for x in report["blocks"][0]["rows"] if x["row"] == ROWS[1])
    cell = next(c for c in line["cells"] if c["lead"] == lead)
    made_by = cell["made_by"][0]
    store = Store(str(finished / "store"))
    films = np.concatenate(
        [tensor_of(t, "frames") for t in store.artifact("rollouts", made_by["rollouts_key"]).tables()]
    )[:, lead - 1]
    data = store.artifact("data", made_by["data_key"])
    files = [f for f in (data.manifest() or {})["files"] if f["split"] == "test"]
    truth = np.stack([clip[len(clip) - 8 + lead - 1] for clip in read_clips(data, files, False, 16).clips])

    def features(frames: Any) -> Any:
        amplitude = np.abs(np.fft.fft2(frames[:, 0].astype(float), norm="ortho"))
        y, x = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
        kept = ((x > 0) & (x < 8)) | (((x == 0) | (x == 8)) & (y <= 8))
        return amplitude[:, kept]

    a, b = features(truth), features(films)
    difference = a.mean(0) - b.mean(0)
    cross = np.real(np.trace(sqrtm(np.cov(a.T) @ np.cov(b.T) + 0j)))
    expected = difference @ difference + np.trace(np.cov(a.T)) + np.trace(np.cov(b.T)) - 2 * cross
    assert cell["value"] == pytest.approx(expected, rel=1e-4)  # sqrtm of a singular product is good to about this


def test_mlflow_holds_the_same_numbers_as_the_table(finished: Path) -> None:
    from rollbench.tracking.client import open_tracking

    report = read(finished)
    runs = report["tracking"]["runs"]
    tracking = open_tracking(report["tracking"]["uri"])
    found = numbers(report)
    for row in ROWS:
        logged = tracking.read(runs[row]["0"])
        for lead in (1, 2, 4, 8):
            recorded = [logged.metrics[name][lead] for name in ("fsd", "fsd_low", "fsd_high")]
            assert recorded == pytest.approx(found["fsd", row, lead], rel=1e-12)
        assert {"data_key", "model_key", "rollouts_key", "results_key", "commit", "mlflow.parentRunId"} <= set(
            logged.tags
        )
        assert logged.params["training.steps"] == "4"


def test_again_nothing_is_computed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(home), numbers(read(home)), {p: p.stat().st_mtime_ns for p in (home / "store").glob("*/*/*")}
    report = make(home)
    assert "nothing to compute" in capsys.readouterr().err
    after = digests(home), numbers(report), {p: p.stat().st_mtime_ns for p in (home / "store").glob("*/*/*")}
    assert after == before


def test_a_run_of_one_row_keeps_the_other_rows_of_the_report(home: Path, finished: Path) -> None:
    from reports.writers.json_record import verify

    stale = home / "out/table8/mse_over_leads.png"
    report = make(home, "--rows", ROWS[0])
    assert numbers(report) == numbers(read(finished))
    assert set(report["tracking"]["runs"]) >= set(ROWS), "rows of earlier runs are linked to their runs"
    assert verify(home / "out/table8") == [] and stale.exists()


def test_a_deleted_stage_is_redone_with_what_hangs_on_it(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cell,) = (x for x in read(home)["blocks"][0]["rows"] if x["row"] == ROWS[1])
    shutil.rmtree(home / "store/model" / cell["cells"][0]["made_by"][0]["model_key"])
    report = make(home)
    assert "7 of 11 stages are done" in capsys.readouterr().err
    assert numbers(report) == numbers(read(finished)) and digests(home) == digests(finished)


def test_a_flipped_byte_in_a_shard_is_named_and_only_that_shard_is_redone(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = next((home / "store/data").glob("*/part-train-00000.arrow"))
    others = {p: p.stat().st_mtime_ns for p in shard.parent.glob("part-test-*.arrow")}
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    report = make(home)
    assert f"damaged: {shard} has another sha256" in capsys.readouterr().err
    assert all(p.stat().st_mtime_ns == t for p, t in others.items())
    assert numbers(report) == numbers(read(finished)) and digests(home) == digests(finished)


def test_damage_that_only_its_reader_finds_fails_one_run_and_is_mended_by_the_next(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a stage so large that the driver compares sizes alone."""
    monkeypatch.setattr("rollbench.store.artifact.REHASH_LOCAL", -1)
    shard = next((home / "store/data").glob("*/part-train-00000.arrow"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    (cell,) = (x for x in read(home)["blocks"][0]["rows"] if x["row"] == ROWS[1])
    shutil.rmtree(home / "store/model" / cell["cells"][0]["made_by"][0]["model_key"])
    assert run(TABLE, [*COMMON, "--storage", str(home / "store"), "--out", str(home / "out")]) == 1
    assert f"{shard} has another sha256" in capsys.readouterr().err
    report = make(home)
    assert f"damaged: {shard} has another sha256" in capsys.readouterr().err
    assert numbers(report) == numbers(read(finished)) and digests(home) == digests(finished)


def test_a_truncated_checkpoint_is_named_and_redone(
    home: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = next((home / "store/model").glob("*/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    report = make(home)
    assert f"damaged: {weights} has 1000 bytes" in capsys.readouterr().err
    assert numbers(report) == numbers(read(finished))


def test_two_workers_and_another_batch_give_the_same_numbers(tmp_path: Path, finished: Path) -> None:
    """Two workers share each global batch of two micro-batches and the groups of films; the bytes come out the same."""
    report = make(tmp_path, "--workers", "2", "--groups-per-call", "2")
    assert digests(tmp_path) == digests(finished)
    assert numbers(report) == numbers(read(finished))


def test_killed_in_the_middle_of_training_it_goes_on(tmp_path: Path, finished: Path, root: Path) -> None:
    """SIGKILL of the driver and all its processes as models begin to train; the next run finishes with the same numbers."""
    arguments = [*COMMON, "--storage", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    driver = subprocess.Popen(
        [sys.executable, str(root / "experiments/table8.py"), *arguments],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment,
    )
    kill_when(driver, lambda: list((tmp_path / "store").glob("model/*")))  # a worker makes this folder as it begins
    left = set(digests(finished)) - set(digests(tmp_path))
    assert sum(name.startswith("results/") for name in left) == len(ROWS)
    report = make(tmp_path)
    assert numbers(report) == numbers(read(finished)) and digests(tmp_path) == digests(finished)


def test_results_are_tidy(finished: Path) -> None:
    """A row's results are one parquet file that pandas opens, with the replicates behind each interval."""
    path = next((finished / "store/results").glob("*/results.parquet"))
    frame = pd.read_parquet(path)
    assert {"metric", "lead", "value", "low", "high", "n", "replicates", "evaluator"} <= set(frame.columns)
    assert set(frame["n"]) == {16} and {len(r) for r in frame["replicates"]} == {100}
