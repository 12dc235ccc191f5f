"""How fast FVD is, against what people use: one machine, the same clips, one thread, CPU seconds.

    python tests/benchmarks/fvd.py [--clips 8] [--streamed 1024]
    python tests/benchmarks/fvd.py --part frechet           one part, with its ratio where it has one

Contenders run in processes of their own, one after the other:

    ours          `I3DFeatures`, resize included
    torch port    the I3D of cd-fvd 0.1.1 (PyPI), fp32, as its helper runs it, with the same weights
    tf graph      the TensorFlow-Hub module on one thread, as google-research/frechet_video_distance runs it

then the Frechet step against `scipy.linalg.sqrtm`, peak memory over streamed clips, and two Ray actors against one.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluators import frechet, weights
from evaluators.features import extract
from evaluators.i3d import I3DFeatures
from evaluators.moments import Moments
from evaluators.tfhub import VARIABLE, TFHubFeatures
from evaluators.videos import Clip

ROOT = Path(__file__).resolve().parents[2]
PORT = "cd-fvd==0.1.1"
PORT_SHA256 = "a1a82ed8618fe85f5f8dec7a1124c90b7dc78922603b33d77d36c80774c0147c"
SHAPE = (16, 64, 64, 3)


def clips(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *SHAPE), dtype=np.uint8)


def seconds(work: Callable[[], Any], repeats: int = 3) -> float:
    """The least CPU time of `repeats` runs after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


# --- contenders: each prints a JSON object ------------------------------------------------------------------------------------
def ours(n: int) -> dict[str, Any]:
    extractor, films = I3DFeatures("halfpixel", device="cpu"), clips(n)
    return {"seconds": seconds(lambda: extractor.features(films)) / n, "logits": extractor.features(films[:2]).tolist()}


def torch_port(n: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "requirements.txt")
        wanted.write_text(f"{PORT} --hash=sha256:{PORT_SHA256}\n")
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
             "--require-hashes", "-r", str(wanted), "-d", folder], check=True, capture_output=True,
        )  # fmt: skip
        (sdist,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (source,) = Path(folder).rglob("pytorch_i3d.py")
        spec = importlib.util.spec_from_file_location("port", source)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    network = module.InceptionI3d(400, in_channels=3).eval()
    tensors = weights.load()
    parts = dict(zip(weights.BRANCHES, ("b0", "b1a", "b1b", "b2a", "b2b", "b3b"), strict=True))
    state = network.state_dict()
    for name in weights.units():
        block, _, branch = name.partition(".")
        prefix = f"{block}.{parts[branch]}" if branch else block
        for theirs, our in (("conv3d.weight", "weight"), ("bn.bias", "beta"), ("bn.running_mean", "mean"),
                            ("bn.running_var", "var")):  # fmt: skip
            state[f"{prefix}.{theirs}"] = torch.from_numpy(tensors[f"{name}.{our}"])
    state["logits.conv3d.weight"] = torch.from_numpy(tensors[f"{weights.LOGITS}.weight"])
    state["logits.conv3d.bias"] = torch.from_numpy(tensors[f"{weights.LOGITS}.bias"])
    network.load_state_dict(state)
    films = clips(n)

    def features(part: np.ndarray) -> torch.Tensor:
        frames = torch.from_numpy(part).float().flatten(end_dim=1).permute(0, 3, 1, 2).contiguous()
        shown = torch.nn.functional.interpolate(frames, (224, 224), mode="bilinear", align_corners=False)
        shown = shown.view(len(part), -1, 3, 224, 224).transpose(1, 2).contiguous()
        with torch.no_grad():
            logits: torch.Tensor = network(2.0 * shown / 255.0 - 1)
        return logits

    return {"seconds": seconds(lambda: features(films)) / n, "logits": features(films[:2]).tolist()}


def tf_graph(n: int) -> dict[str, Any]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    extractor, films = TFHubFeatures("halfpixel"), clips(n)
    return {"seconds": seconds(lambda: extractor.features(films)) / n, "logits": extractor.features(films[:2]).tolist()}


def frechet_step(n: int) -> dict[str, Any]:
    """From the moments of two sets of 2,048 vectors of 400 features to the distance, ours against sqrtm."""
    from scipy import linalg

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 2048, 400)) @ rng.standard_normal((400, 400))

    real, fake = Moments.of(a), Moments.of(b)
    s, t = real.covariance(), fake.covariance()

    def by_root() -> float:
        root = linalg.sqrtm(s @ t).real
        return float(np.sum((real.mean - fake.mean) ** 2) + np.trace(s + t - 2 * root))

    assert abs(by_root() / frechet.distance_of_moments(real, fake) - 1) < 1e-9
    mine, theirs = seconds(lambda: frechet.distance_of_moments(real, fake), 20), seconds(by_root, 20)
    return {"ours": mine, "sqrtm": theirs, "ratio": theirs / mine}


def memory(n: int) -> dict[str, Any]:
    """Peak resident memory above that after the first clip, over n streamed clips of 9 frames."""
    extractor = I3DFeatures("original", device="cpu")

    def films() -> Iterator[Clip]:
        rng = np.random.default_rng(0)
        for i in range(n):
            yield Clip(f"{i:06d}", 0, rng.integers(0, 256, (9, 64, 64, 3), dtype=np.uint8))

    loaded = _resident()
    found = extract(extractor, "original", films())
    found.moments()
    return {"clips": n, "GiB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20) - loaded / 2**30}


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def actors(n: int) -> dict[str, Any]:
    """Wall time of n clips over one actor and over two, of one thread each, all loaded before; best of 3, turn by turn."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error",
             runtime_env={"env_vars": {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}})  # fmt: skip
    Pool = ray.remote(num_cpus=1)(I3DFeatures)
    pool = [Pool.remote("original", None, "cpu") for _ in range(2)]
    films = [ray.put(part) for part in np.array_split(clips(n), n // 2)]
    ray.get([actor.features.remote(films[0]) for actor in pool])
    found: dict[int, list[float]] = {1: [], 2: []}
    vectors = set()
    for count in (1, 2) * 3:
        start = time.perf_counter()
        parts = ray.get([pool[i % count].features.remote(part) for i, part in enumerate(films)])
        found[count].append(time.perf_counter() - start)
        vectors.add(hashlib.sha256(np.concatenate(parts)).hexdigest())
    assert len(vectors) == 1, "the vectors depend on the number of actors"
    return {"one": min(found[1]), "two": min(found[2])}


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "ours": ours, "torch-port": torch_port, "tf-graph": tf_graph,
    "frechet": frechet_step, "memory": memory, "actors": actors,
}  # fmt: skip


def apart(name: str, n: int) -> dict[str, Any] | None:
    """A part in a process of its own; None where it cannot run here."""
    command = [sys.executable, __file__, "--part", name, "--clips", str(n)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        print(f"{name}: not measured ({(done.stderr.strip().splitlines() or ['no reason'])[-1]})", file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8, help="clips per timed run")
    parser.add_argument("--streamed", type=int, default=1024, help="clips whose peak memory is measured")
    parser.add_argument(
        "--part", choices=PARTS, help="only this part, in this process, printed as JSON (default: all of them)"
    )
    options = parser.parse_args()
    if options.part:
        torch.set_num_threads(1)
        print(json.dumps(PARTS[options.part](options.clips)))
        return
    module = ROOT.parent / "shared" / "i3d" / "tfhub_i3d_kinetics_400_1"
    if module.is_dir():
        os.environ.setdefault(VARIABLE, str(module))
    first = apart("ours", options.clips)
    assert first is not None
    print(
        f"clips of 16 frames, 64x64, resized to 224x224; CPU seconds per clip, one thread, best of 3 x {options.clips}"
    )
    print(f"  {'ours':<14}{first['seconds']:8.3f}")
    for name in ("torch-port", "tf-graph"):
        other = apart(name, options.clips)
        if other is not None:
            gap = float(np.abs(np.array(first["logits"]) - np.array(other["logits"])).max())
            ratio = other["seconds"] / first["seconds"]
            print(f"  {name:<14}{other['seconds']:8.3f}   {ratio:5.2f} x ours   logits differ by up to {gap:.1e}")
    if step := apart("frechet", 0):
        print(f"Frechet step at d = 400: {step['ours']:.3f} s against {step['sqrtm']:.3f} s by sqrtm, "
              f"{step['ratio']:.1f} x")  # fmt: skip
    if peak := apart("memory", options.streamed):
        print(f"peak memory above the loaded network, {peak['clips']:,} streamed clips: {peak['GiB']:.2f} GiB")
    if pool := apart("actors", 2 * options.clips):
        print(f"two actors against one: {pool['one']:.1f} s -> {pool['two']:.1f} s, {pool['one'] / pool['two']:.2f} x")


if __name__ == "__main__":
    main()
