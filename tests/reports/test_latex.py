"""The LaTeX, compiled: with pdflatex where there is one. The strict reading in test_reports_render needs none."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reports.model.published import paper
from reports.settings_table import settings_table
from tests.reports.test_render import hostile, written  # type: ignore[import-not-found]
from tests.reports.test_settings import results  # type: ignore[import-not-found]
from tests.reports.test_settings import written as settings_written  # type: ignore[import-not-found]

pytestmark = pytest.mark.skipif(
    not (shutil.which("pdflatex") and shutil.which("kpsewhich")),
    reason="no pdflatex on this machine: apt-get install texlive-latex-recommended",
)
PREAMBLE = r"\documentclass{article}\usepackage{array,booktabs}\usepackage[margin=1cm]{geometry}\begin{document}"


def compiled(text: str, folder: Path) -> str:
    """The log of a document around the text; fails where LaTeX does."""
    folder.mkdir(exist_ok=True)
    (folder / "paper.tex").write_text(f"{PREAMBLE}\n{text}\n\\end{{document}}\n", encoding="ascii")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def test_tables_compile_and_fit_a_page(tmp_path: Path) -> None:
    """Of one setting with leads, and of several with whole clips; no line is wider than the page by more than a point."""
    several = settings_written(tmp_path / "b", results())
    for name, text in (("one", written(tmp_path / "a")["table.tex"]), ("several", several["table.tex"])):
        log = compiled(text, tmp_path / name)
        assert "Missing character" not in log
        wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
        assert all(points < 1 for points in wide), wide


def test_hostile_names_compile(tmp_path: Path) -> None:
    compiled(hostile(tmp_path / "a")["table.tex"], tmp_path / "tex")


def test_settings_compile(tmp_path: Path) -> None:
    text = ""
    for table in ("4", "5", "6", "7"):
        settings_table(table, {p.setting: p.value for p in paper().of(table)}, tmp_path / table, command="c_d & e")
        text += (tmp_path / table / "table.tex").read_text()
    compiled(text, tmp_path / "tex")


def test_the_check_sees_a_fault(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        compiled(r"\begin{tabular}{ll} a & b & c \\ \end{tabular}", tmp_path / "tex")
