"""A small table for fault tests, as a user types it, and what two runs of it must agree on to the last digit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollbench.store.artifact import Store

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("data", "model", "rollouts", "reference", "features", "results")


@dataclass(frozen=True)
class Small:
    """An experiment with options that make it small."""

    rows: tuple[str, ...]
    changes: tuple[str, ...]
    name: str = "table8"

    def command(self, storage: str, out: str, *more: str, script: str = "") -> list[str]:
        """python experiments/NAME.py …"""
        changes = [word for change in self.changes for word in ("--set", change)]
        where = ["--storage", storage, "--out", out, "--name", self.name]
        return [
            script or f"experiments/{self.name}.py",
            "--scale",
            "smoke",
            *changes,
            "--rows",
            *self.rows,
            *where,
            *more,
        ]

    def start(self, storage: str, out: Path, *more: str, log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start the driver as a process, in a session of its own; what it says goes to the file `log`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        words = {"OMP_NUM_THREADS": "1", **kept, **environment}
        command = [
            sys.executable,
            *self.command(storage, str(out), *more, script=str(ROOT / f"experiments/{self.name}.py")),
        ]
        with log.open("ab") as said:
            return subprocess.Popen(
                command, env=words, stdout=said, stderr=said, start_new_session=True, cwd=out.parent
            )

    def make(self, storage: str, out: Path, *more: str, **environment: str) -> str:
        """Run the driver to its end; what it said."""
        log = out.parent / "log"
        code = self.start(storage, out, *more, log=log, **environment).wait(280)
        assert code == 0, f"exit code {code}:\n{log.read_text()[-4000:]}"
        return log.read_text()

    def numbers(self, out: Path) -> list[tuple[str, float]]:
        """Every number of the report with its interval, exactly."""
        return list(_numbers(json.loads((out / self.name / "table.json").read_text()), ""))


# Long enough in each stage to be met in its middle.
SMALL = Small(
    rows=("Rolling Diffusion (init noise) (2-4)",),
    changes=("training.steps=60", "train_clips=16", "sampling.group=1", "sampling.calls_per_frame=8"),
)


@dataclass(frozen=True)
class Undisturbed:
    """A run of `table` that nothing disturbed: the digest of every stage, and every number of the report."""

    table: Small
    digests: dict[str, str]
    numbers: list[tuple[str, float]]

    def equals(self, storage: str, out: Path) -> None:
        """Fails unless the storage and the report agree with ours to the last digit."""
        assert digests(storage) == self.digests
        assert self.table.numbers(out) == self.numbers and len(self.numbers) > 50


def digests(storage: str) -> dict[str, str]:
    """The digest of every finished stage: two storages agree exactly when they agree on every byte."""
    store = Store(storage)
    stages = [store.artifact(kind, key) for kind in KINDS for key in store.keys(kind)]
    return {str(artifact): manifest["digest"] for artifact in stages if (manifest := artifact.manifest())}


def _numbers(value: Any, where: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("value", "low", "high"):
                yield f"{where}/{name}", inner
            else:
                yield from _numbers(inner, f"{where}/{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _numbers(inner, f"{where}/{place}")
