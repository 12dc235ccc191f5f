"""`ray job submit` in both its forms, with nothing installed on the nodes but the dependencies."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.head import Head, head
from tests.faults.table import ROOT, Small, digests

SMALL = Small(rows=("MSE (2-1)",), changes=("training.steps=150", "train_clips=16", "sampling.group=8"))
HERE, BROUGHT = (), ("--working-dir", ".")  # the code: what lies where the head was started, what the job brings along


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a user has it on disk: this checkout without what git ignores."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        check=True,
    ).stdout
    copy = tmp_path_factory.mktemp("project")
    for name in listed.decode().split("\0")[:-1]:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def running(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with head(tmp_path_factory.mktemp("head"), cwd=tree, cpus=2) as made:
        yield made


def submit(
    running: Head, tree: Path, name: str, form: tuple[str, ...], *command: str, wait: bool = True
) -> subprocess.CompletedProcess[str]:
    argv = ["job", "submit", "--submission-id", name, *form, *([] if wait else ["--no-wait"])]
    return running.ray(*argv, "--", "python", *command, cwd=tree)


def test_a_job_where_the_head_was_started_finds_the_code(running: Head, tree: Path) -> None:
    done = submit(running, tree, "plan", HERE, "experiments/table8.py", "--dry-run")
    assert done.returncode == 0 and "table8 at scale laptop" in done.stdout, done.stdout + done.stderr
    assert running.job("plan")["driver_exit_code"] == 0


def test_a_jobs_log_and_exit_code_tell_of_bad_input(running: Head, tree: Path) -> None:
    bad = submit(running, tree, "bad", BROUGHT, "experiments/table8.py", "--scale", "smok")
    said = [line for line in running.logs("bad").splitlines() if line.startswith("rollbench:")]
    assert said == ["rollbench: unknown scale 'smok'; did you mean 'smoke'? Choices: 'smoke', 'laptop', 'lab', 'paper'"]
    assert "Traceback" not in bad.stdout + bad.stderr
    assert bad.returncode == 1 and running.job("bad")["driver_exit_code"] == 2  # Ray's command knows 0 and 1 alone


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_forms_make_the_table_of_a_driver_of_its_own(running: Head, tree: Path, tmp_path: Path) -> None:
    """The second form's relative folders lie in the home of the head's user: Ray throws the job's own folder away."""
    (tmp_path / "alone").mkdir()
    SMALL.make(str(tmp_path / "alone/store"), tmp_path / "alone/out")
    first = submit(running, tree, "first", HERE, *SMALL.command(str(tmp_path / "store"), str(tmp_path / "out")))
    assert first.returncode == 0, first.stdout + first.stderr
    assert "train Regression (2-1), seed 0: step" in first.stdout and "table8: done in" in first.stdout
    second = submit(running, tree, "second", BROUGHT, *SMALL.command("store", "out"))
    assert second.returncode == 0, second.stdout + second.stderr
    home = Path(running.environment["HOME"]) / "rollbench"
    alone = digests(str(tmp_path / "alone/store"))
    assert digests(str(tmp_path / "store")) == digests(str(home / "store")) == alone and len(alone) == 7
    assert SMALL.numbers(tmp_path / "out") == SMALL.numbers(home / "out") == SMALL.numbers(tmp_path / "alone/out")
    assert f"the report is {home}/out/table8" in second.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stopped_job_keeps_what_is_finished_and_submitting_again_goes_on(
    running: Head, tree: Path, tmp_path: Path
) -> None:
    long = Small(rows=SMALL.rows, changes=("training.steps=600", *SMALL.changes[1:]))
    store = str(tmp_path / "store")
    submit(running, tree, "stopped", HERE, *long.command(store, str(tmp_path / "out")), wait=False)
    running.wait_for("stopped", "  train Regression")
    running.ray("job", "stop", "stopped")
    assert running.job("stopped")["status"] == "STOPPED"
    said = running.logs("stopped")
    assert "stopped; finished stages are kept, run the same command to resume" in said and "Traceback" not in said
    kept = digests(store)
    assert {name.split("/")[0] for name in kept} == {"data", "reference", "results"}
    again = submit(running, tree, "again", HERE, *long.command(store, str(tmp_path / "out")))
    assert again.returncode == 0 and "table8: 3 of 7 stages are done" in again.stdout, again.stdout + again.stderr
    assert kept.items() <= digests(store).items() and len(digests(store)) == 7
