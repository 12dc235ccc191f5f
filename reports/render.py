"""The entry: writes table.md, table.tex, table.html, table.json and results.parquet into `out/<table>/`, and removes files of an
earlier report there.

The same results give the same bytes: no output contains a time or a machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reports.model.cells import COLUMNS, cells, checked
from reports.model.published import paper
from reports.model.report import Notes, arrange
from reports.writers.html import page
from reports.writers.json_record import RESULTS, TABLE, listed_files, record
from reports.writers.latex import latex
from reports.writers.markdown import markdown
from rollbench.config.table import Table

BESIDE = ("search.*", "race_over_*")  # files of a search's page, written before


def _plain(path: Path) -> bool:
    """Whether Markdown can show a picture: not an SVG, and not for dark pages."""
    return path.suffix in (".png", ".webp") and not path.stem.endswith("-dark")


def render(
    results: pd.DataFrame,
    table: Table,
    out: Path,
    *,
    figures: Sequence[Path] = (),
    animations: Sequence[Path] = (),
    command: str,
    scale_text: str,
    notes: Mapping[str, Notes] | None = None,
    tracking: Mapping[str, Any] | None = None,
    config: Any = None,
) -> Path:
    """Write the report of a table and return the path of its page.

    results: tidy, one row per setting × row × metric × lead × seed (`model.cells.COLUMNS`). out: the folder to write into,
    e.g. out/table8, created if absent. figures, animations: files from `reports.figures`, embedded in the page. notes: by the
    setting's name. command, scale_text, tracking, config: see `model.report.Report`.

    Raises UserError for results that must not be printed; see `model.cells` and `model.report.arrange`.
    """
    results = checked(results)
    texts = {"command": command, "scale_text": scale_text, "tracking": dict(tracking or {}), "config": config}
    report = arrange(table, notes or {}, cells(results), paper(), **texts)
    pictures = [path for path in (*figures, *animations) if path.parent == out]
    tidy = results[list(COLUMNS)].to_parquet(index=False)
    written = {
        "table.md": markdown(report, [path for path in pictures if _plain(path)]),
        "table.tex": latex(report),
        "table.html": page(report, figures, animations),
    }
    out.mkdir(parents=True, exist_ok=True)
    earlier = listed_files(out)
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    (out / RESULTS).write_bytes(tidy)
    beside = [path for pattern in BESIDE for path in out.glob(pattern)]
    files = [*(out / name for name in written), out / RESULTS, *pictures, *beside]
    (out / TABLE).write_text(record(report, files, pictures), encoding="utf-8", newline="\n")
    for name in earlier - {path.name for path in (*files, out / TABLE)}:
        (out / name).unlink(missing_ok=True)
    return out / "table.html"
