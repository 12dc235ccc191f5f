"""What a row costs beyond its own work: a table of 300 trivial rows through Ray Tune, and the memory of the driver meanwhile.

    python tests/benchmarks/rows.py
    python tests/benchmarks/rows.py --rows 40

Each row trains a tiny network for one step, rolls out two films of two frames and scores them, all through the real stages. Its own work
is the time of its stages, as their manifests have it; overhead is the rest of the time that its slot was taken. Memory is the driver's
resident size after each row. Then the same command again, when there is nothing to compute.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.table8 import SETTING
from rollbench.cli.experiment import run
from rollbench.config.table import Row, Table
from rollbench.engine import trials
from rollbench.engine.cluster import cluster
from rollbench.methods import Rolling
from rollbench.store.artifact import Store

LIMIT = 1.0  # seconds of overhead per row
SMALL = {
    "leads": [1, 2], "sampling.horizon": 2, "data.frames": 6, "train_clips": 16, "training.steps": 1, "training.micro_batch": 2,
    "training.batch": 2, "sampling.contexts": 2, "sampling.calls_per_frame": 1, "metrics": '["mse"]', "resamples": 20,
}  # fmt: skip


def table(rows: int) -> Table:
    """Rolling diffusion at so many values of β: each row has a model of its own."""
    made = tuple(Row(f"β = {k / 1000}", Rolling(2, 2, beta=k / 1000), priority=1) for k in range(1, rows + 1))
    setting = replace(SETTING, rows=made, metrics=("mse",), network=SETTING.network.capped((8,), (1,), 4))
    return Table(name="rows", published="", title=f"{rows} trivial rows", settings=(setting,))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=300)
    options = parser.parse_args()
    seen: dict[str, Any] = {"moments": []}
    trials.run_rows = timed(trials.run_rows, seen)
    with tempfile.TemporaryDirectory() as folder, cluster():
        words = ["--scale", "smoke", "--rows", "all", "--storage", f"{folder}/store", "--out", f"{folder}/out"]
        for field, value in SMALL.items():
            words += ["--set", f"{field}={value}".replace("'", '"')]
        start = time.perf_counter()
        if run(table(options.rows), words):
            return 1
        whole = time.perf_counter() - start
        store = Store(f"{folder}/store")
        own = sum(own_work(row, store) for group in seen["groups"] for row in group)
        start = time.perf_counter()
        run(table(options.rows), words)
        again = time.perf_counter() - start
    rows, slots = len(seen["moments"]), seen["slots"]
    overhead = (seen["wall"] * slots - own) / rows
    resolve = np.array(seen["moments"][rows // 10 :])  # the first rows load what all need
    growth = np.polyfit(np.arange(len(resolve)), resolve[:, 1], 1)[0]
    print(
        f"{rows} rows in {slots} slots: {seen['wall']:.1f} s; own work {own / rows:.2f} s a row, overhead {overhead:.2f} s a row"
    )
    print(
        f"the driver: {resolve[0, 1] / 2**20:.0f} MiB, then {growth / 2**10:+.1f} KiB a row (Ray's and MLflow's books included)"
    )
    print(
        f"the whole run {whole:.1f} s, again with nothing to compute {again:.1f} s ({again / rows * 1000:.0f} ms a row)"
    )
    return int(overhead > LIMIT)


def own_work(row: Any, store: Store) -> float:
    return sum((work.stage(store).manifest() or {})["made"]["seconds"] for work in row.works())


def timed(function: Callable[..., None], seen: dict[str, Any]) -> Callable[..., None]:
    """`run_rows`, with the time it took and the driver's resident size as each row is done."""

    def run_rows(
        groups: Any, pending: Any, store: Any, resources: Any, progress: Any, on_done: Callable[[Any], None], *more: Any
    ) -> None:
        def done(row: Any) -> None:
            on_done(row)
            seen["moments"].append((time.perf_counter(), resident()))

        start = time.perf_counter()
        function(groups, pending, store, resources, progress, done, *more)
        seen.update(wall=time.perf_counter() - start, groups=groups, slots=resources.concurrent_trials)

    return run_rows


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    sys.exit(main())
