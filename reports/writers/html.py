"""The report as one self-contained HTML page, light or dark as the reader prefers, readable on a phone.

Each of our numbers links to its provenance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup, escape

from reports.model.claims import ABSENT, FAILS, SHOWS, relation
from reports.model.report import Report
from reports.model.verdict import FAILED, OPEN, REPRODUCED
from reports.writers import phrases
from reports.writers.grid import OURS, grid
from reports.writers.html_parts import fill, pictures

CLAIM_STYLES = {SHOWS: "shows", FAILS: "fails", ABSENT: "absent"}
VERDICT_STYLES = {REPRODUCED: "judged shows", FAILED: "judged fails", OPEN: "judged open"}


def page(report: Report, figures: Sequence[Path] = (), animations: Sequence[Path] = ()) -> str:
    """The whole report as one HTML text."""
    keys = list(report.rows)
    shown = pictures(figures, animations)
    return fill(
        "table.html",
        report.table.title,
        report=report,
        phrases=phrases,
        pictures=shown,
        sections=_sections(report, bool(shown)),
        trace_rows=list(_trace_rows(report)),
        config=json.dumps(report.config, indent=1, ensure_ascii=False),
        grid_of=grid,
        anchor_of=lambda row: _anchor(keys.index(row.key)) if row.role == OURS else "",
        relation=relation,
        unbroken=_unbroken,
        verdict_style=lambda verdict: VERDICT_STYLES.get(verdict, "judged"),
        claim_style=lambda verdict: CLAIM_STYLES.get(verdict, "open"),
    )


def _sections(report: Report, figures: bool) -> list[tuple[str, str]]:
    """Anchor and label of each section. No anchor comes from data."""
    if report.several:
        parts = [(f"setting-{number}", setting.name) for number, (setting, _) in enumerate(report.sections)]
    else:
        parts = [(block.metric, block.text.label) for block in report.blocks]
    parts += [("claims", "Claims")] * bool(report.claims) + [("figures", "Figures")] * figures
    return [*parts, ("cost", "Cost"), ("protocol", "Protocol"), ("trace", "Trace a number")]


def _anchor(number: int) -> str:
    return f"made-by-{number}"


def _trace_rows(report: Report) -> Iterator[tuple[list[str], str]]:
    """The rows of the trace table; the first of each table row has an anchor."""
    names: list[str] = []
    for row in phrases.traces(report):
        first = row[0] not in names
        names += [row[0]] * first
        yield row, _anchor(len(names) - 1) if first else ""


def _unbroken(name: str) -> Markup:
    """A row's name in which "(2-4)" is not broken across lines."""
    return Markup(re.sub(r"\(\d+-\d+\)", r'<span class="keep">\g<0></span>', str(escape(name))))
