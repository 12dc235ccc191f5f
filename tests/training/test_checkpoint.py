"""Checkpoints: whole or not there, checked before they are believed, and never a pickle."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from rollbench.training import checkpoint
from rollbench.training.checkpoint import FACTS, SUMS, TENSORS, Damaged

STATE = {
    "weights/conv": torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last),
    "optimiser/step": torch.tensor(7.0),
    "bf16": torch.randn(5).bfloat16(),
    "empty": torch.zeros(0, 2),
}


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    facts = {"step": 3, "history": [{"loss": 0.1 + 0.2, "step": 1}], "name": "π"}
    tensors, found = checkpoint.load(checkpoint.save(tmp_path, "one", STATE, facts))
    assert found == facts
    assert tensors.keys() == STATE.keys()
    for name, value in STATE.items():
        assert tensors[name].dtype == value.dtype and torch.equal(tensors[name], value)


def test_the_sums_are_what_sha256sum_checks(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, "one", STATE, {})
    assert {p.name for p in path.iterdir()} == {TENSORS, FACTS, SUMS}
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum on this machine")
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("OK") == 2


def test_the_last_two_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path) is None
    for step in (5, 20, 100):
        checkpoint.save_step(tmp_path, step, STATE, {"step": step})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000020", "step-00000100"]
    found = checkpoint.load_latest(tmp_path)
    assert found and found[1] == {"step": 100}


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    for word in ("old", "new"):
        checkpoint.save_step(tmp_path, 1, STATE, {"word": word})
    found = checkpoint.load_latest(tmp_path)
    assert found and found[1] == {"word": "new"}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, empty, flip, Path.unlink])
@pytest.mark.parametrize("file", [TENSORS, FACTS, SUMS])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(tmp_path: Path, file: str, damage) -> None:
    for step in (1, 2):
        checkpoint.save_step(tmp_path, step, STATE, {"step": step})
    damage(tmp_path / "step-00000002" / file)
    with pytest.raises(Damaged, match="step-00000002"):
        checkpoint.load(tmp_path / "step-00000002")
    with pytest.warns(UserWarning, match="step-00000002"):
        found = checkpoint.load_latest(tmp_path)
    assert found and found[1] == {"step": 1}


def test_only_damaged_checkpoints_are_named_one_by_one(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.save_step(tmp_path, step, STATE, {"step": step})
        truncate(tmp_path / f"step-{step:08d}" / TENSORS)
    with pytest.warns(UserWarning) as warned:
        assert checkpoint.load_latest(tmp_path) is None
    assert ["step-00000002" in str(warned[0].message), "step-00000001" in str(warned[1].message)] == [True, True]


def test_a_save_that_was_cut_off_is_not_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save_step(tmp_path, 1, STATE, {"step": 1})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_step(tmp_path, 2, STATE, {"step": 2})
    monkeypatch.undo()
    found = checkpoint.load_latest(tmp_path)
    assert found and found[1] == {"step": 1}
    checkpoint.save_step(tmp_path, 2, STATE, {"step": 2})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]


def test_two_writers_in_one_folder_leave_each_other_s_work_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writes the same step, and a later one, while the first has written its files and not renamed them."""
    write = checkpoint._write

    def overtaken(folder: Path, *words: Any) -> None:
        write(folder, *words)
        monkeypatch.setattr(checkpoint, "_write", write)
        checkpoint.save_step(tmp_path, 1, STATE, {"by": "second"})
        checkpoint.save_step(tmp_path, 2, STATE, {"by": "second"})

    monkeypatch.setattr(checkpoint, "_write", overtaken)
    path = checkpoint.save_step(tmp_path, 1, STATE, {"by": "first"})
    assert checkpoint.load(path)[1] == {"by": "first"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]


def test_a_writer_that_comes_between_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remove, others = shutil.rmtree, iter([True, False])

    def then_another(path: Path, ignore_errors: bool = False) -> None:
        remove(path, ignore_errors=ignore_errors)
        if path.name == "one" and next(others):
            path.mkdir()
            (path / FACTS).write_text("{}")

    monkeypatch.setattr(shutil, "rmtree", then_another)
    assert checkpoint.load(checkpoint.save(tmp_path, "one", STATE, {"by": "us"}))[1] == {"by": "us"}


def test_what_a_dead_writer_left_is_deleted_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    for name, age in (("dead", checkpoint.LEFT + 60), ("living", 60.0)):
        left = tmp_path / f"{checkpoint.PARTIAL}{name}"
        left.mkdir()
        (left / TENSORS).touch()
        for path in (left / TENSORS, left):
            os.utime(path, (time.time() - age,) * 2)
    checkpoint.save_step(tmp_path, 1, STATE, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{checkpoint.PARTIAL}living", "step-00000001"]


def test_facts_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        checkpoint.save(tmp_path, "one", STATE, {"loss": float("nan")})
    assert not (tmp_path / "one").exists()


def test_facts_are_read_as_json(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, "one", STATE, {"step": 1})
    assert json.loads((path / FACTS).read_text()) == {"step": 1}


def test_a_full_disk_is_named_and_the_checkpoint_before_it_stays(tmp_path: Path) -> None:
    """A process that may write no file of more than 4,000 bytes stands for a disk with no more room."""
    code = (
        "import resource, sys, torch, pathlib\n"
        "from rollbench.training import checkpoint\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "checkpoint.save_step(folder, 1, {'x': torch.zeros(10)}, {})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "try: checkpoint.save_step(folder, 2, {'x': torch.zeros(2000)}, {})\n"
        "except OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert f"checkpoint {tmp_path}/step-00000002 (8,000 bytes) cannot be written: " in done.stdout, done.stderr
    assert "File too large" in done.stdout and [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
