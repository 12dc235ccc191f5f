"""What every test can count on: one torch thread, a seeded global generator, and a working directory of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the processes that tests start; two threads on two cores are erratic


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of this repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference data that some tests read; it lies beside the repository and is not part of it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no reference data: {folder} does not exist")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an object store with an empty bucket, real S3 over HTTP on loopback."""
    from tests.faults.storage import bucket

    with bucket() as at:
        yield at


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Sums in one order: results do not depend on how many cores the machine happens to have."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of a test lead into its own folder, never into the repository; MLflow is not the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The global generators start alike in every test, so that no test depends on those before it."""
    import numpy as np
    import torch

    torch.manual_seed(0)
    np.random.seed(0)
