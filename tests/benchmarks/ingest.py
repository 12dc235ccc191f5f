"""Source frames per CPU-second: `rollbench ingest` against a bare PyAV loop of the same filter graph, and against others' ways.

    python tests/benchmarks/ingest.py [--videos 16] [--turns 5]

Videos are of Kinetics' kind: H.264, 340x256, 250 frames, made here. All of a video's frames become one clip of 64x64. Ours is the
whole way, through Ray Data to Arrow shards with hashes, statistics, receipts and the check of the files' ends. Its CPU time is
that of the worker that does it; Ray's own processes and the driver come on top, in all about a sixth of a core while it runs,
however many workers there are, and are printed beside it. The bare loop decodes, filters and copies out the pixels, and keeps
nothing. "Frames, then tensors" is how data sets of videos are read by hand: every frame as RGB at full size, cropped and scaled with torch
(area). `ray.data.read_videos` takes turns too where its package decord is installed. A ratio is the median over turns.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import ray.data
import torch
from av.filter import Graph
from torch.nn.functional import interpolate

from rollbench.datasets.files.folder import Folder
from rollbench.engine.cluster import cluster
from rollbench.engine.ingest import ingest
from rollbench.pipeline.corpora import CorpusStage
from rollbench.progress import Progress
from rollbench.store.artifact import Store

FRAMES, HEIGHT, WIDTH, SIZE, LIMIT = 250, 256, 340, 64, 0.9


def make(folder: Path, count: int) -> None:
    """Videos of drifting patterns with some noise."""
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = torch.from_numpy(rng.uniform(0, 230, (1, 3, 12, 16)))
        picture = (
            interpolate(coarse, (HEIGHT, WIDTH + FRAMES), mode="bicubic")[0]
            .clamp(0, 230)
            .byte()
            .permute(1, 2, 0)
            .numpy()
        )
        grain = rng.integers(0, 25, (8, HEIGHT, WIDTH, 1), np.uint8)
        with av.open(str(folder / f"{number:03d}.mp4"), "w") as container:
            stream: Any = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for t in range(FRAMES):
                pixels = np.ascontiguousarray(picture[:, t : t + WIDTH] + grain[t % 8])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())


def bare(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        with av.open(str(path)) as container:
            stream: Any = container.streams.video[0]
            stream.thread_type = "NONE"
            graph: Any = None
            for frame in container.decode(stream):
                if graph is None:
                    graph = Graph()
                    chain = [
                        graph.add_buffer(template=stream),
                        graph.add("crop", r"min(iw\,ih):min(iw\,ih)"),
                        graph.add("scale", f"{SIZE}:{SIZE}:flags=area"),
                        graph.add("format", "rgb24"),
                        graph.add("buffersink"),
                    ]
                    graph.link_nodes(*chain).configure()
                graph.push(frame)
                graph.pull().to_ndarray()


def tensors(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        with av.open(str(path)) as container:
            stream: Any = container.streams.video[0]
            stream.thread_type = "NONE"
            left = (WIDTH - HEIGHT) // 2
            for frame in container.decode(stream):
                picture = torch.from_numpy(frame.to_ndarray(format="rgb24")[:, left : left + HEIGHT])
                scaled = interpolate(picture.permute(2, 0, 1)[None].float(), (SIZE, SIZE), mode="area")
                scaled[0].round().byte().permute(1, 2, 0).numpy()


def ours(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as storage:
        stage = CorpusStage.of(Folder(size=SIZE, frames=FRAMES, test_fraction=0), folder)
        (manifest,) = ingest([stage], Store(storage), Quiet(), workers=1)
        assert manifest["clips"] == len(list(folder.iterdir())), manifest["quarantined"]


def ray_videos(folder: Path) -> None:
    ray.data.read_videos(str(folder)).count()


class Quiet(Progress):
    def line(self, text: str) -> None:
        pass

    def moving(self, text: str) -> None:
        pass


def cpu_seconds() -> tuple[float, float]:
    """Of Ray's workers, and of this process and all that hang on it."""
    stats: dict[int, tuple[int, float, str]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "stat").read_text().rpartition(")")[2].split()
            name = (path / "cmdline").read_text()
        except OSError:  # it has ended meanwhile
            continue
        stats[int(path.name)] = (int(words[1]), sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK"), name)
    mine, more = set[int](), {os.getpid()}
    while more:
        mine |= more
        more = {pid for pid, (parent, _, _) in stats.items() if parent in mine} - mine
    workers = {pid for pid in mine if stats[pid][2].startswith(("ray::IDLE", "ray::Map"))}
    return sum(stats[pid][1] for pid in workers), sum(stats[pid][1] for pid in mine)


def measure(way: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """CPU seconds of the processes that do the work, and with all that Ray does beside it."""
    before, own = cpu_seconds(), time.process_time()
    way(folder)
    if way in (bare, tensors):
        return (time.process_time() - own,) * 2
    workers, every = (after - earlier for after, earlier in zip(cpu_seconds(), before, strict=True))
    return workers, every


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways = {"rollbench ingest": ours, "bare PyAV loop": bare, "frames, then tensors": tensors}
    try:
        import decord  # type: ignore[import-not-found]  # noqa: F401

        ways["ray.data.read_videos"] = ray_videos
    except ImportError:
        print("  ray.data.read_videos is left out: it needs decord")
    with tempfile.TemporaryDirectory() as name, cluster():
        folder = Path(name)
        make(folder, options.videos)
        spent: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for turn in range(options.turns + 1):
            for way, run in ways.items():
                took = measure(run, folder)
                if turn:  # the first one warms up
                    spent[way].append(took)
    frames, seconds = options.videos * FRAMES, {way: np.array(each) for way, each in spent.items()}
    mine = seconds["rollbench ingest"]
    for way, each in seconds.items():
        rate = frames / np.median(each[:, 0])
        print(
            f"  {way:<22} {rate:6.0f} source frames per CPU-second   ours over it {np.median(each[:, 0] / mine[:, 0]):.3f}"
        )
    beside = np.median((mine[:, 1] - mine[:, 0]) / mine[:, 0])
    kept = float(np.median(seconds["bare PyAV loop"][:, 0] / mine[:, 0]))
    print(f"  the driver and Ray's own processes take {beside:.0%} on top of one worker's time")
    print(f"ours over the bare loop {kept:.3f}; the limit is {LIMIT}: {'kept' if kept >= LIMIT else 'broken'}")
    return int(kept < LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
