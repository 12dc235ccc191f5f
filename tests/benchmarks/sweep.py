"""What a sweep wastes: the wall time of 12 trials over the work that they did.

    python tests/benchmarks/sweep.py                       12 trials at smoke: how to split a window of 16 frames
    python tests/benchmarks/sweep.py --experiment table8   its 12 models

A trial's own work is the time between the beginning and the end of its stages (training, rollout, evaluation, scores), as their
manifests have it. Slots are the trials that fit side by side. waste = wall time · slots / own work, of the trials from the start of Ray
Tune to the last result: with the processes that a trial needs, without Ray's own start and what the rows share, computed once before.
"""

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from rollbench.cli.experiment import run
from rollbench.engine import trials
from rollbench.engine.cluster import cluster
from rollbench.store.artifact import Store


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiment", default="sweep_cond_gen")
    options, rest = parser.parse_known_args()
    table = importlib.import_module(f"experiments.{options.experiment}").TABLE
    seen: dict[str, Any] = {}
    trials.run_rows = timed(trials.run_rows, seen)
    with tempfile.TemporaryDirectory() as folder, cluster():
        store = Store(f"{folder}/store")
        start = time.perf_counter()
        words = ["--scale", "smoke", "--rows", "all", "--storage", store.root, "--out", f"{folder}/out", *rest]
        if run(table, words):
            return 1
        whole = time.perf_counter() - start
        stages = {stage for group in seen["groups"] for row in group for stage in row.stages()}
        seconds: dict[str, float] = {}
        for stage in stages:
            manifest = stage.artifact(store).manifest() or {}
            seconds[stage.kind] = seconds.get(stage.kind, 0.0) + manifest["made"]["seconds"]
        own, slots = sum(seconds.values()), seen["slots"]
        again = time.perf_counter()
        run(table, words)
        again = time.perf_counter() - again
    print(f"{len(seen['groups'])} trials in {slots} slots: {seen['wall']:.1f} s; own work {own:.1f} s (", end="")
    print(*(f"{kind} {value:.1f}" for kind, value in seconds.items()), sep=", ", end=")\n")
    print(f"waste {seen['wall'] * slots / own:.2f} = wall time x slots / own work (wanted: at most 1.25)")
    print(f"the whole run {whole:.1f} s, again with nothing to compute {again:.1f} s")
    return 0


def timed(function: Callable[..., None], seen: dict[str, Any]) -> Callable[..., None]:
    def run_rows(groups: Any, pending: Any, store: Any, resources: Any, *more: Any) -> None:
        start = time.perf_counter()
        function(groups, pending, store, resources, *more)
        seen.update(wall=time.perf_counter() - start, groups=groups, slots=resources.concurrent_trials)

    return run_rows


if __name__ == "__main__":
    sys.exit(main())
