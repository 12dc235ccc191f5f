"""An experiment, a method, a network and a data set in files of a user's own, run by path: every part is the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rollbench.cli.main import main

HELPER = """
import torch
from torch import nn

class Plain(nn.Module):
    \"\"\"Two convolutions over space that see all frames of a window as channels.\"\"\"
    def __init__(self, frame_shape, clean, generated, width):
        super().__init__()
        channels = frame_shape[0] * (clean + generated)
        self.layers = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.GELU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, z, logsnr):
        return self.layers(z.flatten(1, 2)).view_as(z) + z * torch.sigmoid(logsnr).sqrt()[..., None, None, None]
"""

EXPERIMENT = """
from dataclasses import dataclass, replace
from functools import partial

from experiments.table8 import SETTING
from helper_of_mine import Plain
from rollbench.cli.experiment import run
from rollbench.config.table import Row, Table
from rollbench.methods import Standard

@dataclass(frozen=True)
class Width:
    width: int = 8

    def build(self, frame_shape, clean, generated):
        return Plain(frame_shape, clean, generated, self.width)

@dataclass(frozen=True)
class Late(Standard):
    \"\"\"Trained at high noise alone.\"\"\"
    def times(self, batch, generator):
        times = super().times(batch, generator)
        return times.where((times == 0) | (times == 1), 0.5 + times / 2)

rows = (
    Row("Late (2-2)", Late(2, 2), priority=1),
    Row("Standard (2-2), plain network", Standard(2, 2), priority=2, network=Width()),
)
TABLE = Table(name="mine", published="", title="Mine", caption="Two rows.", settings=(replace(SETTING, rows=rows),))
main = partial(run, TABLE)

if __name__ == "__main__":
    main()
"""
SMALL = ["--scale", "smoke", "--set", "training.steps=2", "--set", "train_clips=16", "--set", "sampling.contexts=8"]
SMALL += ["--name", "mine"]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "helper_of_mine.py").write_text(HELPER)
    (tmp_path / "mine.py").write_text(EXPERIMENT)
    return tmp_path / "mine.py"


def rollbench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rollbench.cli.main", *arguments], capture_output=True, text=True, timeout=300
    )


def report() -> dict[str, Any]:
    return dict(json.loads(Path("out/mine/table.json").read_text()))


def numbers() -> dict[tuple[str, str], list[float]]:
    return {
        (b["metric"], row["row"]): [c["value"] for c in row["cells"]] for b in report()["blocks"] for row in b["rows"]
    }


def test_a_file_of_ones_own_is_an_experiment_and_its_source_is_part_of_every_key(mine: Path) -> None:
    done = rollbench("reproduce", "mine.py", *SMALL)
    assert done.returncode == 0, done.stderr
    first = numbers()
    assert {row for _, row in first} >= {"Late (2-2)", "Standard (2-2), plain network"}
    assert report()["command"].startswith("python mine.py --scale smoke")
    made = {line["row"]: line["cells"][0]["made_by"][0]["commit"] for line in report()["blocks"][0]["rows"]}
    assert ", mine.py " in made["Late (2-2)"] and ", mine.py " in made["Standard (2-2), plain network"]

    # Run as a file, in two processes a row: the same stages, nothing to compute.
    again = subprocess.run(
        [sys.executable, "mine.py", *SMALL, "--workers", "2"], capture_output=True, text=True, timeout=300
    )
    assert again.returncode == 0 and "nothing to compute" in again.stderr, again.stderr
    assert numbers() == first

    # A changed line in a file beside it makes the models, and what follows from them, anew.
    (mine.parent / "helper_of_mine.py").write_text(HELPER.replace("nn.GELU()", "nn.Tanh()"))
    changed = rollbench("reproduce", "mine.py", *SMALL)
    assert changed.returncode == 0 and "mine: 3 of 11 stages are done" in changed.stderr, changed.stderr
    second = numbers()
    row = ("fsd", "Standard (2-2), plain network")
    assert second[row] != first[row] and second["fsd", "persistence"] == first["fsd", "persistence"]


def test_the_starter_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "first.py", "--from", "table8"]) == 0
    assert "_path" not in Path("first.py").read_text()
    assert main(["new", "first.py"]) == 2 and "exists" in capsys.readouterr().err
    planned = subprocess.run(
        [sys.executable, "first.py", "--scale", "smoke", "--dry-run"], capture_output=True, text=True, timeout=300
    )
    assert planned.returncode == 0 and "first" in planned.stdout, planned.stderr


BAD = {
    "raises.py": ("1 / 0", "'raises.py' cannot be imported (ZeroDivisionError: division by zero); --verbose prints where"),
    "empty.py": ("x = 1", "'empty.py' has no experiment: assign a Table to TABLE"),
    "json.py": (EXPERIMENT, "has the name of the module 'json', which is in use"),
    "twice.py": (EXPERIMENT.replace("class Late(", "class Standard("), ""),
    "network.py": (EXPERIMENT.replace("self.width)", "-1)"), "network Width cannot be built for 2 + 2 frames of (2, 16, 16)"),
    "shape.py": (EXPERIMENT.replace("Plain(frame_shape, clean,", "Plain(frame_shape, clean + 1,"), "network Width fails for 2 + 2"),
}  # fmt: skip
BAD["twice.py"] = (
    BAD["twice.py"][0].replace("Late(2, 2)", "Standard(2, 2)").replace("import Standard", "import Standard as Ours")
    .replace("(Standard):", "(Ours):").replace("Standard(2, 2), priority=2", "Ours(2, 2), priority=2"),
    "two classes are called Standard, in rollbench.methods.standard and twice.py; rename one of them",
)  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_does_not_serve_ends_in_one_line(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text, message = BAD[name]
    Path(name).write_text(text)
    monkeypatch.setattr(sys, "path", [str(mine.parent), *sys.path])
    modules = set(sys.modules)
    try:
        assert main(["reproduce", name, *SMALL]) == 2
    finally:
        for module in {"helper_of_mine", Path(name).stem} - modules:
            sys.modules.pop(module, None)
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error, error
    assert not Path("store").exists()
