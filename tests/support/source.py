"""The product's files as syntax trees: their modules, imports and calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


PACKAGE = ROOT / "platform" / "rollbench"


BESIDE = ("evaluators", "experiments", "reports")


def product_files() -> list[Path]:
    folders = [PACKAGE, *(ROOT / room for room in BESIDE)]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


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


def package_of(path: Path) -> str:
    base = PACKAGE.parent if path.is_relative_to(PACKAGE) else ROOT
    return ".".join(path.relative_to(base).parent.parts)


def module_of(path: Path) -> str:
    return f"{package_of(path)}.{path.stem}".removesuffix(".__init__")


def complaints(faults: dict[Path, list[tuple[int, str]]], rule: str) -> str:
    """One line for each fault: the file, the line, and the name that breaks the rule."""
    lines = [
        f"{path.relative_to(ROOT)}:{line}: {rule} {name!r}" for path, names in faults.items() for line, name in names
    ]
    return "\n".join(lines)
