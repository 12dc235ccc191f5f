"""The fence between packages: which room may import what, no circle of imports, no overgrown file.

Each check is a function of a file's text, so that it can be shown to fail on a planted fault.
"""

from __future__ import annotations

import ast
import fnmatch
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source import BESIDE, PACKAGE, ROOT, complaints, imported, module_of, package_of, product_files

TOP_LEVEL = {
    "platform", "experiments", "evaluators", "reports", "tests", "ray_cluster.yaml", "pyproject.toml",
    "README.md", "Makefile", "CHANGELOG.md", "CONTRIBUTING.md", "DESIGN.md", "LICENSE", "constraints.txt",
}  # fmt: skip


UNTRACKED = ("out", "store", "build", "dist", "__pycache__", "*.egg-info", ".*")


# Room → what it may import beside the standard library and itself. A room is a folder or a file of the package, a folder
# of `reports` or `experiments`, or a package beside it; "datasets.windows" is a part of a room.
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "progress": set(),
    "interrupts": set(),
    "config": {"errors"},
    "store": {"errors", "pyarrow", "numpy"},
    "diffusion": {"torch"},
    "methods": {"torch", "diffusion"},
    "models": {"torch", "diffusion"},
    "physics": {"torch", "numpy"},
    "datasets": {"numpy", "errors", "evaluators.containers", "evaluators.decode", "evaluators.listing"},
    "training": {"torch", "numpy", "safetensors", "diffusion", "methods", "models", "datasets.windows"},
    "pipeline": {"numpy", "torch", "pyarrow", "errors", "config", "store", "datasets", "models", "evaluators"},
    "engine": {
        "ray", "torch", "numpy", "pandas", "pyarrow", "safetensors", "yaml", "psutil",
        "errors", "progress", "config", "store", "pipeline", "datasets", "diffusion", "models", "training", "evaluators",
    },
    "results": {"numpy", "pandas", "pyarrow", "errors", "config", "store", "pipeline", "datasets.ingested", "physics.frames",
                "evaluators.fsd", "evaluators.protocols", "evaluators.weights", "reports"},
    "tracking": {"mlflow", "pandas", "errors", "config", "store", "pipeline", "results"},
    "reproduce": {"errors", "progress", "config", "store", "pipeline", "engine", "results", "tracking", "reports"},
    "cli": {"numpy", "errors", "interrupts", "progress", "config", "store", "pipeline", "datasets", "engine", "results", "tracking",
            "reproduce", "reports", "experiments", "evaluators.command", "evaluators.base"},
    "__init__": {"config", "diffusion", "methods", "models", "training"},
    "evaluators": {"torch", "numpy", "scipy", "pytorch_fid"},
    "reports.format": set(),
    "reports.model": {"numpy", "pandas", "yaml", "errors", "config", "evaluators.uncertainty", "reports.format"},
    "reports.figures": {"numpy", "pandas", "matplotlib", "PIL", "errors", "config", "evaluators.uncertainty", "reports.model",
                        "reports.format"},
    "reports.writers": {"numpy", "pandas", "pyarrow", "jinja2", "markupsafe", "errors", "config",
                        "reports.model", "reports.figures", "reports.format"},
    "reports": {"numpy", "pandas", "pyarrow", "matplotlib", "PIL", "errors", "config", "store.manifest", "evaluators.uncertainty"},
    "experiments": {"errors", "config", "cli", "methods", "models", "datasets", "training", "_path"},
    "experiments.examples": {"numpy"},
}  # fmt: skip


# What a room may import inside a function alone: reading a description of data must not load what simulates it.
LAZY = {
    "datasets": {"torch", "physics", "av", "PIL", "google_crc32c", "h5py", "xarray", "zarr"},
    "pipeline": {"h5py", "h5netcdf", "xarray", "zarr"},
    "evaluators": {"pyarrow", "av", "PIL", "safetensors", "matplotlib", "tensorflow", "tensorflow_hub", "torchvision"},
}


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT)
    first, *rest = relative.parts
    part = rest[0].removesuffix(".py") if rest else ""
    return f"{first}.{part}" if f"{first}.{part}" in ROOMS else first.removesuffix(".py")


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


def file_graph(texts: dict[str, str]) -> dict[str, set[str]]:
    """Module → the modules among `texts` that it imports anywhere, also inside functions.

    A lazy face, an `__init__.py` that imports inside `__getattr__`, names what others may ask of it and depends on none of it.
    """
    graph: dict[str, set[str]] = {}
    for module, text in texts.items():
        names = {name for _, name in imported(text, module.rpartition(".")[0])}
        used = {name if name in texts else name.rpartition(".")[0] for name in names} & set(texts)
        graph[module] = set() if "def __getattr__" in text else used - {module}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of imports, its first module repeated at the end; empty where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def drawing() -> str:
    """Each room with the rooms that it imports, from the lowest up."""
    arrows: dict[str, set[str]] = {}
    rooms = {module_of(path): room_of(path) for path in product_files()}
    for module, imports in file_graph({module_of(p): p.read_text() for p in product_files()}).items():
        arrows.setdefault(rooms[module], set()).update({rooms[other] for other in imports} - {rooms[module]})
    order = list(graphlib.TopologicalSorter(arrows).static_order())
    return "\n".join(
        f"{room:<16} <- {', '.join(sorted(arrows[room], key=order.index)) or 'nothing of ours'}" for room in order
    )


def test_the_top_level_is_the_owners() -> None:
    present = {p.name for p in ROOT.iterdir() if not any(fnmatch.fnmatch(p.name, pattern) for pattern in UNTRACKED)}
    assert not present - TOP_LEVEL, f"not a top-level name of this project: {sorted(present - TOP_LEVEL)}"


def test_every_room_has_a_rule() -> None:
    rooms = {room_of(path) for path in product_files()}
    assert not rooms - set(ROOMS), f"rooms without an import rule: {sorted(rooms - set(ROOMS))}"


def test_rooms_import_only_what_they_may() -> None:
    found = {p: forbidden_imports(p.read_text(), room_of(p), package_of(p)) for p in product_files()}
    assert not complaints(found, "its room may not import"), complaints(found, "its room may not import")


@pytest.mark.parametrize(
    ("room", "text", "fault"),
    [
        ("methods", "import ray", "ray"),
        ("config", "import torch.nn as nn", "torch.nn"),
        ("diffusion", "from rollbench.methods.base import Method", "rollbench.methods.base.Method"),
        ("diffusion", "from ..models import uvit", "rollbench.models.uvit"),
        ("training", "from rollbench.datasets import kolmogorov", "rollbench.datasets.kolmogorov"),
        ("engine", "def f():\n    import mlflow", "mlflow"),
        ("evaluators", "from rollbench import config", "rollbench.config"),
        ("reports", "import torch", "torch"),
        ("datasets", "import torch\n\ndef f():\n    pass", "torch"),
        ("evaluators", "def f():\n    importlib.import_module('ray.data')", "ray.data"),
    ],
)
def test_a_forbidden_import_is_found(room: str, text: str, fault: str) -> None:
    package = room if room.split(".")[0] in BESIDE else f"rollbench.{room}"
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


def test_no_circle_among_files() -> None:
    found = circle(file_graph({module_of(path): path.read_text() for path in product_files()}))
    assert not found, "imports run in a circle: " + " -> ".join(found)


def test_no_circle_among_rooms() -> None:
    """`python -m pytest tests/test_layout.py -k rooms -s` prints the graph."""
    print(f"\n{drawing()}")


@pytest.mark.parametrize(
    "texts",
    [
        {"a": "import b", "b": "import a"},
        {"a.x": "from a.y import f", "a.y": "def g():\n    from a import x"},
        {"a": "import b", "b": "from c import f", "c": "import a"},
    ],
)
def test_a_circle_is_found(texts: dict[str, str]) -> None:
    assert len(circle(file_graph(texts))) == len(texts) + 1


def test_every_file_of_the_engine_runs_on_ray() -> None:
    """It imports ray, or its first line says why it lives there."""
    for path in (PACKAGE / "engine").glob("*.py"):
        text = path.read_text()
        names = [name for _, name in imported(text, "rollbench.engine")]
        runs = any(name.split(".")[0] == "ray" for name in names) or "ray" in text.splitlines()[0].lower()
        assert runs, f"{path.name} does not import ray; say in its first line why it is in engine/, or move it"


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
