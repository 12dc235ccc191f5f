"""The house: which room may import what, no unsafe reader, no global random numbers, no overgrown file.

Each check is a function of a file's text, so that it can be shown to fail on a planted fault.
"""

from __future__ import annotations

import ast
import fnmatch
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "platform" / "rollbench"

TOP_LEVEL = {
    "platform", "experiments", "evaluators", "reports", "tests", "ray_cluster.yaml", "pyproject.toml",
    "README.md", "Makefile", "CHANGELOG.md", "CONTRIBUTING.md", "DESIGN.md", "LICENSE", "constraints.txt",
}  # fmt: skip
UNTRACKED = ("out", "store", "build", "dist", "__pycache__", "*.egg-info", ".*")

# Room → what it may import beside the standard library and itself. A room is a folder or a file of the package, or one
# of the rooms beside it; "datasets.windows" is a part of a room. Arrows never turn back.
ROOMS: dict[str, set[str]] = {
    "spec": set(),
    "search": {"spec"},
    "scale": {"spec", "search"},
    "changes": {"spec"},
    "provenance": set(),
    "processors": set(),
    "storage": {"spec", "pyarrow"},
    "receipts": {"spec", "pyarrow"},
    "owned": set(),
    "cache": {"spec", "storage", "owned", "pyarrow"},
    "store": {"spec", "storage", "receipts", "cache", "pyarrow", "numpy"},
    "measures": {"spec", "numpy", "evaluators"},
    "pipeline": {"spec", "store", "measures"},
    "rungs": {"spec", "search", "pipeline"},
    "corpora": {"spec", "store"},
    "outbox": {"spec", "receipts", "store"},
    "tracking": {"spec", "storage", "outbox", "mlflow"},
    "diffusion": {"torch"},
    "methods": {"torch", "diffusion"},
    "models": {"torch", "diffusion"},
    "training": {"torch", "numpy", "safetensors", "diffusion", "methods", "models", "datasets.windows"},
    "physics": {"torch", "numpy"},
    "datasets": {"numpy", "spec"},
    "evaluators": {"torch", "numpy", "scipy", "pytorch_fid"},
    "reports": {"numpy", "pandas", "pyarrow", "matplotlib", "PIL", "yaml", "spec", "store", "evaluators.uncertainty"},
    "engine": {
        "ray", "torch", "numpy", "pandas", "pyarrow", "safetensors", "yaml", "psutil",
        "processors", "spec", "search", "scale", "provenance", "owned", "cache", "storage", "store", "corpora", "measures", "pipeline",
        "rungs", "estimate", "outbox", "tracking", "diffusion", "methods", "models", "training", "physics", "datasets", "evaluators",
        "reports",
    },
    "estimate": {"torch", "processors", "spec", "store", "pipeline", "models"},
    "dryrun": {"processors", "store", "pipeline", "rungs", "estimate", "engine.progress"},
    "sources": {"spec", "store", "corpora", "datasets", "engine"},
    "commands": {"numpy", "spec", "options", "store", "corpora", "pipeline", "datasets", "engine", "reports", "outbox", "tracking"},
    "hyperparameters": {"spec", "models"},
    "options": {"changes", "scale"},
    "cli": {"options", "reports.index", "reports.settings_table", "spec", "search", "changes", "scale", "storage", "store", "pipeline",
            "rungs", "estimate", "dryrun", "tracking", "engine", "experiments", "sources", "commands", "evaluators.command",
            "evaluators.base"},
    "experiments": {"spec", "search", "cli", "methods", "models", "datasets", "training.Training", "hyperparameters", "_path"},
    "__init__": {"spec", "scale", "store", "diffusion", "methods", "models", "datasets", "training"},
}  # fmt: skip
# What a room may import inside a function alone: reading a description of data must not load what simulates it.
LAZY = {
    "datasets": {"torch", "physics", "av", "PIL", "google_crc32c", "h5py", "scipy", "zarr"},
    "evaluators": {"pyarrow", "av", "safetensors", "matplotlib", "tensorflow", "tensorflow_hub", "torchvision"},
}
BESIDE = ("evaluators", "experiments", "reports")

# The one file that opens pickles, all of them published weights whose sha256 was checked: one with an unpickler that knows a
# handful of numpy's names and refuses the rest, one with torch's own (`weights_only=True`).
OPENS_PICKLES = "evaluators/weights.py"


def product_files() -> list[Path]:
    folders = [PACKAGE, *(ROOT / room for room in BESIDE)]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT)
    return relative.parts[0].removesuffix(".py")


def imported(text: str, package: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import in a file of `package`: also lazy ones, each name of a `from`, and the texts in
    `import_module("name")` and in the evaluators' `optional("name", ...)`."""
    for call, name in calls(text):
        first = call.args[0] if call.args else None
        if name.split(".")[-1] in ("import_module", "optional") and isinstance(first, ast.Constant):
            yield call.lineno, str(first.value)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def forbidden_imports(text: str, room: str, package: str) -> list[tuple[int, str]]:
    """The imports that the rule of `room` does not allow, as (line, name)."""
    found = []
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    for line, name in imported(text, package):
        top = name.split(".")[0]
        ours = name.removeprefix("rollbench.") if top == "rollbench" else name
        allowed = ROOMS.get(room, set()) | ({room} if top == "rollbench" or top in BESIDE else set())
        if any(f.lineno <= line <= (f.end_lineno or 0) for f in functions):
            allowed = allowed | LAZY.get(room, set())
        known = top in sys.stdlib_module_names or any(ours == a or ours.startswith(a + ".") for a in allowed)
        if not known:
            found.append((line, name))
    return found


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain that starts at a name, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def calls(text: str) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


def unsafe_readers(text: str) -> list[tuple[int, str]]:
    """Whatever could run code out of a file or a string: pickles and their kin, eval, a shell."""
    modules = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
    functions = {
        "eval", "exec", "os.system", "os.popen", "torch.load", "torch.jit.load", "torch.hub.load",
        "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle", "pd.read_pickle",
    }  # fmt: skip
    found = [(line, name) for line, name in imported(text, "") if name.split(".")[0] in modules]
    for node, name in calls(text):
        words = {k.arg: k.value for k in node.keywords}
        risky = [k for k in ("allow_pickle", "shell") if k in words and getattr(words[k], "value", True) is not False]
        if name in functions or risky:
            found.append((node.lineno, " ".join([name, *risky])))
    return found


def global_random_numbers(text: str) -> list[tuple[int, str]]:
    """Draws from a generator that the whole process shares: results would depend on what ran before."""
    drawing = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
    numpy_own = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox"}
    found = []
    for node, name in calls(text):
        parent, _, last = name.rpartition(".")
        seeded = any(k.arg == "generator" for k in node.keywords)
        if (parent == "torch" and last in drawing and not seeded) or name in ("torch.rand_like", "torch.randn_like"):
            found.append((node.lineno, name))
        if parent in ("np.random", "numpy.random") and last not in numpy_own:
            found.append((node.lineno, name))
        if parent == "random":
            found.append((node.lineno, name))
    return found


def package_of(path: Path) -> str:
    base = PACKAGE.parent if path.is_relative_to(PACKAGE) else ROOT
    return ".".join(path.relative_to(base).parent.parts)


def complaints(found: dict[Path, list[tuple[int, str]]], rule: str) -> str:
    lines = [
        f"{path.relative_to(ROOT)}:{line}: room {room_of(path)!r} {rule} {name!r}"
        for path, faults in found.items()
        for line, name in faults
    ]
    return "\n".join(lines)


def test_the_top_level_is_the_owners() -> None:
    present = {p.name for p in ROOT.iterdir() if not any(fnmatch.fnmatch(p.name, pattern) for pattern in UNTRACKED)}
    assert not present - TOP_LEVEL, f"not a top-level name of this project: {sorted(present - TOP_LEVEL)}"


def test_every_room_has_a_rule() -> None:
    rooms = {room_of(path) for path in product_files()}
    assert not rooms - set(ROOMS), f"rooms without an import rule: {sorted(rooms - set(ROOMS))}"


def test_rooms_import_only_what_they_may() -> None:
    found = {p: forbidden_imports(p.read_text(), room_of(p), package_of(p)) for p in product_files()}
    assert not complaints(found, "may not import"), complaints(found, "may not import")


@pytest.mark.parametrize(
    ("room", "text", "fault"),
    [
        ("methods", "import ray", "ray"),
        ("spec", "import torch.nn as nn", "torch.nn"),
        ("diffusion", "from rollbench.methods.base import Method", "rollbench.methods.base.Method"),
        ("diffusion", "from ..models import uvit", "rollbench.models.uvit"),
        ("training", "from rollbench.datasets import kolmogorov", "rollbench.datasets.kolmogorov"),
        ("engine", "def f():\n    import mlflow", "mlflow"),
        ("evaluators", "from rollbench import spec", "rollbench.spec"),
        ("reports", "import torch", "torch"),
        ("datasets", "import torch\n\ndef f():\n    pass", "torch"),
        ("evaluators", "def f():\n    importlib.import_module('ray.data')", "ray.data"),
    ],
)
def test_a_forbidden_import_is_found(room: str, text: str, fault: str) -> None:
    package = room if room in BESIDE else f"rollbench.{room}"
    assert [name for _, name in forbidden_imports(text, room, package)] == [fault]


@pytest.mark.parametrize(
    ("room", "text"),
    [
        ("training", "from rollbench.datasets.windows import Windows"),
        ("training", "from rollbench.datasets import windows"),
        ("methods", "from .base import Method\nfrom rollbench.diffusion import plan\nfrom fractions import Fraction"),
        ("engine", "from evaluators import fsd\nimport ray.data"),
        ("datasets", "def f():\n    import torch\n    from rollbench.physics import flow"),
        ("evaluators", "def f():\n    optional('av', 'reading videos', 'av')"),
    ],
)
def test_an_allowed_import_passes(room: str, text: str) -> None:
    assert forbidden_imports(text, room, f"rollbench.{room}") == []


def test_nothing_reads_a_pickle_or_runs_text() -> None:
    found = {p: unsafe_readers(p.read_text()) for p in product_files() if p != ROOT / OPENS_PICKLES}
    assert not complaints(found, "may not use"), complaints(found, "may not use")


def test_pickles_are_opened_by_restricted_readers_alone() -> None:
    text = (ROOT / OPENS_PICKLES).read_text()
    torch_loads = [call for call, name in calls(text) if name == "torch.load"]
    restricted = [
        c for c in torch_loads if any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in c.keywords)
    ]
    assert torch_loads == restricted, f"{OPENS_PICKLES}: torch.load without weights_only=True runs what a file says"
    pickles = {dotted(n) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute)} & {
        f"pickle.{name}" for name in ("load", "loads", "Unpickler", "_Unpickler")
    }
    assert pickles <= {"pickle.Unpickler"} and "def find_class(" in text
    others = {name for _, name in unsafe_readers(text)} - {"pickle", "torch.load"}
    assert not others, f"{OPENS_PICKLES} may not use {others}"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from cloudpickle import loads", "torch.load(path)", "yaml.load(text, Loader)", "eval(text)",
        "np.load(path, allow_pickle=True)", "subprocess.run(line, shell=True)",
    ],
)  # fmt: skip
def test_an_unsafe_reader_is_found(text: str) -> None:
    assert len(unsafe_readers(text)) == 1


@pytest.mark.parametrize("text", ["model.eval()", "np.load(path, allow_pickle=False)", "yaml.safe_load(text)"])
def test_a_safe_reader_passes(text: str) -> None:
    assert unsafe_readers(text) == []


def test_nothing_draws_from_a_global_generator() -> None:
    found = {p: global_random_numbers(p.read_text()) for p in product_files()}
    assert not complaints(found, "draws from the global generator by"), complaints(found, "draws globally by")


@pytest.mark.parametrize("text", ["torch.randn(3)", "np.random.rand(3)", "random.random()", "torch.randn_like(x)"])
def test_a_global_draw_is_found(text: str) -> None:
    assert len(global_random_numbers(text)) == 1


@pytest.mark.parametrize("text", ["torch.randn(3, generator=g)", "np.random.default_rng(0)", "generator.random(3)"])
def test_an_own_generator_passes(text: str) -> None:
    assert global_random_numbers(text) == []


def test_files_and_functions_stay_short() -> None:
    long = []
    for path in product_files() + sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text()
        if text.count("\n") > 320:
            long.append(f"{path.relative_to(ROOT)} has {text.count(chr(10))} lines; split it at 320")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has more than 60 lines")
    assert not long, "\n".join(long)


@pytest.mark.parametrize(
    ("package", "absent"),
    [
        ("rollbench", "ray mlflow tensorflow"),
        ("evaluators", "ray mlflow tensorflow rollbench"),
        ("reports", "ray mlflow tensorflow torch"),
        ("rollbench.datasets.kolmogorov", "ray mlflow tensorflow torch"),
    ],
)
def test_importing_a_package_stays_light(package: str, absent: str) -> None:
    code = f"import sys, {package}; print(*sorted(set({absent.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], f"import {package} imports {done.stdout.split()}"
