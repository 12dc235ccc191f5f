"""The one entry: results in, `out/<table>/` with table.md, table.tex, table.html, table.json and results.parquet out.

The same results give the same bytes: nothing here reads a clock or a machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.model.cells import COLUMNS, cells, checked
from reports.model.labels import TableText
from reports.model.published import paper
from reports.model.report import arrange
from reports.writers.html import page
from reports.writers.json_record import RESULTS, TABLE, record
from reports.writers.latex import latex
from reports.writers.markdown import markdown


def _plain(path: Path) -> bool:
    """Whether Markdown can show a picture: it is no drawing, and not for dark pages."""
    return path.suffix in (".png", ".webp") and not path.stem.endswith("-dark")


def render(
    results: pd.DataFrame,
    table: TableText,
    out: Path,
    *,
    figures: Sequence[Path] = (),
    films: Sequence[Path] = (),
    command: str,
    scale_text: str,
    tracking: Mapping[str, Any] | None = None,
    config: Any = None,
) -> Path:
    """Write the report of a table and return the path of its page.

    results: tidy, one row per setting × row × metric × lead × seed (reports.cells.COLUMNS). out: the folder to write into, made
    if absent, e.g. out/table8. figures, films: pictures made before (reports.figures, reports.films), embedded in the
    page. command: what makes the table again. scale_text: what the scale is. tracking, config: see layout.Report.

    Raises BadInput for results that must not be printed; see `reports.cells` and `reports.layout`.
    """
    results = checked(results)
    words = {"command": command, "scale_text": scale_text, "tracking": dict(tracking or {}), "config": config}
    report = arrange(table, cells(results), paper(), **words)
    pictures = [path for path in (*figures, *films) if path.parent == out]
    tidy = results[list(COLUMNS)].to_parquet(index=False)
    written = {
        "table.md": markdown(report, [path for path in pictures if _plain(path)]),
        "table.tex": latex(report),
        "table.html": page(report, figures, films),
        TABLE: record(report, tidy, pictures),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    (out / RESULTS).write_bytes(tidy)
    return out / "table.html"
