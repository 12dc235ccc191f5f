"""What the documents name exists: the tests of DESIGN's fault table, and the files that links and paths in prose point to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCUMENTS = (
    "README.md", "DESIGN.md", "CONTRIBUTING.md", "experiments/README.md", "evaluators/README.md", "platform/README.md",
    "reports/README.md", "tests/benchmarks/README.md",
)  # fmt: skip
TEST = re.compile(r"`(?:tests/)?((?:[\w/]*/)?test_\w+\.py)(?:::(test_\w+)(…)?)?`")


def named_tests(text: str) -> list[tuple[str, str, bool]]:
    """(file, function or "", whether the function's name is cut by an ellipsis) of each test in backticks."""
    return [(file, function, bool(cut)) for file, function, cut in TEST.findall(text)]


def missing_test(root: Path, file: str, function: str, cut: bool) -> bool:
    for path in root.glob(f"tests/**/{Path(file).name}"):
        if str(path).endswith(f"/{file}"):
            pattern = rf"^def {function}" + (r"\w*" if cut else r"\(")
            if not function or re.search(pattern, path.read_text(), re.M):
                return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_exists(document: str, root: Path) -> None:
    text = (root / document).read_text()
    absent = [
        f"{file}::{function}" for file, function, cut in named_tests(text) if missing_test(root, file, function, cut)
    ]
    assert not absent, f"{document} names tests that do not exist: {absent}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file(document: str, root: Path) -> None:
    base = (root / document).parent
    links = re.findall(r"\]\((?!https?://)([^)#]+)", (root / document).read_text())
    assert not [link for link in links if not (base / link).exists()]


def test_a_test_that_does_not_exist_is_reported(root: Path) -> None:
    assert named_tests("see `test_layout.py` and `tests/store/test_lease.py::test_x…`") == [
        ("test_layout.py", "", False), ("store/test_lease.py", "test_x", True),
    ]  # fmt: skip
    assert not missing_test(root, "test_layout.py", "", False)
    assert missing_test(root, "test_layout.py", "test_nothing_of_this_name", False)
    assert missing_test(root, "store/test_nothing.py", "", False)
