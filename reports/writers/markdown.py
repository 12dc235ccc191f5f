"""The report as Markdown (GitHub's dialect)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from reports.figures.metadata import caption
from reports.model.cells import COMPETING
from reports.model.claims import relation
from reports.model.report import Report
from reports.writers import phrases
from reports.writers.grid import OURS, THEIRS, Grid, GridCell, grid


def markdown(report: Report, pictures: Sequence[Path] = ()) -> str:
    """The whole report as one Markdown text; the pictures are files beside it."""
    parts = [
        f"# {escape(report.table.title)}",
        escape(phrases.origin(report)),
        escape(report.table.caption),
        f"**{escape(report.scale_text)}**",
    ]
    parts += map(escape, phrases.headline(report))
    for setting, blocks in report.sections:
        parts += [f"## {escape(setting.name)}"] * report.several + [escape(report.notes_of(setting).scale_text)]
        for block in blocks:
            title = f"{'###' if report.several else '##'} {escape(block.text.label)}"
            parts += [title, escape(block.text.reference), _grid(grid(block))]
    parts += ["\n".join(f"- {escape(text)}" for text in phrases.legend(report))]
    if report.absent:
        parts += [escape(phrases.absent(report))]
    if report.claims:
        parts += [f"## {phrases.CLAIMS_TITLE}", escape(phrases.claims_rule()), _claims(report)]
    parts += [f"![{escape(caption(path))}]({quote(path.name)})" for path in pictures]
    parts += ["## Cost", table(phrases.COST_HEADER, [map(escape, row) for row in phrases.costs(report)])]
    parts += ["## Protocol", *(escape(f"{name}: {text}" if name else text) for name, text in phrases.protocols(report))]
    parts += map(escape, phrases.published_protocols(report))
    parts += [
        "## How to trace a number",
        escape(phrases.tracing()),
        f"```\n{report.command}\n```",
        _bullets(phrases.tracked(report)),
    ]
    parts += [table(phrases.TRACE_HEADER, [map(_code, row) for row in phrases.traces(report)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text in which Markdown and HTML see no markup."""
    text = re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def table(header: Iterable[str], rows: Iterable[Iterable[str]], align: str = "---:") -> str:
    """A table; `align` sets all columns but the first."""
    header = list(header)
    lines = [header, ["---"] + [align] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _grid(block: Grid) -> str:
    """Ours, the paper's values in italics."""
    header = ["", *(f"{name} ({time})" if time else name for name, time in block.headers), *block.ends]
    rows = []
    for row in block.rows:
        plain = row.role == OURS and row.kind in COMPETING
        mark = "↳ " if row.role == THEIRS else ""
        name = escape(row.name) if plain else f"*{mark}{escape(row.name)}*"
        rows.append([name, *map(_cell, row.cells), *row.ends])
    return table(map(escape, header), rows)


def _cell(cell: GridCell) -> str:
    if cell.source == THEIRS:
        return f"*{escape(cell.text)}*" + (f" {cell.verdict}" if cell.verdict else "")
    value = f"**{cell.text}**" if cell.best else cell.text
    return rf"{value} \[{cell.low}, {cell.high}\]" if cell.low else value


def _claims(report: Report) -> str:
    out = []
    for verdict in report.claims:
        claim = verdict.claim
        out.append(f"- **{verdict.verdict}** · {escape(claim.text)} ({escape(claim.source)})  ")
        out.append(f"  {escape(phrases.metric(claim.metric))}: {escape(relation(claim))}. {escape(verdict.sentence)}")
        if verdict.leads:
            rows = [map(escape, row) for row in phrases.claim_rows(verdict)]
            lines = table(phrases.claim_header(claim), rows).splitlines()
            out.append("\n" + "\n".join("  " + line for line in lines) + "\n")
    return "\n".join(out)


def _code(text: str) -> str:
    """Text as code that ends neither its backquotes nor its table cell."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`" if text else ""


def _bullets(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {escape(name)}: {_code(value)}" for name, value in pairs)
