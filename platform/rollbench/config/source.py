"""The identity of classes that are not part of this project: their module and a digest of their source.

A key holds the class of every value in it. For a class of this project its name is enough, because a change of its code raises the
version of its stage. A class of a user's own file may change at any time, so the key holds what its file and the files that it imports
beside it say.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollbench.errors import UserError

OURS = {"rollbench", "evaluators", "experiments", "reports"}
_STDLIB = Path(sysconfig.get_path("stdlib")).resolve()
MARK = "__rollbench_source__"  # on the class: a worker that receives a class by value has no file to read


@dataclass(frozen=True)
class Source:
    """Where a class comes from."""

    name: str  # "module:Class"
    file: str  # the file's name
    digest: str  # the first digits of the sha256 of the file and the files that it imports beside it
    files: tuple[str, ...]  # their paths


def source_of(kind: type) -> Source | None:
    """The source of a class, None for a class of this project or of Python. Raises UserError where there is no file to read."""
    if MARK not in vars(kind):
        if _is_known(kind):
            return None
        setattr(kind, MARK, _read(kind))
    source: Source = vars(kind)[MARK]
    return source


def _is_known(kind: type) -> bool:
    """Whether a class is of this project or of Python. A user's file may have the name of a module of either."""
    top, _, inside = kind.__module__.partition(".")
    if top in OURS and inside:
        return True
    path = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return top in sys.stdlib_module_names - {"__main__"} and (path is None or _STDLIB in Path(path).resolve().parents)


def sources(*values: Any) -> dict[str, Source]:
    """The sources of all classes in nested values, by the name of the class. Raises UserError for two classes of one name."""
    by_name: dict[str, tuple[type, Source | None]] = {}
    for kind in _classes(values):
        other, source = by_name.setdefault(kind.__qualname__, (kind, source_of(kind)))
        if source != source_of(kind):
            places = " and ".join(sorted(_place(each) for each in (other, kind)))
            raise UserError(f"two classes are called {kind.__qualname__}, in {places}; rename one of them")
    return {name: source for name, (_, source) in by_name.items() if source is not None}


def _classes(value: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        value = [getattr(value, f.name) for f in dataclasses.fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _classes(each)


def _place(kind: type) -> str:
    source = source_of(kind)
    return source.file if source else kind.__module__


def _read(kind: type) -> Source:
    try:
        path = Path(inspect.getfile(kind)).resolve()
        files = list(_beside(path, kind.__module__))
        texts = [file.read_bytes() for file in files]
    except (TypeError, OSError):
        raise UserError(
            f"class {kind.__qualname__} has no source file, so a key cannot say what it does; define it in a file"
        ) from None
    digest = hashlib.sha256()
    for file, text in zip(files, texts, strict=True):
        digest.update(f"{file.name} {len(text)}\n".encode() + text)
    module = path.stem if kind.__module__ == "__main__" else kind.__module__
    return Source(f"{module}:{kind.__qualname__}", path.name, digest.hexdigest()[:16], tuple(map(str, files)))


def _beside(path: Path, module: str) -> Iterator[Path]:
    """A file and the files that it imports from its own folder, or of a package from the package, directly or not; in order of names."""
    depth = 0 if module == "__main__" else module.count(".") + (path.name == "__init__.py")
    root = path.parents[depth]  # the folder that holds the file, or the package that it belongs to
    installed = {"site-packages", "dist-packages"} & set(root.parts)
    own = path.relative_to(root).parts[0].removesuffix(".py")
    pending, files = [path], {path}
    while pending:
        file = pending.pop()
        package = file.parent.relative_to(root).parts
        for name in _imports(ast.parse(file.read_text()), package):
            if name[0] in OURS or (installed and name[0] != own):
                continue
            for end in range(1, len(name) + 1):
                stem = root.joinpath(*name[:end])
                for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
                    if candidate.is_file() and candidate not in files:
                        files.add(candidate)
                        pending.append(candidate)
    yield from sorted(files)


def _imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The names of modules, and of what may be modules, that a file of `package` imports anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = (*start, *(node.module.split(".") if node.module else ()))
            yield from ((*base, alias.name) for alias in node.names if base or alias.name != "*")
