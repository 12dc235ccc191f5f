"""Classes that are not of this project are known by their source."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

from rollbench.config.canonical import canonical
from rollbench.config.source import source_of, sources
from rollbench.errors import UserError
from rollbench.methods import Standard

CLASS = """
from dataclasses import dataclass
{more}
@dataclass(frozen=True)
class Mine:
    x: int = 1
"""


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["mine", "turtle", "reports"])
def test_a_key_follows_the_text_of_a_user_s_file_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keys = set()
    for more in ("", "# another line\n"):
        path = tmp_path / f"{name}.py"
        path.write_text(CLASS.format(more=more))
        keys.add(canonical(load(path, monkeypatch).Mine()))
    assert len(keys) == 2 and all(f'"is":"{name}:Mine"' in key for key in keys)


def test_files_beside_it_count_and_others_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "mine.py"
    path.write_text(CLASS.format(more="from beside_mine import VALUE\nimport numpy\n"))
    (tmp_path / "apart.py").write_text("x = 1")
    digests = []
    for text in ("VALUE = 1", "VALUE = 1", "VALUE = 2"):
        (tmp_path / "beside_mine.py").write_text(text)
        source = source_of(load(path, monkeypatch).Mine)
        assert source is not None and {Path(file).name for file in source.files} == {"mine.py", "beside_mine.py"}
        digests.append(source.digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("kind", [Standard, Fraction, argparse.Namespace, int])
def test_classes_of_this_project_and_of_python_have_none(kind: type) -> None:
    assert source_of(kind) is None


def test_a_class_without_a_file_is_refused() -> None:
    with pytest.raises(UserError, match="class Mine has no source file"):
        source_of(type("Mine", (), {"__module__": "typed_in"}))


def test_two_classes_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(CLASS.format(more=""))
        kinds.append(load(tmp_path / f"{name}.py", monkeypatch).Mine)
    assert set(sources([kinds[0](), {"again": kinds[0](2)}])) == {"Mine"}
    with pytest.raises(UserError, match=r"two classes are called Mine, in one.py and two.py; rename one of them"):
        sources(kinds[0](), [kinds[1]()])
