"""The command line: bad input is one line and exit code 2 before anything starts; a dry run says what it would take and writes nothing."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from experiments.search_beta import SEARCH
from experiments.table8 import TABLE
from rollbench.cli import dry_run
from rollbench.cli.dry_run import size
from rollbench.cli.experiment import run
from rollbench.cli.main import EXPERIMENTS, main
from rollbench.cli.options import scale_label
from rollbench.pipeline import estimate
from rollbench.pipeline.estimate import Rate
from rollbench.progress import duration


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a refusal prints."""
    assert run(TABLE, ["--scale", "smoke", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1, err
    assert not Path("store").exists() or not any(Path("store").iterdir()), "work was started"
    return err


@pytest.mark.parametrize(
    ("arguments", "argv"),
    [
        (
            ["--rows", "Rolling (2-4)"],
            "unknown row 'Rolling (2-4)'; did you mean 'Rolling Diffusion (init noise) (2-4)'?",
        ),
        (["--scale", "labtop"], "unknown scale 'labtop'; did you mean 'laptop'?"),
        (["--set", "data.viscosity=[-0.1, 0.1]"], "viscosity"),
        (["--set", "data.frames=5"], "a horizon of 8 exceed the clip of 5 frames"),
        (["--set", "training.step=3"], "no field 'training.step'; did you mean 'training.steps'?"),
        (["--set", "steps=3"], "no field 'steps'; did you mean 'training.steps'?"),
        (["--set", "resmaples=30"], "did you mean 'resamples'?"),
        (["--set", "training.steps.x=3"], "no field 'training.steps.x'; did you mean 'training.steps'?"),
        (["--set", "training.steps=many"], "training.steps='many' cannot be read"),
        (["--set", "training=3"], "set one of its fields, e.g. training.steps"),
        (["--set", "seeds=[0, 1]"], "as in --seeds 0 1 2"),
        (["--set", "rows=[1]"], "use --rows to choose rows"),
        (["--set", "rows.method.beta=0.5"], "the experiment's file defines their methods"),
        (["--set", "training.steps"], "has no '='"),
        (["--seeds", "0", "0"], "each once"),
        (["--seeds", "-1"], "whole numbers from 0"),
        (["--seeds", "18446744073709551616"], "whole numbers from 0 to 2**63 - 1"),
        (["--out", "/dev/null"], "--out '/dev/null': '/dev/null' is not a folder; name another"),
        (["--out", "/dev/null/x"], "--out '/dev/null/x': '/dev/null' is not a folder; name another"),
        (["--out", "/proc"], "--out '/proc': '/proc' cannot be written ("),
        (["--workers", "0"], "--workers 0 is below 1"),
        (["--groups-per-call", "0"], "--groups-per-call 0 is below 1"),
        (["--workers", "64"], "exceeds the 2 micro-batches"),
        (["--storage", "nonsense://x"], "cannot be opened"),
        (["--storage", "/proc/rollbench"], "cannot be written"),
        (["--set", "train_clips=999999999999"], "GB free"),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], argv: str) -> None:
    assert argv in refused(capsys, *arguments)


def test_a_misspelt_field_of_a_search_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    for change, path in (("trails=3", "trials"), ("proxy.sample=2", "proxy.samples"), ("step=9", "training.steps")):
        assert run(SEARCH, ["--scale", "smoke", "--dry-run", "--set", change]) == 2
        assert f"did you mean {path!r}?" in capsys.readouterr().err


def test_a_tracking_address_that_can_never_serve_is_refused_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is only away is told, and the work goes on: see test_record.py."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://place")
    assert "MLflow at nonsense://place cannot be used" in refused(capsys)
    assert "MLflow at nonsense://other cannot be used" in refused(capsys, "--tracking-uri", "nonsense://other")


def test_an_unknown_table_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "table88"]) == 2
    assert "did you mean 'table8'?" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_experiments(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert main(["reproduce", flag]) == 0
    printed = capsys.readouterr().out
    assert [name for name in EXPERIMENTS if name not in printed] == []


def test_help_of_an_experiment_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["reproduce", "table8", "--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--scale" in text and TABLE.title in text and "corpora:TRAIN,TEST" in text


def test_no_experiment_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce"]) == 2
    assert "needs the name of an experiment" in (err := capsys.readouterr().err) and err.count("\n") == 1


def test_an_unknown_option_is_one_line_too(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, root / "experiments/table8.py", "--scal", "smoke", "--nonsense"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--nonsense" in done.stderr


def test_a_python_without_the_dependencies_is_one_line(root: Path) -> None:
    """-S leaves site-packages out, as the system's own Python has them not."""
    done = subprocess.run(
        [sys.executable, "-S", root / "experiments/table8.py", "--scale", "smoke"],
        capture_output=True,
        text=True,
        env={},
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "has no mlflow" in done.stderr and "run `make setup`, then `. .venv/bin/activate`" in done.stderr


def test_the_paper_scale_prints_the_papers_sizes_and_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(TABLE, ["--scale", "paper", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "198,976 training + 1,024 test clips, 64×64 frames of a 256×256 flow every 1.5 s, 1.31 TB to make" in text
    assert "200,777,858" in text and "H200-hours" in text and "0 of 54 done" in text
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("gpus", "rate"), [(0, Rate(4e10, 3, "core")), (1, Rate(4e13, 1, "GPU")), (8, Rate(4e13, 8, "GPU"))]
)
def test_a_rate_names_the_units_that_it_was_measured_on(monkeypatch: pytest.MonkeyPatch, gpus: int, rate: Rate) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(estimate, "processors", lambda: 3)
    monkeypatch.setattr(estimate, "_matmul_flops", lambda device, size: {"cuda": 4e13, "cpu": 4e10}[device])
    assert estimate.calibrate() == rate


def test_a_plan_divides_by_the_units_that_it_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = []
    for rate, argv in ((Rate(4e12, 8, "GPU"), "on 8 GPUs,"), (Rate(3.2e13, 1, "core"), "on 1 core,")):
        monkeypatch.setattr(dry_run, "calibrate", lambda rate=rate: rate)
        assert run(TABLE, ["--scale", "paper", "--dry-run"]) == 0
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("networks: "))
        assert argv in line and f"on one {rate.unit} is sustained" in line
        times.append(line.split(" on ")[0])
    assert times[0] == times[1] and " d " in times[0]


def test_a_duration_has_days() -> None:
    shown = [duration(s) for s in (7.25, 65, 3_700, 100 * 86_400 + 3 * 3_600)]
    assert shown == ["7.2 s", "1 min 05 s", "1 h 01 min", "100 d 03 h"]


def test_sizes_read_like_a_persons() -> None:
    assert [size(n) for n in (999, 1e3, 1.31e12)] == ["999 B", "1 kB", "1.31 TB"]


@pytest.mark.parametrize(
    ("changes", "argv"),
    [
        ([], "paper"),
        (["training.steps=1000"], "paper, training.steps=1000"),
        (["training.micro_batch=2", "sampling.group=8", "resamples=50"], "paper"),
    ],
)
def test_a_changed_field_is_part_of_the_scales_name(changes: list[str], argv: str) -> None:
    """So that no number of other settings is set against the paper's."""
    assert scale_label(argparse.Namespace(scale="paper", set=changes)) == argv


def test_without_a_command_it_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: rollbench") and all(name in out for name in ("reproduce", "ingest", "inspect", "fvd"))


def test_the_version_names_the_commit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"rollbench [\d.]+, commit [0-9a-f]{40}(\+changes)?\n", capsys.readouterr().out)


def test_an_unknown_option_without_a_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--nonsense"])
    assert exit.value.code == 2 and "--nonsense" in capsys.readouterr().err
