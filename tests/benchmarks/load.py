"""Many at once: 200 processes that read one store to its end, checked, against one that does and against hashing the bare files.

    python tests/benchmarks/load.py [--readers 200] [--megabytes 64]

Every reader is a process with a store of its own; all begin together and each reads every shard, whose sha256 is compared with its
receipt. Printed are the CPU time of our reading over that of `hashlib.sha256` on the mapped files, which is its floor; how long the last
reader took over what the processors can do; and the memory that a reader has to itself, the shards being mapped and shared by all.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from rollbench.store.artifact import Store
from rollbench.store.tensors import tensor_column, tensor_of

SHARDS = 64
LIMIT = 1.2  # times the CPU time of hashing alone


def write(root: Path, megabytes: int) -> None:
    """A finished stage of `SHARDS` shards."""
    stage, clips = Store(str(root)).artifact("data", "load"), 4
    side = int((megabytes * 1e6 / SHARDS / clips / 4 / 8) ** 0.5)
    frames = np.random.default_rng(0).random((clips, 8, side, side), np.float32)
    receipts = [
        stage.write_table(f"part-{i:05d}.arrow", pa.table({"frames": tensor_column(frames + i)})) for i in range(SHARDS)
    ]
    stage.commit(receipts)


def ours(root: Path) -> None:
    count = sum(len(tensor_of(table, "frames")) for table in Store(str(root)).artifact("data", "load").tables())
    assert count == 4 * SHARDS, f"{count} clips"


def bare(root: Path) -> None:
    for path in sorted(root.glob("data/load/*.arrow")):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            hashlib.sha256(data).hexdigest()


def cpu(work: Callable[[Path], None], root: Path, turns: int = 7) -> float:
    """Seconds of CPU time of one reading, the least of some."""
    taken = []
    for _ in range(turns):
        start = time.process_time()
        work(root)
        taken.append(time.process_time() - start)
    return min(taken)


def own_memory() -> int:
    """Bytes that this process shares with nobody."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def reader(root: Path, begin: object, ended: object) -> None:
    begin.wait()  # type: ignore[attr-defined]
    ours(root)
    ended.put((time.monotonic(), own_memory()))  # type: ignore[attr-defined]


def together(root: Path, readers: int) -> tuple[float, int]:
    """Seconds until the last of so many readers is done, and the largest memory that one has to itself."""
    processes = multiprocessing.get_context("fork")
    begin, ended = processes.Barrier(readers + 1), processes.SimpleQueue()
    started = [processes.Process(target=reader, args=(root, begin, ended)) for _ in range(readers)]
    for process in started:
        process.start()
    begin.wait()
    start = time.monotonic()
    results = [ended.get() for _ in started]
    for process in started:
        process.join()
        assert process.exitcode == 0
    return max(when for when, _ in results) - start, max(memory for _, memory in results)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--megabytes", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, options.megabytes)
        last, memory = together(
            root, options.readers
        )  # before this process has threads of its own, which do not survive a fork
        one, floor = cpu(ours, root), cpu(bare, root)
        size = sum(path.stat().st_size for path in root.glob("data/load/*.arrow"))
    cores = len(os.sched_getaffinity(0))
    print(
        f"one reader: {size / one / 1e6:,.0f} MB per second of CPU, {one / floor:.3f} times the CPU time of hashing alone"
    )
    print(
        f"{options.readers} readers at once: {options.readers * size / last / 1e9:.2f} GB/s, the last one after {last:.1f} s, "
        f"{last / (options.readers * one / cores):.2f} times what {cores} cores need; {memory / 1e6:.0f} MB of its own each, at most"
    )
    kept = one / floor <= LIMIT
    print(f"reading over hashing; the limit is {LIMIT}: {'kept' if kept else 'broken'}")
    return int(not kept)


if __name__ == "__main__":
    raise SystemExit(main())
