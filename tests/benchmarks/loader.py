"""Training windows per second from our shards, against the ways in which others read the same clips, on one core.

    python tests/benchmarks/loader.py [--clips 512] [--turns 15]

Clips are BAIR's size (30 frames of 64x64, uint8); a batch is 32 random windows of 16 frames, float32 [32, 16, 3, 64, 64] within
±1, from a fresh permutation each epoch. Rivals read what suits them best: torch's DataLoader a NumPy memory map of all clips;
WebDataset (if installed: pip install --no-deps webdataset braceexpand) tar files of one .npy a clip, one window of each clip a
pass, shuffled in a buffer. They take turns, batch for batch by the wall clock; a ratio is the median over turns, with its 95 % interval.
Then ours once more, in turns with Ray Data: our own shards, shuffled in a buffer, through iter_torch_batches, with a worker beside
the reader.

The second part reads windows from the clips and from ten times as many, each in a process of its own, and prints the memory
that it holds for itself (pages of mapped files are the system's, to be dropped at will).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from rollbench.datasets.windows import Windows
from rollbench.pipeline.frames import loaded
from rollbench.store.artifact import Artifact, Store
from rollbench.store.tensors import tensor_column, tensor_of

FRAMES, WINDOW, BATCH, SHARD, HALF = 30, 16, 32, 64, 127.5
SHAPE = (64, 64, 3)


def clips(count: int) -> Iterator[NDArray[np.uint8]]:
    """Shards of clips, [SHARD, FRAMES, 64, 64, 3]."""
    for first in range(0, count, SHARD):
        yield np.random.default_rng(first).integers(0, 256, (min(SHARD, count - first), FRAMES, *SHAPE), np.uint8)


def write(folder: Path, count: int, rivals: bool) -> None:
    """The clips as shards of ours and, for rivals, as one memory map and as tar files."""
    artifact = Store(str(folder)).artifact("corpus", "loader")
    whole = np.lib.format.open_memmap(folder / "clips.npy", "w+", np.uint8, (count, FRAMES, *SHAPE)) if rivals else None
    for number, shard in enumerate(clips(count)):
        ids = [f"{number * SHARD + i:08d}" for i in range(len(shard))]
        artifact.write_table(f"part-{number:05d}.arrow", pa.table({"clip_id": ids, "frames": tensor_column(shard)}))
        if whole is not None:
            whole[number * SHARD : number * SHARD + len(shard)] = shard
            _tar(folder / f"{number:05d}.tar", ids, shard)


def _tar(path: Path, ids: list[str], shard: NDArray[np.uint8]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, clip in zip(ids, shard, strict=True):
            data = BytesIO()
            np.save(data, clip)
            member = tarfile.TarInfo(f"{name}.npy")
            member.size = data.tell()
            data.seek(0)
            tar.addfile(member, data)


# --- the ways to read ----------------------------------------------------------------------------------------------------------
def windows(folder: Path) -> Windows:
    artifact = Store(str(folder)).artifact("corpus", "loader")
    found: list[NDArray[Any]] = []
    for receipt in sorted(artifact.receipts().values(), key=lambda r: r["name"]):
        found += list(loaded(tensor_of(artifact.read_table(receipt), "frames"), video=True))
    return Windows(found, WINDOW, centre=HALF, scale=HALF)


def ours(folder: Path) -> Reader:
    source, step = windows(folder), 0
    while True:
        yield torch.from_numpy(source.take(range(step * BATCH, (step + 1) * BATCH)))
        step += 1


class Mapped(torch.utils.data.Dataset[torch.Tensor]):
    """Windows of a NumPy memory map, one at a time."""

    def __init__(self, path: Path) -> None:
        self.clips = np.load(path, mmap_mode="r")
        self.starts = FRAMES - WINDOW + 1

    def __len__(self) -> int:
        return len(self.clips) * self.starts

    def __getitem__(self, index: int) -> torch.Tensor:
        clip, start = divmod(index, self.starts)
        return normalised(torch.from_numpy(self.clips[clip, start : start + WINDOW].copy()))


def normalised(frames: torch.Tensor) -> torch.Tensor:
    """uint8 [..., y, x, c] to float32 [..., c, y, x] within ±1."""
    return frames.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format).sub_(HALF).div_(HALF)


def dataloader(folder: Path) -> Reader:
    loader = torch.utils.data.DataLoader(
        Mapped(folder / "clips.npy"), BATCH, shuffle=True, num_workers=0, drop_last=True
    )
    while True:
        yield from loader


def webdataset(folder: Path) -> Reader:
    import webdataset as wds  # type: ignore[import-not-found, import-untyped]

    rng = np.random.default_rng(0)

    def window(sample: dict[str, Any]) -> NDArray[np.uint8]:
        start = rng.integers(FRAMES - WINDOW + 1)
        return sample["npy"][start : start + WINDOW]

    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    pipeline = wds.WebDataset(tars, shardshuffle=len(tars), seed=0).decode().map(window).shuffle(256)
    while True:
        batch = []
        for clip in pipeline:
            batch.append(clip)
            if len(batch) == BATCH:
                yield normalised(torch.from_numpy(np.stack(batch)))
                batch = []


def ray_data(folder: Path) -> Reader:
    import ray.data

    artifact = Store(str(folder)).artifact("corpus", "loader")
    names = [{"name": name} for name in sorted(artifact.receipts())]

    def read(item: dict[str, Any], artifact: Artifact) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng()
        for clip in tensor_of(artifact.read_table(artifact.receipts()[item["name"]]), "frames"):
            start = rng.integers(FRAMES - WINDOW + 1)
            yield {"frames": clip[start : start + WINDOW]}

    while True:
        dataset = ray.data.from_items(names).flat_map(read, fn_kwargs={"artifact": artifact})
        for batch in dataset.iter_torch_batches(batch_size=BATCH, local_shuffle_buffer_size=256, drop_last=True):
            yield normalised(batch["frames"])


Reader = Generator[torch.Tensor, None, None]
READERS: dict[str, Callable[[Path], Reader]] = {
    "DataLoader over a memory map": dataloader,
    "WebDataset": webdataset,
}
WITH_RAY: dict[str, Callable[[Path], Reader]] = {"Ray Data, iter_torch_batches": ray_data}


# --- the measurement -----------------------------------------------------------------------------------------------------------
def compare(folder: Path, rivals: dict[str, Callable[[Path], Reader]], turns: int, batches: int) -> bool:
    """Print windows per second of each way; whether ours is at least as fast as each rival."""
    readers = {"ours": ours(folder)}
    for name, read in rivals.items():
        try:
            made = read(folder)
            assert next(made).shape == (BATCH, WINDOW, 3, 64, 64)
            readers[name] = made
        except ImportError as error:
            print(f"  {name:<30} left out: {error}")
    next(readers["ours"])
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(turns):
        for name, reader in readers.items():
            start = time.perf_counter()
            for _ in range(batches):
                next(reader)
            rates[name].append(batches * BATCH / (time.perf_counter() - start))
    fastest = True
    for name, found in rates.items():
        ratios = np.array(rates["ours"]) / np.array(found)
        draws = np.random.default_rng(0).choice(ratios, (2000, turns))
        low, high = np.percentile(np.median(draws, 1), [2.5, 97.5])
        print(
            f"  {name:<30} {np.median(found):8.0f} windows/s   ours over it {np.median(ratios):6.2f} ({low:.2f} to {high:.2f})"
        )
        fastest &= bool(np.median(ratios) >= 1)
    for reader in readers.values():
        reader.close()  # Ray Data's threads must be gone before Ray is
    return fastest


def own_memory() -> int:
    """Bytes that this process holds for itself, without pages of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def hold(folder: Path) -> None:
    """Print the memory held before and while windows are read."""
    before, reader = own_memory(), ours(folder)
    most = max(own_memory() for _ in range(200) if next(reader) is not None)
    print(f"{before} {most}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=512)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--hold", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.hold:
        hold(options.hold)
        return 0
    from rollbench.engine.cluster import cluster

    print(
        f"windows of {WINDOW} frames of 64x64, {options.clips} clips, {options.turns} turns of {options.batches} batches of {BATCH}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options.clips, rivals=True)
        fastest = compare(folder, READERS, options.turns, options.batches)
        with cluster():
            fastest &= compare(folder, WITH_RAY, options.turns, options.batches)
    held = {}
    for count in (options.clips, 10 * options.clips):
        with tempfile.TemporaryDirectory() as name:
            write(Path(name), count, rivals=False)
            done = subprocess.run(
                [sys.executable, __file__, "--hold", name], capture_output=True, text=True, check=True
            )
            before, most = map(int, done.stdout.split())
            held[count] = most - before
            size = count * FRAMES * np.prod(SHAPE)
            print(f"  {count:6} clips of {size / 1e6:7.0f} MB: {held[count] / 1e6:6.1f} MB held while windows are read")
    few, many = held.values()
    flat = many - few < 0.01 * 9 * options.clips * FRAMES * np.prod(SHAPE)
    print(f"at least as fast as every rival: {'yes' if fastest else 'NO'}; memory flat: {'yes' if flat else 'NO'}")
    return int(not (fastest and flat))


if __name__ == "__main__":
    raise SystemExit(main())
