"""Every experiment from end to end at the smallest scale, each part the real one, on one storage as a user would have it."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollbench.cli.main import EXPERIMENTS, main

TINY = ["--set", "training.steps=2", "--set", "sampling.contexts=8", "--set", "train_clips=16", "--set", "resamples=20"]
SETTINGS = ("table4", "table5", "table6", "table7")  # printed, not run
# What a figure draws was made by its table, and what a small scale asks of a sweep, by the table it varies.
ORDER = (
    "table8", "figure3", "figure4", "figure7", "robustness", "efficiency",
    "table3", "figure5", "figure6", "table10", "sweep_cond_gen", "search_beta", "table9", "figure8", "table1", "table2",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_cluster() -> Iterator[None]:
    from rollbench.engine.cluster import cluster

    with cluster():
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def run(home: Path, name: str, *more: str) -> dict[str, Any]:
    arguments = ["--scale", "smoke", "--storage", str(home / "store"), "--out", str(home / "out")]
    named = [] if name in SETTINGS else ["--name", name]
    assert main(["reproduce", name, *arguments, *named, *more]) == 0
    return dict(json.loads((home / "out" / name / "table.json").read_text()))


def test_all_experiments_are_here(root: Path) -> None:
    files = {path.stem for path in (root / "experiments").glob("*.py") if not path.stem.startswith("_")}
    assert files == set(EXPERIMENTS) == {*ORDER, *SETTINGS}


@pytest.mark.parametrize("name", ORDER)
def test_an_experiment_runs_at_smoke(name: str, home: Path) -> None:
    report = run(home, name, *TINY)
    out = home / "out" / name
    assert all((out / f"table.{kind}").stat().st_size > 500 for kind in ("md", "tex", "html", "json"))
    assert any(out.glob("*.png"))
    measured = [cell for block in report["blocks"] for line in block["rows"] for cell in line["cells"] if cell]
    assert measured and all(cell["low"] <= cell["value"] <= cell["high"] for cell in measured)
    assert {cell["n"] for cell in measured} == {8}
    kinds = {line["kind"] for block in report["blocks"] for line in block["rows"]}
    assert kinds == {"method", "baseline", "floor"}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_table_of_settings_is_printed(name: str, home: Path) -> None:
    assert main(["reproduce", name, "--out", str(home / "out")]) == 0
    assert (home / "out" / name / "table.html").stat().st_size > 500


def test_a_figure_of_a_finished_table_computes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(home, "figure5", *TINY)
    assert "nothing to compute" in capsys.readouterr().err
    assert (home / "out/figure5/rollouts.webp").exists() and not (home / "out/figure5/mse_over_leads.png").exists()


def test_degraded_contexts_cost_no_training(home: Path) -> None:
    """Robustness rolls out the models of Table 8: each method has one model in all settings."""
    models: dict[str, set[str]] = {}
    for block in json.loads((home / "out/robustness/table.json").read_text())["blocks"]:
        for line in (line for line in block["rows"] if line["kind"] == "method"):
            used = {trace["model_key"] for cell in line["cells"] if cell for trace in cell["made_by"]}
            models.setdefault(line["row"].split(", ")[0], set()).update(used)
    trained = {p.parent.name for p in (home / "store/model").glob("*/manifest.json")}
    assert models and all(len(used) == 1 and used <= trained for used in models.values()), models


def test_rows_can_cost_the_same_in_all(home: Path) -> None:
    """The models are those of the table that counts steady calls; what a film costs to start is counted in."""
    run(home, "table8", *TINY)
    models = {p.parent.name for p in (home / "store/model").glob("*/manifest.json")}
    report = run(home, "table8", *TINY, "--set", "sampling.accounting=total")
    rows = {line["row"]: line["cells"][0] for line in report["blocks"][0]["rows"] if line["kind"] == "method"}
    assert (
        rows
        and report["scale"] == "smoke, training.steps=2, sampling.contexts=8, train_clips=16, sampling.accounting=total"
    )
    for row, cell in rows.items():
        assert row.startswith("MSE") or 14 < 8 * cell["calls_per_frame_total"] <= 16  # 2 calls of each of 8 frames
    assert models == {p.parent.name for p in (home / "store/model").glob("*/manifest.json")}


def test_previews_are_saved_with_the_report_and_change_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def values(report: dict[str, Any]) -> list[float]:
        lines = (line for block in report["blocks"] for line in block["rows"])
        return [cell["value"] for line in lines for cell in line["cells"] if cell]

    plain = values(run(home, "table8", *TINY, "--seeds", "7"))
    for model in (home / "store/model").glob("*"):
        shutil.rmtree(model)
    capsys.readouterr()
    assert values(run(home, "table8", *TINY, "--seeds", "7", "--preview")) == plain
    saved, log = sorted((home / "out/table8/previews").glob("*.png")), capsys.readouterr().err
    assert saved and all(
        f"preview    {path}" in log for path in saved
    )  # a training of two steps may end between two polls


def test_an_experiment_is_a_value_without_ray(name: str = "table3") -> None:
    table = importlib.import_module(f"experiments.{name}").TABLE
    assert [setting.paper_name for setting in table.settings] == ["stride=8 steps=24", "stride=1 steps=64"]
