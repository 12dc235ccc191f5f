"""What is installed is what is here: two source roots, data files, a command, and pins that go together."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


def requirements() -> list[Requirement]:
    """Every requirement of the project, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] + [t for extra in project["optional-dependencies"].values() for t in extra]
    return [Requirement(text) for text in texts]


def pins() -> dict[str, Version]:
    """Name → version of constraints.txt, names normalised; fails on any line that is not a plain pin."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        assert match, f"constraints.txt: {line!r} is not name==version (no paths, no local suffixes)"
        found[normal(match[1])] = Version(match[2])
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_platform_is_a_source_root_and_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists(), "it would hide Python's own platform module"


def test_pythons_own_platform_module_is_found_from_here() -> None:
    code = "import sys; sys.path[:0] = ['platform', '.']; import platform; print(platform.__file__, platform.machine())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    file, machine = done.stdout.split()
    assert Path(file) == Path(shutil.__file__).parent / "platform.py" and machine


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    for requirement in requirements():
        version = pinned.get(normal(requirement.name))
        assert version is not None, f"{requirement.name} is missing in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} does not admit its pin {version}"


def test_the_pins_go_together() -> None:
    """What each installed package asks of the others holds for the pinned versions (as far as it is installed here)."""
    pinned = pins()
    broken = []
    for name in pinned:
        try:
            wanted = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, wanted):
            version = pinned.get(normal(requirement.name))
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and version is not None and not requirement.specifier.contains(version, prereleases=True):
                broken.append(f"{name} wants {requirement}, pinned is {version}")
    assert not broken, "\n".join(broken)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a copy of this tree, built with the setuptools that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    for name in ("platform", "evaluators", "experiments", "reports"):
        shutil.copytree(ROOT / name, folder / "tree" / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "tree")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", *options, "./tree"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_each_room_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    here = {
        str(path.relative_to(base))
        for base, rooms in ((ROOT / "platform", ["rollbench"]), (ROOT, ["evaluators", "experiments", "reports"]))
        for room in rooms
        for pattern in ("*.py", "*.yaml", "*.html", "*.css")
        for path in (base / room).rglob(pattern)
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == here


def test_the_wheel_brings_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    info = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    assert "rollbench = rollbench.cli.main:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert "Apache License" in wheel.read(f"{info}/licenses/LICENSE").decode()
